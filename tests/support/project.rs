//! A git repository with a deploy.yaml, in a folder of its own, and the ways to run shipit in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Ran, SHIPIT, StandIn};

#[must_use]
pub(crate) struct Project {
    folder: tempfile::TempDir,
    vars: Vec<(String, String)>,
}

impl Project {
    /// An empty git repository on the branch `develop`.
    pub(crate) fn new() -> Self {
        let project = Self { folder: tempfile::tempdir().expect("a folder"), vars: Vec::new() };
        project.git(&["init", "--quiet", "--initial-branch", "develop"]);
        project
    }

    /// A project with one service `api` in the environments dev, sandbox and prod, and an image without a base.
    pub(crate) fn sample() -> Self {
        Self::new()
            .file("deploy.yaml", SAMPLE)
            .file("Dockerfile", "FROM scratch\nCOPY app /app\n")
            .file("app", "one\n")
            .committed()
    }

    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, text).expect("a file");
        self
    }

    pub(crate) fn committed(self) -> Self {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "Change something"]);
        self
    }

    pub(crate) fn branch(self, name: &str) -> Self {
        self.git(&["checkout", "--quiet", "-B", name]);
        self
    }

    /// A variable of the process, for every run from here on.
    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The runs from here on are a pipeline's for the commit that is checked out now, by the variable of its provider.
    pub(crate) fn run_for_head(self, variable: &str) -> Self {
        let head = self.head();
        self.var(variable, &head)
    }

    /// Every run from here on talks to this stand-in as if it were AWS.
    pub(crate) fn with_aws(self, stand_in: &StandIn) -> Self {
        self.var("AWS_ENDPOINT_URL", stand_in.endpoint())
            .var("AWS_ACCESS_KEY_ID", stand_in.access_key())
            .var("AWS_SECRET_ACCESS_KEY", stand_in.secret_key())
    }

    /// Every run from here on uses the tests' Docker Engine.
    pub(crate) fn with_engine(self) -> Self {
        self.var("DOCKER_HOST", &super::engine())
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The full hash of HEAD.
    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub(crate) fn shipit(&self, args: &[&str]) -> Ran {
        self.command(args).output().expect("shipit runs").into()
    }

    /// The same, still running: for the tests that interrupt it.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("shipit starts")
    }

    /// The environment is made from nothing, so that the machine's own CI, AWS and Docker variables have no say.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(SHIPIT);
        command
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path().join(".home"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.vars.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .arg("-C")
            .arg(self.folder.path())
            .args(["-c", "user.name=A Developer", "-c", "user.email=dev@example.com", "-c", "commit.gpgsign=false"])
            .args(args)
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("git speaks UTF-8")
    }
}

const SAMPLE: &str = r#"version: 1
name: sample
aws:
  region: ap-south-1
  account: "123456789012"
environments:
  dev: { branch: develop }
  sandbox: { branch: main }
  prod: { branch: main, after: sandbox, approval: required }
services:
  api:
    repository: api-${env}
    environments:
      prod: { repository: api }
"#;
