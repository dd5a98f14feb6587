//! What went wrong on our side of a session. The engine only hears an echo of it, so the first fault is kept here for
//! the build's error.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;

#[derive(Clone, Default)]
pub(in crate::docker) struct Fault(Arc<Mutex<Option<Error>>>);

impl Fault {
    /// Later faults follow from the first and are dropped.
    pub(super) fn record(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    pub(in crate::docker) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
