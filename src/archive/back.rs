//! Which zip a rollback brings back. Pure.

use super::Label;
use super::past::Kept;
use crate::revision::short;

/// The revision that comes back: the one that was live before, by shipit's record, or the newest that was kept before
/// the one that is live. Pure.
pub(super) fn previous<'k>(label: &Label, kept: &'k [Kept]) -> Option<&'k Kept> {
    let find = |revision: &str| kept.iter().find(|one| one.revision == revision);
    // What a rollback brought goes further back, and not to what was taken away.
    let recorded = label.previous.as_deref().filter(|_| label.held.is_none());
    if let Some(found) = recorded.and_then(find) {
        return Some(found);
    }
    let live = label.revision.as_deref()?;
    let at = kept.iter().position(|one| one.revision == live)?;
    kept[at + 1..].iter().find(|one| label.held.as_ref() != Some(&one.revision))
}

/// The one that is meant by a commit, by its first seven digits at least, or by the whole key. Pure.
pub(super) fn named<'k>(name: &str, kept: &'k [Kept]) -> Result<&'k Kept, String> {
    if let Some(found) = kept.iter().find(|one| one.key == name || one.revision == name) {
        return Ok(found);
    }
    let name = name.strip_prefix("git-").unwrap_or(name).to_ascii_lowercase();
    let hex = name.len() >= 7 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = |one: &&Kept| hex && one.revision.starts_with(&name) && !one.revision.ends_with("-dirty");
    let fitting: Vec<&Kept> = kept.iter().filter(fits).collect();
    match fitting.as_slice() {
        [only] => Ok(only),
        [] => Err(format!("no zip of `{name}` is kept")),
        several => Err(format!("`{name}` fits {} zips", several.len())),
    }
}

/// The commits that were kept last, for a hint.
pub(super) fn newest(kept: &[Kept]) -> String {
    let commits: Vec<&str> = kept.iter().take(5).map(|one| short(&one.revision)).collect();
    if commits.is_empty() { "none: shipit has kept no zip there".to_owned() } else { commits.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::{named, previous};
    use crate::archive::Label;
    use crate::archive::past::Kept;

    /// Zips of the commits `a…`, `b…`, … kept in that order, newest first as they are listed.
    fn kept(commits: &str) -> Vec<Kept> {
        let one = |commit: char| Kept {
            key: format!("docs/{commit}.zip"),
            revision: commit.to_string().repeat(40),
            modified: None,
        };
        commits.chars().rev().map(one).collect()
    }

    fn label(live: &str, previous: &str, held: &str) -> Label {
        let commit = |text: &str| (!text.is_empty()).then(|| text.repeat(40));
        Label { revision: commit(live), previous: commit(previous), held: commit(held), ..Label::default() }
    }

    #[test]
    fn what_comes_back_was_there_before() {
        for (name, label, kept, expected) in [
            ("the record knows", label("c", "a", ""), kept("abc"), Some("a")),
            ("the record is of one that is gone", label("c", "a", ""), kept("bc"), Some("b")),
            ("only the times know", label("c", "", ""), kept("abc"), Some("b")),
            ("a second rollback goes further back", label("b", "", "c"), kept("abc"), Some("a")),
            ("nothing before it", label("a", "", ""), kept("a"), None),
            ("what is live is nobody's", label("", "", ""), kept("ab"), None),
        ] {
            let found = previous(&label, &kept).map(|one| one.revision[..1].to_owned());
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_zip_is_named_by_its_commit_or_its_key() {
        let kept = kept("ab");
        for (name, expected) in [
            ("aaaaaaa", Ok("a")),
            ("git-bbbbbbbbbbbb", Ok("b")),
            ("docs/a.zip", Ok("a")),
            ("aaaaaa", Err("no zip of `aaaaaa` is kept")),
            ("latest", Err("no zip of `latest` is kept")),
        ] {
            let found = named(name, &kept).map(|one| one.revision[..1].to_owned());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{name}");
        }
    }
}
