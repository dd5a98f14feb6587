//! `--queue`: a rollout in flight is waited for and never trampled, and what runs after it is looked at anew.

use std::process::Child;

use crate::support::{Project, Ran, Running, StandIn};

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

/// Two commits are deployed. A third is built and its `api` waits for `db`, whose rollout takes a while; that is when
/// `meanwhile` happens.
fn overtaken(args: &[&str], slow: &str, meanwhile: impl FnOnce(&Project, &StandIn)) -> (Project, Ran, StandIn) {
    let project = Project::sample().file("deploy.yaml", TWO).committed();
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy"]).exits(0);
    aws.follow(slow);
    let project = project.file("app", "three\n").committed();
    let run: Child = project.start(args);
    aws.wait_for_more("UpdateService", 4);
    meanwhile(&project, &aws);
    let ran: Ran = run.wait_with_output().expect("it ends").into();
    (project, ran, aws)
}

const SLOW_BOTH: &str = r#"{"services": {"dev/db": {"deployments": [{"tasks": [{"pending_ms": 3000}]}]},
    "dev/api": {"deployments": [{"tasks": [{"pending_ms": 7000}]}]}}}"#;

#[test]
fn a_rollout_that_begins_during_the_build_is_not_trampled() {
    let (_, ran, aws) = overtaken(&["deploy"], SLOW_BOTH, |_, aws| aws.force("dev", "api"));
    ran.exits(4).says("another rollout began while this one was built").says("--queue");
    assert_eq!(aws.calls("UpdateService").len(), 6, "four at first, that of db, and that of somebody else");
}

#[test]
fn a_rollout_that_begins_during_the_build_is_waited_for_with_queue() {
    let (_, ran, aws) = overtaken(&["deploy", "--queue"], SLOW_BOTH, |_, aws| aws.force("dev", "api"));
    ran.exits(0).says("waits until the rollout ecs-svc/");
    assert_eq!(aws.calls("UpdateService").len(), 7);
}

const SLOW_DB: &str = r#"{"services": {"dev/db": {"deployments": [{"tasks": [{"pending_ms": 15000}]}]}}}"#;

#[test]
fn a_rollback_during_the_build_is_not_undone() {
    for args in [&["deploy"][..], &["deploy", "--queue"]] {
        let mut bad = String::new();
        let (project, ran, aws) = overtaken(args, SLOW_DB, |project, _| {
            bad = project.git(&["rev-parse", "HEAD~1"]).trim().to_owned();
            project.shipit(&["rollback", "--env", "dev", "api"]).exits(0);
        });
        let ran = ran.exits(4);
        match args.len() {
            1 => ran.says("another rollout began while this one was built"),
            _ => ran.says(&format!("api was rolled back from {} while this one was built", &bad[..12])),
        };
        assert_eq!(aws.calls("UpdateService").len(), 6, "four at first, that of db, and the rollback");
        assert_eq!(aws.tags("dev", "api")["shipit:held"], bad);
        // Whoever looks at it then and goes on ends the hold.
        project.shipit(&["deploy"]).exits(0).says("ends the hold");
    }
}

#[test]
fn a_rollback_that_has_only_written_its_hold_is_not_overtaken() {
    let mut held = String::new();
    let (_, ran, aws) = overtaken(&["deploy"], SLOW_BOTH, |project, aws| {
        held = project.git(&["rev-parse", "HEAD~1"]).trim().to_owned();
        aws.tag_service("dev", "api", "shipit:held", &held);
    });
    ran.exits(4).says(&format!("api was rolled back from {} while this one was built", &held[..12])).says("hint:");
    assert_eq!(aws.calls("UpdateService").len(), 5, "four at first, and that of db");
    assert_ne!(aws.latest("api-dev"), aws.latest("db-dev"), "it is as it was");
}

const GUARDED: &str = r#"version: 1
name: shop
aws: { region: ap-south-1, account: "123456789012" }
environments:
  sandbox: { branch: develop }
  prod: { branch: develop, after: sandbox }
services:
  api: { repository: "api-${env}" }
"#;

/// Something happens while production's image is pushed.
fn while_prod_is_pushed(args: &[&str], meanwhile: impl FnOnce(&Project, &StandIn)) -> (Ran, StandIn) {
    let project = Project::sample().file("deploy.yaml", GUARDED).committed();
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    let both = |project: &Project| {
        project.shipit(&["deploy", "--env", "sandbox"]).exits(0);
        project.shipit(&["deploy", "--env", "prod"]).exits(0);
    };
    both(&project);
    let project = project.file("app", "two\n").committed();
    both(&project);
    let project = project.file("app", "three\n").committed();
    project.shipit(&["deploy", "--env", "sandbox"]).exits(0);
    aws.follow(r#"{"faults": [{"operation": "PutImage", "repository": "api-prod", "times": 1, "delay_ms": 6000}]}"#);
    let mut run = Running::start(&project, args);
    run.wait_for_stage("push");
    meanwhile(&project, &aws);
    (run.ends(), aws)
}

#[test]
fn what_is_taken_out_of_sandbox_meanwhile_goes_no_further() {
    let mut other = String::new();
    let (ran, aws) = while_prod_is_pushed(&["deploy", "--env", "prod"], |project, aws| {
        other = project.git(&["rev-parse", "HEAD~1"]).trim().to_owned();
        aws.tag_service("sandbox", "api", "shipit:revision", &other);
    });
    ran.exits(4)
        .says("the commit no longer runs in `sandbox` as it did")
        .says(&format!("{} runs there now", &other[..12]));
    assert_eq!(aws.calls("UpdateService").len(), 5);
}

#[test]
fn what_somebody_rolls_by_hand_meanwhile_is_not_deployed_over_where_it_is_guarded() {
    let args = ["deploy", "--env", "prod", "--queue"];
    let (ran, aws) = while_prod_is_pushed(&args, |project, aws| {
        let first = project.git(&["rev-parse", "HEAD~2"]);
        let input = serde_json::json!({"repositoryName": "api-prod", "imageIds": [{"imageTag": format!("git-{}", &first[..12])}]});
        let found = aws.aws("ecr", "AmazonEC2ContainerRegistry_V20150921.DescribeImages", &input);
        let digest = found["imageDetails"][0]["imageDigest"].as_str().expect("a digest").to_owned();
        aws.tag("api-prod", &digest, "latest");
        aws.force("prod", "api");
    });
    ran.exits(4).says("somebody else rolled it");
    assert_eq!(aws.calls("UpdateService").len(), 6);
}
