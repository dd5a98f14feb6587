//! A file a command: arguments → options → one call. A decision about the domain belongs below.

mod check;
mod deploy;
mod history;
pub(crate) mod local;
mod manual;
mod status;

use crate::cli::{Cli, Command};
use crate::error::Result;
use crate::exit::Exit;
use crate::report::Console;
use crate::vars::Vars;

/// What every command is given by the doorway.
pub(crate) struct Context {
    pub(crate) vars: Vars,
    pub(crate) console: Console,
}

pub(crate) async fn run(cli: Cli, context: &Context) -> Result<Exit> {
    match cli.command {
        Command::Deploy(args) => deploy::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::History(args) => history::run(args, context).await,
        Command::Check(args) => check::run(&args, context),
        Command::Local(args) => local::run(args, context).await,
        Command::Schema => manual::schema(context),
        Command::Completions { shell } => manual::completions(shell, context),
        Command::Man => manual::man(context),
    }
}
