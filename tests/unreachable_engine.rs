//! An engine that cannot reach this machine's loopback, as that of Docker Desktop, which runs in a virtual machine. Here
//! it is a dockerd in a network of its own: its 127.0.0.1 is another one.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Project, Ran, StandIn};

/// Stopped, with everything that it mounted, when it goes out of scope.
struct FarEngine {
    process: Child,
    folder: tempfile::TempDir,
}

impl FarEngine {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let log = fs::File::create(path("log")).expect("a log");
        // `exec` twice: the process that is started here is the engine in the end.
        let process = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh", "dockerd"])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["--host", &format!("unix://{}", path("docker.sock")), "--iptables=false", "--bridge=none"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("unshare");
        let mut engine = Self { process, folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !engine.said().contains("API listen on") {
            let ended = engine.process.try_wait().expect("its state");
            assert!(ended.is_none() && Instant::now() < deadline, "dockerd does not start\n{}", engine.said());
            std::thread::sleep(Duration::from_millis(50));
        }
        engine
    }

    fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for FarEngine {
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

/// How many layers were sent, and how many were there already.
fn layers(ran: &Ran) -> (usize, usize) {
    let events = ran.events();
    let ended = |state: &str| {
        let of_state = |event: &&Value| event["event"] == "push-layer" && event["state"] == state;
        events.iter().filter(of_state).count()
    };
    (ended("pushed"), ended("exists"))
}

fn digest(ran: &Ran) -> String {
    ran.finished()["services"][0]["digest"].as_str().expect("a digest").to_owned()
}

#[test]
#[ignore = "needs root and dockerd: `make test` runs it where both are there"]
fn the_image_is_exported_and_sent_from_here() {
    let engine = FarEngine::start();
    let dockerfile = "FROM scratch\nCOPY base /base\nCOPY app /app\n";
    let project = Project::sample().file("Dockerfile", dockerfile).file("base", "the same\n").committed();
    let aws = StandIn::scripted(&project, r#"{"services": {"dev/api": {"desired": 2}}}"#);
    let project = project.with_aws(&aws).var("DOCKER_HOST", &engine.address());

    let ran = project.shipit(&["deploy", "--output", "json"]).exits(0).says("the engine does not reach 127.0.0.1:");
    assert_eq!(ran.finished()["services"][0]["verdict"], "deployed");
    let first = digest(&ran);
    assert_eq!(aws.latest("api-dev"), first);
    // Two tags, and one export: each layer goes over once.
    assert_eq!(layers(&ran), (2, 0));

    let ran = project.shipit(&["deploy", "--output", "json"]).exits(0).says("the engine does not reach");
    assert_eq!(digest(&ran), first);
    assert_eq!(layers(&ran), (0, 2));

    let project = project.file("app", "two\n").committed();
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(0);
    assert_ne!(digest(&ran), first);
    assert_eq!(aws.latest("api-dev"), digest(&ran));
    assert_eq!(layers(&ran), (1, 1));
}
