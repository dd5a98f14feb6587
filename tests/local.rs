//! `--local`: the whole way on this machine, with real containers.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use crate::support::{OnThisMachine, Running, docker, get, signal};

const DOCKERFILE: &str = include_str!("sample/api/Dockerfile");

/// When a container did something, in nanoseconds of the engine's clock.
fn when(log: &str, container: &str, action: &str) -> u64 {
    let of = |line: &str| line.strip_suffix(&format!(" {container} {action}")).and_then(|time| time.parse().ok());
    log.lines().find_map(of).unwrap_or_else(|| panic!("no {action} of {container} in\n{log}"))
}

#[test]
fn a_change_takes_the_place_of_what_runs_without_a_gap() {
    let mut here = OnThisMachine::sample();
    let url = here.url();
    assert!(get(&url).contains(&format!("commit {}", here.project.head())), "{}", get(&url));
    let old = here.containers();
    assert_eq!(old.len(), 1, "{old:?}");

    here.change("api/index.html", "<p>A new line, commit COMMIT</p>\n");
    let since = docker(&["info", "--format", "{{.SystemTime}}"]);
    let ran = here.deploy().exits(0);
    let finished = ran.finished();
    let url = finished["services"][0]["url"].as_str().expect("a URL");
    assert!(get(url).contains(&format!("A new line, commit {}", here.project.head())), "{}", get(url));
    let new = here.containers();
    assert_eq!(new.len(), 1, "the old one is gone: {new:?}");
    assert_ne!(new, old);

    let until = docker(&["info", "--format", "{{.SystemTime}}"]);
    let filter = format!("label={}", here.label());
    let format = "{{.TimeNano}} {{.ID}} {{.Action}}";
    let log =
        docker(&["events", "--since", since.trim(), "--until", until.trim(), "--filter", &filter, "--format", format]);
    let healthy = when(&log, &new[0], "health_status: healthy");
    let gone = when(&log, &old[0], "die");
    assert!(healthy < gone, "the old container ended before the new one was healthy:\n{log}");
}

#[test]
fn status_tells_what_runs_and_reset_leaves_nothing() {
    let here = OnThisMachine::sample();
    here.project.shipit(&["local", "status"]).exits(0).says("nothing is kept");
    here.project.shipit(&["local", "reset"]).exits(0).says("removed 0 containers");
    let url = here.url();
    here.project
        .shipit(&["local", "status"])
        .exits(0)
        .says("dev/api  1 of 1 running  sha256:")
        .says(url.trim_end_matches('/'))
        .says("not serving; its containers go on");
    let containers = here.containers();
    here.project.shipit(&["local", "reset"]).exits(0).says("removed 1 containers");
    let left = docker(&["ps", "--all", "--quiet", "--no-trunc"]);
    assert!(!left.contains(&containers[0]), "{left}");
    assert!(std::net::TcpStream::connect(url.trim_start_matches("http://").trim_end_matches('/')).is_err());
    assert!(!here.state().join("state.json").exists());
    here.project.shipit(&["local", "status"]).exits(0).says("nothing is kept");
}

/// Deploys a good page, then this Dockerfile, which must fail for `reason`; what ran before still answers.
#[track_caller]
fn fails(dockerfile: &str, reason: &str) {
    let mut here = OnThisMachine::sample();
    let good = here.deploy().exits(0).finished()["services"][0].clone();
    let url = good["url"].as_str().expect("a URL").to_owned();
    let page = get(&url);
    let containers = here.containers();
    here.change("api/Dockerfile", dockerfile);
    let ran = here.deploy().exits(8);
    let service = ran.finished()["services"][0].clone();
    assert_eq!(service["verdict"], "rollout-failed", "{service}");
    assert!(service["reason"].as_str().is_some_and(|text| text.contains(reason)), "{service}");
    let hint = service["hint"].as_str().expect("a hint");
    let digest = good["digest"].as_str().expect("a digest");
    assert!(hint.contains(&format!("`latest` is back on {digest}")), "{hint}");
    assert_eq!(get(&url), page, "what ran before still answers");
    assert!(here.containers().contains(&containers[0]));
}

