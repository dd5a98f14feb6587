//! Why a service's way ended before its end: the verdict, the reason in words, and what becomes of `latest`.
//!
//! Deploy, rollback and wait share it.

use crate::error::Error;
use crate::exit::Exit;
use crate::verdict::Verdict;

#[derive(Clone, Debug)]
pub(crate) struct Stop {
    pub(crate) verdict: Verdict,
    pub(crate) error: Error,
    /// Whether `latest` has to go back to what runs.
    pub(crate) restore: bool,
}

impl Stop {
    pub(crate) fn new(verdict: Verdict, error: Error) -> Self {
        let verdict = if error.exit() == Exit::Interrupted { Verdict::Interrupted } else { verdict };
        Self { verdict, error, restore: true }
    }

    /// The rollout goes on without us, or `latest` is somebody else's: it stays where it is.
    pub(crate) fn leaving_latest(mut self) -> Self {
        self.restore = false;
        self
    }
}
