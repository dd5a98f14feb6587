//! What is found in the way before anything is built, beside the branch, the account and the approval.

use crate::support::{Project, StandIn};

fn deploying(script: &str) -> (Project, StandIn) {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, script);
    (project.with_aws(&aws).with_engine(), aws)
}

fn manifest(project: &Project, from: &str, to: &str) -> String {
    let text = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    assert!(text.contains(from), "{text}");
    text.replace(from, to)
}

#[test]
fn an_image_for_another_architecture_than_the_service_runs_on() {
    let (project, aws) = deploying(r#"{"services": {"dev/api": {}}}"#);
    let text =
        manifest(&project, "    repository: api-${env}", "    platform: linux/arm64\n    repository: api-${env}");
    let project = project.file("deploy.yaml", &text).committed();
    let ran = project.shipit(&["deploy"]).exits(4);
    ran.says("LINUX/X86_64").says("built for linux/arm64").says("runtimePlatform").says("refused");
    assert!(aws.calls("GetAuthorizationToken").is_empty(), "it went on to the push");
}

#[test]
fn a_repository_that_does_not_let_latest_be_moved() {
    let (project, aws) = deploying(r#"{"services": {"dev/api": {}}}"#);
    project.shipit(&["deploy"]).exits(0);
    let target = "AmazonEC2ContainerRegistry_V20150921.PutImageTagMutability";
    let input = serde_json::json!({"repositoryName": "api-dev", "imageTagMutability": "IMMUTABLE"});
    aws.aws("ecr", target, &input);
    let project = project.file("app", "two\n").committed();
    let ran = project.shipit(&["deploy"]).exits(6);
    ran.says("does not let the tag `latest` be moved").says("IMMUTABLE_WITH_EXCLUSION").says("refused");
    assert_eq!(aws.calls("UpdateService").len(), 1);
}

#[test]
fn a_commits_tag_that_is_there_and_cannot_be_moved_stays_as_it_is() {
    let (project, aws) = deploying(r#"{"services": {"dev/api": {}}}"#);
    project.shipit(&["deploy"]).exits(0);
    let target = "AmazonEC2ContainerRegistry_V20150921.PutImageTagMutability";
    let filters = serde_json::json!([{"filterType": "WILDCARD", "filter": "latest"}]);
    let input = serde_json::json!({
        "repositoryName": "api-dev", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": filters,
    });
    aws.aws("ecr", target, &input);
    let again = project.shipit(&["deploy", "api"]).exits(0);
    again.says("is in the repository already and stays as it is").says("deployed");
}

#[test]
fn restore_latest_false_leaves_the_tag_and_says_so() {
    let script = r#"{"services": {"dev/api": {"breaker": {"enable": false}, "deployments": [
        {}, {"tasks": [{"healthy_after_ms": 60000, "exit": {"after_ms": 300, "code": 3}}]}]}}}"#;
    let (project, aws) = deploying(script);
    let text = manifest(&project, "{ branch: develop }", "{ branch: develop, restore_latest: false }");
    let project = project.file("deploy.yaml", &text).committed();
    project.shipit(&["deploy"]).exits(0);
    let good = aws.latest("api-dev");
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy"]).exits(8).says("`latest` stays on the new image (restore_latest: false)");
    assert_ne!(aws.latest("api-dev"), good);
}
