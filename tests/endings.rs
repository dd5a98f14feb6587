//! Every ending that ECS can give a rollout, one row each, through the real binary on the scripted stand-in: how the
//! run ends, what it says of it, and that it sent `UpdateService` no more often than it may.
//!
//! A row is: script of the stand-in => exit code, verdict, a phrase of what is printed, calls of `UpdateService`.

use serde_json::Value;

use crate::support::{Project, Ran, StandIn};

/// One deploy of the sample's service under that script.
#[track_caller]
fn ends(script: &str, arguments: &[&str], (code, verdict, phrase, updates): (i32, &str, &str, usize)) {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, script);
    let project = project.with_aws(&aws).with_engine();
    let arguments: Vec<&str> = ["deploy", "--output", "json"].iter().chain(arguments).copied().collect();
    let ran = project.shipit(&arguments).exits(code).says(phrase);
    if !verdict.is_empty() {
        assert_eq!(verdict_of(&ran), verdict, "{}", ran.stdout);
    }
    assert_eq!(aws.calls("UpdateService").len(), updates, "{}", ran.stdout);
}

fn verdict_of(ran: &Ran) -> Value {
    ran.finished()["services"][0]["verdict"].clone()
}

macro_rules! endings {
    ($($name:ident: $script:expr $(, with $argument:expr)* => $told:expr;)*) => {
        $(#[test]
        fn $name() {
            ends($script, &[$($argument),*], $told);
        })*
    };
}

/// What runs before the deploy, in the scripts in which something does.
const BEFORE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

