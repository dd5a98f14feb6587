//! In a pipeline: what proves that a person stands behind a run, and what does not.

use super::holes::HOLES;
use super::{BITBUCKET, DEPLOY, GITHUB, GITLAB, MANIFEST, PIPELINES, in_step, refused};
use crate::support::{Project, Ran, Terminal};

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
