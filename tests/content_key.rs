//! The content key: what was built before is not built again, and whatever else looks like it is.

use std::process::Command;

use serde_json::Value;

use crate::support::{Project, Ran, StandIn};

const STEADY: &str = r#"{"services": {"dev/api": {"desired": 1}}}"#;

/// A project whose context has no `.git`, so that it has a key.
fn project() -> Project {
    Project::sample().file(".dockerignore", ".git\n.home\n").committed()
}

fn standing_in(project: Project) -> (Project, StandIn) {
    let aws = StandIn::scripted(&project, STEADY);
    (project.with_aws(&aws).with_engine(), aws)
}

fn deploy(project: &Project, more: &[&str]) -> Ran {
    project.shipit(&[&["deploy", "--all", "--output", "json"], more].concat())
}

fn digest(ran: &Ran) -> String {
    ran.finished()["services"][0]["digest"].as_str().expect("a digest").to_owned()
}

/// How the plan says that the image comes to be.
fn source(ran: &Ran) -> Value {
    let planned = ran.events().into_iter().find(|event| event["event"] == "planned").expect("a plan");
    planned["plan"]["services"][0]["source"].clone()
}

fn was_built(ran: &Ran) -> bool {
    ran.events().iter().any(|event| event["event"] == "build-finished")
}

#[test]
fn the_same_inputs_are_built_once() {
    let (project, aws) = standing_in(project());
    let first = deploy(&project, &[]).exits(0);
    assert!(was_built(&first));
    assert_eq!(source(&first)["kind"], "build");

    let project = project.file(".home/notes", "nothing that the image has\n").committed();
    let second = deploy(&project, &[]).exits(0);
    assert_eq!(source(&second)["kind"], "reuse", "{}", source(&second));
    assert!(!was_built(&second));
    assert_eq!(digest(&second), digest(&first));
    let _ = (Command::new("true"), aws);
}
