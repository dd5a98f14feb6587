//! `shipit status`: what runs where, once or until interrupted.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::local::Session;
use crate::aws::Settings;
use crate::cli::StatusArgs;
use crate::config::specification::Specification;
use crate::error::Result;
use crate::event::Events;
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::report::{Format, print_status};
use crate::standing::Standing;
use crate::status::{self, ServiceStatus};

const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

pub(super) async fn run(args: StatusArgs, context: &Context) -> Result<Exit> {
    let standing = Standing::load(&args.config.config, &context.vars).await?;
    let names = args.env.clone().map_or_else(|| standing.environments(), |name| vec![name]);
    let specifications = names
        .iter()
        .map(|name| standing.specification(name, &args.services, &context.vars))
        .collect::<Result<Vec<_>>>()?;
    for specification in &specifications {
        context.console.hide(&specification.secrets);
    }
    let stand_in = match args.local {
        // Its own words are of no interest to who asks for a table.
        true => Some(Session::open(&standing.manifest, context, &Events::channel().0).await?),
        false => None,
    };
    let settings = stand_in.as_ref().map_or_else(|| Settings::of(&context.vars), Session::settings);
    let exit = if args.watch {
        let interrupts = Interrupts::listen()?;
        let stop = CancellationToken::new();
        tokio::select! {
            exit = watch(&specifications, &settings, context, &stop) => exit,
            () = interrupts.second(stop.clone()) => Exit::Interrupted,
        }
    } else {
        let rows = look(&specifications, &settings).await;
        print_status(context.console.out(), context.console.format(), &rows, Timestamp::now());
        worst(&rows)
    };
    if let Some(stand_in) = stand_in {
        stand_in.close(&CancellationToken::new()).await?;
    }
    Ok(exit)
}

async fn look(specifications: &[Specification], settings: &Settings) -> Vec<ServiceStatus> {
    let read = join_all(specifications.iter().map(|specification| status::read(specification, settings))).await;
    read.into_iter().flatten().collect()
}

/// Looks again and again: a screen is redrawn, a log gets what has changed. The interrupt is how it ends, and no fault.
async fn watch(
    specifications: &[Specification],
    settings: &Settings,
    context: &Context,
    stop: &CancellationToken,
) -> Exit {
    let (out, format) = (context.console.out(), context.console.format());
    let mut told: Option<Vec<ServiceStatus>> = None;
    loop {
        let rows = tokio::select! {
            rows = look(specifications, settings) => rows,
            () = stop.cancelled() => break,
        };
        let redrawn = format == Format::Text && out.clear_screen();
        if redrawn || told.as_ref() != Some(&rows) {
            print_status(out, format, &rows, Timestamp::now());
        }
        told = Some(rows);
        tokio::select! {
            () = tokio::time::sleep(BETWEEN_LOOKS) => {}
            () = stop.cancelled() => break,
        }
    }
    told.map_or(Exit::Success, |rows| worst(&rows))
}

fn worst(rows: &[ServiceStatus]) -> Exit {
    rows.iter().fold(Exit::Success, |worst, row| worst.worst(row.exit_code))
}