fn service(members: &str) -> String {
    format!(r#"{{"speed": 5, "services": {{"dev/api": {{{members}}}}}}}"#)
}

/// The same, where a task of another image runs already.
fn replacing(members: &str) -> String {
    service(&format!(r#""running": "{BEFORE}", {members}"#))
}

/// A task that ends with code 3 before it was ever healthy.
const CRASHES: &str = r#"{"tasks": [{"healthy_after_ms": 60000, "exit": {"after_ms": 500, "code": 3}}]}"#;

endings! {
    completed: &replacing(r#""desired": 2"#) => (0, "deployed", "COMPLETED", 1);
    crash_loop_without_breaker:
        &replacing(&format!(r#""breaker": {{"enable": false}}, "deployments": [{CRASHES}]"#))
        => (8, "rollout-failed", "fail again and again", 1);
    // At the clock's own speed: the second failure comes well before the third.
    crash_loop_before_the_breaker_trips:
        r#"{"services": {"dev/api": {"breaker": {"enable": true, "rollback": true}, "deployments": [{"tasks": [
            {"healthy_after_ms": 60000, "exit": {"after_ms": 500, "code": 3}}]}]}}}"#
        => (8, "rollout-failed", "exit code 3", 1);
    // Each task is healthy for a while, so that ECS counts from 0 again and again; one never starts.
    crash_loop_whose_count_of_failures_starts_again:
        &replacing(r#""desired": 2, "breaker": {"enable": false}, "deployments": [{"tasks": [
            {"exit": {"after_ms": 2500, "code": 3}}, {"pending_ms": 600000}, {"exit": {"after_ms": 2500, "code": 3}}]}]"#)
        => (8, "rollout-failed", "exit code 3", 1);
    breaker_without_rollback:
        &replacing(&format!(r#""breaker": {{"enable": true}}, "deployments": [{CRASHES}]"#)), with "--fail-fast=false"
        => (8, "rollout-failed", "tasks failed to start", 1);
    rolled_back_to_the_same_id:
        &replacing(&format!(r#""breaker": {{"enable": true, "rollback": true}}, "deployments": [{CRASHES}]"#)),
        with "--fail-fast=false"
        => (8, "rolled-back", "ECS rolled back to ecs-svc/", 1);
    rolled_back_to_a_new_id:
        &replacing(&format!(
            r#""breaker": {{"enable": true, "rollback": true, "new_id": true}}, "deployments": [{CRASHES}]"#)),
        with "--fail-fast=false"
        => (8, "rolled-back", "ECS rolled back to ecs-svc/", 1);
    superseded:
        &replacing(r#""deployments": [{"superseded_after_ms": 5000, "tasks": [{"pending_ms": 600000}]}, {}]"#)
        => (10, "superseded", "another deployment took the place of this one", 1);
    steady_with_another_digest:
        &service(&format!(r#""deployments": [{{"digest": "{BEFORE}"}}]"#))
        => (10, "not-proven", "which is not what was pushed", 1);
    // COMPLETED while the old tasks run: only when they are gone is the proof whole.
    early_success_and_then_the_old_tasks_go:
        &replacing(r#""desired": 2, "early_success": true, "clean_up_after_ms": 15000"#)
        => (0, "deployed", r#""old":2},"state":"COMPLETED""#, 1);
    early_success_and_the_old_tasks_stay:
        &replacing(r#""desired": 2, "early_success": true, "clean_up_after_ms": 6000000"#), with "--timeout=4s"
        => (10, "not-proven", "calls the rollout complete, but 2 of other deployments still there", 1);
    nothing_desired: &service(r#""desired": 0"#) => (10, "not-proven", "desired count is 0", 1);
    missing: &service(r#""status": "MISSING""#) => (7, "refused", "does not exist in cluster", 0);
    draining: &service(r#""status": "DRAINING""#) => (7, "refused", "DRAINING", 0);
    inactive: &service(r#""status": "INACTIVE""#) => (7, "refused", "INACTIVE", 0);
    code_deploy: &service(r#""controller": "CODE_DEPLOY""#) => (7, "refused", "CODE_DEPLOY", 0);
    external: &service(r#""controller": "EXTERNAL""#) => (7, "refused", "EXTERNAL", 0);
    mixed_digests_are_possible:
        &service(r#""version_consistency": "disabled""#) => (0, "deployed", "versionConsistency is disabled", 1);
    more_than_a_hundred_tasks: &replacing(r#""desired": 130"#) => (0, "deployed", "COMPLETED", 1);
    out_of_time:
        &service(r#""deployments": [{"tasks": [{"pending_ms": 600000}]}]"#), with "--timeout=3s"
        => (9, "timed-out", "still under way", 1);
    // For its first looks the watch still sees the old deployment alone, steady and complete.
    stale_answers_after_the_update:
        r#"{"faults": [{"operation": "DescribeServices", "after": 2, "times": 3, "stale": true}],
            "services": {"dev/api": {"desired": 2}}}"#
        => (0, "deployed", "COMPLETED", 1);
    credentials_expire_in_mid_watch:
        r#"{"faults": [{"operation": "DescribeServices", "after": 4, "error": "ExpiredTokenException"}],
            "services": {"dev/api": {"deployments": [{"tasks": [{"pending_ms": 600000}]}]}}}"#
        => (7, "not-proven", "goes on, but it cannot be watched", 1);
    update_takes_effect_and_the_connection_drops:
        r#"{"faults": [{"operation": "UpdateService", "times": 1, "drop": true, "after_effect": true}],
            "services": {"dev/api": {}}}"#
        => (0, "deployed", "the answer to UpdateService was lost", 1);
    update_takes_effect_and_a_fault_of_the_server_is_answered:
        r#"{"faults": [{"operation": "UpdateService", "times": 1, "status": 500, "error": "ServerException",
            "after_effect": true}], "services": {"dev/api": {}}}"#
        => (0, "deployed", "the answer to UpdateService was lost", 1);
    blue_green: &staged("BLUE_GREEN", r#"{"name": "TEST_TRAFFIC_SHIFT", "lasts_ms": 5000},
        {"name": "PRODUCTION_TRAFFIC_SHIFT", "lasts_ms": 1000}, {"name": "BAKE_TIME", "lasts_ms": 5000}"#)
        => (0, "deployed", "the deployment is at BAKE_TIME", 1);
    linear: &staged("LINEAR", r#"{"name": "PRODUCTION_TRAFFIC_SHIFT", "lasts_ms": 10000}"#)
        => (0, "deployed", "the deployment is at PRODUCTION_TRAFFIC_SHIFT", 1);
    canary: &staged("CANARY", r#"{"name": "PRODUCTION_TRAFFIC_SHIFT", "lasts_ms": 10000}"#)
        => (0, "deployed", "the deployment is at PRODUCTION_TRAFFIC_SHIFT", 1);
    canary_that_ecs_takes_back:
        &staged("CANARY", r#"{"name": "BAKE_TIME", "lasts_ms": 5000, "fails": "Rollback: alarm errors-5xx went off."}"#)
        => (8, "rolled-back", "alarm errors-5xx went off", 1);
    blue_green_whose_tasks_crash:
        &replacing(r#""strategy": "BLUE_GREEN", "breaker": {"enable": false}, "deployments": [{"tasks": [
            {"healthy_after_ms": 60000, "exit": {"after_ms": 500, "code": 3}}]}]"#)
        => (8, "rollout-failed", "exit code 3", 1);
    blue_green_that_somebody_stops:
        &staged("BLUE_GREEN", r#"{"name": "TEST_TRAFFIC_SHIFT", "lasts_ms": 5000, "stopped": "Stopped by a person."}"#)
        => (8, "rollout-failed", "was stopped: Stopped by a person", 1);
    blue_green_that_bakes_longer_than_the_watch:
        &replacing(r#""strategy": "BLUE_GREEN", "bake_minutes": 60, "deployments": [
            {"stages": [{"name": "BAKE_TIME", "lasts_ms": 600000}]}]"#), with "--timeout=4s"
        => (9, "timed-out", "bakes for 60 min at least, longer than --timeout", 1);
    pause_that_nobody_answers_in_the_time_of_the_watch:
        &staged("BLUE_GREEN", r#"{"name": "POST_TEST_TRAFFIC_SHIFT", "pause": {"hook": "look", "timeout_ms": 9000000}}"#),
        with "--timeout=4s"
        => (9, "timed-out", "waits for a person at the PAUSE hook look until ", 1);
    pause_whose_time_runs_out:
        &staged("BLUE_GREEN", r#"{"name": "POST_TEST_TRAFFIC_SHIFT", "pause": {"hook": "look", "timeout_ms": 10000}}"#)
        => (8, "rolled-back", "Lifecycle hook look at POST_TEST_TRAFFIC_SHIFT asked for a rollback", 1);
    // The list of deployments alone must not be believed.
    blue_green_whose_record_cannot_be_read:
        r#"{"deny": ["ecs:ListServiceDeployments"], "services": {"dev/api": {"strategy": "BLUE_GREEN"}}}"#
        => (7, "not-proven", "ecs:ListServiceDeployments", 1);
}

/// A deployment in stages that takes the place of a running task.
fn staged(strategy: &str, stages: &str) -> String {
    replacing(&format!(r#""strategy": "{strategy}", "deployments": [{{"stages": [{stages}]}}]"#))
}

#[test]
fn a_pause_goes_on_as_the_person_says() {
    for (action, code, verdict) in [("CONTINUE", 0, "deployed"), ("ROLLBACK", 8, "rolled-back")] {
        let pause = r#"{"name": "POST_TEST_TRAFFIC_SHIFT", "pause": {"hook": "look", "timeout_ms": 9000000}}"#;
        let project = Project::sample();
        let aws = StandIn::scripted(&project, &staged("BLUE_GREEN", pause));
        let project = project.with_aws(&aws).with_engine();
        let run = project.start(&["deploy", "--output", "json"]);
        aws.wait_for("UpdateService");
        aws.answer_hook("dev", "api", action);
        let ran: Ran = run.wait_with_output().expect("it ends").into();
        let ran = ran.exits(code);
        assert_eq!(verdict_of(&ran), verdict, "{}", ran.stdout);
        assert_eq!(aws.calls("UpdateService").len(), 1);
    }
}

/// Somebody pushes between this push and the first task of this deployment.
#[test]
fn the_tag_is_moved_before_the_first_task() {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, &service(""));
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    let theirs = aws.latest("api-dev");
    aws.follow(r#"{"faults": [{"operation": "UpdateService", "delay_ms": 4000}], "services": {"dev/api": {}}}"#);
    let project = project.file("app", "two\n").committed();
    let before = aws.calls("BatchGetImage").len();
    let run = project.start(&["deploy", "--output", "json"]);
    // The pushed manifest is read when the push is confirmed: after that only UpdateService is left, which waits.
    aws.wait_for_more("BatchGetImage", before);
    aws.tag("api-dev", &theirs, "latest");
    let ran: Ran = run.wait_with_output().expect("it ends").into();
    let ran = ran.exits(10).says(&theirs).says("which is not what was pushed");
    assert_eq!(verdict_of(&ran), "not-proven");
    assert_eq!(aws.calls("UpdateService").len(), 2);
}

/// The registry knows an index, and the tasks show its amd64 child.
#[test]
fn an_index_is_proven_by_its_child() {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, &service(""));
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    let (first, child) = (project.head(), aws.latest("api-dev"));
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy"]).exits(0);
    let index = aws.push_index_of("api-dev", &child, &format!("git-{}", &first[..12]));
    aws.follow(&service(&format!(r#""deployments": [{{"digest": "{child}"}}]"#)));
    let ran = project.shipit(&["rollback", "--env", "dev", "--to", &first, "--output", "json"]).exits(0);
    assert_eq!(verdict_of(&ran), "deployed");
    assert_eq!(aws.latest("api-dev"), index);
    assert_eq!(aws.calls("UpdateService").len(), 3);
}

/// Every call of ECS, ECR and STS that a deploy makes fails once in this way, and then passes.
#[track_caller]
fn each_call_fails_once(way: &str) {
    const CALLS: [&str; 11] = [
        "GetCallerIdentity",
        "DescribeRepositories",
        "DescribeImages",
        "DescribeServices",
        "DescribeTaskDefinition",
        "ListTasks",
        "DescribeTasks",
        "GetAuthorizationToken",
        "BatchGetImage",
        "UpdateService",
        "TagResource",
    ];
    let faults = CALLS.map(|call| format!(r#"{{"operation": "{call}", "times": 1, {way}}}"#)).join(", ");
    let service = format!(r#""running": "{BEFORE}", "desired": 2"#);
    let script = format!(r#"{{"faults": [{faults}], "services": {{"dev/api": {{{service}}}}}}}"#);
    let project = Project::sample();
    let aws = StandIn::scripted(&project, &script);
    let project = project.with_aws(&aws).with_engine();
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(0);
    assert_eq!(verdict_of(&ran), "deployed");
    for call in CALLS {
        assert!(aws.calls(call).len() > 1 || call == "GetCallerIdentity", "{call} was not tried again");
    }
    let in_effect = aws.calls("UpdateService").iter().filter(|call| call["status"] == 200).count();
    assert_eq!(in_effect, 1);
    assert_eq!(aws.deployments_made("dev", "api"), 2, "the seeded one and this one");
}

#[test]
fn each_call_is_throttled_once() {
    each_call_fails_once(r#""status": 400, "error": "ThrottlingException", "message": "Rate exceeded""#);
}

/// The engine's own calls, which the SDK's patience does not cover.
#[test]
fn the_registry_throttles_each_call_of_the_push_once() {
    let faults = ["InitiateLayerUpload", "PutImage"]
        .map(|call| format!(r#"{{"operation": "{call}", "times": 1, "error": "ThrottlingException"}}"#))
        .join(", ");
    ends(
        &format!(r#"{{"faults": [{faults}], "services": {{"dev/api": {{}}}}}}"#),
        &[],
        (0, "deployed", "pushing again", 1),
    );
}

#[test]
fn each_call_meets_a_fault_of_the_server_once() {
    each_call_fails_once(r#""status": 503, "error": "ServiceUnavailable""#);
}

#[test]
fn each_call_loses_its_connection_once() {
    each_call_fails_once(r#""drop": true"#);
}
