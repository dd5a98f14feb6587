//! Commits that this clone may not have: whether they are here, how they are brought here, and how two of them are
//! related. A clone of a pipeline is shallow: it was cut off at some depth, and knows nothing of what lies behind.
//!
//! Hashes come from tags and labels that others may write, so whoever calls has checked that they are hexadecimal.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Repository;
use super::program::{git, git_raw, git_remote};
use crate::error::Result;
use crate::redact::sanitize;
use crate::revision::short;

/// All that is fetched to bring one commit here has to be done within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// How far a shallow clone is deepened, in commits, before all of it is fetched.
const STEPS: [&str; 3] = ["--deepen=50", "--deepen=200", "--deepen=1000"];

/// How far back the history of what runs is fetched, where a shallow clone has to tell which of two commits is older.
const HISTORY: &str = "--depth=200";

/// Whether one commit is an ancestor of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ancestry {
    Yes,
    No,
    /// A shallow clone denies what it cannot see, and git may fail.
    Unknown,
}

/// What came of the fetches so far: nothing is asked for twice, and a remote that kept silent once is asked no more.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    lacking: Mutex<BTreeSet<String>>,
    silent: AtomicBool,
}

impl Fetches {
    fn is_in_vain(&self, commit: &str) -> bool {
        self.is_silent() || self.lacking.lock().unwrap_or_else(PoisonError::into_inner).contains(commit)
    }

    fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    fn lacks(&self, commit: &str) {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner).insert(commit.to_owned());
    }
}

