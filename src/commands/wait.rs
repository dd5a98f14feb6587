//! `shipit wait`: the watch of a rollout, taken up again.

use tokio_util::sync::CancellationToken;

use super::local::Session;
use super::{Context, reported};
use crate::aws::identity::identity;
use crate::aws::{Clients, Settings, credentials};
use crate::cli::WaitArgs;
use crate::config::specification::Specification;
use crate::error::{Error, Result};
use crate::event::{Events, Kind};
use crate::exit::Exit;
use crate::gates;
use crate::standing::Standing;
use crate::verdict::Outcome;
use crate::wait::Wait;

pub(super) async fn run(args: WaitArgs, context: &Context) -> Result<Exit> {
    reported(context, "wait", false, None, async |events, cancel, noted| {
        noted.borrow_mut().receipt.environment = Some(args.env.clone());
        Ok((args.env.clone(), to_the_end(&args, context, events, cancel).await?))
    })
    .await
}

async fn to_the_end(
    args: &WaitArgs,
    context: &Context,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Vec<Outcome>> {
    let standing = Standing::load(&args.config.config, &context.vars).await?;
    let specification = standing.specification(&args.env, &args.services, &context.vars)?;
    context.console.hide(&specification.secrets);
    events.emit(Kind::Started {
        command: "wait",
        project: specification.project.clone(),
        environment: args.env.clone(),
        branch: None,
        revision: None,
        subject: None,
        services: specification.services.iter().map(|service| service.name.clone()).collect(),
        local: args.local,
    });
    let stand_in = match args.local {
        true => Some(Session::open(&standing.manifest, context, events).await?),
        false => None,
    };
    let settings = stand_in.as_ref().map_or_else(|| Settings::of(&context.vars), Session::settings);
    let outcomes = watch(args, &specification, &settings, events, cancel).await;
    if let Some(stand_in) = stand_in {
        stand_in.close(cancel).await?;
    }
    outcomes
}

async fn watch(
    args: &WaitArgs,
    specification: &Specification,
    settings: &Settings,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Vec<Outcome>> {
    let zips: Vec<&str> = specification.archives.iter().map(|archive| archive.name.as_str()).collect();
    if specification.services.is_empty() {
        return Err(Error::new(
            Exit::Usage,
            format!("{} has no rollout to wait for: a zip is live at once", zips.join(", ")),
        )
        .hint("see what is live with shipit status"));
    }
    for zip in zips {
        events.of(zip).note("a zip has no rollout to wait for");
    }
    let clients = Clients::connect(&specification.environment, settings).await?;
    let identity = identity(&clients).await?;
    if let Some(finding) = gates::account(&specification.environment, &identity) {
        return Err(finding.to_error());
    }
    for warning in credentials::warnings(&clients, args.patience.timeout).await {
        events.warn(warning, None);
    }
    let wait = Wait {
        clients: &clients,
        specification,
        identity: &identity,
        timeout: args.patience.timeout,
        fail_fast: args.patience.fail_fast,
        events,
        cancel,
    };
    Ok(wait.run().await)
}
