//! The approval: on a terminal a person types, in a pipeline a manual step is proven by the commit's own file.

use crate::support::{Project, Ran, StandIn, Terminal};

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

#[test]
fn a_manual_step_of_every_provider_is_proven_and_written_down() {
    for pipeline in &PIPELINES {
        let (project, aws) = in_step(pipeline, pipeline.file);
        // Without the flag it is not even asked.
        refused(project.shipit(&["deploy", "--env", "prod"]), &aws).says("--approve");
        project
            .shipit(&["deploy", "--env", "prod", "--approve", "--receipt", "receipt.json"])
            .exits(0)
            .says(&format!("approved by {}", pipeline.by))
            .says("is manual");
        let receipt = std::fs::read_to_string(project.path("receipt.json")).expect("a receipt");
        let receipt: serde_json::Value = serde_json::from_str(&receipt).expect("JSON");
        assert_eq!(receipt["approved_by"], pipeline.by);
        assert!(receipt["approved_how"].as_str().expect("how").contains(&format!("{}:", pipeline.path)), "{receipt}");
        let tag = aws.tags("prod", "api")["shipit:approved-by"].as_str().expect("a tag").to_owned();
        assert_eq!(tag, pipeline.by.replace(['{', '}'], "_"));
    }
}

/// What is edited in the good file, and what is then said.
type Holes = &'static [(&'static str, &'static str, &'static str)];

