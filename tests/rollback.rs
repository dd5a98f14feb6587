//! The way back, through the real binary: what comes back, what is held, and what becomes of `latest` when it fails.

use std::time::Duration;

use crate::support::{Project, StandIn};

const TWO_TASKS: &str = r#"{"speed": 5, "services": {"dev/api": {"desired": 2}}}"#;

/// Two commits, deployed one after the other: the second is the bad one. Returns the digests.
fn deployed_twice(script: &str) -> (Project, StandIn, [String; 2]) {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, script);
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    let good = aws.latest("api-dev");
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy"]).exits(0);
    let bad = aws.latest("api-dev");
    assert_ne!(good, bad);
    (project, aws, [good, bad])
}

/// What `shipit status` says of dev/api.
fn status(project: &Project) -> serde_json::Value {
    let ran = project.shipit(&["status", "--env", "dev", "--output", "json"]).exits(0);
    ran.events().remove(0)
}

#[test]
fn the_previous_revision_comes_back_and_the_bad_one_is_held() {
    let (project, aws, [good, _]) = deployed_twice(TWO_TASKS);
    let bad = project.head();
    let ran = project.shipit(&["rollback", "--env", "dev", "--output", "json"]).exits(0);
    let service = &ran.finished()["services"][0];
    assert_eq!(service["verdict"], "deployed");
    assert_eq!(service["digest"], good);
    assert_eq!(aws.latest("api-dev"), good);
    assert_eq!(aws.calls("UpdateService").len(), 3);
    let now = status(&project);
    assert_eq!(now["state"], "steady");
    assert_eq!(now["digest"], good);
    assert_eq!(now["held"], bad);
    assert_eq!(now["behind"], 1);
    assert_eq!(now["recorded"], true);

    // The same commit does not come back by accident, and nothing was built or pushed for it.
    let ran = project.shipit(&["deploy"]).exits(4);
    ran.says("is held after a rollback").says("--release-hold");
    assert_eq!(aws.latest("api-dev"), good);
    assert_eq!(aws.calls("UpdateService").len(), 3);
    // On purpose it does, and then nothing is held.
    project.shipit(&["deploy", "--release-hold"]).exits(0);
    assert_eq!(status(&project)["held"], serde_json::Value::Null);
}

#[test]
fn the_next_commit_ends_the_hold_and_says_so() {
    let (project, _aws, [good, _]) = deployed_twice(TWO_TASKS);
    project.shipit(&["rollback", "--env", "dev"]).exits(0).says(&good);
    let project = project.file("app", "three\n").committed();
    project.shipit(&["deploy"]).exits(0).says("ends the hold");
    let now = status(&project);
    assert_eq!(now["held"], serde_json::Value::Null);
    assert_eq!(now["revision"], project.head());
    // What ran before is what the rollback had brought, not what it took away.
    let ran = project.shipit(&["rollback", "--env", "dev", "--dry-run", "--output", "json"]).exits(0);
    assert_eq!(ran.finished()["services"][0]["digest"], good);
}

#[test]
fn a_second_rollback_goes_further_back() {
    let (project, aws, [one, two]) = deployed_twice(TWO_TASKS);
    let project = project.file("app", "three\n").committed();
    project.shipit(&["deploy"]).exits(0);
    project.shipit(&["rollback", "--env", "dev"]).exits(0);
    assert_eq!(aws.latest("api-dev"), two);
    project.shipit(&["rollback", "--env", "dev"]).exits(0);
    assert_eq!(aws.latest("api-dev"), one);
    project.shipit(&["rollback", "--env", "dev"]).exits(4).says("nothing is known to have run before").says("--to");
}

#[test]
fn a_dry_run_changes_nothing() {
    let (project, aws, [_, bad]) = deployed_twice(TWO_TASKS);
    let before = ["UpdateService", "PutImage", "TagResource", "UntagResource"].map(|call| aws.calls(call).len());
    project.shipit(&["rollback", "--env", "dev", "--dry-run"]).exits(0).says("planned").says("is held");
    let after = ["UpdateService", "PutImage", "TagResource", "UntagResource"].map(|call| aws.calls(call).len());
    assert_eq!(before, after);
    assert_eq!(aws.latest("api-dev"), bad);
}

#[test]
fn a_revision_is_named_by_commit_tag_or_digest() {
    let (project, aws, [one, two]) = deployed_twice(TWO_TASKS);
    let second = project.head();
    let first = project.git(&["rev-parse", "HEAD~1"]).trim().to_owned();
    let back = |to: &str| project.shipit(&["rollback", "--env", "dev", "--to", to]);
    back(&first[..8]).exits(0).says("deployed");
    assert_eq!(aws.latest("api-dev"), one);
    back(&format!("git-{}", &second[..12])).exits(0).says("deployed");
    assert_eq!(aws.latest("api-dev"), two);
    back(&one).exits(0).says("deployed");
    assert_eq!(aws.latest("api-dev"), one);
    let rolls = aws.calls("UpdateService").len();
    back(&one).exits(0).says("unchanged").says("runs already");
    back("0123456789").exits(4).says("no image in the repository is of `0123456789`").says("hint:");
    back("latest").exits(4).says("`latest`");
    assert_eq!(aws.calls("UpdateService").len(), rolls);
}

