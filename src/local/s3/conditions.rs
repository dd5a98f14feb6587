//! `If-Match` and its kin: what has to be there for a read, a write or a copy. Pure.

use super::Asking;
use crate::local::wire::fault::{Answered, Fault};

/// What is asked of the object that is there now, by its ETag.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conditions<'h> {
    pub(super) if_match: Option<&'h str>,
    pub(super) if_none_match: Option<&'h str>,
}

impl Conditions<'_> {
    pub(super) fn hold(self, etag: Option<&str>) -> bool {
        let is = |wanted: &str| match etag {
            Some(etag) => wanted == "*" || wanted.split(',').any(|one| one.trim().trim_matches('"') == etag),
            None => false,
        };
        self.if_match.is_none_or(is) && !self.if_none_match.is_some_and(is)
    }

    /// # Errors
    /// 412, as S3 words it.
    pub(super) fn check(self, etag: Option<&str>) -> Answered<()> {
        if self.hold(etag) {
            return Ok(());
        }
        let text = "At least one of the pre-conditions you specified did not hold";
        Err(Fault::with_status(412, "PreconditionFailed", text))
    }
}

impl Asking<'_> {
    pub(super) fn conditions(&self) -> Conditions<'_> {
        Conditions { if_match: self.header("if-match"), if_none_match: self.header("if-none-match") }
    }

    /// Those on what is copied.
    pub(super) fn conditions_on_source(&self) -> Conditions<'_> {
        Conditions {
            if_match: self.header("x-amz-copy-source-if-match"),
            if_none_match: self.header("x-amz-copy-source-if-none-match"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Conditions;

    #[test]
    fn conditions_are_about_what_is_there() {
        let table = [
            (None, None, None, true),
            (Some("\"a\""), None, Some("a"), true),
            (Some("\"a\""), None, Some("b"), false),
            (Some("\"a\""), None, None, false),
            (Some("*"), None, Some("b"), true),
            (None, Some("*"), None, true),
            (None, Some("*"), Some("a"), false),
            (None, Some("\"a\", \"b\""), Some("b"), false),
        ];
        for (if_match, if_none_match, etag, expected) in table {
            let holds = Conditions { if_match, if_none_match }.hold(etag);
            assert_eq!(holds, expected, "{if_match:?} {if_none_match:?} {etag:?}");
        }
    }
}
