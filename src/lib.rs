//! shipit takes a git branch to the ECS environment it belongs to, and proves that what it pushed is what runs.
//!
//! Data flows one way: resolve → observe → plan → act → prove. ARCHITECTURE.md has the map.

mod after;
mod approval;
mod archive;
mod aws;
mod builders;
mod changes;
mod check;
mod ci;
mod cli;
mod commands;
mod config;
mod content_key;
mod deploy;
mod docker;
mod doctor;
mod error;
mod event;
mod exit;
mod freeze;
mod gates;
mod git;
mod history;
mod init;
mod interrupt;
mod leak;
mod local;
mod observe;
mod one_off;
mod plan;
mod preflight;
mod preview;
mod promotion;
mod queue;
mod receipt;
mod record;
mod redact;
mod registry;
mod report;
mod resolve;
mod reuse;
mod revision;
mod rollback;
mod rollout;
mod scan;
mod secret;
mod source;
mod standing;
mod status;
mod target;
mod vars;
mod verdict;
mod wait;

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::commands::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::report::Console;
use crate::vars::Vars;

/// Runs one command line and returns the exit code of the process.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        // Help and version come this way too; clap knows which stream each belongs to.
        Err(said) => {
            let _ = said.print();
            return if said.use_stderr() { Exit::Usage.into() } else { Exit::Success.into() };
        }
    };
    let vars = Vars::of_process();
    let console = Console::new(cli.output.into(), cli.verbose, &vars);
    let context = Context::new(vars, console);
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| on_runtime(cli, &context))).unwrap_or_else(|_| {
        Err(Error::new(Exit::Fault, "a fault in shipit; what it was is said above")
            .hint("what was under way may be half done: look at the service, then report this fault"))
    });
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            context.console.error(&error);
            error.exit().into()
        }
    }
}

fn on_runtime(cli: Cli, context: &Context) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Exit::Fault, "the runtime cannot be started").because(&error))?;
    let ended = runtime.block_on(commands::run(cli, context));
    // A question that nobody answered may still read stdin: it is not waited for.
    runtime.shutdown_background();
    ended
}
