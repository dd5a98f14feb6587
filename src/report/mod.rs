//! The only printers. Events come in, lines go out: to a person's terminal, to a log, or to a program as JSON. Nothing is
//! decided here, and every line passes through the one writer that hides secrets (`out`).

mod changed;
mod clean;
mod console;
mod diagnosis;
mod doctor;
mod error;
mod init;
mod json;
mod line;
mod live;
mod out;
mod plain;
mod plan;
mod progress;
mod review;
mod scan;
#[cfg(test)]
mod script;
mod shared_redactor;
mod standing;
mod stopped;
mod story;
mod summary;
mod surface;
mod table;
mod terminal;
mod words;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

pub(crate) use changed::{Form, print as print_changed};
pub(crate) use console::{Console, Reporting};
pub(crate) use doctor::doctor as print_doctor;
use error::{print as print_error, print_warning};
pub(crate) use init::{
    Fate, difference as print_difference, file as print_file, notes as print_notes, to_do as print_to_do,
};
pub(crate) use out::Out;
pub(crate) use review::{Insights, Review, What, github_commands, github_summary, insights, markdown};
use shared_redactor::SharedRedactor;
pub(crate) use standing::{history as print_history, status as print_status};
use surface::Surface;

use crate::event::{Event, Kind, Message};
use plain::Plain;
use terminal::Terminal;

/// `--output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReportOptions {
    pub(crate) format: Format,
    /// How often `-v` was given: once shows the build's output and BuildKit's own steps.
    pub(crate) verbose: u8,
    /// A dry run: the plan is what was asked for and goes to stdout, whole.
    pub(crate) plan_is_answer: bool,
}

/// Prints events until `Finished` has come or every sender is gone. It has a thread of its own: a terminal that is held
/// (Ctrl-S) or a slow pipe never holds up the deploy.
pub(crate) fn spawn(mut events: UnboundedReceiver<Message>, options: ReportOptions, out: Out) -> JoinHandle<()> {
    tokio::task::spawn_blocking(move || {
        let mut reporter = Reporter::new(options, out);
        while let Some(message) = events.blocking_recv() {
            let event = match message {
                Message::Event(event) => event,
                Message::Flush(printed) => {
                    let _ = printed.send(());
                    continue;
                }
            };
            reporter.event(&event);
            if matches!(event.kind, Kind::Finished { .. }) {
                break;
            }
        }
    })
}

enum Reporter {
    Terminal(Terminal),
    Plain(Plain),
    Json(Out),
}

impl Reporter {
    fn new(options: ReportOptions, out: Out) -> Self {
        let ReportOptions { format, verbose, plan_is_answer } = options;
        match format {
            Format::Json => Self::Json(out),
            Format::Text if out.is_live() => Self::Terminal(Terminal::new(out, verbose, plan_is_answer)),
            Format::Text => Self::Plain(Plain::new(out, verbose, plan_is_answer)),
        }
    }

    fn event(&mut self, event: &Event) {
        match self {
            Self::Terminal(terminal) => terminal.event(event),
            Self::Plain(plain) => plain.event(event),
            Self::Json(out) => json::print(out, event),
        }
    }
}