const HOLES: [Holes; 3] = [
    &[
        ("          trigger: manual\n", "", "starts without a person"),
        ("trigger: manual", "trigger: automatic", "starts without a person"),
        // Another way in beside the manual step.
        ("[make test]", "[shipit deploy --env prod --approve]", "starts without a person"),
        ("[make test]", "[shipit rollback --env prod --approve]", "starts without a person"),
        ("[make test]", "[shipit deploy --approve]", "starts without a person"),
        ("[make test]", "[\"shipit deploy --env $WHERE --approve\"]", "starts without a person"),
        ("[make test]", "[\"shipit deploy $FLAGS\"]", "starts without a person"),
        ("[make test]", "[\"$COMMAND\"]", "a variable decides"),
        ("[make test]", "[\"eval $COMMAND\"]", "nobody can tell"),
        ("[make test]", "[\"bash -c \\\"$COMMAND\\\"\"]", "a variable decides"),
        ("[make test]", "[./hidden.sh]", "hidden.sh, which speaks of shipit"),
        ("[make test]", "[cd ops && ./hidden.sh]", "hidden.sh, which speaks of shipit"),
        ("[make test]", "[OUT=$(shipit deploy --env prod --approve)]", "starts without a person"),
        ("[make test]", "['shipit deploy --env prod --approve --timeout \"$T\"']", "starts without a person"),
        ("[make test]", "[shipit deploy --env prod --approve --of-tomorrow]", "starts without a person"),
        ("[make test]", "[cp shipit s && ./s deploy --env prod --approve]", "gives shipit another name"),
        ("[make test]", "[./s deploy --env prod --approve]", "nobody can tell whether"),
        ("script: [shipit deploy] }", "script: [shipit deploy --approve] }", "starts without a person"),
        ("pipelines:\n", "pipelines:\n  custom:\n    x: { import: a:b:c }\n", "imported from `a:b:c`"),
        (
            "pipelines:\n",
            "pipelines:\n  custom:\n    x: [{ step: { script: [shipit deploy --env prod --approve] } }]\n",
            "starts without a person",
        ),
        // What stands behind a redirection, a comment, a quote or a bracket is run all the same.
        ("[make test]", "[shipit deploy > log --env prod --approve]", "starts without a person"),
        ("[make test]", "['# no \\', shipit deploy --env prod --approve]", "starts without a person"),
        ("[make test]", "[\"echo '\\n'; shipit deploy --env prod $F; echo '\\n'\"]", "starts without a person"),
        ("[make test]", "['echo \"${X:-(}\"; shipit deploy --env prod --approve']", "starts without a person"),
        ("[make test]", "['shipit deploy --env prod \"--$F\"']", "starts without a person"),
        ("[make test]", "[[shipit deploy --env prod --approve]]", "starts without a person"),
        ("[make test]", "['env -i PATH=/bin:/opt shipit deploy --env prod --approve']", "starts without a person"),
        ("[make test]", "['$(echo ship)it deploy --env prod --approve']", "a variable decides"),
        ("[make test]", "['echo \"$COMMAND\" | sh']", "nobody can tell"),
        ("[make test]", "['bash <<< \"$COMMAND\"']", "a variable decides"),
        ("[make test]", "['ship*t deploy --env prod $F']", "a pattern decides"),
        ("[make test]", "[alias s=shipit, s deploy --env prod $F]", "another name"),
        ("[make test]", "[./link.sh]", "link.sh, which speaks of shipit"),
        ("[make test]", "[cat flags | xargs shipit deploy --env prod]", "starts without a person"),
        ("[make test]", "[./link/hidden.sh]", "hidden.sh, which speaks of shipit"),
        ("[make test]", "[bash < ops/../binary.sh]", "binary.sh, which speaks of shipit"),
        ("[make test]", "[just deploy]", "justfile, which speaks of shipit"),
        ("[make test]", "[npm run deploy]", "package.json, which speaks of shipit"),
        (
            "[make test]",
            "[{ pipe: team/run:1, variables: { COMMAND: shipit deploy --env prod --approve } }]",
            "what the pipe `team/run:1` runs is not known",
        ),
        // Other places of the file.
        (
            "pipelines:\n",
            "pipelines:\n  default: [{ parallel: [{ step: { script: [shipit deploy --env prod --approve] } }] }]\n",
            "starts without a person",
        ),
        (
            "pipelines:\n",
            "pipelines:\n  tags: { '*': [{ stage: { steps: [{ step: { script: [shipit deploy --env prod --approve] } }] } }] }\n",
            "starts without a person",
        ),
        (
            "pipelines:\n",
            "pipelines:\n  pull-requests: { '**': [{ step: { script: [make], after-script: [shipit deploy --env prod --approve] } }] }\n",
            "starts without a person",
        ),
        ("trigger: manual\n", "trigger: manual\n          trigger: automatic\n", "starts without a person"),
        ("trigger: manual\n", "<<: { trigger: manual }\n          trigger: automatic\n", "starts without a person"),
        // No such step, or not this one.
        ("--env prod --approve", "--env prod", "no step of bitbucket-pipelines.yml runs"),
        ("shipit deploy --env prod", "shipit rollback --env prod", "no step of bitbucket-pipelines.yml runs"),
        ("    main:\n", "    release:\n", "this run is not the step `production`"),
        ("deployment: production", "deployment: other", "this run is not the step `production`"),
        ("pipelines:", "pipelines: [", "cannot be read"),
    ],
    &[
        ("    environment: prod\n", "", "starts without a person"),
        ("environment: prod", "environment: \"${{ inputs.where }}\"", "anything may be"),
        ("environment: prod", "environment: Dev", "another one here"),
        ("environment: prod", "environment: ''", "starts without a person"),
        ("run: make test", "uses: ./ops/action", "what the action `./ops/action` runs is not known"),
        ("run: make test", "run: shipit deploy --env prod --approve", "starts without a person"),
        ("environment: prod", "environment: ${{ matrix.where }}", "anything may be"),
        ("run: make test", "uses: ./x/../ops/action", "what the action `./x/../ops/action` runs is not known"),
        (
            "run: make test",
            "run: echo, shell: 'shipit deploy --env prod --approve --receipt {0}'",
            "starts without a person",
        ),
        (
            "run: make test",
            "run: './ship.exe deploy --env prod $F # shipit', shell: pwsh",
            "what the shell `pwsh` makes of it",
        ),
        ("run: make test", "run: 'echo ${{ github.event.head_commit.message }}'", "becomes a part of the script"),
        (
            "run: make test",
            "run: 'echo ${{ env.WHAT }}', env: { WHAT: '${{ inputs.what }}' }",
            "becomes a part of the script",
        ),
        (
            "run: make test",
            "uses: docker://registry/tool, with: { args: deploy --env prod --approve }",
            "nobody can tell what becomes of `deploy --env prod --approve` in `with`",
        ),
        ("  production:", "  other:", "this run is not the step `other`"),
        ("    environment: prod\n", "    uses: team/shared/.github/workflows/x.yml@main\n", "stands in"),
    ],
    &[
        (", when: manual", "", "starts without a person"),
        ("when: manual }", "when: manual }, { if: $FORCE }", "starts without a person"),
        ("[make test]", "[shipit deploy --env prod --approve]", "starts without a person"),
        ("when: manual }]", "when: manual, when: always }]", "starts without a person"),
        ("[make test]", "!reference [production, script]", "starts without a person"),
        ("when: manual }", "when: delayed, start_in: 1 second }", "starts without a person"),
        ("[make test]", "[[[[shipit deploy --env prod --approve]]]]", "starts without a person"),
        (
            "test: {",
            "shipit deploy --env prod --approve: { when: manual, script: [make] }\nmore: { script: [shipit deploy --env prod --approve] }\ntest: {",
            "starts without a person",
        ),
        (
            "[make test]",
            "[make test], image: { name: x, entrypoint: [shipit, deploy, --env, prod, --approve] }",
            "nobody can tell what becomes of `--approve` in `entrypoint`",
        ),
        (
            "[make test]",
            "[make test], services: [{ name: x, command: [deploy, --env, prod, --approve] }]",
            "nobody can tell what becomes of `--approve` in `command`",
        ),
        (
            "{ script: [make test] }",
            "{ run: [{ name: x, script: shipit deploy --env prod --approve }] }",
            "nobody can tell what becomes of",
        ),
        ("test: {", "more: { trigger: { include: child.yml } }\ntest: {", "job `more` starts another pipeline"),
        ("test: {", "include: child.yml\ntest: {", "included from `child.yml`"),
        ("[make test]", "[make test], hooks: { pre_get_sources_script: [shipit deploy --approve] }", "starts without"),
        (
            "rules: [{ if: '$CI_COMMIT_BRANCH == \"main\"', when: manual }]",
            "when: manual\n  rules: !reference [.always, rules]",
            "its rules stand in another job",
        ),
        ("production:", "other:", "this run is not the step `other`"),
        ("test: {", "include: [{ project: team/ci, file: x.yml }]\ntest: {", "included from `team/ci`"),
    ],
];

