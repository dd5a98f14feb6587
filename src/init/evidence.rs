//! What was read and where, and what is told about it. A value without a place was guessed.

use serde::Serialize;

/// A line of a file of the project, or a file as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Relative to the project's folder.
    pub(crate) file: String,
    /// Counted from 1.
    pub(crate) line: Option<usize>,
}

impl Place {
    pub(crate) fn of(file: &str) -> Self {
        Self { file: file.to_owned(), line: None }
    }

    pub(crate) fn at(file: &str, line: usize) -> Self {
        Self { file: file.to_owned(), line: Some(line) }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// How sure a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Basis {
    /// It stands in a file, or AWS said so.
    Found,
    /// Nothing says so; it is the usual way.
    Guessed,
    /// It was seen and is not taken over.
    LeftOut,
    /// A person has to decide or do it.
    Decide,
}

/// One line of what `init` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Note {
    pub(crate) basis: Basis,
    pub(crate) what: String,
    /// `file:line`, or another source by name.
    pub(crate) place: Option<String>,
}

impl Note {
    pub(crate) fn found(what: impl Into<String>, at: &Place) -> Self {
        Self { basis: Basis::Found, what: what.into(), place: Some(at.to_string()) }
    }

    pub(crate) fn guessed(what: impl Into<String>) -> Self {
        Self { basis: Basis::Guessed, what: what.into(), place: None }
    }

    pub(crate) fn left_out(what: impl Into<String>, at: &Place) -> Self {
        Self { basis: Basis::LeftOut, what: what.into(), place: Some(at.to_string()) }
    }

    pub(crate) fn decide(what: impl Into<String>) -> Self {
        Self { basis: Basis::Decide, what: what.into(), place: None }
    }

    pub(crate) fn with_place(mut self, at: Option<&Place>) -> Self {
        self.place = at.map(Place::to_string);
        self
    }
}

/// A value and the line that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sourced<T> {
    pub(crate) value: T,
    pub(crate) at: Place,
}

impl<T> Sourced<T> {
    pub(crate) fn new(value: T, at: Place) -> Self {
        Self { value, at }
    }
}
