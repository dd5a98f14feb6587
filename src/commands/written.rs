//! A command line of shipit that stands in a pipeline file, read by the very parser that would read it there.

use clap::Parser as _;

use crate::ci::file::{Call, Verb};
use crate::cli::{Cli, Command};

/// The words behind the program's name.
///
/// # Errors
/// clap's own first line: no such command, or it does not take these words.
pub(super) fn read(words: &[String]) -> Result<Call, String> {
    let line = std::iter::once("shipit").chain(words.iter().map(String::as_str));
    let cli = match Cli::try_parse_from(line) {
        Ok(cli) => cli,
        // `--help` and `--version` change nothing.
        Err(said) if !said.use_stderr() => return Ok(Call::default()),
        Err(said) => {
            let text = said.to_string();
            return Err(text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned());
        }
    };
    Ok(match cli.command {
        Command::Deploy(args) => Call {
            verb: Verb::Deploy,
            environment: args.target.env,
            branch: args.target.branch,
            any_branch: args.any_branch,
            approve: args.approve,
            dry_run: args.dry_run,
            local: args.local,
            ..Call::default()
        },
        Command::Rollback(args) => Call {
            verb: Verb::Rollback,
            environment: Some(args.env),
            approve: args.approve,
            dry_run: args.dry_run,
            local: args.local,
            ..Call::default()
        },
        Command::Run(args) => Call {
            verb: Verb::Run,
            environment: Some(args.env),
            approve: args.approve,
            local: args.local,
            ..Call::default()
        },
        Command::Check(args) => Call { environment: args.env, ..Call::default() },
        Command::Status(args) => Call { environment: args.env, ..Call::default() },
        Command::Wait(args) => Call { environment: Some(args.env), ..Call::default() },
        Command::History(args) => Call { environment: Some(args.env), ..Call::default() },
        _ => Call::default(),
    })
}