#[test]
fn a_file_with_a_way_around_the_person_proves_nothing() {
    for (pipeline, holes) in PIPELINES.iter().zip(HOLES) {
        for (from, to, said) in holes {
            assert!(pipeline.file.contains(from), "{from}");
            let (project, aws) = in_step(pipeline, &pipeline.file.replacen(from, to, 1));
            let hidden = "./bin/shipit deploy --env prod --approve\n";
            let project = project.file("ops/hidden.sh", hidden).file("ops/action/main.js", hidden);
            let project = project.file("hidden.sh", hidden).file("binary.sh", &format!("{hidden}exit\n\0"));
            let project = project.file("justfile", "deploy *flags:\n  shipit deploy {{flags}}\n");
            let project = project.file("package.json", r#"{"scripts":{"deploy":"shipit deploy"}}"#);
            for (to, link) in [("hidden.sh", "link.sh"), ("ops", "link")] {
                std::os::unix::fs::symlink(to, project.path(link)).expect("a link");
            }
            let project = project.committed().run_for_head(pipeline.commit);
            refused(project.shipit(&DEPLOY), &aws).says(said);
        }
    }
}

#[test]
fn no_flag_and_no_variable_stands_for_the_step() {
    let lies: [&[(&str, &str)]; 5] = [
        &[("BITBUCKET_DEPLOYMENT_ENVIRONMENT", "staging")],
        &[("BITBUCKET_DEPLOYMENT_ENVIRONMENT", "")],
        &[("BITBUCKET_BRANCH", "develop")],
        &[("BITBUCKET_COMMIT", "0123456789abcdef0123456789abcdef01234567")],
        &[("BITBUCKET_BUILD_NUMBER", ""), ("GITHUB_ACTIONS", "true"), ("GITHUB_JOB", "production")],
    ];
    for lie in lies {
        let (project, aws) = in_step(&PIPELINES[0], BITBUCKET);
        let project = lie.iter().fold(project, |project, (name, value)| project.var(name, value));
        for flags in [
            &DEPLOY[..],
            &["deploy", "--env", "prod", "--approve", "--branch", "main", "--any-branch", "--allow-dirty"],
        ] {
            let ran = project.shipit(flags).exits(4);
            assert!(aws.calls("UpdateService").is_empty() && aws.calls("PutImage").is_empty(), "{}", ran.everything());
        }
    }
    for pipeline in &PIPELINES[1..] {
        let (project, aws) = in_step(pipeline, pipeline.file);
        let project =
            project.var("GITHUB_WORKFLOW_REF", "team/shop/.github/workflows/x.yml@y").var("CI_CONFIG_PATH", "x");
        refused(project.shipit(&DEPLOY), &aws).says("this run is not the step");
    }
    for pipeline in &PIPELINES[1..] {
        let (project, aws) = in_step(pipeline, pipeline.file);
        let project = project.var("GITHUB_JOB", "test").var("CI_JOB_NAME", "test");
        refused(project.shipit(&DEPLOY), &aws).says("this run is not the step");
    }
    // A step that starts by itself on another branch is a way in when somebody sets BITBUCKET_BRANCH.
    let open = BITBUCKET.replace("[shipit deploy] }", "[shipit deploy --approve] }");
    let (project, aws) = in_step(&PIPELINES[0], &open);
    refused(project.shipit(&["deploy", "--approve"]), &aws).says("bitbucket-pipelines.yml:4");
}

#[test]
fn a_step_of_another_provider_and_a_file_elsewhere_are_ways_in_too() {
    let line = "script: [\"BITBUCKET_BUILD_NUMBER=7 shipit deploy --env prod --approve\"]";
    for (path, file) in [
        (".gitlab-ci.yml", format!("any: {{ {line} }}\n")),
        (
            ".github/workflows/x.yml",
            "on: push\njobs: { any: { steps: [{ run: shipit deploy --env prod --approve }] } }\n".to_owned(),
        ),
    ] {
        let (project, aws) = in_step(&PIPELINES[0], BITBUCKET);
        let project = project.file(path, &file).committed().run_for_head("BITBUCKET_COMMIT");
        refused(project.shipit(&DEPLOY), &aws).says(&format!("{path}:")).says("starts without a person");
    }
    // A workflow that another one of the repository starts is read where it stands.
    let (project, aws) =
        in_step(&PIPELINES[1], "on: push\njobs: { release: { uses: ./.github/workflows/prod.yml } }\n");
    let called = GITHUB.replace("push: { branches: [main] }", "workflow_call: {}");
    let open = called.replace("    environment: prod\n", "");
    let project = project.file(".github/workflows/prod.yml", &open).committed().run_for_head("GITHUB_SHA");
    refused(project.shipit(&DEPLOY), &aws).says("prod.yml:8: ").says("starts without a person");
    let project = project.file(".github/workflows/prod.yml", &called).committed().run_for_head("GITHUB_SHA");
    project.shipit(&DEPLOY).exits(0).says(".github/workflows/prod.yml:5 is manual");
    // GitLab's file may be anywhere; the run may lie about where.
    let (project, aws) = in_step(&PIPELINES[2], GITLAB);
    let main = format!("production: {{ {line} }}\n");
    let project = project.file("ci/main.yml", &main).committed().run_for_head("CI_COMMIT_SHA");
    refused(project.shipit(&DEPLOY), &aws).says("ci/main.yml:1: ").says("starts without a person");
    // Where it is the one, it is the proof.
    let project = project.file("ci/main.yml", GITLAB).file(".gitlab-ci.yml", "test: { script: [make] }\n").committed();
    let head = project.head();
    let project = project.var("CI_COMMIT_SHA", &head).var("CI_CONFIG_PATH", "ci/main.yml");
    project.shipit(&DEPLOY).exits(0).says("ci/main.yml:");
}

/// The same command line, run by a shell of the step that changes something first.
fn in_shell(project: &Project, change: &str, args: &[&str]) -> Ran {
    let inner = project.command(args);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &format!("{change} \"$0\" \"$@\"; exit $?"), crate::support::SHIPIT]).args(args).env_clear();
    for (name, value) in inner.get_envs() {
        shell.env(name, value.expect("the variables are set, none is removed"));
    }
    shell.current_dir(project.folder()).stdin(std::process::Stdio::null()).output().expect("sh runs").into()
}

