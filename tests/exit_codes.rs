//! Every exit code of the contract, each through the real binary, with what it prints.

use std::io::Read as _;
use std::time::{Duration, Instant};

use crate::support::{Project, Ran, StandIn, Terminal, interrupt};

/// Tasks that start at once and stay healthy.
const HEALTHY: &str = r#"{"services": {"dev/api": {"desired": 2}}}"#;

fn deploying(script: &str) -> (Project, StandIn) {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, script);
    (project.with_aws(&aws).with_engine(), aws)
}

#[test]
fn code_0_deployed_with_digest_and_revision() {
    let (project, aws) = deploying(HEALTHY);
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(0);
    let finished = ran.finished();
    assert_eq!(finished["exit_code"], 0);
    assert_eq!(finished["environment"], "dev");
    let service = &finished["services"][0];
    assert_eq!(service["service"], "api");
    assert_eq!(service["verdict"], "deployed");
    assert_eq!(service["revision"], project.head());
    assert_eq!(service["reason"], serde_json::Value::Null);
    let digest = service["digest"].as_str().expect("a digest");
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    assert!(service["deployment"].as_str().expect("an id").starts_with("ecs-svc/"));
    assert_eq!(aws.calls("UpdateService").len(), 1);
    // There is nothing in the same commit that does not run, unless the service is meant.
    project.shipit(&["deploy", "--env", "dev"]).exits(0).says("nothing to deploy").says("unchanged since");
    assert_eq!(aws.calls("UpdateService").len(), 1);
    project.shipit(&["deploy", "--env", "dev", "api"]).exits(0).says("deployed").says(digest);
}

#[test]
fn code_0_dry_run_changes_nothing() {
    let (project, aws) = deploying(HEALTHY);
    project.shipit(&["deploy", "--dry-run"]).exits(0).says("planned").says("git-").says("latest");
    for change in ["UpdateService", "PutImage", "InitiateLayerUpload", "TagResource", "GetAuthorizationToken"] {
        assert!(aws.calls(change).is_empty(), "{change} was called by a dry run");
    }
}

#[test]
fn code_0_dry_run_without_an_engine_says_what_it_could_not_check() {
    let (project, _aws) = deploying(HEALTHY);
    let project = project.var("DOCKER_HOST", "unix:///nowhere/docker.sock");
    project.shipit(&["deploy", "--dry-run"]).exits(0).says("planned").says("no Docker Engine");
}

#[test]
fn code_1_when_the_answer_cannot_be_written() {
    let project = Project::sample();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let ran: Ran = project.command(&["schema"]).stdout(full).output().expect("shipit runs").into();
    ran.exits(1).says("error:");
}

#[test]
fn code_2_for_a_wrong_command_line_and_a_wrong_file() {
    Project::sample().shipit(&["deploy", "--dri-run"]).exits(2).says("--dry-run");
    let project =
        Project::new().file("deploy.yaml", "version: 1\nenvironment:\n  dev: { branch: develop }\n").committed();
    project.shipit(&["deploy"]).exits(2).says("deploy.yaml:2:1").says("did you mean").says("environments");
    Project::sample().shipit(&["deploy", "--env", "prd"]).exits(2).says("prd").says("prod");
    Project::sample().shipit(&["deploy", "apii"]).exits(2).says("apii").says("api");
    Project::new().shipit(&["deploy"]).exits(2).says("deploy.yaml").says("hint:");
}

#[test]
fn code_3_names_every_missing_secret_at_once() {
    let manifest = r"version: 1
environments: { dev: { branch: develop } }
services:
  api: { repository: api, secrets: [DB_HOST, OPENAI_API_KEY, SET_ONE] }
";
    let project = Project::new().file("deploy.yaml", manifest).committed();
    let project = project.var("DEV_DB_HOST", "  ").var("DEV_SET_ONE", "present").var("OPENAI_API_KEY", "bare");
    let ran = project.shipit(&["deploy", "--env", "dev"]).exits(3);
    ran.says("DEV_DB_HOST").says("DEV_OPENAI_API_KEY").never_says("DEV_SET_ONE").never_says("present");
}

