//! `status`, `wait` and `history`, and the receipt of a deploy, through the real binary.

use std::io::Read as _;
use std::time::Duration;

use crate::support::{Project, Ran, StandIn, interrupt};

fn deploying(script: &str) -> (Project, StandIn) {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, script);
    (project.with_aws(&aws).with_engine(), aws)
}

fn rows(ran: &Ran) -> Vec<serde_json::Value> {
    ran.events()
}

#[test]
fn what_runs_where_from_which_commit() {
    let (project, aws) = deploying(r#"{"speed": 5, "services": {"dev/api": {"desired": 2}}}"#);
    project.shipit(&["deploy"]).exits(0);
    let deployed = project.head();
    let project = project.file("app", "two\n").committed().file("app", "three\n").committed();
    let ran = project.shipit(&["status", "--env", "dev", "--output", "json"]).exits(0);
    let row = &rows(&ran)[0];
    assert_eq!(row["event"], "status");
    assert_eq!(row["state"], "steady");
    assert_eq!(row["revision"], deployed);
    assert_eq!(row["subject"], "Change something");
    assert_eq!(row["author"], "A Developer");
    assert_eq!(row["digest"], aws.latest("api-dev"));
    assert_eq!(row["latest_runs"], true);
    assert_eq!(row["behind"], 2);
    assert_eq!((&row["running"], &row["desired"]), (&2.into(), &2.into()));
    assert!(row["deployed_by"].as_str().expect("an ARN").starts_with("arn:aws:"), "{row}");
    let ran = project.shipit(&["status"]).exits(0);
    ran.says("sandbox").says("prod").says(&deployed[..12]);
    for change in ["PutImage", "TagResource", "UpdateService"] {
        assert!(aws.calls(change).len() <= 1, "{change} was called by a look");
    }
}

#[test]
fn an_environment_that_cannot_be_read_hides_no_other() {
    let (project, _aws) = deploying(r#"{"services": {"dev/api": {}}}"#);
    project.shipit(&["deploy"]).exits(0);
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let manifest =
        manifest.replace("sandbox: { branch: main }", "sandbox: { branch: main, aws: { account: \"999999999999\" } }");
    let project = project.file("deploy.yaml", &manifest);
    let ran = project.shipit(&["status"]).exits(4);
    ran.says("steady").says("account 123456789012").says("999999999999").says("hint:");
    project.shipit(&["status", "--env", "nowhere"]).exits(2).says("nowhere");
}

#[test]
fn a_refused_read_takes_away_a_part_only() {
    let (project, _aws) = deploying(r#"{"deny": ["ecs:ListTagsForResource"], "services": {"dev/api": {}}}"#);
    project.shipit(&["deploy", "--all"]).exits(0);
    let ran = project.shipit(&["status", "--env", "dev"]).exits(0);
    // The image's own tag still says which commit it is of.
    ran.says("steady").says("its tags could not be read").says(&project.head()[..12]);
}

#[test]
fn a_rollout_that_only_fails_is_told_with_its_reason() {
    let script = r#"{"speed": 5, "services": {"dev/api": {"breaker": {"enable": false}, "deployments": [
        {}, {"tasks": [{"healthy_after_ms": 60000, "exit": {"after_ms": 500, "code": 3}}]}]}}}"#;
    let (project, aws) = deploying(script);
    project.shipit(&["deploy"]).exits(0);
    let good = aws.latest("api-dev");
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy"]).exits(8);
    let ran = project.shipit(&["status", "--env", "dev"]).exits(0);
    ran.says("failing").says("exit code 3");
    assert_eq!(aws.latest("api-dev"), good);
}

