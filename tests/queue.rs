//! `--queue`: a rollout in flight is waited for and never trampled, and what runs after it is looked at anew.

use std::process::Child;

use crate::support::{Project, Ran, StandIn};

/// Every rollout of `dev/api` takes a few seconds.
const SLOW: &str = r#"{"services": {"dev/api": {"deployments": [{"tasks": [{"pending_ms": 4000}]}]}}}"#;

/// A rollout of `api` is in flight, by the commit that is checked out.
fn rolling() -> (Project, StandIn) {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, SLOW);
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy", "--no-wait"]).exits(0);
    (project, aws)
}

#[test]
fn a_rollout_in_flight_is_waited_for() {
    let (project, aws) = rolling();
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy"]).exits(4).says("is in flight").says("--queue");
    project.shipit(&["deploy", "--queue", "--dry-run"]).exits(4).says("is in flight");
    project.shipit(&["deploy", "--queue"]).exits(0).says("waits until the rollout ecs-svc/");
    assert_eq!(aws.calls("UpdateService").len(), 2);
    assert_eq!(aws.tags("dev", "api")["shipit:revision"], project.head().as_str());
}

#[test]
fn what_rolled_before_is_not_replaced_by_something_older() {
    let (project, aws) = rolling();
    let older = project.head();
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy", "--queue"]).exits(0);
    project.git(&["checkout", "--quiet", &older]);
    let args = ["deploy", "--env", "dev", "--branch", "develop", "--queue"];
    project.shipit(&args).exits(4).says("is older than");
    assert_eq!(aws.calls("UpdateService").len(), 2);
}

#[test]
fn a_rollout_that_does_not_end_is_in_the_way_in_the_end() {
    let project = Project::sample();
    let script = r#"{"services": {"dev/api": {"deployments": [{"tasks": [{"pending_ms": 600000}]}]}}}"#;
    let aws = StandIn::scripted(&project, script);
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy", "--no-wait"]).exits(0);
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy", "--queue", "--timeout", "3s"]).exits(4).says("is in flight");
    assert_eq!(aws.calls("UpdateService").len(), 1);
}

const TWO: &str = r#"version: 1
name: shop
aws: { region: ap-south-1, account: "123456789012" }
environments:
  dev: { branch: develop }
services:
  db: { repository: "db-${env}" }
  api: { repository: "api-${env}", depends_on: [db] }
"#;

/// `api` is built and waits for `db`, whose rollout takes a while; then somebody else rolls `api`.
fn overtaken(args: &[&str]) -> (Ran, StandIn) {
    let project = Project::sample().file("deploy.yaml", TWO).committed();
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    aws.follow(
        r#"{"services": {"dev/db": {"deployments": [{"tasks": [{"pending_ms": 3000}]}]},
            "dev/api": {"deployments": [{"tasks": [{"pending_ms": 7000}]}]}}}"#,
    );
    let project = project.file("app", "two\n").committed();
    let run: Child = project.start(args);
    aws.wait_for_more("UpdateService", 2);
    let input = serde_json::json!({"cluster": "dev", "service": "api", "forceNewDeployment": true});
    aws.aws("ecs", "AmazonEC2ContainerServiceV20141113.UpdateService", &input);
    let ran: Ran = run.wait_with_output().expect("it ends").into();
    (ran, aws)
}

#[test]
fn a_rollout_that_begins_during_the_build_is_not_trampled() {
    let (ran, aws) = overtaken(&["deploy"]);
    ran.exits(4).says("another rollout began while this one was built").says("--queue");
    assert_eq!(aws.calls("UpdateService").len(), 4, "two at first, that of db, and that of somebody else");
}

#[test]
fn a_rollout_that_begins_during_the_build_is_waited_for_with_queue() {
    let (ran, aws) = overtaken(&["deploy", "--queue"]);
    ran.exits(0).says("waits until the rollout ecs-svc/");
    assert_eq!(aws.calls("UpdateService").len(), 5);
}