#[test]
fn a_container_that_ends_at_once_never_takes_over() {
    fails("FROM busybox:stable\nEXPOSE 8080\nCMD [\"sh\", \"-c\", \"echo no database; exit 3\"]\n", "exit code 3");
}

#[test]
fn a_health_check_that_never_succeeds_never_takes_over() {
    let broken = DOCKERFILE.replace("127.0.0.1:8080", "127.0.0.1:8081").replace("--start-period=5s", "--retries=2");
    assert_ne!(broken, DOCKERFILE);
    fails(&broken, "health check");
}

#[test]
fn a_command_that_is_not_in_the_image_is_named() {
    fails("FROM busybox:stable\nCMD [\"/no/such/program\"]\n", "/no/such/program");
}

#[test]
fn a_second_run_at_the_same_time_is_told_that_a_rollout_is_in_flight() {
    let slow = DOCKERFILE.replace("CMD [\"sh\", \"-c\", \"", "CMD [\"sh\", \"-c\", \"sleep 6; ");
    assert_ne!(slow, DOCKERFILE);
    let here = OnThisMachine::sample().changed("api/Dockerfile", &slow);
    let mut first = Running::start(&here.project, &["deploy", "--local"]);
    first.wait_for("task", |event| event["event"] == "rollout" && event["counts"]["pending"] == 1);
    here.deploy()
        .exits(4)
        .says("using the stand-in for AWS that serves at")
        .says("another rollout of `api` is in flight");
    let first = first.ends().exits(0);
    assert_eq!(first.finished()["services"][0]["verdict"], "deployed");
}

#[test]
fn a_run_that_uses_the_stand_in_of_another_run_is_not_left_alone() {
    let mut here = OnThisMachine::sample();
    here.change("api/Dockerfile", &format!("{DOCKERFILE}RUN sleep 2\n"));
    let mut first = Running::start(&here.project, &["deploy", "--local"]);
    first.wait_for_stage("build");
    // Its context is sent; from here on the file is the second run's.
    first.wait_for("step", |event| event["name"].as_str().is_some_and(|name| name.contains("RUN sleep")));
    here.change("api/Dockerfile", &format!("{DOCKERFILE}RUN sleep 12\n"));
    let second = Running::start(&here.project, &["deploy", "--local"]);
    let first = first.ends().exits(0).says("another run uses this stand-in");
    assert_eq!(first.finished()["services"][0]["verdict"], "deployed");
    // It was planned before the first one rolled, and says so instead of going over it.
    second.ends().exits(4).says("another rollout began while this one was built");
}

/// `shipit local serve` in another terminal.
struct Serve(Child);

impl Serve {
    fn start(here: &OnThisMachine) -> (Self, String) {
        let mut process =
            here.project.command(&["local", "serve", "--port", "0"]).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut first = String::new();
        BufReader::new(process.stdout.as_mut().expect("stdout")).read_line(&mut first).expect("a line");
        let endpoint = first.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{first}")).to_owned();
        (Self(process), endpoint)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        signal(self.0.id(), "INT");
        let _ = self.0.wait();
    }
}

#[test]
fn a_stand_in_that_serves_already_is_used() {
    let here = OnThisMachine::sample();
    let (serve, endpoint) = Serve::start(&here);
    let ran = here.deploy().exits(0);
    let said = format!("using the stand-in for AWS that serves at {endpoint}");
    let ran = ran.says(&said);
    let url = ran.finished()["services"][0]["url"].as_str().expect("a URL").to_owned();
    assert!(get(&url).contains(&here.project.head()));
    here.project.shipit(&["local", "status"]).exits(0).says(&format!("listening on {endpoint}"));
    // What is served cannot be pulled away from under whoever serves it.
    here.project.shipit(&["local", "reset"]).exits(2).says(&endpoint);
    drop(serve);
    assert!(get(&url).contains(&here.project.head()), "the container goes on without the stand-in");
}
