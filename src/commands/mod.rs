//! A file a command: arguments → options → one call. A decision about the domain belongs below.

mod approve;
mod check;
mod deploy;
mod history;
pub(crate) mod local;
mod manual;
mod rollback;
mod status;
mod wait;

use crate::cli::{Cli, Command};
use crate::error::Result;
use crate::event::Kind;
use crate::exit::Exit;
use crate::report::{Console, Reporting};
use crate::vars::Vars;
use crate::verdict::Outcome;

/// What every command is given by the doorway.
pub(crate) struct Context {
    pub(crate) vars: Vars,
    pub(crate) console: Console,
}

pub(crate) async fn run(cli: Cli, context: &Context) -> Result<Exit> {
    match cli.command {
        Command::Deploy(args) => deploy::run(args, context).await,
        Command::Wait(args) => wait::run(args, context).await,
        Command::Rollback(args) => rollback::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::History(args) => history::run(args, context).await,
        Command::Check(args) => check::run(&args, context),
        Command::Local(args) => local::run(args, context).await,
        Command::Schema => manual::schema(context),
        Command::Completions { shell } => manual::completions(shell, context),
        Command::Man => manual::man(context),
    }
}

/// Ends the report of a run on some services of an environment with the worst of their exit codes.
async fn finish(reporter: Reporting, ended: Result<(String, Vec<Outcome>)>) -> Result<Exit> {
    let (exit_code, environment, services) = match &ended {
        Ok((environment, outcomes)) => (worst(outcomes), Some(environment.clone()), outcomes.clone()),
        Err(error) => (error.exit(), None, Vec::new()),
    };
    reporter.finish(Kind::Finished { exit_code, environment, services }).await;
    ended.map(|_| exit_code)
}

fn worst(outcomes: &[Outcome]) -> Exit {
    outcomes.iter().fold(Exit::Success, |worst, outcome| worst.worst(outcome.exit_code))
}
