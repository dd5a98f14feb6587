//! `image: promote` and `soak`: what was tested in the environment before is what ships, byte for byte.

use serde_json::Value;

use crate::support::{Project, StandIn};

/// Sandbox and prod in one account, or prod in another one, in another region, reached by a role.
const ONE_ACCOUNT: &str = "{ branch: main, after: sandbox, image: promote }";
const OTHER_ACCOUNT: &str = "{ branch: main, after: sandbox, image: promote, aws: { region: eu-west-1, \
     account: \"210987654321\", role: \"arn:aws:iam::210987654321:role/deploy\" } }";

fn manifest(prod: &str, service: &str) -> String {
    format!(
        "version: 1\nname: sample\naws: {{ region: ap-south-1, account: \"123456789012\" }}\nenvironments:\n  \
         sandbox: {{ branch: main }}\n  prod: {prod}\nservices:\n  api:\n    repository: api-${{env}}\n{service}"
    )
}

/// The sample on `main`, and a stand-in in which both services follow the script.
fn project(prod: &str, service: &str) -> (Project, StandIn) {
    let project = Project::sample().branch("main").file("deploy.yaml", &manifest(prod, service)).committed();
    let aws = StandIn::scripted(&project, "{}");
    (project.with_aws(&aws), aws)
}

/// The same, live in sandbox. Only that needed an engine.
fn live_in_sandbox(prod: &str, service: &str) -> (Project, StandIn, String) {
    let (project, aws) = project(prod, service);
    let project = project.with_engine();
    let finished = project.shipit(&["deploy", "--env", "sandbox", "--output", "json"]).exits(0).finished();
    let digest = finished["services"][0]["digest"].as_str().expect("a digest").to_owned();
    // Whoever looks for an engine from here on finds none.
    (project.var("DOCKER_HOST", "unix:///nowhere/docker.sock"), aws, digest)
}

const PROD: [&str; 3] = ["deploy", "--env", "prod"];

#[test]
fn the_image_of_sandbox_is_copied_and_rolled_without_an_engine() {
    for prod in [ONE_ACCOUNT, OTHER_ACCOUNT] {
        let (project, _aws, digest) = live_in_sandbox(prod, "");
        let plan = project.shipit(&["deploy", "--env", "prod", "--dry-run"]).exits(0);
        plan.says(&format!("promoted from sandbox {digest} (git {})", &project.head()[..12]));
        let finished = project.shipit(&[&PROD[..], &["--output", "json"]].concat()).exits(0).finished();
        assert_eq!(finished["services"][0]["verdict"], "deployed", "{finished}");
        assert_eq!(finished["services"][0]["digest"], Value::from(digest.clone()));
    }
}
