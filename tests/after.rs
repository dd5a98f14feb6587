//! `after` and `soak`: a commit comes here only while it runs, proven and long enough, in the environment before.

use serde_json::{Value, json};

use crate::support::{Project, Running, StandIn};

const PROD: [&str; 3] = ["deploy", "--env", "prod"];

fn manifest(sandbox: &str, prod: &str) -> String {
    format!(
        "version: 1\nname: sample\naws: {{ region: ap-south-1, account: \"123456789012\" }}\nenvironments:\n  \
         sandbox: {{ branch: main{sandbox} }}\n  prod: {{ branch: main, after: sandbox{prod} }}\nservices:\n  api:\n    \
         repository: api-${{env}}\n"
    )
}

/// The sample on `main`, with more of each environment in deploy.yaml; its HEAD runs in sandbox.
fn live_in_sandbox(sandbox: &str, prod: &str) -> (Project, StandIn) {
    let project = Project::sample()
        .branch("main")
        .file("deploy.yaml", &manifest(sandbox, prod))
        .file("Dockerfile", "FROM scratch\nCOPY app /app\n")
        .committed();
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy", "--env", "sandbox"]).exits(0);
    (project, aws)
}

fn ecs(aws: &StandIn, operation: &str, input: &Value) {
    aws.aws("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), input);
}

/// Nothing of prod was moved.
#[track_caller]
fn untouched(aws: &StandIn) {
    let moved =
        aws.operations().into_iter().filter(|operation| operation == "PUT /v2/api-prod/manifests/latest").count();
    let rolled = aws.calls("UpdateService").iter().filter(|call| call["input"]["cluster"] == "prod").count();
    assert_eq!((moved, rolled), (0, 0));
}

#[test]
fn a_rollout_in_flight_there_is_not_yet_what_runs() {
    let (project, aws) = live_in_sandbox("", "");
    aws.follow(r#"{"services": {"sandbox/api": {"deployments": [{"tasks": [{"healthy_after_ms": 600000}]}]}}}"#);
    // The same image once more, of which nobody knows yet how it ends.
    ecs(&aws, "UpdateService", &json!({"cluster": "sandbox", "service": "api", "forceNewDeployment": true}));
    project.shipit(&PROD).exits(4).says("does not run in `sandbox` yet: its rollout there is not complete");
    untouched(&aws);
}

#[test]
fn a_rollback_there_takes_the_commit_away_and_starts_the_time_again() {
    let (project, aws) = live_in_sandbox("", ", soak: 2s");
    let first = project.head();
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy", "--env", "sandbox"]).exits(0);
    std::thread::sleep(std::time::Duration::from_secs(2));
    project.shipit(&[&PROD[..], &["--dry-run"]].concat()).exits(0);
    project.shipit(&["rollback", "--env", "sandbox"]).exits(0);
    let project = project.file("deploy.yaml", &manifest("", ", soak: 1h"));
    let prod: Vec<&str> = [&PROD[..], &["--allow-dirty", "--dry-run"]].concat();
    project.shipit(&prod).exits(4).says(&format!("does not run in `sandbox` yet: {} runs there", &first[..12]));
    // The older commit runs there again, and has run there for a moment.
    project.git(&["stash", "--quiet"]);
    project.git(&["checkout", "--quiet", "--detach", &first]);
    let project = project.file("deploy.yaml", &manifest("", ", soak: 1h"));
    let prod: Vec<&str> = [&prod[..], &["--branch", "main"]].concat();
    project
        .shipit(&prod)
        .exits(4)
        .says(&format!("{} has run in `sandbox` for ", &first[..12]))
        .says("run this again in ");
    untouched(&aws);
}

#[test]
fn a_rollback_there_during_the_build_is_seen_before_latest_is_moved() {
    let (project, aws) = live_in_sandbox("", "");
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy", "--env", "sandbox"]).exits(0);
    aws.follow(
        r#"{"faults": [{"operation": "InitiateLayerUpload", "repository": "api-prod", "times": 1, "delay_ms": 6000}]}"#,
    );
    let mut running = Running::start(&project, &PROD);
    running.wait_for_stage("push");
    project.shipit(&["rollback", "--env", "sandbox"]).exits(0);
    let ran = running.ends().exits(4).says("the commit no longer runs in `sandbox` as it did").says("runs there now");
    let service = ran.says("status --env sandbox").finished()["services"][0].clone();
    assert_eq!(service["verdict"], "refused", "{service}");
    untouched(&aws);
}

#[test]
fn an_environment_before_that_cannot_be_read_is_no_pass() {
    let role = ", aws: { role: \"arn:aws:iam::123456789012:role/sandbox\" }";
    let (project, aws) = live_in_sandbox(role, "");
    aws.follow(r#"{"deny": ["sts:AssumeRole"]}"#);
    project.shipit(&PROD).exits(7).says("sts:AssumeRole").says("role/sandbox");
    untouched(&aws);
    // What it says of its tasks is needed, too.
    aws.follow(r#"{"deny": ["ecs:ListTasks"]}"#);
    project.shipit(&PROD).exits(7).says("ecs:ListTasks");
    aws.follow("{}");
    ecs(&aws, "UpdateService", &json!({"cluster": "sandbox", "service": "api", "desiredCount": 0}));
    project.shipit(&PROD).exits(4).says("does not run in `sandbox` yet");
    untouched(&aws);
}

#[test]
fn an_image_goes_all_the_way_through_three_environments() {
    let environments = "environments:\n  dev: { branch: develop }\n  \
        sandbox: { branch: main, after: dev, image: promote }\n  \
        prod: { branch: main, after: sandbox, image: promote }\n";
    let text = manifest("", "");
    let (head, rest) = text.split_once("environments:").expect("environments");
    let (_, services) = rest.split_once("services:").expect("services");
    let project = Project::sample()
        .file("deploy.yaml", &format!("{head}{environments}services:{services}"))
        .file("Dockerfile", "FROM scratch\nCOPY app /app\n")
        .committed();
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    let project = project.branch("main").var("DOCKER_HOST", "unix:///nowhere/docker.sock");
    // Not past the one between.
    project.shipit(&PROD).exits(4).says("does not run in `sandbox` yet");
    project.shipit(&["deploy", "--env", "sandbox"]).exits(0);
    project.shipit(&PROD).exits(0);
    let [dev, sandbox, prod] = ["api-dev", "api-sandbox", "api-prod"].map(|repository| aws.latest(repository));
    assert_eq!((&dev, &dev), (&sandbox, &prod));
}
