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
    // COMPLETED while an old task still drains: only when it is gone is the proof whole.
    early_success_and_then_the_old_tasks_go:
        &replacing(r#""desired": 2, "early_success": true, "deployments": [{"tasks": [{"healthy_after_ms": 500}]}]"#)
        => (0, "deployed", "COMPLETED", 1);
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
}
