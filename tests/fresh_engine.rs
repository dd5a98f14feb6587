//! An engine that has never built anything, as on a new machine of the CI: a dockerd of its own, with a bridge of its own.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Dockerd, Project, Ran, StandIn, engine, with_base_image};

struct FreshEngine {
    // Dropped in this order: the bridge goes when nobody uses it any more.
    dockerd: Dockerd,
    _bridge: Bridge,
}

/// Taken away when it goes out of scope.
struct Bridge(String);

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "delete", &self.0]).status();
    }
}

impl FreshEngine {
    /// With the base image in it, which a CI's engine would pull.
    fn start() -> Self {
        // `--bridge=none` would take the bridge of another engine away.
        let bridge = format!("brfresh{}", std::process::id() % 1_000_000);
        ip(&["link", "add", &bridge, "type", "bridge"]);
        ip(&["addr", "add", "10.215.0.1/24", "dev", &bridge]);
        ip(&["link", "set", &bridge, "up"]);
        let network = format!("--bridge={bridge}");
        let engine = Self { _bridge: Bridge(bridge), dockerd: Dockerd::start(Command::new("dockerd"), &[&network]) };
        engine.load("busybox:stable");
        engine
    }

    fn address(&self) -> String {
        self.dockerd.address()
    }

    fn load(&self, image: &str) {
        let mut save = Command::new("docker")
            .env("DOCKER_HOST", engine())
            .args(["save", image])
            .stdout(Stdio::piped())
            .spawn()
            .expect("docker");
        let image = save.stdout.take().expect("its stdout");
        let load = Command::new("docker").env("DOCKER_HOST", self.address()).arg("load").stdin(image).output();
        assert!(load.expect("docker").status.success() && save.wait().expect("docker").success());
    }
}

fn ip(args: &[&str]) {
    assert!(Command::new("ip").args(args).status().expect("ip").success(), "ip {args:?}");
}

/// The states that a step had whose name holds this.
fn states(ran: &Ran, step: &str) -> Vec<String> {
    let events = ran.events().into_iter();
    let steps = events.filter(|event| event["event"] == "build-step");
    let mine = steps.filter(|event| event["name"].as_str().is_some_and(|name| name.contains(step)));
    mine.filter_map(|event| event["state"].as_str().map(str::to_owned)).collect()
}

fn pushed_layers(ran: &Ran) -> usize {
    let is_it = |event: &&Value| event["event"] == "push-layer" && event["state"] == "pushed";
    ran.events().iter().filter(is_it).count()
}

/// What a project with this line of the service in deploy.yaml builds on a fresh engine after a change of one file, for
/// this environment, after it was built for dev elsewhere.
fn one_line_changed(line: &str, environment: &str) -> Ran {
    let fresh = FreshEngine::start();
    let (project, _aws) = built_elsewhere(line, &fresh);
    project.shipit(&["deploy", "api", "--env", environment, "--any-branch", "--output", "json"]).exits(0)
}

/// A project that was built for dev on another engine, and has changed by a line since.
fn built_elsewhere(line: &str, fresh: &FreshEngine) -> (Project, StandIn) {
    with_base_image();
    let dockerfile = "FROM busybox:stable\nRUN head -c 100000 /dev/urandom > /random\nCOPY app /app\n";
    let sample = Project::sample();
    let manifest = std::fs::read_to_string(sample.path("deploy.yaml")).expect("a manifest");
    let manifest = manifest.replace("    repository: api-${env}\n", &format!("    repository: api-${{env}}\n{line}"));
    let project = sample
        .file("deploy.yaml", &manifest)
        .file("Dockerfile", dockerfile)
        .file("app", &format!("one of {}\n", std::process::id()))
        .committed();
    let aws =
        StandIn::scripted(&project, r#"{"services": {"dev/api": {"desired": 1}, "sandbox/api": {"desired": 1}}}"#);
    let project = project.with_aws(&aws).with_engine();
    let first = project.shipit(&["deploy", "api", "--output", "json"]).exits(0);
    assert!(!states(&first, "RUN head").is_empty(), "{}", first.everything());
    (project.file("app", "two\n").committed().var("DOCKER_HOST", &fresh.address()), aws)
}

#[test]
#[ignore = "needs root, dockerd and ip: `make test` runs it where they are there"]
fn a_change_of_one_line_builds_one_layer_and_sends_one() {
    let ran = one_line_changed("", "dev");
    assert!(states(&ran, "RUN head").contains(&"cached".to_owned()), "{}", ran.everything());
    assert!(states(&ran, "COPY app").contains(&"done".to_owned()), "{}", ran.everything());
    assert_eq!(pushed_layers(&ran), 1, "{}", ran.everything());
}

#[test]
#[ignore = "needs root, dockerd and ip: `make test` runs it where they are there"]
fn without_the_cache_everything_is_built() {
    let ran = one_line_changed("    cache: off\n", "dev");
    assert!(states(&ran, "RUN head").contains(&"done".to_owned()), "{}", ran.everything());
    assert!(states(&ran, "importing cache").is_empty(), "{}", ran.everything());
    assert!(pushed_layers(&ran) > 1, "{}", ran.everything());
}

#[test]
#[ignore = "needs root, dockerd and ip: `make test` runs it where they are there"]
fn a_repository_for_the_cache_serves_an_environment_that_has_no_image_yet() {
    let ran = one_line_changed("", "sandbox");
    assert!(states(&ran, "RUN head").contains(&"done".to_owned()), "{}", ran.everything());
    let ran = one_line_changed("    cache: { repository: builds }\n", "sandbox");
    assert!(states(&ran, "RUN head").contains(&"cached".to_owned()), "{}", ran.everything());
}

#[test]
#[ignore = "needs root, dockerd and ip: `make test` runs it where they are there"]
fn a_cache_that_cannot_be_read_costs_a_build_and_a_word_and_nothing_else() {
    for operation in ["BatchGetImage", "GetDownloadUrlForLayer"] {
        let fresh = FreshEngine::start();
        let (project, aws) = built_elsewhere("", &fresh);
        let fault =
            json!({"operation": operation, "repository": "api-dev", "status": 404, "error": "GONE", "times": 4});
        aws.follow(&json!({ "faults": [fault] }).to_string());
        let ran = project.shipit(&["deploy", "api"]).exits(0);
        ran.says("no layers can be taken from ").says("RUN head -c 100000 /dev/urandom > /random: done");
    }
}

#[test]
#[ignore = "needs root, dockerd and ip: `make test` runs it where they are there"]
fn an_index_gives_the_layers_of_what_it_leads_to() {
    let fresh = FreshEngine::start();
    let (project, aws) = built_elsewhere("", &fresh);
    // As buildx would have left it, and rolled.
    aws.push_index_of("api-dev", &aws.latest("api-dev"), "latest");
    let target = "AmazonEC2ContainerServiceV20141113.UpdateService";
    aws.aws("ecs", target, &json!({"cluster": "dev", "service": "api", "forceNewDeployment": true}));
    let ran = project.shipit(&["deploy", "api", "--queue", "--output", "json"]).exits(0);
    assert!(states(&ran, "RUN head").contains(&"cached".to_owned()), "{}", ran.everything());
    assert_eq!(pushed_layers(&ran), 1, "{}", ran.everything());
}
