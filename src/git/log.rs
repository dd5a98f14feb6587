//! What git knows about commits by name: their message, and how far a branch is ahead of one.
//!
//! Names come from service tags and registry tags, which others may write, so only hex digits reach git. Not to know is
//! no error here: a shallow clone, or no clone at all, leaves a question open.

use std::path::Path;

use super::program::ask;
use crate::redact::sanitize;

/// A commit as people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Full hash.
    pub(crate) revision: String,
    pub(crate) subject: String,
    pub(crate) author: String,
}

/// The commit with that hash or the beginning of it; `None` where this clone does not have it, or more than one.
pub(crate) async fn commit(folder: &Path, name: &str) -> Option<Commit> {
    let name = hash(name)?;
    let told = ask(folder, &["log", "-1", "--format=%H%x00%s%x00%an", &format!("{name}^{{commit}}"), "--"]).await?;
    parse(&told)
}

/// How many commits of the branch are not in `revision`: of the remote's branch where it was fetched, otherwise of the
/// local one. `None` where this clone cannot tell.
pub(crate) async fn behind(folder: &Path, revision: &str, branch: &str) -> Option<u64> {
    let revision = hash(revision)?;
    for side in ["refs/remotes/origin", "refs/heads"] {
        let range = format!("{revision}..{side}/{branch}");
        if let Some(count) = ask(folder, &["rev-list", "--count", &range, "--"]).await {
            return count.trim().parse().ok();
        }
    }
    None
}

/// The commits of one that another does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    pub(crate) count: u64,
    /// The newest of them.
    pub(crate) commits: Vec<Commit>,
    /// How many the other has that this one does not.
    pub(crate) lost: u64,
}

/// What came from one commit to another; `None` where this clone does not have both.
pub(crate) async fn since(folder: &Path, from: &str, to: &str, limit: usize) -> Option<Since> {
    let (from, to) = (hash(from)?, hash(to)?);
    let told = ask(folder, &["rev-list", "--left-right", "--count", &format!("{from}...{to}"), "--"]).await?;
    let (lost, count) = told.trim().split_once('\t')?;
    let (limit, range) = (format!("-{limit}"), format!("{from}..{to}"));
    let format = "--format=%H%x00%s%x00%an";
    let told = ask(folder, &["log", &limit, "--no-show-signature", "--encoding=UTF-8", format, &range, "--"]).await?;
    let commits = told.lines().filter_map(parse).map(|commit| Commit {
        revision: commit.revision,
        subject: sanitize(&commit.subject).into_owned(),
        author: sanitize(&commit.author).into_owned(),
    });
    Some(Since { count: count.parse().ok()?, commits: commits.collect(), lost: lost.parse().ok()? })
}

/// The address of `origin`, which may hold a password.
pub(crate) async fn remote(folder: &Path) -> Option<String> {
    let told = ask(folder, &["remote", "get-url", "origin"]).await?;
    Some(told.trim().to_owned()).filter(|told| !told.is_empty())
}

/// The hash without what shipit appends for a tree that was not clean; `None` where it is no hash.
fn hash(name: &str) -> Option<&str> {
    let name = name.strip_suffix("-dirty").unwrap_or(name);
    ((7..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_hexdigit())).then_some(name)
}

fn parse(told: &str) -> Option<Commit> {
    let mut fields = told.trim_end_matches('\n').split('\0').map(str::to_owned);
    Some(Commit { revision: fields.next()?, subject: fields.next()?, author: fields.next()? })
}

#[cfg(test)]
mod tests {
    use super::{Commit, behind, commit, hash, parse};
    use std::path::Path;
    use std::process::Command;

    #[test]
    fn only_hashes_reach_git() {
        let full = "0123456789abcdef0123456789abcdef01234567";
        let cases = [
            (full, Some(full)),
            ("0123456789ab-dirty", Some("0123456789ab")),
            ("0123456", Some("0123456")),
            ("012345", None),
            ("--output=/tmp/x", None),
            ("main", None),
            ("abcdefg", None),
        ];
        for (name, expected) in cases {
            assert_eq!(hash(name), expected, "{name}");
        }
    }

    #[test]
    fn a_line_of_log_is_taken_apart() {
        let expected = Commit { revision: "ab".into(), subject: "Fix: a".into(), author: "A B".into() };
        assert_eq!(parse("ab\0Fix: a\0A B\n"), Some(expected));
        assert_eq!(parse("ab\0only two\n"), None);
    }

    fn run(folder: &Path, args: &[&str]) -> String {
        let output = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(["-c", "user.name=A Developer", "-c", "user.email=dev@example.com", "-c", "commit.gpgsign=false"])
            .args(args)
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    #[tokio::test]
    async fn a_clone_tells_subject_and_distance() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        run(folder, &["init", "--quiet", "--initial-branch", "develop"]);
        run(folder, &["commit", "--quiet", "--allow-empty", "--message", "Serve the page"]);
        let first = run(folder, &["rev-parse", "HEAD"]);
        run(folder, &["commit", "--quiet", "--allow-empty", "--message", "Second"]);
        run(folder, &["commit", "--quiet", "--allow-empty", "--message", "Third"]);
        let known = commit(folder, &first[..12]).await.expect("it is known");
        assert_eq!((known.revision.as_str(), known.subject.as_str()), (first.as_str(), "Serve the page"));
        assert_eq!(known.author, "A Developer");
        assert_eq!(behind(folder, &first, "develop").await, Some(2));
        assert_eq!(behind(folder, &first, "nowhere").await, None);
        assert_eq!(commit(folder, "0000000000000000000000000000000000000000").await, None);
    }
}
