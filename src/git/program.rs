//! One call of the `git` program, cut off from what would change its answers: the user's locale, pagers, replace refs,
//! prompts, and the variables that a hook or an editor leaves behind.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::error::{Error, Result};
use crate::exit::Exit;

/// What git answered.
pub(super) struct Answer {
    pub(super) success: bool,
    pub(super) output: String,
    pub(super) error: String,
}

/// Runs `git` in `dir`. That it failed is an answer; an error is only that it could not be run. Dropping the future
/// ends the process.
pub(super) async fn git(dir: &Path, args: &[&str]) -> Result<Answer> {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(dir)
        // A repository may name a program to run as its file monitor; nothing of the repository is run.
        .args(["--no-pager", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false"])
        .args(args)
        .envs([
            ("LC_ALL", "C"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_LITERAL_PATHSPECS", "1"),
        ])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_EXTERNAL_DIFF", "GIT_PREFIX", "GIT_NAMESPACE"] {
        command.env_remove(variable);
    }
    let output = command.output().await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::new(Exit::Usage, "git is not installed")
            .hint("install it: the package is called `git` on Debian, Ubuntu, Alpine, Fedora and Homebrew"),
        _ => Error::new(Exit::Usage, "cannot run git").because(&error),
    })?;
    Ok(Answer {
        success: output.status.success(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
