//! What git knows about the working tree: the commit, the branch, and whether something is not committed. Read only.
//!
//! The `git` program is asked, not a library: it honours the user's set-up, work trees and partial clones, and takes
//! milliseconds. It is always started with an argument list, never through a shell.

pub(crate) mod diff;
pub(crate) mod log;
pub(crate) mod past;
mod program;
pub(crate) mod survey;
pub(crate) mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::past::Fetches;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::git::program::{Answer, git};
use crate::redact::sanitize;

/// A repository with a working tree.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    /// Absolute, symbolic links resolved.
    top: PathBuf,
    fetches: Arc<Fetches>,
}

/// The commit that is checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Full commit id.
    pub(crate) revision: String,
    /// `None` when HEAD is detached.
    pub(crate) branch: Option<String>,
    /// First line of the commit message.
    pub(crate) subject: String,
    /// The author's name.
    pub(crate) author: String,
}

impl Repository {
    /// The repository around `dir`; `None` where there is none. Errors say why one that is there cannot be read: git is
    /// not installed, the folder belongs to somebody else, there is no working tree.
    pub(crate) async fn discover(dir: &Path) -> Result<Option<Self>> {
        let answer = match git(dir, &["rev-parse", "--show-toplevel"]).await {
            Ok(answer) => answer,
            Err(error) if has_dot_git(dir) => return Err(error),
            // Without git and without a repository nobody misses anything.
            Err(_) => return Ok(None),
        };
        if let Some(top) = answer.line() {
            return Ok(Some(Self { top: PathBuf::from(top), fetches: Arc::default() }));
        }
        if answer.error.contains("not a git repository") {
            return Ok(None);
        }
        Err(unreadable(dir, answer))
    }

    /// The folder that holds `.git`.
    pub(crate) fn top(&self) -> &Path {
        &self.top
    }

    /// `Exit::Usage` where there is no commit yet.
    pub(crate) async fn head(&self) -> Result<Head> {
        let log = ["log", "-1", "--no-show-signature", "--encoding=UTF-8", "--format=%H%x00%s%x00%an", "HEAD", "--"];
        let (reference, log) =
            tokio::try_join!(git(&self.top, &["symbolic-ref", "--quiet", "HEAD"]), git(&self.top, &log))?;
        let Some((revision, told)) = log.line().and_then(|line| line.split_once('\0')) else {
            return Err(Error::new(Exit::Usage, format!("the repository {} has no commit yet", self.top.display()))
                .hint("commit something first: what runs is named by its commit"));
        };
        let (subject, author) = told.split_once('\0').unwrap_or_default();
        Ok(Head {
            revision: revision.to_owned(),
            branch: reference.line().and_then(|name| name.strip_prefix("refs/heads/")).map(str::to_owned),
            subject: sanitize(subject).into_owned(),
            author: sanitize(author).into_owned(),
        })
    }

    /// What differs from HEAD under these paths, or anywhere when there are none: files changed, added or deleted, from
    /// the top of the repository. Ignored files do not count, submodules do. Paths outside of the repository are not
    /// git's to answer for, and are passed over.
    pub(crate) async fn uncommitted(&self, paths: &[PathBuf]) -> Result<Vec<String>> {
        let mut args = vec![
            "status".to_owned(),
            "--porcelain=v1".to_owned(),
            "-z".to_owned(),
            "--untracked-files=all".to_owned(),
            "--no-renames".to_owned(),
            "--ignore-submodules=none".to_owned(),
            "--".to_owned(),
        ];
        let inside: Vec<String> = paths.iter().filter_map(|path| self.inside(path)).collect();
        if inside.is_empty() && !paths.is_empty() {
            return Ok(Vec::new());
        }
        args.extend(inside);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let answer = git(&self.top, &args).await?;
        if !answer.success {
            return Err(answer.into_error("cannot tell what is not committed"));
        }
        // `XY path`, each ended by NUL.
        Ok(answer
            .output
            .split('\0')
            .filter_map(|entry| entry.get(3..))
            .map(|path| sanitize(path).into_owned())
            .collect())
    }

