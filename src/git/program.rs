//! One call of the `git` program, cut off from what would change its answers: the user's locale, pagers, replace refs,
//! prompts, and the variables that a hook or an editor leaves behind. It sees no secrets either.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Output, Stdio};
use std::sync::LazyLock;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

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

/// What a transport of git reads besides, proxies apart: keys, helpers and certificates.
const FOR_TRANSPORT: [&str; 10] = [
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
];

/// Looked for once: a program that is named by its path is started without a copy of this process's memory.
static GIT: LazyLock<PathBuf> = LazyLock::new(|| vars::program("git"));

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
    answer(command(dir, args, &PASSED_ON).kill_on_drop(true).output().await)
}

/// Runs a command that talks to a remote, with what its transport needs from the environment. No hook of the repository
/// is run, and nobody is asked for a password. Dropping the future asks it to end: killed, it would leave its lock on the
/// list of where a shallow clone is cut off, and every later fetch would fail.
pub(super) async fn git_remote(dir: &Path, args: &[&str]) -> Result<Answer> {
    let quiet = ["-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "maintenance.auto=false"];
    let mut command =
        command(dir, &[&quiet[..], args].concat(), &[&PASSED_ON[..], &FOR_TRANSPORT, &vars::PROXIES].concat());
    let started = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let output = match started {
        Ok(child) => in_order(child).await,
        Err(error) => Err(error),
    };
    answer(output).map(Answer::from)
}

/// Ended by a signal that it may answer to, when nobody waits for it any more.
struct AskedToEnd(Option<Pid>);

impl Drop for AskedToEnd {
    fn drop(&mut self) {
        if let Some(process) = self.0 {
            let _ = kill_process(process, Signal::TERM);
        }
    }
}

async fn in_order(child: Child) -> std::io::Result<Output> {
    let process = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    let output = pin!(child.wait_with_output());
    // Dropped before the child, so that the number is still its own.
    let mut asked = AskedToEnd(process);
    let output = output.await;
    asked.0 = None;
    output
}

fn command(dir: &Path, args: &[&str], passed_on: &[&str]) -> Command {
    let mut command = Command::new(&*GIT);
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
        .stdin(Stdio::null());
    command
}

fn answer(output: std::io::Result<Output>) -> Result<RawAnswer> {
    let output = output.map_err(|error| match error.kind() {
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
