//! The stand-in for AWS as a process of its own, with tasks that follow a script.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::{Project, SHIPIT};

pub(crate) struct StandIn {
    process: Child,
    endpoint: String,
    _state: tempfile::TempDir,
}

impl StandIn {
    /// Serves the repositories and services of the project's deploy.yaml; every task follows `script` (JSON).
    pub(crate) fn scripted(project: &Project, script: &str) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let file = state.path().join("script.json");
        std::fs::write(&file, script).expect("a script");
        let mut process = Command::new(SHIPIT)
            .args(["local", "serve", "--port", "0", "--config"])
            .arg(project.path("deploy.yaml"))
            .arg("--state")
            .arg(state.path().join("state"))
            .arg("--script")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the stand-in starts");
        let stdout = process.stdout.take().expect("its stdout");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("its first line");
        let endpoint =
            line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("it said `{line}`")).to_owned();
        Self { process, endpoint, _state: state }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
