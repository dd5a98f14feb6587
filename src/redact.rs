//! Hides secret values in text that leaves the process. It changes nothing else.

use std::borrow::Cow;

use crate::secret::Secret;

/// Replaces every secret value that it was given.
#[derive(Default)]
pub(crate) struct Redactor {
    values: Vec<String>,
}

impl Redactor {
    /// Blank values are left out: they are in every text.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut values: Vec<String> = values
            .into_iter()
            .map(|secret| secret.expose().to_owned())
            .filter(|value| !value.trim().is_empty())
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// The text with `***` in place of every value, the longest first.
    pub(crate) fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for value in &self.values {
            if text.contains(value) {
                text = Cow::Owned(text.replace(value, "***"));
            }
        }
        text
    }
}