#[test]
fn a_watch_prints_what_changed_until_it_is_interrupted() {
    let (project, _aws) = deploying(r#"{"speed": 5, "services": {"dev/api": {}}}"#);
    let mut watch = project.start(&["status", "--env", "dev", "--watch", "--output", "json"]);
    std::thread::sleep(Duration::from_secs(1));
    project.shipit(&["deploy"]).exits(0);
    std::thread::sleep(Duration::from_secs(6));
    interrupt(watch.id());
    assert_eq!(watch.wait().expect("it ends").code(), Some(0));
    let mut said = String::new();
    watch.stdout.take().expect("stdout").read_to_string(&mut said).expect("text");
    let rows: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert!(rows.len() >= 2, "{said}");
    assert_eq!(rows[0]["revision"], serde_json::Value::Null);
    assert_eq!(rows.last().expect("a row")["revision"], project.head());
}

#[test]
fn wait_proves_what_nobody_watched_and_writes_it_down() {
    let script = r#"{"services": {"dev/api": {"deployments": [{"tasks": [{"pending_ms": 1500}]}]}}}"#;
    let (project, aws) = deploying(script);
    project.shipit(&["deploy", "--no-wait"]).exits(0).says("started");
    let ran = project.shipit(&["wait", "--env", "dev", "--output", "json"]).exits(0);
    let service = &ran.finished()["services"][0];
    assert_eq!(service["verdict"], "deployed");
    assert_eq!(service["digest"], aws.latest("api-dev"));
    assert_eq!(service["revision"], project.head());
    let ran = project.shipit(&["status", "--env", "dev", "--output", "json"]).exits(0);
    assert_eq!(rows(&ran)[0]["recorded"], true);
    // With nothing in flight it is proven at once, and nothing is rolled.
    project.shipit(&["wait", "--env", "dev"]).exits(0).says("deployed");
    assert_eq!(aws.calls("UpdateService").len(), 1);
}

#[test]
fn wait_has_the_verdicts_of_a_deploy() {
    let pending = r#"{"services": {"dev/api": {"deployments": [{"tasks": [{"pending_ms": 600000}]}]}}}"#;
    let (project, _aws) = deploying(pending);
    project.shipit(&["deploy", "--no-wait"]).exits(0);
    project.shipit(&["wait", "--env", "dev", "--timeout", "2s"]).exits(9).says("timed-out").says("hint:");

    let crashing = r#"{"speed": 5, "services": {"dev/api": {"deployments": [
        {"tasks": [{"healthy_after_ms": 60000, "exit": {"after_ms": 500, "code": 3}}]}]}}}"#;
    let (project, aws) = deploying(crashing);
    project.shipit(&["deploy", "--no-wait"]).exits(0);
    let latest = aws.latest("api-dev");
    project.shipit(&["wait", "--env", "dev"]).exits(8).says("rollout-failed").says("exit code 3");
    assert_eq!(aws.latest("api-dev"), latest, "wait moves nothing");

    let other = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let (project, _aws) =
        deploying(&format!(r#"{{"services": {{"dev/api": {{"deployments": [{{"digest": "{other}"}}]}}}}}}"#));
    project.shipit(&["deploy", "--no-wait"]).exits(0);
    project.shipit(&["wait", "--env", "dev"]).exits(10).says("not-proven").says(other);

    let (project, _aws) = deploying(r#"{"services": {"dev/api": {"status": "MISSING"}}}"#);
    project.shipit(&["wait", "--env", "dev"]).exits(7).says("does not exist");
}

#[test]
fn history_joins_pushes_and_deployments() {
    let script = r#"{"speed": 4, "services": {"dev/api": {
        "breaker": {"enable": true, "rollback": true}, "deployments": [
        {}, {"tasks": [{"healthy_after_ms": 60000, "exit": {"after_ms": 500, "code": 1}}]}, {}]}}}"#;
    let (project, aws) = deploying(script);
    project.shipit(&["deploy"]).exits(0);
    let first = project.head();
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy", "--fail-fast", "false"]).exits(8);
    let second = project.head();
    let ran = project.shipit(&["history", "--env", "dev", "--output", "json"]).exits(0);
    let told = rows(&ran);
    assert_eq!(told[0]["event"], "release");
    let of = |revision: &str| told.iter().find(|row| row["revision"] == revision).expect("it is told").clone();
    assert_eq!(of(&second)["state"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(of(&second)["runs"], false);
    assert_eq!(of(&first)["state"], "SUCCESSFUL");
    assert_eq!(of(&first)["digest"], aws.latest("api-dev"));
    assert_eq!(told.iter().filter(|row| row["runs"] == true).count(), 1);
    let ran = project.shipit(&["history", "--env", "dev", "--limit", "1", "--output", "json"]).exits(0);
    assert_eq!(rows(&ran).len(), 1);
}

#[test]
fn history_without_permission_for_deployments_shows_the_pushes() {
    let (project, _aws) = deploying(r#"{"deny": ["ecs:ListServiceDeployments"], "services": {"dev/api": {}}}"#);
    project.shipit(&["deploy"]).exits(0);
    let ran = project.shipit(&["history", "--env", "dev"]).exits(0);
    ran.says("pushed (runs)").says(&project.head()[..12]).says("ecs:ListServiceDeployments");
}

#[test]
fn a_deploy_leaves_a_receipt_and_a_failed_one_too() {
    let script = r#"{"speed": 5, "services": {"dev/api": {"breaker": {"enable": false}, "deployments": [
        {}, {"tasks": [{"healthy_after_ms": 60000, "exit": {"after_ms": 500, "code": 3}}]}]}}}"#;
    let (project, aws) = deploying(script);
    let receipt = |project: &Project| -> serde_json::Value {
        let text = std::fs::read_to_string(project.path("receipt.json")).expect("a receipt");
        serde_json::from_str(&text).expect("JSON")
    };
    project.shipit(&["deploy", "--receipt", "receipt.json"]).exits(0);
    let good = aws.latest("api-dev");
    let first = receipt(&project);
    assert_eq!(first["revision"], project.head());
    assert_eq!(first["branch"], "develop");
    assert_eq!(first["services"][0]["verdict"], "deployed");
    assert_eq!(first["services"][0]["digest"], good);
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy", "--receipt", "receipt.json"]).exits(8);
    let second = receipt(&project);
    assert_eq!(second["exit_code"], 8);
    assert_eq!(second["services"][0]["verdict"], "rollout-failed");
    assert_eq!(second["services"][0]["previous_digest"], good);
    project.shipit(&["deploy", "--receipt", "nowhere/receipt.json"]).exits(2).says("receipt").says("hint:");
}
