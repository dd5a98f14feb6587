//! The approval: on a terminal a person types, in a pipeline a manual step is proven by the commit's own file.

mod asking;
mod holes;
mod proof;

use crate::support::{Project, Ran, StandIn};

/// dev takes `develop`, and prod takes `main` after a person's yes.
const MANIFEST: &str = r#"version: 1
name: sample
aws: { region: ap-south-1, account: "123456789012" }
environments:
  dev: { branch: develop }
  prod: { branch: main, approval: required }
services:
  api: { repository: "api-${env}" }
"#;

const BITBUCKET: &str = "pipelines:
  branches:
    develop:
      - step: { script: [shipit deploy] }
    main:
      - step: { script: [make test] }
      - step:
          name: production
          deployment: production
          trigger: manual
          services: [docker]
          script:
            - shipit deploy --env prod --approve
";

const GITHUB: &str = "on: { push: { branches: [main] } }
jobs:
  test: { runs-on: x, steps: [{ run: make test }] }
  production:
    environment: prod
    runs-on: x
    steps:
      - uses: actions/checkout@v6
      - run: shipit deploy --env prod --approve
";

const GITLAB: &str = "test: { script: [make test] }
production:
  rules: [{ if: '$CI_COMMIT_BRANCH == \"main\"', when: manual }]
  script: [shipit deploy --env prod --approve]
";

type Variables = &'static [(&'static str, &'static str)];

struct Pipeline {
    path: &'static str,
    file: &'static str,
    /// What the provider sets in the manual step.
    vars: Variables,
    commit: &'static str,
    by: &'static str,
}

const PIPELINES: [Pipeline; 3] = [
    Pipeline {
        path: "bitbucket-pipelines.yml",
        file: BITBUCKET,
        vars: &[
            ("BITBUCKET_BUILD_NUMBER", "7"),
            ("BITBUCKET_BRANCH", "main"),
            ("BITBUCKET_DEPLOYMENT_ENVIRONMENT", "production"),
            ("BITBUCKET_STEP_TRIGGERER_UUID", "{ada}"),
        ],
        commit: "BITBUCKET_COMMIT",
        by: "{ada}",
    },
    Pipeline {
        path: ".github/workflows/deploy.yml",
        file: GITHUB,
        vars: &[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_JOB", "production"),
            ("GITHUB_WORKFLOW_REF", "team/shop/.github/workflows/deploy.yml@refs/heads/main"),
            ("GITHUB_ACTOR", "bob"),
            ("GITHUB_TRIGGERING_ACTOR", "ada"),
        ],
        commit: "GITHUB_SHA",
        by: "ada",
    },
    Pipeline {
        path: ".gitlab-ci.yml",
        file: GITLAB,
        vars: &[
            ("GITLAB_CI", "true"),
            ("CI_COMMIT_BRANCH", "main"),
            ("CI_JOB_NAME", "production"),
            ("GITLAB_USER_LOGIN", "ada"),
        ],
        commit: "CI_COMMIT_SHA",
        by: "ada",
    },
];

/// The project with that pipeline file committed, in the manual step of a run.
fn in_step(pipeline: &Pipeline, file: &str) -> (Project, StandIn) {
    let project = Project::new()
        .file("deploy.yaml", MANIFEST)
        .file("Dockerfile", "FROM scratch\nCOPY app /app\n")
        .file("app", "one\n")
        .file(pipeline.path, file)
        .committed()
        .branch("main");
    let aws = StandIn::scripted(&project, "{}");
    let head = project.head();
    let project = project.with_aws(&aws).with_engine().var(pipeline.commit, &head);
    let project = pipeline.vars.iter().fold(project, |project, (name, value)| project.var(name, value));
    (project, aws)
}

const DEPLOY: [&str; 4] = ["deploy", "--env", "prod", "--approve"];

#[track_caller]
fn refused(ran: Ran, aws: &StandIn) -> Ran {
    let ran = ran.exits(4).says("needs a person's approval").says("hint:");
    for change in ["UpdateService", "PutImage", "InitiateLayerUpload", "RunTask", "TagResource"] {
        assert!(aws.calls(change).is_empty(), "{change} was called");
    }
    ran
}