    /// The path from the top of the repository, symbolic links resolved; empty for the top itself. `None` where it is not
    /// in the repository, or no text.
    pub(crate) fn relative(&self, path: &Path) -> Option<String> {
        self.inside(path).map(|inside| if inside == "." { String::new() } else { inside })
    }

    /// The path from the top of the repository. What no longer exists may still be a deletion.
    fn inside(&self, path: &Path) -> Option<String> {
        let full = path.canonicalize().or_else(|_| std::path::absolute(path)).ok()?;
        let relative = full.strip_prefix(&self.top).ok()?;
        let relative = relative.to_str()?;
        Some(if relative.is_empty() { ".".to_owned() } else { relative.to_owned() })
    }
}

/// Why git will not read the repository that is there.
fn unreadable(dir: &Path, answer: Answer) -> Error {
    let shown = dir.display();
    if let Some((_, rest)) = answer.error.split_once("dubious ownership in repository at '") {
        let top = sanitize(rest.split('\'').next().unwrap_or_default()).into_owned();
        return Error::new(Exit::Usage, format!("git does not trust the repository {top}"))
            .cause("it belongs to another user than the one that runs shipit")
            .hint(format!("if you trust it, run `git config --global --add safe.directory {top}`"));
    }
    if answer.error.contains("must be run in a work tree") {
        return Error::new(Exit::Usage, format!("the repository around {shown} is bare: it has no working tree"))
            .hint("run shipit in a clone of it");
    }
    answer.into_error("cannot read the repository")
}

fn has_dot_git(dir: &Path) -> bool {
    dir.ancestors().any(|folder| folder.join(".git").exists())
}

impl Answer {
    /// The first line, of an answer that has one.
    fn line(&self) -> Option<&str> {
        self.output.lines().next().filter(|line| self.success && !line.is_empty())
    }

    fn into_error(self, what: &str) -> Error {
        Error::new(Exit::Usage, what).cause(format!("git says: {}", sanitize(self.error.trim())))
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::{Answer, Repository, git, unreadable};
    use crate::exit::Exit;

    /// Runs git as a user would, whatever is set up for this machine's user.
    fn user(dir: &Path, args: &[&str]) {
        let output = Command::new("git")
            .arg("-C")
            .arg(dir)
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"])
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn repository() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("répo dir");
        std::fs::create_dir_all(top.join("api")).unwrap();
        user(&top, &["init", "--quiet", "--initial-branch=feature/x"]);
        std::fs::write(top.join("api/a.txt"), "1").unwrap();
        std::fs::write(top.join(".gitignore"), "*.log\n").unwrap();
        (dir, top)
    }

    fn commit(top: &Path, message: &str) {
        user(top, &["add", "--all"]);
        user(top, &["commit", "--quiet", "--message", message]);
    }

    async fn open(dir: &Path) -> Repository {
        Repository::discover(dir).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn the_commit_that_is_checked_out() {
        let (_dir, top) = repository();
        commit(&top, "Say \u{1b}[31mhello\u{1b}[0m\n\nMore.");
        // A tag of the same name makes git write `heads/…` for the short name.
        user(&top, &["tag", "feature/x"]);
        let head = open(&top.join("api")).await.head().await.unwrap();
        assert_eq!((head.revision.len(), head.branch.as_deref()), (40, Some("feature/x")));
        assert_eq!((head.subject.as_str(), head.author.as_str()), ("Say hello", "Ada"));

        user(&top, &["checkout", "--quiet", "--detach"]);
        let detached = open(&top).await.head().await.unwrap();
        assert_eq!((detached.branch, detached.revision), (None, head.revision));
    }

    #[tokio::test]
    async fn a_worktree_is_a_repository_too() {
        let (dir, top) = repository();
        commit(&top, "one");
        let other = dir.path().join("other");
        user(&top, &["worktree", "add", "--quiet", "-b", "second", other.to_str().unwrap()]);
        let repository = open(&other).await;
        assert_eq!(repository.top(), other.canonicalize().unwrap());
        assert_eq!(repository.head().await.unwrap().branch.as_deref(), Some("second"));
    }

    #[tokio::test]
    async fn what_is_not_there_is_said() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Repository::discover(dir.path()).await.unwrap().is_none());

        user(dir.path(), &["init", "--quiet", "--bare", "bare.git"]);
        let error = Repository::discover(&dir.path().join("bare.git")).await.unwrap_err();
        assert!(error.message().contains("is bare"), "{error}");

        let (_dir, top) = repository();
        let error = open(&top).await.head().await.unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert!(error.message().contains("has no commit yet"), "{error}");
        assert!(!error.hints().is_empty());
    }

