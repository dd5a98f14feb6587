//! `shipit check` on pipeline files: the README's sample is good, and every single fault in it is told with its line.

use crate::support::{Project, Ran};

/// The first block of YAML below this text of the README.
fn of_readme(below: &str) -> String {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once(below).expect("the text of the README");
    let (_, rest) = rest.split_once("```yaml\n").expect("a block");
    rest.split_once("```").expect("its end").0.to_owned()
}

fn sample() -> String {
    of_readme("`bitbucket-pipelines.yml`:")
}

fn project() -> Project {
    Project::new()
        .file("deploy.yaml", &of_readme("## deploy.yaml"))
        .file("Dockerfile", "FROM scratch AS runtime\nCOPY app /app\n")
        .file("app", "one\n")
}

fn checked(path: &str, text: &str) -> Ran {
    project().file(path, text).committed().shipit(&["check"])
}

#[test]
fn the_sample_of_the_readme_is_good() {
    let ran = checked("bitbucket-pipelines.yml", &sample()).exits(0);
    ran.says("nothing is wrong: 1 service in dev, beta, sandbox, prod").never_says("warning");
}

/// What a step runs in the place of `shipit …`: its script; what is said of that line; the exit code.
type Script = (&'static str, &'static str, i32);

/// In the step of a pull request.
const CHECK: &[Script] = &[
    ("shipit run --env prod api --approve -- ./x", "starts by itself", 2),
    ("bash -c 'shipit run --env prod api --approve -- ./x'", "starts by itself", 2),
    ("docker run --rm registry/shipit:1 rollback --env prod --approve", "starts by itself", 2),
    ("shipit deploy $FLAGS", "a variable decides where it goes", 2),
    ("$COMMAND", "a variable decides what `$COMMAND` runs", 2),
    ("eval \"$X\"", "nobody can tell what", 2),
    ("bash deploy.sh", "runs deploy.sh, which speaks of shipit", 2),
    ("shipit check --env stagin", "there is no environment `stagin`", 2),
    ("shipit deploy --env dev", "a pull request's run never deploys", 2),
    ("shipit deploy --environment dev --dry-run", "--environment", 2),
    ("shipit rollback --dry-run", "required", 2),
];

/// In the step of `dev`: a failure that is not seen.
const DEV: &[Script] = &[
    ("shipit deploy || true", "`||` takes its failure away", 2),
    ("set +e, shipit deploy, echo done", "`set +e` takes its failure away", 2),
    ("shipit deploy && echo done", "`&&` takes its failure away", 2),
    ("shipit deploy | tee log", "`a pipe` takes its failure away", 2),
    ("shipit deploy &", "`&` takes its failure away", 2),
    ("\"if shipit deploy; then echo; fi\"", "`if` takes its failure away", 0),
];

/// What is edited in the sample: from, to; what is said of it; the text of the line it is said of; the exit code.
type Broken = (&'static str, &'static str, &'static str, &'static str, i32);

const PROD: &str = "script: [shipit deploy --env prod --approve]";