#[test]
fn variables_that_the_step_was_not_started_with_prove_nothing() {
    let other = "BITBUCKET_DEPLOYMENT_ENVIRONMENT=production";
    let (project, aws) = in_step(&PIPELINES[0], BITBUCKET);
    let automatic = project.var("BITBUCKET_DEPLOYMENT_ENVIRONMENT", "staging");
    refused(in_shell(&automatic, &format!("env {other}"), &DEPLOY), &aws).says("DEPLOYMENT_ENVIRONMENT is not what");
    // A commit that the step makes, with the good file in it, and the variable that would belong to it.
    let (project, aws) = in_step(&PIPELINES[0], &BITBUCKET.replace("          trigger: manual\n", ""));
    let project = project.file("bitbucket-pipelines.yml", BITBUCKET).committed();
    let head = project.head();
    let lies = [format!("BITBUCKET_COMMIT={head}"), "-u BITBUCKET_COMMIT".to_owned()];
    for lie in &lies {
        refused(in_shell(&project, &format!("env {lie}"), &DEPLOY), &aws).says("BITBUCKET_COMMIT is not what");
    }
    project.var("BITBUCKET_COMMIT", "").shipit(&DEPLOY).exits(4).says("does not say which commit it runs for");
    assert!(aws.calls("UpdateService").is_empty() && aws.calls("PutImage").is_empty());
    // Another one, in which deploy.yaml asks for nothing.
    let (project, aws) = in_step(&PIPELINES[0], BITBUCKET);
    let project = project.file("deploy.yaml", &MANIFEST.replace(", approval: required", "")).committed();
    let head = project.head();
    let hidden = "-u BITBUCKET_BUILD_NUMBER".to_owned();
    for lie in [format!("BITBUCKET_COMMIT={head}"), lies[1].clone(), hidden] {
        for command in [&["deploy", "--env", "prod"][..], &["rollback", "--env", "prod"]] {
            in_shell(&project, &format!("env {lie}"), command).exits(4).says("is not the one of the commit");
        }
    }
    assert!(aws.calls("UpdateService").is_empty() && aws.calls("PutImage").is_empty());
}

