//! A project that is deployed to this machine with `--local`: its containers are real, and are gone when it is.

use std::path::PathBuf;

use super::{Project, Ran, docker, with_base_image};

pub(crate) struct OnThisMachine {
    pub(crate) project: Project,
    state: tempfile::TempDir,
}

impl OnThisMachine {
    /// The sample of this repository: one service `api` that serves a page with its commit on it.
    pub(crate) fn sample() -> Self {
        Self::of(SAMPLE)
    }

    /// The same page with this deploy.yaml.
    pub(crate) fn of(manifest: &str) -> Self {
        with_base_image();
        let state = tempfile::tempdir().expect("a folder");
        let project = Project::new()
            .file("deploy.yaml", manifest)
            .file("api/Dockerfile", include_str!("../sample/api/Dockerfile"))
            .file("api/index.html", include_str!("../sample/api/index.html"))
            .committed()
            .with_engine()
            .var("XDG_STATE_HOME", state.path().to_str().expect("UTF-8"));
        Self { project, state }
    }

    /// Changes a file and commits it.
    pub(crate) fn changed(mut self, path: &str, text: &str) -> Self {
        self.change(path, text);
        self
    }

    pub(crate) fn change(&mut self, path: &str, text: &str) {
        std::fs::write(self.project.path(path), text).expect("a file");
        self.project.git(&["commit", "--quiet", "--all", "--message", "Change something"]);
    }

    #[track_caller]
    pub(crate) fn deploy(&self) -> Ran {
        self.project.shipit(&["deploy", "--local", "--output", "json"])
    }

    /// The URL of the one service after a deploy that went well.
    #[track_caller]
    pub(crate) fn url(&self) -> String {
        let finished = self.deploy().exits(0).finished();
        finished["services"][0]["url"].as_str().unwrap_or_else(|| panic!("{finished}")).to_owned()
    }

    /// The folder that keeps the stand-in's state.
    pub(crate) fn state(&self) -> PathBuf {
        let kept = std::fs::read_dir(self.state.path().join("shipit/local")).expect("a state");
        let folders: Vec<PathBuf> = kept.map(|entry| entry.expect("a folder").path()).collect();
        assert_eq!(folders.len(), 1, "one project, one state: {folders:?}");
        folders[0].clone()
    }

    /// The label that every container of this state has.
    pub(crate) fn label(&self) -> String {
        let state = std::fs::read(self.state().join("state.json")).expect("a state");
        let state: serde_json::Value = serde_json::from_slice(&state).expect("JSON");
        format!("shipit.local={}", state["id"].as_str().expect("an id"))
    }

    /// The ids of its containers, those that run and those that do not.
    pub(crate) fn containers(&self) -> Vec<String> {
        let filter = format!("label={}", self.label());
        docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]).lines().map(str::to_owned).collect()
    }
}

impl Drop for OnThisMachine {
    fn drop(&mut self) {
        let _ = self.project.command(&["local", "reset"]).output();
    }
}

const SAMPLE: &str = r"version: 1
name: sample
aws: { region: ap-south-1 }
environments:
  dev: { branch: develop }
services:
  api:
    context: api
    build_args: { COMMIT: '${commit}' }
    repository: api-${env}
";
