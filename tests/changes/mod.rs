//! What changed: the traps of git on real repositories, the filter of a deploy, what `shipit changed` says, and what holds
//! for any files and patterns.

mod deploy;
mod git;
mod properties;

use serde_json::Value;

use crate::support::{Project, Ran, StandIn};

/// Two services with folders of their own, and one with the default: its build context.
const MANIFEST: &str = r#"version: 1
name: shop
aws: { region: ap-south-1, account: "123456789012" }
environments:
  dev: { branch: develop }
  prod: { branch: main, approval: required }
services:
  api: { context: api, paths: [api/**, libs/**, vend/**], ignore: ["**/*.md"], repository: "api-${env}" }
  web: { context: web, repository: "web-${env}" }
"#;

const DOCKERFILE: &str = "FROM scratch\nCOPY app /app\n";

fn shop() -> Project {
    Project::new()
        .file("deploy.yaml", MANIFEST)
        .file("api/Dockerfile", DOCKERFILE)
        .file("api/app", "one\n")
        .file("libs/x/l", "lib\n")
        .file("web/Dockerfile", DOCKERFILE)
        .file("web/app", "one\n")
        .file("web/.dockerignore", "notes\n")
        .file("README.md", "words\n")
        .committed()
}

/// What `changed` says of the services, against this base.
fn rows(project: &Project, base: &str, more: &[&str]) -> Vec<Value> {
    let args = [&["changed", "--env", "dev", "--base", base, "--output", "json"], more].concat();
    project.shipit(&args).exits(0).events()
}

/// The services that changed since the commit before.
fn changed(project: &Project) -> Vec<String> {
    changed_since(project, "HEAD~1")
}

fn changed_since(project: &Project, base: &str) -> Vec<String> {
    let rows = rows(project, base, &[]);
    let changed = rows.iter().filter(|row| row["changed"] == true);
    changed.map(|row| row["service"].as_str().expect("a name").to_owned()).collect()
}

fn commit(project: &Project) {
    project.git(&["add", "--all"]);
    project.git(&["commit", "--quiet", "--message", "Change something"]);
}

/// A clone of the newest commit alone.
fn shallow(project: &Project) -> Project {
    let url = format!("file://{}", project.folder().display());
    project.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let clone = Project::new();
    clone.git(&["remote", "add", "origin", &url]);
    clone.git(&["fetch", "--quiet", "--depth=1", "origin", "develop"]);
    clone.git(&["checkout", "--quiet", "-B", "develop", "FETCH_HEAD"]);
    clone
}