#[test]
fn the_variables_of_two_providers_are_those_of_none() {
    for pipeline in &PIPELINES {
        let (project, aws) = in_step(pipeline, pipeline.file);
        let other = PIPELINES.iter().find(|other| other.path != pipeline.path).expect("another one");
        let head = project.head();
        let project = other.vars.iter().fold(project, |project, (name, value)| project.var(name, value));
        refused(project.var(other.commit, &head).shipit(&DEPLOY), &aws).says("the variables are those of");
    }
}

#[test]
fn without_the_repository_nothing_can_be_proven() {
    let (project, aws) = in_step(&PIPELINES[0], BITBUCKET);
    let open = MANIFEST.replace(", approval: required", "");
    std::fs::remove_dir_all(project.path(".git")).expect("it was there");
    let project = project.file("deploy.yaml", &open);
    for command in [
        &DEPLOY[..],
        &["deploy", "--env", "prod"],
        &["rollback", "--env", "prod"],
        &["run", "--env", "prod", "api", "--", "true"],
    ] {
        project.shipit(command).exits(4).says("there is no repository");
    }
    assert!(aws.calls("UpdateService").is_empty() && aws.calls("RunTask").is_empty());
}

#[test]
fn git_shows_the_commit_and_no_stand_in_for_it() {
    let (project, aws) = in_step(&PIPELINES[0], &BITBUCKET.replace("          trigger: manual\n", ""));
    let run_for = project.head();
    let project = project.file("bitbucket-pipelines.yml", BITBUCKET).committed();
    let forged = project.head();
    project.git(&["checkout", "--quiet", &run_for]);
    project.git(&["replace", &run_for, &forged]);
    let project = project.var("GIT_DIR", "/nowhere").var("GIT_WORK_TREE", "/nowhere");
    refused(project.shipit(&DEPLOY), &aws).says("starts without a person");
    // Nor does a bare word do, wherever it comes from.
    let project = project.var("SHIPIT_APPROVE", "true").var("SHIPIT_ENV", "prod");
    refused(project.shipit(&["deploy", "--env", "prod", "--no-wait", "--receipt", "r.json"]), &aws);
}