#[test]
fn code_4_the_branch_gate() {
    let (project, aws) = deploying(HEALTHY);
    let project = project.branch("feature/x");
    project.shipit(&["deploy", "--env", "dev"]).exits(4).says("feature/x").says("develop").says("--any-branch");
    assert!(aws.calls("UpdateService").is_empty());
    project.shipit(&["deploy", "--env", "dev", "--any-branch"]).exits(0).says("deployed");
}

#[test]
fn code_4_another_account_than_the_guard_names() {
    let (project, _aws) = deploying(HEALTHY);
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let project = project.file("deploy.yaml", &manifest.replace("123456789012", "999999999999")).committed();
    project.shipit(&["deploy", "--env", "dev"]).exits(4).says("account 123456789012").says("999999999999");
}

#[test]
fn code_4_a_secret_in_the_image_is_found_before_the_push() {
    let (project, aws) = deploying(HEALTHY);
    let manifest = r#"version: 1
aws: { region: ap-south-1 }
environments: { dev: { branch: develop } }
services:
  api: { repository: "api-${env}", secrets: [API_KEY] }
"#;
    let project = project
        .file("deploy.yaml", manifest)
        .file("Dockerfile", "FROM scratch\nCOPY app /app\nENV KEY=topsecretvalue\n")
        .committed()
        .var("DEV_API_KEY", "topsecretvalue");
    let ran = project.shipit(&["deploy", "--env", "dev"]).exits(4);
    ran.says("API_KEY in its environment variable `KEY`").never_says("topsecretvalue");
    assert!(aws.calls("PutImage").is_empty());
}

#[test]
fn code_4_approval_is_not_given_by_silence() {
    let (project, _aws) = deploying(HEALTHY);
    let project = project.branch("main");
    project.shipit(&["deploy", "--env", "prod"]).exits(4).says("sandbox");
}

#[test]
fn code_5_names_the_step_that_failed() {
    let (project, aws) = deploying(HEALTHY);
    let project = project.file("Dockerfile", "FROM scratch\nCOPY nowhere /app\n").committed();
    project.shipit(&["deploy"]).exits(5).says("build-failed").says("COPY nowhere /app").says("hint:");
    assert!(aws.calls("UpdateService").is_empty());
}

#[test]
fn code_6_the_registry_refuses() {
    let (project, aws) = deploying(r#"{"deny": ["ecr:InitiateLayerUpload"], "services": {"dev/api": {}}}"#);
    project.shipit(&["deploy"]).exits(6).says("push-failed").says("ecr:InitiateLayerUpload").says("hint:");
    assert!(aws.calls("UpdateService").is_empty());
}

#[test]
fn code_7_names_what_is_missing_or_not_allowed() {
    let (project, _aws) = deploying(r#"{"services": {"dev/api": {"status": "MISSING"}}}"#);
    project.shipit(&["deploy"]).exits(7).says("service `api` does not exist in cluster `dev`").says("hint:");
    let (project, _aws) = deploying(r#"{"deny": ["ecs:DescribeServices"], "services": {"dev/api": {}}}"#);
    project.shipit(&["deploy"]).exits(7).says("ecs:DescribeServices").says("hint:");
}

#[test]
fn code_7_without_credentials() {
    let project = Project::sample().with_engine().var("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    project.shipit(&["deploy"]).exits(7).says("credentials").says("hint:");
}

/// A program that reads the JSON learns of an early end too.
#[test]
fn the_last_event_says_why_a_run_ended_early() {
    let project = Project::sample().file("deploy.yaml", "version: 2\n");
    let finished = project.shipit(&["deploy", "--output", "json"]).exits(2).finished();
    assert_eq!(finished["exit_code"], 2);
    assert!(finished["error"].as_str().expect("why").contains("version"), "{finished}");
    assert_eq!(finished["services"], serde_json::json!([]));
}

#[test]
fn code_8_a_crash_loop_is_told_at_once_and_latest_goes_back() {
    let script = r#"{"services": {"dev/api": {"breaker": {"enable": false}, "deployments": [
        {}, {"tasks": [{"healthy_after_ms": 60000, "exit": {"after_ms": 500, "code": 3}}]}]}}}"#;
    let (project, aws) = deploying(script);
    let first = project.shipit(&["deploy", "--output", "json"]).exits(0).finished();
    let good = first["services"][0]["digest"].as_str().expect("a digest").to_owned();
    let project = project.file("app", "two\n").committed();
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(8);
    let service = &ran.finished()["services"][0];
    assert_eq!(service["verdict"], "rollout-failed");
    assert!(service["reason"].as_str().expect("a reason").contains("exit code 3"), "{service}");
    assert!(service["hint"].as_str().expect("a hint").contains(&good), "{service}");
    assert_eq!(aws.latest("api-dev"), good);
    assert_eq!(aws.calls("UpdateService").len(), 2);
}

