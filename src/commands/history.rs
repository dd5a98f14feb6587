//! `shipit history`: what was deployed there.

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::local::Session;
use crate::aws::identity::identity;
use crate::aws::{Clients, Settings};
use crate::cli::HistoryArgs;
use crate::error::Result;
use crate::event::Events;
use crate::exit::Exit;
use crate::gates;
use crate::history::{self, History};
use crate::report::print_history;
use crate::standing::Standing;

pub(super) async fn run(args: HistoryArgs, context: &Context) -> Result<Exit> {
    let standing = Standing::load(&args.config.config, &context.vars).await?;
    let specification = standing.specification(&args.env, &args.services, &context.vars)?;
    context.console.hide(&specification.secrets);
    let stand_in = match args.local {
        true => Some(Session::open(&standing.manifest, context, &Events::channel().0).await?),
        false => None,
    };
    let settings = stand_in.as_ref().map_or_else(|| Settings::of(&context.vars), Session::settings);
    let read = async {
        let clients = Clients::connect(&specification.environment, &settings).await?;
        if let Some(finding) = gates::account(&specification.environment, &identity(&clients).await?) {
            return Err(finding.to_error());
        }
        history::read(&clients, &specification, args.limit).await
    };
    let read: Result<History> = read.await;
    if let Some(stand_in) = stand_in {
        stand_in.close(&CancellationToken::new()).await?;
    }
    print_history(context.console.out(), context.console.format(), &read?, Timestamp::now());
    Ok(Exit::Success)
}