#[test]
fn when_it_fails_latest_is_what_runs_and_nothing_is_held() {
    let script = r#"{"speed": 5, "services": {"dev/api": {"breaker": {"enable": false}, "deployments": [
        {}, {}, {"tasks": [{"healthy_after_ms": 60000, "exit": {"after_ms": 500, "code": 3}}]}]}}}"#;
    let (project, aws, [_, bad]) = deployed_twice(script);
    let ran = project.shipit(&["rollback", "--env", "dev", "--output", "json"]).exits(8);
    let service = &ran.finished()["services"][0];
    assert_eq!(service["verdict"], "rollout-failed");
    assert!(service["reason"].as_str().expect("a reason").contains("exit code 3"), "{service}");
    assert_eq!(aws.latest("api-dev"), bad);
    assert_eq!(status(&project)["held"], serde_json::Value::Null);
}

#[test]
fn a_rollout_in_flight_is_stopped_first() {
    let script = r#"{"speed": 5, "services": {"dev/api": {"deployments": [
        {}, {"tasks": [{"pending_ms": 6000000}]}, {}]}}}"#;
    let project = Project::sample();
    let aws = StandIn::scripted(&project, script);
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    let good = aws.latest("api-dev");
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy", "--timeout", "2s"]).exits(9);
    assert_ne!(aws.latest("api-dev"), good);
    let bad = project.head();
    project.shipit(&["rollback", "--env", "dev"]).exits(0).says("is stopped").says("deployed").says(&good);
    assert_eq!(aws.calls("StopServiceDeployment").len(), 1);
    assert_eq!(aws.latest("api-dev"), good);
    assert_eq!(status(&project)["held"], bad);
}

#[test]
fn without_the_permissions_for_the_past_it_goes_by_what_it_recorded() {
    let script = r#"{"speed": 5, "deny": ["ecs:ListServiceDeployments", "ecs:DescribeServiceRevisions"],
        "services": {"dev/api": {}}}"#;
    let (project, aws, [good, _]) = deployed_twice(script);
    let ran = project.shipit(&["rollback", "--env", "dev"]).exits(0);
    ran.says("not all is known").says("ecs:ListServiceDeployments");
    assert_eq!(aws.latest("api-dev"), good);
}

#[test]
fn an_interrupted_rollback_holds_and_is_taken_up_by_wait() {
    let script = r#"{"services": {"dev/api": {"deployments": [{}, {}, {"tasks": [{"pending_ms": 3000}]}]}}}"#;
    let (project, aws, [good, _]) = deployed_twice(script);
    let bad = project.head();
    let mut run = project.start(&["rollback", "--env", "dev"]);
    while aws.calls("UpdateService").len() < 3 {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(300));
    crate::support::interrupt(run.id());
    assert_eq!(run.wait().expect("it ends").code(), Some(130));
    project.shipit(&["wait", "--env", "dev"]).exits(0).says("deployed").says(&good);
    let now = status(&project);
    assert_eq!(now["held"], bad);
    assert_eq!(now["recorded"], true);
    assert_eq!(aws.calls("UpdateService").len(), 3, "wait starts nothing");
}

#[test]
fn an_approval_is_asked_for_and_the_receipt_says_whose() {
    let (project, aws, [good, bad]) = deployed_twice(TWO_TASKS);
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let guarded = manifest.replace("{ branch: develop }", "{ branch: develop, approval: required }");
    let project = project.file("deploy.yaml", &guarded);
    project.shipit(&["rollback", "--env", "dev"]).exits(4).says("approval").says("hint:");
    assert_eq!(aws.latest("api-dev"), bad);
    let workflow = "on: { workflow_dispatch: {} }\njobs:\n  back:\n    environment: guarded\n    steps:\n      \
                    - run: shipit rollback --env dev --approve\n";
    let project = project.file(".github/workflows/back.yml", workflow).committed();
    let project = project.var("GITHUB_ACTIONS", "true").var("GITHUB_ACTOR", "ann").var("GITHUB_JOB", "back");
    let project = project.var("GITHUB_WORKFLOW_REF", "o/n/.github/workflows/back.yml@refs/heads/develop");
    let project = project.run_for_head("GITHUB_SHA");
    project.shipit(&["rollback", "--env", "dev", "--approve", "--receipt", "receipt.json"]).exits(0);
    let receipt = std::fs::read_to_string(project.path("receipt.json")).expect("a receipt");
    let receipt: serde_json::Value = serde_json::from_str(&receipt).expect("JSON");
    assert_eq!(receipt["command"], "rollback");
    assert_eq!(receipt["environment"], "dev");
    assert_eq!(receipt["approved_by"], "ann");
    assert_eq!(receipt["ci"]["actor"], "ann");
    assert_eq!(receipt["exit_code"], 0);
    assert_eq!(receipt["services"][0]["digest"], good);
    assert_eq!(receipt["services"][0]["previous_digest"], bad);
    assert!(receipt["identity"].as_str().expect("an ARN").starts_with("arn:aws:"), "{receipt}");
}