/// Without a health check ECS can call a deployment complete while its tasks start and crash in turn.
#[test]
fn code_8_a_task_between_its_start_and_its_crash_proves_nothing() {
    let script = r#"{"services": {"dev/api": {"breaker": {"enable": false}, "deployments": [{"tasks": [
        {"fail_to_start": "CannotPullContainerError: no"}, {"exit": {"after_ms": 400, "code": 3}}]}]}}}"#;
    let (project, _aws) = deploying(script);
    project.shipit(&["deploy"]).exits(8).says("rollout-failed").says("exit code 3");
}

#[test]
fn code_8_a_rollback_by_the_breaker_is_never_called_deployed() {
    for new_id in [false, true] {
        let script = format!(
            r#"{{"speed": 4, "services": {{"dev/api": {{
                "breaker": {{"enable": true, "rollback": true, "new_id": {new_id}}},
                "deployments": [{{}}, {{"tasks": [{{"healthy_after_ms": 60000, "exit": {{"after_ms": 500, "code": 1}}}}]}}]}}}}}}"#
        );
        let (project, aws) = deploying(&script);
        project.shipit(&["deploy"]).exits(0);
        let good = aws.latest("api-dev");
        let project = project.file("app", "two\n").committed();
        let ran = project.shipit(&["deploy", "--fail-fast", "false"]).exits(8);
        ran.says("rolled-back").says(&good);
        assert_eq!(aws.latest("api-dev"), good);
    }
}

#[test]
fn code_9_when_the_time_runs_out() {
    let (project, _aws) =
        deploying(r#"{"services": {"dev/api": {"deployments": [{"tasks": [{"pending_ms": 600000}]}]}}}"#);
    let ran = project.shipit(&["deploy", "--timeout", "3s"]).exits(9);
    ran.says("timed-out").says("still under way").says("hint:");
}

#[test]
fn code_10_when_something_else_runs() {
    let other = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let script = format!(r#"{{"services": {{"dev/api": {{"deployments": [{{"digest": "{other}"}}]}}}}}}"#);
    let (project, _aws) = deploying(&script);
    project.shipit(&["deploy"]).exits(10).says("not-proven").says(other);
    let script = r#"{"services": {"dev/api": {"deployments": [
        {"superseded_after_ms": 1500, "tasks": [{"pending_ms": 600000}]}, {}]}}}"#;
    let (project, _aws) = deploying(script);
    project.shipit(&["deploy"]).exits(10).says("superseded").says("ecs-svc/");
}

#[test]
fn code_130_leaves_the_rollout_as_it_is() {
    let (project, aws) =
        deploying(r#"{"services": {"dev/api": {"deployments": [{"tasks": [{"pending_ms": 600000}]}]}}}"#);
    let mut run = project.start(&["deploy"]);
    aws.wait_for("UpdateService");
    std::thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    interrupt(run.id());
    let status = run.wait().expect("it ends");
    assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}", began.elapsed());
    assert_eq!(status.code(), Some(130));
    let mut said = String::new();
    run.stderr.take().expect("stderr").read_to_string(&mut said).expect("text");
    run.stdout.take().expect("stdout").read_to_string(&mut said).expect("text");
    assert!(said.contains("goes on in ECS") && said.contains("interrupted"), "{said}");
    assert!(!said.contains("deployed "), "{said}");
    assert_eq!(aws.calls("UpdateService").len(), 1);
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let project = Project::sample().file("deploy.yaml", "version: 2\n").committed();
    let (code, screen) = Terminal::run(&project, &["check"]).ends();
    assert_eq!(code, Some(2));
    assert!(screen.contains("\u{1b}[") && screen.contains("is not known to this shipit"), "{screen}");
    let (code, screen) = Terminal::run(&project.var("NO_COLOR", "1"), &["check"]).ends();
    assert_eq!(code, Some(2));
    assert!(!screen.contains("\u{1b}[") && screen.contains("is not known to this shipit"), "{screen}");
}
