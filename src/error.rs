//! The error that every room returns: an exit code, what went wrong, why, and what to do next.
//!
//! It is made where the fault is known best. It is rendered in one place only (`report`), through the redactor.

use std::fmt::Write as _;

use crate::exit::Exit;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure that a person can act upon.
#[derive(Clone, Debug)]
pub(crate) struct Error(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    exit: Exit,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
    excerpt: Vec<String>,
    rendered: bool,
    transient: bool,
    engine_lost: bool,
    places: Vec<Place>,
}

/// One fault of deploy.yaml, for whoever shows it beside the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) help: Option<String>,
}

impl Error {
    /// `message` is a lowercase fragment or sentence without a final period.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            exit,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
            excerpt: Vec::new(),
            rendered: false,
            transient: false,
            engine_lost: false,
            places: Vec::new(),
        }))
    }

    /// A message that is already laid out (an excerpt of deploy.yaml with carets) and is printed as it is.
    pub(crate) fn rendered(exit: Exit, message: impl Into<String>) -> Self {
        let mut error = Self::new(exit, message);
        error.0.rendered = true;
        error
    }

    /// Adds the error chain beneath this one, outermost first; a cause that only repeats the one above is dropped.
    pub(crate) fn because(mut self, source: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(source);
        while let Some(error) = next {
            self = self.cause(error.to_string());
            next = error.source();
        }
        self
    }

    /// Adds one cause in words.
    pub(crate) fn cause(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        let above = self.0.causes.last().unwrap_or(&self.0.message);
        if !text.is_empty() && !above.contains(&text) {
            self.0.causes.push(text);
        }
        self
    }

    /// Adds what to do next: an imperative sentence without a final period.
    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        self.0.hints.push(text.into());
        self
    }

    /// Says which service it is about.
    pub(crate) fn of(mut self, service: &str) -> Self {
        self.0.message = format!("{service}: {}", self.0.message);
        self
    }

    /// Marks what may well work when it is tried again: throttling, a time-out, a 5xx.
    pub(crate) fn transient(mut self) -> Self {
        self.0.transient = true;
        self
    }

    pub(crate) fn with_exit(mut self, exit: Exit) -> Self {
        self.0.exit = exit;
        self
    }

    /// Marks that the Docker Engine went away: another one may well do the same work.
    pub(crate) fn engine_lost(mut self) -> Self {
        self.0.engine_lost = true;
        self
    }

    pub(crate) fn is_engine_lost(&self) -> bool {
        self.0.engine_lost
    }

    pub(crate) fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// The faults of deploy.yaml that the message is made of.
    pub(crate) fn places(mut self, places: Vec<Place>) -> Self {
        self.0.places = places;
        self
    }

    /// Those given to `places`; empty where the error is about something else.
    pub(crate) fn in_file(&self) -> &[Place] {
        &self.0.places
    }

    /// The last lines of what failed, to be shown beneath the error; they are no part of `line`.
    pub(crate) fn excerpt(mut self, lines: Vec<String>) -> Self {
        self.0.excerpt = lines;
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.0.exit
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) fn causes(&self) -> &[String] {
        &self.0.causes
    }

    pub(crate) fn hints(&self) -> &[String] {
        &self.0.hints
    }

    /// The lines given to `excerpt`, oldest first.
    pub(crate) fn shown_excerpt(&self) -> &[String] {
        &self.0.excerpt
    }

    /// Whether the message is laid out already and takes no `error:` prefix.
    pub(crate) fn is_rendered(&self) -> bool {
        self.0.rendered
    }

    /// Message and causes on one line, for tables and JSON.
    pub(crate) fn line(&self) -> String {
        let mut line = self.0.message.clone();
        for cause in &self.0.causes {
            // What others worded may be a whole sentence.
            line.truncate(line.trim_end_matches('.').len());
            let _ = write!(line, ": {cause}");
        }
        line
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.line())
    }
}

impl std::error::Error for Error {}
