//! An engine that cannot reach this machine's loopback, as that of Docker Desktop, which runs in a virtual machine. Here
//! it is a dockerd in a network of its own: its 127.0.0.1 is another one. It can be killed, too, as no other engine of
//! the tests can.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::builders;
use crate::support::{Dockerd, Project, Ran, Running, StandIn, engine};

struct FarEngine(Dockerd);

impl FarEngine {
    /// Its builds have no network: `RUN` does not work.
    fn start() -> Self {
        Self::start_with(&["--bridge=none"])
    }

    /// With the base image of the tests, and a bridge in its own network.
    fn start_for_builds() -> Self {
        let engine = Self::start_with(&[]);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine");
        let output =
            Command::new(script).arg("base").env("DOCKER_HOST", engine.address()).output().expect("tests/engine");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        engine
    }

    fn start_with(network: &[&str]) -> Self {
        // `exec` twice: the process that is started here is the engine in the end.
        let mut program = Command::new("unshare");
        program.args(["--net", "--mount", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh", "dockerd"]);
        Self(Dockerd::start(program, network))
    }

    /// At once and with no farewell, as for want of memory.
    fn is_killed(&self) {
        let pid = fs::read_to_string(self.0.folder().join("pid")).expect("its pid");
        let status = Command::new("kill").args(["-KILL", pid.trim()]).status().expect("kill");
        assert!(status.success());
    }

    fn address(&self) -> String {
        self.0.address()
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

    let ran =
        project.shipit(&["deploy", "api", "--output", "json"]).exits(0).says("the engine does not reach 127.0.0.1:");
    assert_eq!(ran.finished()["services"][0]["verdict"], "deployed");
    let first = digest(&ran);
    assert_eq!(aws.latest("api-dev"), first);
    // Two tags, and one export: each layer goes over once.
    assert_eq!(layers(&ran), (2, 0));

    let ran = project.shipit(&["deploy", "api", "--output", "json"]).exits(0).says("the engine does not reach");
    assert_eq!(digest(&ran), first);
    assert_eq!(layers(&ran), (0, 2));

    let project = project.file("app", "two\n").committed();
    let ran = project.shipit(&["deploy", "api", "--output", "json"]).exits(0);
    assert_ne!(digest(&ran), first);
    assert_eq!(aws.latest("api-dev"), digest(&ran));
    assert_eq!(layers(&ran), (1, 1));
}

#[test]
#[ignore = "needs root and dockerd: `make test` runs it where both are there"]
fn an_engine_that_is_killed_in_the_middle_of_a_build_is_replaced() {
    let doomed = FarEngine::start_for_builds();
    let builders = format!("[{{ host: '{}', name: doomed }}, '{}']", doomed.address(), engine());
    // One build at a time on each, so each has one.
    let (project, aws) = builders::deploying(&builders, &["api", "web"], builders::SLOW);
    let mut running = Running::start(&project, &["deploy", "--jobs", "1"]);
    let on_it = |event: &Value| event["builder"].as_str().is_some_and(|builder| builder.starts_with("doomed"));
    let service = running.wait_for("place", on_it)["service"].clone();
    running.wait_for("line of the build", |event| event["event"] == "build-log" && event["service"] == service);
    doomed.is_killed();
    let ran = running.ends().exits(0).says("builder `doomed`: ").says("its work begins again on another");
    let finished = ran.finished();
    for outcome in finished["services"].as_array().expect("services") {
        assert_eq!(outcome["verdict"], "deployed");
        assert_eq!(outcome["builder"], engine());
        let repository = format!("{}-dev", outcome["service"].as_str().expect("a name"));
        assert_eq!(outcome["digest"], aws.latest(&repository));
    }
}