impl Repository {
    /// The full hash of a commit under any name that a person may give it.
    pub(crate) async fn commit_named(&self, name: &str) -> Result<Option<String>> {
        let wanted = format!("{name}^{{commit}}");
        let answer = git(&self.top, &["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]).await?;
        Ok(answer.line().filter(|line| is_full_hash(line)).map(str::to_owned))
    }

    /// What the remote's branch is now, for a name such as `origin/main` that this clone does not follow.
    pub(crate) async fn branch_there(&self, name: &str) -> Result<Option<String>> {
        let Some(remote) = self.remote().await? else { return Ok(None) };
        let Some(branch) = name.strip_prefix(&format!("{remote}/")) else { return Ok(None) };
        let wanted = format!("refs/heads/{branch}");
        let asked = ["ls-remote", "--quiet", "--end-of-options", &remote, &wanted];
        match tokio::time::timeout(PATIENCE, git_remote(&self.top, &asked)).await {
            Ok(answer) => {
                let answer = answer?;
                // What is asked for is a pattern, and others may fit it.
                let mut lines = answer.output.lines().filter_map(|line| line.split_once('\t'));
                let hash = lines.find(|(hash, name)| *name == wanted && is_full_hash(hash));
                Ok(hash.filter(|_| answer.success).map(|(hash, _)| hash.to_owned()))
            }
            Err(_) => Ok(None),
        }
    }

    pub(crate) async fn has(&self, commit: &str) -> Result<bool> {
        Ok(git(&self.top, &["cat-file", "-e", &format!("{commit}^{{commit}}")]).await?.success)
    }

    /// Makes sure that the commit is here: it is fetched by its hash; where the remote does not give it so, a shallow
    /// clone is deepened step by step. `say` is told what is being done. `false` where it could not be had in time.
    pub(crate) async fn bring(&self, commit: &str, say: impl Fn(String)) -> Result<bool> {
        if self.has(commit).await? {
            return Ok(true);
        }
        if self.fetches.is_in_vain(commit) {
            return Ok(false);
        }
        let Some(remote) = self.remote().await? else { return Ok(false) };
        let shallow = self.is_shallow().await?;
        let began = Instant::now();
        say(format!("{} is not in this clone: it is fetched from {remote}", short(commit)));
        // Only a clone that is shallow already may be cut off at a commit: in any other it would do harm.
        let only_it: &[&str] = if shallow { &["--depth=1"] } else { &[] };
        let mut why = self.fetch(&[only_it, &[&remote, commit]].concat(), began).await?;
        for step in STEPS.iter().chain(&["--unshallow"]) {
            if self.has(commit).await? {
                return Ok(true);
            }
            if !shallow || began.elapsed() >= PATIENCE {
                break;
            }
            say(format!("{remote} does not give it by its hash: the clone is deepened ({step})"));
            why = self.fetch(&[step, &remote], began).await?.or(why);
        }
        let here = self.has(commit).await?;
        if !here {
            self.fetches.lacks(commit);
        }
        if let Some(why) = why.filter(|_| !here) {
            say(format!("{} could not be fetched from {remote}: {why}", short(commit)));
        }
        Ok(here)
    }

    /// Whether `older` is an ancestor of `newer`, or the same; both have to be here.
    pub(crate) async fn ancestry(&self, older: &str, newer: &str) -> Result<Ancestry> {
        let answer = git(&self.top, &["merge-base", "--is-ancestor", older, newer]).await?;
        if answer.success {
            return Ok(Ancestry::Yes);
        }
        // 1 says no and nothing else; whatever went wrong is told in words.
        let denied = answer.error.trim().is_empty() && !self.is_shallow().await?;
        Ok(if denied { Ancestry::No } else { Ancestry::Unknown })
    }

    /// Fetches the newer part of the history of two commits, where this clone is too shallow to have it: `theirs` is one
    /// that the remote has, `ours` may not have been pushed yet.
    pub(crate) async fn bring_history(&self, ours: &str, theirs: &str, say: impl Fn(String)) -> Result<()> {
        if !self.is_shallow().await? {
            return Ok(());
        }
        let Some(remote) = self.remote().await? else { return Ok(()) };
        say(format!("this clone is shallow: the history of {} is fetched from {remote}", short(theirs)));
        let began = Instant::now();
        if self.fetch(&[HISTORY, &remote, ours, theirs], began).await?.is_some() {
            self.fetch(&[HISTORY, &remote, theirs], began).await?;
        }
        Ok(())
    }

    /// Where the two lines of history parted. A shallow clone is deepened until it can tell, or all of it is here.
    pub(crate) async fn merge_base(&self, one: &str, other: &str, say: impl Fn(String)) -> Result<Option<String>> {
        let began = Instant::now();
        for step in STEPS.iter().chain(&["--unshallow", ""]) {
            let answer = git(&self.top, &["merge-base", one, other]).await?;
            if let Some(found) = answer.line().filter(|line| is_full_hash(line)) {
                return Ok(Some(found.to_owned()));
            }
            if began.elapsed() >= PATIENCE || !self.is_shallow().await? {
                break;
            }
            let Some(remote) = self.remote().await?.filter(|_| !step.is_empty()) else { break };
            say(format!("this clone is too shallow to tell where the two parted: it is deepened ({step})"));
            // The other line may be no branch that this clone follows.
            self.fetch(&[step, &remote], began).await?;
            self.fetch(&[step, &remote, one, other], began).await?;
        }
        Ok(None)
    }

    /// A file as it was in a commit; `None` where it was not there.
    pub(crate) async fn show(&self, commit: &str, path: &Path) -> Result<Option<Vec<u8>>> {
        let name = format!("{commit}:{}", path.display());
        let answer = git_raw(&self.top, &["cat-file", "blob", &name]).await?;
        Ok(answer.success.then_some(answer.output))
    }

    async fn is_shallow(&self) -> Result<bool> {
        let answer = git(&self.top, &["rev-parse", "--is-shallow-repository"]).await?;
        Ok(answer.line() == Some("true"))
    }

    /// `origin`, or whatever there is.
    async fn remote(&self) -> Result<Option<String>> {
        let answer = git(&self.top, &["remote"]).await?;
        let names: Vec<&str> = answer.output.lines().filter(|name| !name.starts_with('-')).collect();
        Ok(names.iter().find(|name| **name == "origin").or(names.first()).map(|name| (*name).to_owned()))
    }

    /// One fetch of objects that moves no branch and writes no file of its own. What it said, where it failed.
    async fn fetch(&self, what: &[&str], began: Instant) -> Result<Option<String>> {
        let options = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"];
        let args = [&options[..], what].concat();
        let left = PATIENCE.saturating_sub(began.elapsed());
        if self.fetches.is_silent() {
            return Ok(Some("it did not answer in time before".to_owned()));
        }
        let Ok(answer) = tokio::time::timeout(left, git_remote(&self.top, &args)).await else {
            self.fetches.silent.store(true, Ordering::Relaxed);
            return Ok(Some(format!("it took longer than {} s", PATIENCE.as_secs())));
        };
        let answer = answer?;
        let why = answer.error.lines().last().unwrap_or("git says nothing of the cause").trim();
        Ok((!answer.success).then(|| sanitize(why).into_owned()))
    }
}

/// 40 or 64 hexadecimal digits: a commit's full name, and nothing that git could take for an option.
pub(crate) fn is_full_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
