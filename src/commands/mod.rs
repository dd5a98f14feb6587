//! A file a command: arguments → options → one call. A decision about the domain belongs below.

mod approve;
mod changed;
mod check;
mod deploy;
mod doctor;
mod history;
mod init;
pub(crate) mod local;
mod manual;
mod review;
mod rollback;
mod run;
mod status;
mod wait;
mod written;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, Command};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::{Events, Kind};
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::plan::Plan;
use crate::receipt::{self, Receipt};
use crate::report::{Console, Reporting};
use crate::secret::Secret;
use crate::vars::Vars;
use crate::verdict::Outcome;

/// What every command is given by the doorway.
pub(crate) struct Context {
    pub(crate) vars: Vars,
    pub(crate) console: Console,
    engine: OnceCell<Result<Engine>>,
}

impl Context {
    pub(crate) fn new(vars: Vars, console: Console) -> Self {
        Self { vars, console, engine: OnceCell::new() }
    }

    /// The Docker Engine: looked for when a command first needs it, and only once.
    async fn engine(&self) -> Result<Engine> {
        self.engine.get_or_init(|| Engine::connect(&self.vars)).await.clone()
    }
}

pub(crate) async fn run(cli: Cli, context: &Context) -> Result<Exit> {
    match cli.command {
        Command::Deploy(args) => deploy::run(args, context).await,
        Command::Wait(args) => wait::run(args, context).await,
        Command::Rollback(args) => rollback::run(args, context).await,
        Command::Changed(args) => changed::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Run(args) => run::run(args, context).await,
        Command::History(args) => history::run(args, context).await,
        Command::Check(args) => check::run(&args, context).await,
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Init(args) => init::run(args, context).await,
        Command::Local(args) => local::run(args, context).await,
        Command::Schema => manual::schema(context),
        Command::Completions { shell } => manual::completions(shell, context),
        Command::Man => manual::man(context),
    }
}

/// Does the work of a command on the services of an environment, under a report, until it ends or is interrupted twice.
async fn reported(
    context: &Context,
    command: &'static str,
    plan_is_answer: bool,
    receipt: Option<&Path>,
    work: impl AsyncFnOnce(&Events, &CancellationToken, &RefCell<Noted>) -> Result<(String, Vec<Outcome>)>,
) -> Result<Exit> {
    if let Some(path) = receipt {
        receipt::check(path)?;
    }
    let noted = Noted::begin(command);
    let cancel = CancellationToken::new();
    let interrupts = Interrupts::listen()?;
    let reporter = context.console.report(plan_is_answer);
    let ended = tokio::select! {
        ended = work(reporter.events(), &cancel, &noted) => ended,
        () = interrupts.second(cancel.clone()) => Err(Error::new(Exit::Interrupted, "interrupted twice: left at once")
            .hint("what was under way may be half done: look at the service with shipit status")),
    };
    finish(context, reporter, ended, noted, receipt).await
}

/// Ends the report of a run on some services of an environment with the worst of their exit codes. Where a receipt is
/// wanted it is written first; a run without its receipt is no success.
async fn finish(
    context: &Context,
    reporter: Reporting,
    ended: Result<(String, Vec<Outcome>)>,
    noted: RefCell<Noted>,
    path: Option<&Path>,
) -> Result<Exit> {
    let Noted { mut receipt, secrets, .. } = noted.into_inner();
    let (mut exit_code, services) = match &ended {
        Ok((_, outcomes)) => (worst(outcomes), outcomes.clone()),
        Err(error) => (error.exit(), Vec::new()),
    };
    let environment = ended.as_ref().ok().map(|(name, _)| name.clone()).or_else(|| receipt.environment.clone());
    let error = ended.as_ref().err().map(Error::line);
    if let Some(path) = path {
        let told = ended.as_ref().map(|(_, outcomes)| outcomes.as_slice());
        receipt.end(Timestamp::now(), exit_code, told, &reporter.events().entered());
        if let Err(error) = receipt::write(&receipt, path, &context.console.redactor(&secrets)) {
            reporter.events().warn(error.line(), None);
            exit_code = if exit_code == Exit::Success { Exit::Fault } else { exit_code };
        }
    }
    reporter.finish(Kind::Finished { exit_code, environment, services, error }).await;
    ended.map(|_| exit_code)
}

/// What a run notes down for its receipt and its reports, and what must not be read in it.
struct Noted {
    receipt: Receipt,
    /// The last plan that was shown.
    plan: Option<Plan>,
    secrets: BTreeMap<String, Secret>,
}

impl Noted {
    fn begin(command: &'static str) -> RefCell<Self> {
        let receipt = Receipt::begin(command, Timestamp::now());
        RefCell::new(Self { receipt, plan: None, secrets: BTreeMap::new() })
    }
}

fn worst(outcomes: &[Outcome]) -> Exit {
    outcomes.iter().fold(Exit::Success, |worst, outcome| worst.worst(outcome.exit_code))
}
