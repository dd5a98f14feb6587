//! The commit that is being deployed, and the names that come from it.

use serde::Serialize;

/// A commit, and whether the tree had changes on top of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Revision {
    /// Full hash: 40 or 64 hex digits.
    pub(crate) commit: String,
    pub(crate) dirty: bool,
    /// First line of the commit's message.
    pub(crate) subject: Option<String>,
    pub(crate) author: Option<String>,
}

impl Revision {
    /// As it is recorded: the full hash, `-dirty` appended where the tree was not clean.
    pub(crate) fn full(&self) -> String {
        format!("{}{}", self.commit, self.suffix())
    }

    /// As it is shown to people: 12 hex digits.
    pub(crate) fn short(&self) -> String {
        format!("{}{}", short(&self.commit), self.suffix())
    }

    /// The immutable tag in the registry. A dirty tree gets a tag of its own, so that the commit's stays true.
    pub(crate) fn tag(&self) -> String {
        format!("git-{}", self.short())
    }

    fn suffix(&self) -> &'static str {
        if self.dirty { "-dirty" } else { "" }
    }
}

/// The first 12 characters of a commit, as in tags and for the eye. The text may come from a tag that anybody has
/// written, so it need not be hexadecimal, nor that long.
pub(crate) fn short(commit: &str) -> &str {
    commit.char_indices().nth(12).map_or(commit, |(at, _)| &commit[..at])
}

#[cfg(test)]
mod tests {
    use super::{Revision, short};

    #[test]
    fn whatever_a_tag_holds_is_cut_between_characters() {
        assert_eq!(short("0123456789abcdef"), "0123456789ab");
        assert_eq!(short("ééééééééééééé"), "éééééééééééé");
        assert_eq!(short("v1"), "v1");
    }

    #[test]
    fn a_dirty_tree_never_takes_the_commits_tag() {
        let commit = "0123456789abcdef0123456789abcdef01234567".to_owned();
        let clean = Revision { commit, dirty: false, subject: None, author: None };
        assert_eq!(clean.tag(), "git-0123456789ab");
        assert_eq!(clean.full(), clean.commit);
        let dirty = Revision { dirty: true, ..clean };
        assert_eq!(dirty.tag(), "git-0123456789ab-dirty");
        assert!(dirty.full().ends_with("67-dirty"));
    }
}