const BROKEN: &[Broken] = &[
    // Production without a person.
    ("          trigger: manual              # a person presses the button\n", "", "starts by itself", PROD, 2),
    ("trigger: manual ", "trigger: automatic ", "starts by itself", PROD, 2),
    ("trigger: manual ", "trigger: manaul ", "starts by itself", PROD, 2),
    ("deploy --env prod --approve", "deploy --env prod", "will be refused", "script: [shipit deploy --env prod]", 2),
    (
        "name: dev, deployment: dev, oidc: true, services: [docker], script: [shipit deploy]",
        "name: dev, deployment: dev, oidc: true, services: [docker], script: [shipit rollback --env prod --approve]",
        "starts by itself",
        "shipit rollback --env prod --approve",
        2,
    ),
    (
        "    main:\n      - step: { name: sandbox, deployment: sandbox, oidc: true, services: [docker], script: [shipit deploy] }\n",
        "    main:\n",
        "the first step of a pipeline cannot be manual",
        "trigger: manual",
        2,
    ),
    ("deployment: production", "deployment: sandbox", "stands under `sandbox`", "deployment: sandbox\n", 0),
    ("--env prod --approve", "--env prod --approve --any-branch", "lets every branch into `prod`", "--any-branch", 0),
    // What nobody can tell.
    ("deploy --env prod --approve", "deploy --env $TARGET --approve", "a variable decides where it goes", "$TARGET", 0),
    (
        "  pull-requests:\n",
        "  custom:\n    more: { import: shared:main:deploy }\n  pull-requests:\n",
        "imported from `shared:main:deploy`",
        "import:",
        0,
    ),
    // The wrong place.
    ("    develop:\n", "    main-2:\n", "no environment takes the branch `main-2`", "name: dev,", 2),
    ("    develop:\n", "    devlop:\n", "did you mean `develop`?", "name: dev,", 2),
    (
        "name: beta, deployment: beta, oidc: true, services: [docker], script: [shipit deploy]",
        "name: beta, deployment: beta, oidc: true, services: [docker], script: [shipit deploy --env dev]",
        "the wrong branch: it is started by `beta`, and only `develop` goes to `dev`",
        "name: beta",
        2,
    ),
    (
        "deploy --env prod --approve",
        "deploy --env production --approve",
        "there is no environment `production`",
        "--env production",
        2,
    ),
    ("deploy --env prod --approve", "deploy --env prdo --approve", "did you mean `prod`?", "--env prdo", 2),
    (
        "  pull-requests:\n    \"**\":\n      - step: { name: check, script: [shipit check] }",
        "  tags:\n    \"v*\":\n      - step: { name: tag, services: [docker], script: [shipit deploy] }",
        "a tag's run has no branch",
        "name: tag",
        2,
    ),
    (
        "  pull-requests:\n    \"**\":\n      - step: { name: check, script: [shipit check] }",
        "  default:\n    - step: { name: any, services: [docker], script: [shipit deploy] }",
        "any branch starts it",
        "name: any",
        0,
    ),
    // The command line.
    ("deploy --env prod --approve", "deploy --env prod --aprove", "--aprove", "--aprove", 2),
    // A failure that is not seen.
    (
        "script: [shipit deploy] }\n    beta",
        "script: [make], after-script: [shipit deploy] }\n    beta",
        "`after-script` takes its failure away",
        "after-script",
        2,
    ),
    // What the step gives to a deploy.
    (
        "oidc: true, services: [docker], script: [shipit deploy] }\n    beta",
        "oidc: true, script: [shipit deploy] }\n    beta",
        "no Docker service to build with",
        "name: dev",
        0,
    ),
    ("memory: 3072", "memory: 1024", "Docker has 1024 MB", "memory: 1024", 0),
    ("memory: 3072", "memory: 7128", "Docker cannot have 7128 MB", "memory: 7128", 2),
    (
        "definitions:\n  services:\n    docker: { memory: 3072 }\n\n",
        "",
        "Docker has 1024 MB where the file does not say",
        "name: dev",
        0,
    ),
    ("          oidc: true\n", "", "takes the role arn:aws:iam::210987654321:role/deploy", "- step:\n", 0),
    ("options:\n  max-time: 60\n\n", "", "nothing bounds the time of `dev`", "name: dev", 0),
    ("definitions:\n", "clone: { enabled: false }\n\ndefinitions:\n", "no approval can be proven", "clone:", 2),
    ("definitions:\n", "clone: { depth: 1 }\n\ndefinitions:\n", "clones one commit", "clone:", 0),
    (
        "name: dev, deployment: dev,",
        "name: dev, deployment: dev, condition: { changesets: { includePaths: [\"api/**\"] } },",
        "may skip a deploy of `dev` that is needed",
        "changesets",
        0,
    ),
    ("pipelines:\n", "pipelines: [\n", "this is no YAML", "", 2),
];