#[test]
fn what_lies_in_the_working_tree_proves_nothing() {
    for pipeline in &PIPELINES {
        let bad = HOLES[PIPELINES.iter().position(|one| one.path == pipeline.path).expect("it is one")][0];
        let (project, aws) = in_step(pipeline, &pipeline.file.replacen(bad.0, bad.1, 1));
        // The good file, edited in, staged, and put into a commit that the run is not for.
        let project = project.file(pipeline.path, pipeline.file);
        let flags = ["deploy", "--env", "prod", "--approve", "--allow-dirty"];
        refused(project.shipit(&flags), &aws).says(bad.2);
        project.git(&["add", "--all"]);
        refused(project.shipit(&flags), &aws).says(bad.2);
        let project = project.committed();
        refused(project.shipit(&flags), &aws).says("but this run is for");
    }
}

#[test]
fn an_edited_deploy_yaml_does_not_take_the_approval_away() {
    let (project, aws) = in_step(&PIPELINES[0], BITBUCKET);
    let open = MANIFEST.replace(", approval: required", "");
    let project = project.file("deploy.yaml", &open).file("other.yaml", &open);
    for flags in [&["deploy", "--env", "prod"][..], &["deploy", "--env", "prod", "--config", "other.yaml"]] {
        project.shipit(flags).exits(4).says("is not the one of the commit");
    }
    project.shipit(&["rollback", "--env", "prod"]).exits(4).says("is not the one of the commit");
    project.shipit(&["run", "--env", "prod", "api", "--", "true"]).exits(4).says("is not the one of the commit");
    // Nor does a commit that the step makes, for which the run is not.
    let project = project.committed();
    for command in [&["deploy", "--env", "prod"][..], &["rollback", "--env", "prod"]] {
        project.shipit(command).exits(4).says("is not the one of the commit");
    }
    assert!(aws.calls("UpdateService").is_empty() && aws.calls("RunTask").is_empty());
}

