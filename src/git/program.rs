//! One call of the `git` program, cut off from what would change its answers: the user's locale, pagers, replace refs,
//! prompts, and the variables that a hook or an editor leaves behind. It sees no secrets either.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::vars;

/// Settings of git that reach it by variables: where its files are and which folders it trusts. Not those by which a hook
/// or an editor points it to another repository (`GIT_DIR` and its like).
const PASSED_ON: [&str; 6] = [
    "GIT_CONFIG_",
    "GIT_CEILING_DIRECTORIES",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_EXEC_PATH",
    "LD_LIBRARY_PATH",
    "DEVELOPER_DIR",
];

/// What a transport of git reads besides: keys, helpers, proxies and certificates.
const FOR_TRANSPORT: [&str; 18] = [
    "GIT_SSH",
    "GIT_SSH_",
    "GIT_ASKPASS",
    "GIT_SSL_",
    "GIT_PROXY_",
    "GIT_HTTP_",
    "SSH_",
    "SSL_CERT_",
    "CURL_CA_BUNDLE",
    "DBUS_SESSION_BUS_ADDRESS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// What git answered.
pub(super) struct Answer {
    pub(super) success: bool,
    pub(super) output: String,
    pub(super) error: String,
}

/// The same, byte for byte: paths need not be UTF-8.
pub(super) struct RawAnswer {
    pub(super) success: bool,
    pub(super) output: Vec<u8>,
    pub(super) error: String,
}

impl From<RawAnswer> for Answer {
    fn from(raw: RawAnswer) -> Self {
        let RawAnswer { success, output, error } = raw;
        Self { success, output: String::from_utf8_lossy(&output).into_owned(), error }
    }
}

/// Runs `git` in `dir`. That it failed is an answer; an error is only that it could not be run. Dropping the future
/// ends the process.
pub(super) async fn git(dir: &Path, args: &[&str]) -> Result<Answer> {
    git_raw(dir, args).await.map(Answer::from)
}

/// What it answered, where it succeeded: for questions whose answer may be missing.
pub(super) async fn ask(dir: &Path, args: &[&str]) -> Option<String> {
    let answer = git(dir, args).await.ok()?;
    answer.success.then_some(answer.output)
}

pub(super) async fn git_raw(dir: &Path, args: &[&str]) -> Result<RawAnswer> {
    run(dir, args, &PASSED_ON).await
}

/// Runs a command that talks to a remote, with what its transport needs from the environment. No hook of the repository
/// is run, and nobody is asked for a password.
pub(super) async fn git_remote(dir: &Path, args: &[&str]) -> Result<Answer> {
    let quiet = ["-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "maintenance.auto=false"];
    run(dir, &[&quiet[..], args].concat(), &[&PASSED_ON[..], &FOR_TRANSPORT].concat()).await.map(Answer::from)
}

async fn run(dir: &Path, args: &[&str], passed_on: &[&str]) -> Result<RawAnswer> {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(dir)
        // A repository may name a program to run as its file monitor; nothing of the repository is run.
        .args(["--no-pager", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false"])
        .args(args)
        .env_clear()
        .envs(vars::for_program(passed_on))
        .envs([
            ("LC_ALL", "C"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_LITERAL_PATHSPECS", "1"),
        ])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::new(Exit::Usage, "git is not installed")
            .hint("install it: the package is called `git` on Debian, Ubuntu, Alpine, Fedora and Homebrew"),
        _ => Error::new(Exit::Usage, "cannot run git").because(&error),
    })?;
    Ok(RawAnswer {
        success: output.status.success(),
        output: output.stdout,
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