/// The sample with one edit, and what has to be said of the first line that holds `at`.
#[track_caller]
fn told(from: &str, to: &str, said: &str, at: &str, code: i32) {
    let good = sample();
    assert!(good.contains(from), "{from}");
    let broken = good.replacen(from, to, 1);
    let project = project().file("deploy.sh", "shipit deploy --env prod --approve\n");
    let ran = project.file("bitbucket-pipelines.yml", &broken).committed().shipit(&["check"]);
    let everything = ran.everything();
    assert_eq!(ran.code, Some(code), "{to}: {everything}");
    let told = everything.lines().any(|line| line.contains(said));
    assert!(told, "{to}: `{said}` is not said\n{everything}");
    if !at.is_empty() {
        let number = broken[..broken.find(at).expect("the line")].matches('\n').count() + 1;
        let place = format!("bitbucket-pipelines.yml:{number}: ");
        assert!(everything.contains(&place), "{to}: not at {place}\n{everything}");
    }
}

#[test]
fn every_fault_in_it_is_told_with_its_line() {
    assert!(BROKEN.len() + CHECK.len() + DEV.len() >= 40);
    for (from, to, said, at, code) in BROKEN {
        told(from, to, said, at, *code);
    }
    for (script, said, code) in CHECK {
        let step = format!("script: [{script}]");
        told("script: [shipit check]", &step, said, &step, *code);
    }
    for (script, said, code) in DEV {
        let step = format!("script: [{script}] }}");
        told("script: [shipit deploy] }\n    beta", &format!("{step}\n    beta"), said, &step, *code);
    }
}

#[test]
fn with_a_builder_no_step_needs_a_docker_of_its_own() {
    let manifest = of_readme("## deploy.yaml") + "builder: ssh://build@big.example\n";
    let text = sample().replace("services: [docker], ", "").replace("          services: [docker]\n", "");
    assert!(!text.contains("[docker]"), "{text}");
    let project = project().file("bitbucket-pipelines.yml", &text);
    project.shipit(&["check"]).exits(0).says("no Docker service to build with");
    let project = project.file("deploy.yaml", &manifest);
    project.shipit(&["check"]).exits(0).never_says("warning");
}

#[test]
fn stages_anchors_and_merge_keys_are_followed() {
    let text = r#"options: { max-time: 60, docker: true }
definitions:
  services: { docker: { memory: 3072 } }
  steps:
    - step: &deploy
        name: deploy
        oidc: true
        script:
          - |
            set -e
            shipit deploy --env prod --approve
pipelines:
  branches:
    "{main,master}":
      - parallel:
          steps:
            - step: { name: test, script: [make test] }
            - step: { name: lint, script: [make lint] }
      - stage:
          name: production
          trigger: manual
          steps:
            - step: *deploy
  custom:
    by-hand:
      - variables: [{ name: WHAT }]
      - step: { name: first, script: ["true"] }
      - step:
          <<: *deploy
          trigger: manual
"#;
    checked("bitbucket-pipelines.yml", text).exits(0).never_says("warning");
    let broken = text.replace("          <<: *deploy\n          trigger: manual\n", "          <<: *deploy\n");
    checked("bitbucket-pipelines.yml", &broken).exits(2).says("bitbucket-pipelines.yml:11: ").says("starts by itself");
    let broken = text.replace("          trigger: manual\n          steps", "          steps");
    checked("bitbucket-pipelines.yml", &broken).exits(2).says("bitbucket-pipelines.yml:11: ").says("starts by itself");
}

#[test]
fn a_file_that_is_no_pipeline_is_told_and_the_others_are_read() {
    let path = "bitbucket-pipelines.yml";
    let bad = "on: push\njobs: { any: { steps: [{ run: shipit deploy --env prod --approve }] } }\n";
    let many = format!("pipelines:\n  default:\n{}", "    - step: { script: [x] }\n".repeat(10_000));
    let windows = format!("\u{feff}{}", sample().replace('\n', "\r\n"));
    for (what, said, code) in [
        ("", "it has no keys", 2),
        ("- a\n- list\n", "it has no keys", 2),
        ("pipelines:\n\tdefault:\n", "bitbucket-pipelines.yml:2: this is no YAML", 2),
        ("pipelines: {}\n---\npipelines: {}\n", "more than one document", 2),
        (&many, "holds more than", 2),
        (&windows, "nothing is wrong", 0),
    ] {
        checked(path, what).exits(code).says(said);
    }
    for made in [
        std::fs::create_dir as fn(_) -> _,
        |path| std::os::unix::fs::symlink("nowhere", path),
        |path| std::fs::write(path, b"pipelines: {} # caf\xe9\n"),
    ] {
        let project = project().file(".github/workflows/x.yml", bad).file(".github/workflows/y.yml", "on: [");
        made(project.path(path)).expect("it is made");
        let ran = project.shipit(&["check"]).exits(2).says(&format!("{path} cannot be read"));
        ran.says(".github/workflows/x.yml:2: ")
            .says("starts by itself")
            .says(".github/workflows/y.yml:1: this is no YAML");
    }
    // A link is read as what it leads to.
    let project = project().file("real.yml", &sample().replace("trigger: manual ", "trigger: automatic "));
    std::os::unix::fs::symlink("real.yml", project.path(path)).expect("a link");
    project.shipit(&["check"]).exits(2).says("starts by itself");
}