#[test]
fn a_terminal_that_a_script_made_in_a_pipeline_is_nobody() {
    let (project, aws) = in_step(&PIPELINES[0], BITBUCKET);
    let hidden = ["-u", "BITBUCKET_BUILD_NUMBER", crate::support::SHIPIT, "deploy", "--env", "prod"];
    let (code, screen) = Terminal::run_program(&project, "env", &hidden).ends();
    assert_eq!(code, Some(4), "{screen}");
    assert!(screen.contains("a process above this one belongs to"), "{screen}");
    // A pipeline whose file is not read has no step that could be proven, and nobody to ask either.
    let project = Project::new().file("deploy.yaml", MANIFEST).file("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    let project = project.committed().branch("main").with_aws(&aws).with_engine().var("JENKINS_URL", "http://ci");
    let (code, screen) = Terminal::run(&project, &["deploy", "--env", "prod"]).ends();
    assert_eq!(code, Some(4), "{screen}");
    assert!(screen.contains("this is a pipeline: JENKINS_URL is set"), "{screen}");
    assert!(aws.calls("UpdateService").is_empty());
}

#[test]
fn rollbacks_and_one_off_tasks_ask_too() {
    let both = format!(
        "{BITBUCKET}    back:\n      - step:\n          deployment: production\n          trigger: manual\n          script:\n            \
         - shipit rollback --env prod --approve\n            - shipit run --env prod api --approve -- true\n"
    )
    .replace("    main:\n", "    \"**\":\n");
    let (project, aws) = in_step(&PIPELINES[0], &both);
    refused(project.shipit(&["run", "--env", "prod", "api", "--", "true"]), &aws);
    let (other, aws) = in_step(&PIPELINES[0], BITBUCKET);
    refused(other.shipit(&["run", "--env", "prod", "api", "--approve", "--", "true"]), &aws).says("runs `shipit run");
    let project = project.file("app", "two\n").committed();
    let head = project.head();
    let project = project.var("BITBUCKET_COMMIT", &head).var("BITBUCKET_BRANCH", "back");
    // Approved: then it is another matter that there is nothing to go back to.
    project.shipit(&["rollback", "--env", "prod", "--approve"]).never_says("needs a person's approval");
}

#[test]
fn a_terminal_shows_what_would_ship_and_asks_again_when_that_changed() {
    let project = Project::new()
        .file("deploy.yaml", MANIFEST)
        .file("Dockerfile", "FROM scratch\nCOPY app /app\n")
        .file("app", "one\n")
        .committed()
        .branch("main");
    project.git(&["remote", "add", "origin", "https://ada:hunter2@github.com/team/shop.git"]);
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    let first = project.head();
    let mut terminal = Terminal::run(&project, &["deploy", "--env", "prod"]);
    terminal.shows("api: from nothing to");
    terminal.keeps("Type the name of the environment to deploy to prod");
    terminal.types("prod\r");
    assert_eq!(terminal.ends().0, Some(0));

    let project = project.file("app", "two\n").committed();
    let mut terminal = Terminal::run(&project, &["deploy", "--env", "prod"]);
    terminal.shows(&format!("1 commit since {}", &first[..12]));
    terminal.shows("Change something (A Developer)");
    terminal.shows("https://github.com/team/shop/compare/");
    terminal.shows("Type the name of the environment");
    // Somebody moves `latest` while the person thinks.
    aws.push_index_of("api-prod", &aws.latest("api-prod"), "latest");
    terminal.types("prod\r");
    terminal.shows("what runs has changed since it was shown: api");
    terminal.keeps("Type the name of the environment to deploy to prod: ");
    terminal.types("prod\r");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("hunter2"), "{screen}");

    // And the commit under it is another one.
    let project = project.file("app", "three\n").committed();
    let mut terminal = Terminal::run(&project, &["deploy", "--env", "prod"]);
    terminal.shows("Type the name of the environment");
    let project = project.file("app", "four\n").committed();
    terminal.types("prod\r");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(4), "{screen}");
    assert_eq!(aws.calls("UpdateService").len(), 2, "{}", project.head());
}

