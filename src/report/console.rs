//! What a command prints with: answers, errors, questions, and the report of a run.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use tokio::task::JoinHandle;

use super::line::Line;
use super::out::To;
use super::{Format, Out, ReportOptions, SharedRedactor, Surface, print_error, print_warning, spawn};
use crate::aws::web_identity;
use crate::ci::insights;
use crate::error::{Error, Result};
use crate::event::{Events, Kind};
use crate::exit::Exit;
use crate::redact::Redactor;
use crate::secret::Secret;
use crate::vars::Vars;

pub(crate) struct Console {
    out: Out,
    redactor: SharedRedactor,
    /// What is hidden whatever deploy.yaml says: the tokens of the pipeline.
    always: Vec<Secret>,
    format: Format,
    verbose: u8,
}

impl Console {
    pub(crate) fn new(format: Format, verbose: u8, vars: &Vars) -> Self {
        let redactor = SharedRedactor::default();
        let always: Vec<Secret> = web_identity::secrets(vars).into_iter().chain(insights::token(vars)).collect();
        redactor.set(Redactor::new(&always));
        Self { out: Out::new(Surface::of_process(vars), redactor.clone()), redactor, always, format, verbose }
    }

    /// From now on these values are hidden in all that is printed.
    pub(crate) fn hide(&self, secrets: &BTreeMap<String, Secret>) {
        self.redactor.set(self.redactor(secrets));
    }

    /// Knows these values and those that are hidden in all that is printed.
    pub(crate) fn redactor(&self, secrets: &BTreeMap<String, Secret>) -> Redactor {
        Redactor::new(secrets.values().chain(&self.always))
    }

    /// Prints an answer as it stands.
    ///
    /// # Errors
    /// It cannot be written; a reader that has gone away is none.
    pub(crate) fn data(&self, text: &str) -> Result<()> {
        self.out
            .verbatim(text)
            .map_err(|error| Error::new(Exit::Fault, "the answer cannot be written to stdout").because(&error))
    }

    /// Prints an object for programs on a line of its own; what is hidden in its texts leaves it whole.
    pub(crate) fn json(&self, object: &serde_json::Value) {
        self.out.json(&object.to_string());
    }

    /// A remark on an answer: it goes to stderr, so that the answer can be piped.
    pub(crate) fn note(&self, text: &str) {
        self.out.line(To::Talk, &Line::new().dim("note: ").plain(text).hanging(6));
    }

    pub(crate) fn error(&self, error: &Error) {
        print_error(&self.out, error);
    }

    /// The same for what is in nobody's way.
    pub(crate) fn warning(&self, error: &Error) {
        print_warning(&self.out, error);
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn out(&self) -> &Out {
        &self.out
    }

    /// From now on stdout is kept for a document; what would be an answer there goes to stderr.
    pub(crate) fn step_aside(&self) {
        self.out.step_aside();
    }

    /// The text without secrets and without what a terminal would obey.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.out.clean(text)
    }

    /// Prints a document that is clean already, alone on stdout.
    ///
    /// # Errors
    /// It cannot be written; a reader that has gone away is none.
    pub(crate) fn document(&self, text: &str) -> Result<()> {
        self.out
            .document(text)
            .map_err(|error| Error::new(Exit::Fault, "the report cannot be written to stdout").because(&error))
    }

    /// Prints a workflow command that is clean already, where a runner reads it: on stdout, or on stderr, which it reads
    /// as well, where stdout is for a program.
    pub(crate) fn command(&self, line: &str) {
        self.out.command(if self.format == Format::Json { To::Talk } else { To::Data }, line);
    }

    /// Starts the report of a run.
    pub(crate) fn report(&self, plan_is_answer: bool) -> Reporting {
        let (events, receiver) = Events::channel();
        let options = ReportOptions { format: self.format, verbose: self.verbose, plan_is_answer };
        Reporting { events, printer: spawn(receiver, options, self.out.clone()) }
    }

    /// Whether a person is there to answer.
    pub(crate) fn can_ask(&self) -> bool {
        self.format == Format::Text && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks, and returns the line that was typed.
    ///
    /// # Errors
    /// stdin cannot be read.
    pub(crate) async fn ask(&self, question: &str) -> Result<String> {
        self.out.prompt(question);
        let typed = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line)
        });
        match typed.await {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(error)) => Err(Error::new(Exit::Gate, "the answer cannot be read").because(&error)),
            Err(error) => Err(Error::new(Exit::Fault, "the answer cannot be read").because(&error)),
        }
    }
}

/// The report of one run, while it goes on.
pub(crate) struct Reporting {
    events: Events,
    printer: JoinHandle<()>,
}

impl Reporting {
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// Emits the last event and waits until everything is printed.
    pub(crate) async fn finish(self, last: Kind) {
        self.events.emit(last);
        drop(self.events);
        let _ = self.printer.await;
    }
}