const GITHUB: &str = r"name: deploy
on: { push: { branches: [develop, main] } }
permissions: { contents: read, id-token: write }
jobs:
  first:
    runs-on: ubuntu-24.04
    timeout-minutes: 60
    steps:
      - uses: actions/checkout@v6
      - run: shipit deploy
  production:
    needs: first
    if: github.ref == 'refs/heads/main'
    environment: prod
    runs-on: ubuntu-24.04
    timeout-minutes: 60
    steps:
      - uses: actions/checkout@v6
      - run: |
          set -e
          shipit deploy --env prod --approve
";

#[test]
fn a_workflow_of_github() {
    let path = ".github/workflows/deploy.yml";
    checked(path, GITHUB).exits(0).never_says("warning");
    for (from, to, said, line, code) in [
        ("    environment: prod\n", "", "starts by itself", 20, 2),
        (
            "- run: shipit deploy\n",
            "- run: 'echo ${{ inputs.x }}; shipit deploy'\n",
            "becomes a part of the script",
            10,
            2,
        ),
        ("shipit deploy\n", "shipit deploy --env prod\n", "needs a person's approval", 10, 2),
        ("environment: prod", "environment: ${{ inputs.where }}", "which anything may be", 21, 2),
        ("environment: prod", "environment: { name: sandbox }", "stands under `sandbox`", 14, 2),
        ("deploy --env prod", "deploy --env ${{ inputs.where }}", "a variable decides", 21, 0),
        (
            "      - run: shipit deploy\n",
            "      - run: shipit deploy\n        continue-on-error: true\n",
            "takes its failure away",
            10,
            2,
        ),
        ("id-token: write", "id-token: none", "gets no OIDC token", 11, 0),
        ("branches: [develop, main]", "branches: [feature]", "no environment takes the branch `feature`", 10, 2),
        ("push: { branches: [develop, main] }", "pull_request: {}", "a pull request's run never deploys", 10, 2),
        (
            "    timeout-minutes: 60\n    steps:\n      - uses: actions/checkout@v6\n      - run: shipit",
            "    steps:\n      - uses: actions/checkout@v6\n      - run: shipit",
            "nothing bounds",
            5,
            0,
        ),
        ("      - uses: actions/checkout@v6\n      - run: |", "      - run: |", "no approval can be proven", 20, 2),
        (
            "checkout@v6\n      - run: shipit",
            "checkout@v6\n        with: { persist-credentials: false }\n      - run: shipit",
            "clones one commit",
            10,
            0,
        ),
        (
            "push: { branches: [develop, main] }",
            "push: { branches: [develop, main], paths: [api/**] }",
            "may skip a deploy",
            2,
            0,
        ),
    ] {
        assert!(GITHUB.contains(from), "{from}");
        let ran = checked(path, &GITHUB.replacen(from, to, 1)).exits(code);
        ran.says(&format!("{path}:{line}: ")).says(said);
    }
}

const GITLAB: &str = r#"stages: [deploy, production]
default: { timeout: 1h, id_tokens: { AWS: { aud: sts } } }
.base:
  image: registry/shipit:1
deploy:
  extends: .base
  stage: deploy
  rules: [{ if: '$CI_COMMIT_BRANCH == "main"' }]
  script: [shipit deploy]
production:
  extends: .base
  stage: production
  environment: prod
  rules:
    - if: '$CI_COMMIT_BRANCH == "main"'
      when: manual
  script:
    - shipit deploy --env prod --approve