#[test]
fn a_rollback_is_looked_at_again_after_the_answer() {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    let good = aws.latest("api-dev");
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy"]).exits(0);
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    // Frozen, too: that holds deploys, and this is the way out of trouble.
    let frozen = "{ branch: develop, approval: required, freeze: [{ from: 2020-01-01, to: 2099-12-31 }] }";
    let guarded = manifest.replace("{ branch: develop }", frozen);
    assert_ne!(manifest, guarded);
    let project = project.file("deploy.yaml", &guarded).committed();
    let mut terminal = Terminal::run(&project, &["rollback", "--env", "dev"]);
    terminal.keeps("Type the name of the environment to roll back in dev");
    // Somebody moves `latest` while the person thinks.
    aws.push_index_of("api-dev", &aws.latest("api-dev"), "latest");
    terminal.types("dev\r");
    terminal.shows("what runs has changed since it was shown: api");
    assert_eq!(aws.calls("UpdateService").len(), 2, "nothing was moved yet");
    terminal.types("dev\r");
    let (code, screen) = terminal.ends();
    assert_eq!((code, aws.latest("api-dev")), (Some(0), good), "{screen}");
}

#[test]
fn a_zip_is_shown_to_who_is_asked() {
    let manifest = MANIFEST
        .replace(r#"api: { repository: "api-${env}" }"#, "docs: { kind: zip, bucket: \"apps-${env}\", context: app }");
    let project = Project::new().file("deploy.yaml", &manifest).file("app/a", "one\n").committed().branch("main");
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws);
    let first = project.head();
    let mut terminal = Terminal::run(&project, &["deploy", "--env", "prod"]);
    terminal.shows(&format!("docs: from nothing to {}, to be packed, over apps-prod/docs/latest.zip", &first[..12]));
    terminal.types("prod\r");
    assert_eq!(terminal.ends().0, Some(0));
    let project = project.file("app/a", "two\n").committed();
    let mut terminal = Terminal::run(&project, &["deploy", "--env", "prod"]);
    terminal.shows(&format!("1 commit since {}", &first[..12]));
    terminal.types("no\r");
    assert_eq!(terminal.ends().0, Some(4));
    assert_eq!(aws.calls("CopyObject").len(), 1);
}

#[test]
fn a_frozen_environment_takes_a_reason() {
    let frozen = MANIFEST.replace(
        "{ branch: develop }",
        "{ branch: develop, freeze: [{ from: 2020-01-01, to: 2099-12-31, zone: Europe/Berlin, reason: the move }] }",
    );
    let project = Project::new()
        .file("deploy.yaml", &frozen)
        .file("Dockerfile", "FROM scratch\nCOPY app /app\n")
        .file("app", "one\n")
        .committed();
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    for flags in [&["deploy"][..], &["deploy", "--dry-run"]] {
        project
            .shipit(flags)
            .exits(4)
            .says("`dev` is frozen until 2099-12-31 23:00 UTC: the move")
            .says("--override-freeze");
    }
    assert!(aws.calls("UpdateService").is_empty());
    project.shipit(&["deploy", "--override-freeze", ""]).exits(2);
    let ran = project.shipit(&["deploy", "--override-freeze", "prod is down", "--receipt", "r.json"]).exits(0);
    ran.says("is frozen until").says("deployed all the same: prod is down");
    let receipt = std::fs::read_to_string(project.path("r.json")).expect("a receipt");
    let receipt: serde_json::Value = serde_json::from_str(&receipt).expect("JSON");
    assert_eq!(receipt["freeze_override"], "prod is down");
    // A window that is none is a fault of the file, with its place.
    let wrong = frozen.replace("2020-01-01", "tomorrow").replace("Europe/Berlin", "Mars/Olympus");
    let ran = project.file("deploy.yaml", &wrong).shipit(&["check"]).exits(2);
    ran.says("deploy.yaml:5:").says("Mars/Olympus");
}
