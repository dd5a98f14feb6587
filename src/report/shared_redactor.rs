//! The redactor's handle: writers exist before deploy.yaml is read, and the secret values are known only after it.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use crate::redact::Redactor;

/// Cloned into every writer; what is set in one holds for all.
#[derive(Clone, Default)]
pub(crate) struct SharedRedactor(Arc<RwLock<Option<Redactor>>>);

impl SharedRedactor {
    /// From now on the values of `redactor` are hidden, in place of those of the one before.
    pub(crate) fn set(&self, redactor: Redactor) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(redactor);
    }

    pub(crate) fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Some(redactor) => redactor.redact(text),
            None => Cow::Borrowed(text),
        }
    }
}

impl std::fmt::Debug for SharedRedactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedRedactor")
    }
}
