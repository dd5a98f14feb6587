//! A dockerd of a test's own, in a folder of its own, for what no shared engine can be put through.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Stopped, with everything that it mounted, when it goes out of scope.
pub(crate) struct Dockerd {
    process: Child,
    folder: tempfile::TempDir,
}

impl Dockerd {
    /// `program` becomes dockerd: it is given dockerd's arguments after its own.
    pub(crate) fn start(mut program: Command, network: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let log = std::fs::File::create(path("log")).expect("a log");
        let process = program
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["--host", &format!("unix://{}", path("docker.sock")), "--iptables=false"])
            .args(network)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("dockerd");
        let mut engine = Self { process, folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !engine.said().contains("API listen on") {
            let ended = engine.process.try_wait().expect("its state");
            assert!(ended.is_none() && Instant::now() < deadline, "dockerd does not start\n{}", engine.said());
            std::thread::sleep(Duration::from_millis(50));
        }
        engine
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let deadline = Instant::now() + Duration::from_secs(20);
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