    #[tokio::test]
    async fn everything_uncommitted_is_seen() {
        let (dir, top) = repository();
        std::fs::write(top.join("api/gone.txt"), "1").unwrap();
        std::fs::write(top.join("lib.txt"), "1").unwrap();
        commit(&top, "one");
        let repository = open(&top).await;
        assert_eq!(repository.uncommitted(&[]).await.unwrap(), Vec::<String>::new());

        std::fs::write(top.join("api/a.txt"), "22").unwrap();
        std::fs::remove_file(top.join("api/gone.txt")).unwrap();
        std::fs::create_dir(top.join("api/new")).unwrap();
        std::fs::write(top.join("api/new/é \"q\".txt"), "1").unwrap();
        std::fs::write(top.join("api/x.log"), "1").unwrap();
        std::fs::write(top.join("*"), "1").unwrap();
        user(&top, &["mv", "lib.txt", "moved.txt"]);
        let api = ["api/a.txt", "api/gone.txt", "api/new/é \"q\".txt"];
        let mut all = repository.uncommitted(&[]).await.unwrap();
        all.sort();
        assert_eq!(all, [&["*"], &api[..], &["lib.txt", "moved.txt"]].concat());
        assert_eq!(repository.uncommitted(&[top.join("api")]).await.unwrap(), api);
        assert_eq!(repository.uncommitted(&[top.join("api/gone.txt")]).await.unwrap(), ["api/gone.txt"]);
        assert_eq!(repository.uncommitted(&[top.join("*")]).await.unwrap(), ["*"]);
        assert_eq!(repository.uncommitted(&[dir.path().to_owned()]).await.unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn the_users_setting_of_a_monitor_is_not_run() {
        let (_dir, top) = repository();
        commit(&top, "one");
        let trace = top.join(".git/ran");
        let hook = top.join(".git/monitor");
        std::fs::write(&hook, format!("#!/bin/sh\ntouch '{}'\n", trace.display())).unwrap();
        std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        user(&top, &["config", "core.fsmonitor", &format!("'{}'", hook.display())]);
        open(&top).await.uncommitted(&[]).await.unwrap();
        assert!(!trace.exists());
        // Otherwise this test would prove nothing: git itself does run it.
        user(&top, &["status"]);
        assert!(trace.exists());
    }

    /// Only root could make a repository of somebody else's, so git's words are given here.
    #[test]
    fn a_repository_of_somebody_else_is_explained() {
        let words = "fatal: detected dubious ownership in repository at '/home/dev/shop'\nTo add an exception for this \
                     directory, call:\n\n\tgit config --global --add safe.directory /home/dev/shop\n";
        let answer = Answer { success: false, output: String::new(), error: words.to_owned() };
        let error = unreadable(Path::new("/home/dev/shop/api"), answer);
        assert_eq!(error.message(), "git does not trust the repository /home/dev/shop");
        assert!(error.hints()[0].ends_with("`git config --global --add safe.directory /home/dev/shop`"));
    }

    #[tokio::test]
    async fn a_failure_is_an_answer() {
        let (_dir, top) = repository();
        let answer = git(&top, &["no-such-command"]).await.unwrap();
        assert!(!answer.success && answer.error.contains("no-such-command"));
    }
}
