//! Rollouts that go wrong, through the real binary: what is told of them, and which calls were made.

use crate::support::{Project, StandIn};

fn deploying(script: &str) -> (Project, StandIn) {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, script);
    (project.with_aws(&aws).with_engine(), aws)
}

/// Every task writes two lines and ends with code 1.
const WRONG_ARCHITECTURE: &str = r#"{"exit": {"after_ms": 100, "code": 1},
    "log": ["starting", "exec /app: exec format error"]}"#;

#[test]
fn a_crash_loop_is_told_with_its_log_and_one_hint() {
    let script = format!(
        r#"{{"speed": 5, "services": {{"dev/api": {{"deployments": [{{"tasks": [{WRONG_ARCHITECTURE}]}}]}}}}}}"#
    );
    let (project, aws) = deploying(&script);
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(8);
    let told: Vec<_> = ran.events().into_iter().filter(|event| event["event"] == "diagnosis").collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let told = &told[0];
    assert!(told["groups"][0]["count"].as_u64().is_some_and(|count| count >= 2), "{told}");
    assert_eq!(told["groups"][0]["exit_code"], 1);
    assert_eq!(told["log"]["lines"][1], "exec /app: exec format error", "{told}");
    let service = &ran.finished()["services"][0];
    assert_eq!(service["verdict"], "rollout-failed");
    assert!(service["hint"].as_str().is_some_and(|hint| hint.contains("another architecture")), "{service}");
    assert_eq!(aws.calls("UpdateService").len(), 1);
}

#[test]
fn a_log_that_may_not_be_read_is_said_to_be_so() {
    let script = format!(
        r#"{{"speed": 5, "deny": ["logs:GetLogEvents"],
            "services": {{"dev/api": {{"deployments": [{{"tasks": [{WRONG_ARCHITECTURE}]}}]}}}}}}"#
    );
    let (project, _aws) = deploying(&script);
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(8);
    let told = ran.events().into_iter().find(|event| event["event"] == "diagnosis").expect("a diagnosis");
    assert!(told["log"]["note"].as_str().is_some_and(|note| note.contains("logs:GetLogEvents")), "{told}");
    assert!(ran.finished()["services"][0]["reason"].as_str().is_some_and(|reason| reason.contains("exit code 1")));
}

#[test]
fn a_task_that_cannot_start_is_told_in_ecs_words() {
    let reason = "CannotPullContainerError: dial tcp 10.0.0.1:443: i/o timeout";
    let script = format!(
        r#"{{"speed": 5, "services": {{"dev/api": {{"deployments": [{{"tasks": [{{"fail_to_start": "{reason}"}}]}}]}}}}}}"#
    );
    let (project, _aws) = deploying(&script);
    project.shipit(&["deploy"]).exits(8).says(reason).says("port 443");
}

#[test]
fn credentials_that_expire_in_mid_watch_leave_the_rollout_as_it_is() {
    let script = r#"{
        "faults": [{"operation": "DescribeServices", "after": 4, "status": 400, "error": "ExpiredTokenException"}],
        "services": {"dev/api": {"deployments": [{"tasks": [{"pending_ms": 600000}]}]}}}"#;
    let (project, aws) = deploying(script);
    let ran = project.shipit(&["deploy"]).exits(7);
    ran.says("goes on, but it cannot be watched").says("ExpiredTokenException").says("hint:");
    assert_eq!(aws.calls("UpdateService").len(), 1);
}

#[test]
fn throttling_and_faults_of_the_server_end_nothing() {
    let script = r#"{
        "faults": [
            {"operation": "DescribeServices", "after": 2, "times": 3, "status": 400, "error": "ThrottlingException"},
            {"operation": "ListTasks", "after": 2, "times": 2, "status": 500, "error": "ServerException"},
            {"operation": "DescribeTasks", "times": 1, "drop": true}
        ],
        "services": {"dev/api": {"desired": 2}}}"#;
    let (project, aws) = deploying(script);
    project.shipit(&["deploy"]).exits(0).says("deployed");
    assert_eq!(aws.calls("UpdateService").len(), 1);
}
