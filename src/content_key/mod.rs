//! The content key: a digest over everything that decides an image, so that the same inputs are built once. It is found
//! before the build, looked for in the repository, and written on what is built.
//!
//! The same key says that the inputs are the same, not that a build would give the same bits: what a `RUN` fetches from
//! somewhere is not an input that can be read here. Whatever cannot be told for sure means that there is no key.

mod base;
mod context;
mod dockerfile;
mod observe;
mod parts;
mod record;
#[cfg(test)]
mod tests;

pub(crate) use context::Snapshot;
pub(crate) use observe::{Inputs, observe};
pub(crate) use parts::{Parts, differences};

/// The label of an image that holds its key, whole.
pub(crate) const LABEL: &str = "dev.shipit.content-key";

/// The label of an image that holds the digests of what the key was made of.
pub(crate) const PARTS_LABEL: &str = "dev.shipit.content-parts";

/// How many hex digits of the key its tag has. The label has them all, and decides.
const TAG_DIGITS: usize = 40;

/// `v1:` and 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub(crate) struct ContentKey(String);

impl ContentKey {
    fn new(digest: &[u8]) -> Self {
        Self(format!("v1:{}", crate::docker::hexadecimal(digest)))
    }

    /// As the label has it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag under which the repository has the image with this key.
    pub(crate) fn tag(&self) -> String {
        let digits = self.0.trim_start_matches("v1:");
        format!("ck1-{}", &digits[..TAG_DIGITS.min(digits.len())])
    }
}

impl std::fmt::Display for ContentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key, what it was made of, and how the context looked when it was read.
#[derive(Clone, Debug)]
pub(crate) struct Keyed {
    pub(crate) key: ContentKey,
    pub(crate) parts: Parts,
    /// Asked for again after the build: the key is not that of an image whose files changed meanwhile.
    pub(crate) snapshot: Snapshot,
}

impl Keyed {
    /// What the image has to say of itself.
    pub(crate) fn labels(&self) -> [(String, String); 2] {
        [(LABEL.to_owned(), self.key.as_str().to_owned()), (PARTS_LABEL.to_owned(), self.parts.to_label())]
    }
}

/// Why there is no key, as a fragment: "`.git` is in the build context".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoKey {
    pub(crate) why: String,
    pub(crate) hint: Option<String>,
}

impl NoKey {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl std::fmt::Display for NoKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}