"#;

#[test]
fn a_pipeline_of_gitlab() {
    let path = ".gitlab-ci.yml";
    checked(path, GITLAB).exits(0).never_says("warning");
    // A header of inputs is a document of its own.
    let header = format!("spec:\n  inputs: {{ x: {{}} }}\n---\n{GITLAB}");
    checked(path, &header).exits(0).never_says("warning");
    let ran = checked(path, &header.replace("      when: manual\n", "")).exits(2);
    ran.says(&format!("{path}:20: ")).says("starts by itself");
    for (from, to, said, line, code) in [
        ("      when: manual\n", "", "starts by itself", 17, 2),
        ("      when: manual\n", "      when: manual\n    - if: $FORCE\n", "starts by itself", 19, 2),
        (
            "    - shipit deploy --env prod",
            "    - !reference [.base, script]\n    - shipit deploy --env beta",
            "the wrong branch",
            19,
            2,
        ),
        ("timeout: 1h, ", "", "nothing bounds", 5, 0),
        ("script: [shipit deploy]", "script: ['echo $[[ inputs.x ]]']", "whoever starts the pipeline decides", 9, 2),
        ("registry/shipit:1", "your-registry/shipit:1", "is no image yet", 4, 0),
        (
            "  rules: [{ if: '$CI_COMMIT_BRANCH == \"main\"' }]\n",
            "  rules: [{ if: '$CI_COMMIT_BRANCH == \"main\"', changes: [api/**] }]\n",
            "may skip a deploy of `deploy` that is needed",
            8,
            0,
        ),
        (
            "script: [shipit deploy]",
            "variables: { GIT_DEPTH: 1 }\n  script: [shipit deploy]",
            "clones one commit",
            9,
            0,
        ),
        (
            "script: [shipit deploy]",
            "variables: { GIT_STRATEGY: none }\n  script: [shipit deploy]",
            "has no clone of the repository",
            9,
            0,
        ),
        (
            "deploy:\n  extends",
            "include: [{ remote: 'https://example.com/x.yml' }]\ndeploy:\n  extends",
            "included from `https://example.com/x.yml`",
            5,
            0,
        ),
        (
            "script: [shipit deploy]",
            "script: [shipit deploy]\n  allow_failure: true",
            "takes a failed deploy away",
            10,
            2,
        ),
        ("script: [shipit deploy]", "script: [shipit deploy]\n  variables: { GIT_STRATEGY: none }", "no clone", 10, 0),
        (
            "script: [shipit deploy]",
            "script: [shipit deploy]\n  variables: { GIT_DEPTH: 1 }",
            "clones one commit",
            10,
            0,
        ),
    ] {
        assert!(GITLAB.contains(from), "{from}");
        let ran = checked(path, &GITLAB.replacen(from, to, 1)).exits(code);
        ran.says(&format!("{path}:{line}: ")).says(said);
    }
}

#[test]
fn findings_for_programs() {
    let broken = sample().replace("trigger: manual ", "trigger: maybe ");
    let project = project().file("bitbucket-pipelines.yml", &broken).committed();
    let events = project.shipit(&["check", "--output", "json"]).exits(2).events();
    assert_eq!(events[0]["event"], "finding");
    assert_eq!(events[0]["level"], "error");
    assert!(events[0]["text"].as_str().expect("a text").starts_with("bitbucket-pipelines.yml:"));
    assert_eq!(events.last().expect("an end")["exit_code"], 2);
}

/// Its own deploy.yaml, Dockerfile and workflows.
#[test]
fn this_repository_passes_its_own_check() {
    let empty = Project::new();
    let output = empty.command(&["check"]).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("shipit runs");
    Ran::from(output).exits(0).never_says("warning");
}

#[test]
fn two_environments_with_one_repository() {
    let manifest = of_readme("## deploy.yaml").replace("repository: api-${env}", "repository: shared");
    let ran = project().file("deploy.yaml", &manifest).committed().shipit(&["check"]).exits(2);
    ran.says("`api` in `dev` and `api` in `beta` share the repository `shared`").never_says("`prod` share");
}
