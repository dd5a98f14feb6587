//! From a branch to its environment, in pipelines and on a laptop, and past the gates to production.

use crate::support::{Project, StandIn, Terminal};

fn deploying() -> (Project, StandIn) {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, "{}");
    (project.with_aws(&aws).with_engine(), aws)
}

type Variables = &'static [(&'static str, &'static str)];

fn with(project: Project, vars: &[(&str, &str)]) -> Project {
    vars.iter().fold(project, |project, (name, value)| project.var(name, value))
}

const BITBUCKET: Variables = &[
    ("BITBUCKET_BUILD_NUMBER", "7"),
    ("BITBUCKET_REPO_FULL_NAME", "team/shop"),
    ("BITBUCKET_STEP_TRIGGERER_UUID", "{ada}"),
];
const GITHUB: Variables =
    &[("GITHUB_ACTIONS", "true"), ("GITHUB_REPOSITORY", "team/shop"), ("GITHUB_RUN_ID", "9"), ("GITHUB_ACTOR", "ada")];
const GITLAB: Variables = &[("GITLAB_CI", "true"), ("GITLAB_USER_LOGIN", "ada")];

#[test]
fn the_pipelines_branch_decides_whatever_is_checked_out() {
    for (pipeline, branch) in [
        (BITBUCKET, ("BITBUCKET_BRANCH", "main")),
        (GITHUB, ("GITHUB_REF", "refs/heads/main")),
        (GITLAB, ("CI_COMMIT_BRANCH", "main")),
    ] {
        let (project, _aws) = deploying();
        // Pipelines check a commit out, and no branch.
        project.git(&["checkout", "--quiet", "--detach"]);
        let project = with(with(project, pipeline), &[branch]);
        let finished = project.shipit(&["deploy", "--dry-run", "--output", "json"]).exits(0).finished();
        assert_eq!(finished["environment"], "sandbox", "{branch:?}");
    }
}

#[test]
fn a_pull_request_never_deploys_by_its_source_branch() {
    let runs: [(Variables, Variables); 4] = [
        (
            BITBUCKET,
            &[("BITBUCKET_BRANCH", "develop"), ("BITBUCKET_PR_ID", "12"), ("BITBUCKET_PR_DESTINATION_BRANCH", "main")],
        ),
        (
            GITHUB,
            &[
                ("GITHUB_EVENT_NAME", "pull_request"),
                ("GITHUB_REF", "refs/pull/12/merge"),
                ("GITHUB_HEAD_REF", "develop"),
                ("GITHUB_BASE_REF", "main"),
            ],
        ),
        (
            GITHUB,
            &[
                ("GITHUB_EVENT_NAME", "pull_request_target"),
                ("GITHUB_REF", "refs/heads/develop"),
                ("GITHUB_HEAD_REF", "develop"),
                ("GITHUB_BASE_REF", "develop"),
            ],
        ),
        (
            GITLAB,
            &[
                ("CI_MERGE_REQUEST_IID", "12"),
                ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "develop"),
                ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
            ],
        ),
    ];
    for (pipeline, run) in runs {
        let (project, aws) = deploying();
        let project = with(with(project, pipeline), run);
        // Neither by itself, nor by a branch that the pipeline passes on, nor to an environment by name.
        project.shipit(&["deploy"]).exits(4).says("pull request #").says("(develop → ").says("hint:");
        project.shipit(&["deploy", "--branch", "develop"]).exits(4).says("pull request #");
        project.shipit(&["deploy", "--env", "dev"]).exits(4).says("pull request #");
        assert!(aws.calls("UpdateService").is_empty() && aws.calls("GetAuthorizationToken").is_empty());
        // The check of a pull request.
        project.shipit(&["deploy", "--env", "dev", "--dry-run", "--any-branch"]).exits(0).says("planned");
    }
}

#[test]
fn a_run_for_a_tag_has_to_name_its_environment() {
    for (pipeline, run) in [
        (BITBUCKET, ("BITBUCKET_TAG", "v1")),
        (GITHUB, ("GITHUB_REF", "refs/tags/v1")),
        (GITLAB, ("CI_COMMIT_TAG", "v1")),
    ] {
        let (project, aws) = deploying();
        let project = with(with(project, pipeline), &[run]);
        project.shipit(&["deploy"]).exits(2).says("the tag `v1`").says("--env dev");
        project.shipit(&["deploy", "--env", "dev"]).exits(4).says("the tag `v1`").says("--branch develop");
        assert!(aws.calls("UpdateService").is_empty());
        project.shipit(&["deploy", "--branch", "develop", "--dry-run"]).exits(0).says("planned");
    }
}

#[test]
fn a_detached_head_is_no_branch() {
    let (project, _aws) = deploying();
    project.git(&["checkout", "--quiet", "--detach"]);
    let short = project.head()[..12].to_owned();
    project.shipit(&["deploy"]).exits(2).says(&format!("HEAD is detached at {short}")).says("develop → dev");
    project.shipit(&["deploy", "--env", "dev"]).exits(4).says("--branch develop");
    project.shipit(&["deploy", "--branch", "develop", "--dry-run"]).exits(0).says("planned");
}

#[test]
fn without_git_it_says_what_to_do() {
    let (project, _aws) = deploying();
    std::fs::remove_dir_all(project.path(".git")).expect("a repository");
    let ran = project.shipit(&["deploy"]).exits(2);
    ran.says("git").says("hint:");
    project.shipit(&["deploy", "--env", "dev"]).exits(2).says("git").says("hint:");
}

#[test]
fn an_unmapped_branch_is_answered_with_the_mapping() {
    let (project, aws) = deploying();
    let project = project.branch("feature/x");
    project
        .shipit(&["deploy"])
        .exits(4)
        .says("no environment takes the branch `feature/x`")
        .says("develop → dev, main → sandbox, main → prod (by `--env prod` only)");
    assert!(aws.calls("UpdateService").is_empty());
}

#[test]
fn two_environments_on_one_branch() {
    let (project, _aws) = deploying();
    let project = project.branch("main");
    let finished = project.shipit(&["deploy", "--dry-run", "--output", "json"]).exits(0).finished();
    assert_eq!(finished["environment"], "sandbox", "the branch alone leads to the one without `after`");
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let project = project.file("deploy.yaml", &manifest.replace("after: sandbox, ", "")).committed();
    project.shipit(&["deploy"]).exits(2).says("`sandbox` and `prod`").says("--env sandbox");
}

#[test]
fn uncommitted_changes_go_to_dev_under_their_own_name_and_never_to_a_guarded_environment() {
    let (project, aws) = deploying();
    let project = project.file("app", "not committed\n");
    let tag = format!("git-{}-dirty", &project.head()[..12]);
    let ran = project.shipit(&["deploy"]).exits(0).says("uncommitted");
    ran.says("deployed").says(&tag);
    let project = project.branch("main");
    let before = aws.calls("UpdateService").len();
    project
        .shipit(&["deploy", "--env", "prod"])
        .exits(4)
        .says("the tree has uncommitted changes")
        .says("--allow-dirty");
    assert_eq!(aws.calls("UpdateService").len(), before);
}

#[test]
fn production_takes_what_runs_in_sandbox_and_was_approved() {
    let (project, aws) = deploying();
    let pipeline = "pipelines: { branches: { main: [{ step: { script: [shipit deploy] } },
        { step: { trigger: manual, script: [shipit deploy --env prod --approve] } }] } }";
    let project = project.file("bitbucket-pipelines.yml", pipeline).committed();
    let project = with(with(project.branch("main"), BITBUCKET), &[("BITBUCKET_BRANCH", "main")]);
    let project = project.run_for_head("BITBUCKET_COMMIT");
    let prod: &[&str] = &["deploy", "--env", "prod", "--approve", "--output", "json"];
    // Before sandbox has it.
    let finished = project.shipit(prod).exits(4).finished();
    let reason = finished["services"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("does not run in `sandbox` yet"), "{finished}");
    project.shipit(&["deploy", "--output", "json"]).exits(0);
    // Without the manual step's word.
    project.shipit(&["deploy", "--env", "prod"]).exits(4).says("needs a person's approval").says("--approve");
    assert_eq!(aws.calls("UpdateService").len(), 1, "only sandbox was rolled");
    // And then for real.
    let finished = project.shipit(prod).exits(0).finished();
    assert_eq!(finished["environment"], "prod");
    assert_eq!(finished["services"][0]["verdict"], "deployed");
    let tags = aws.tags("prod", "api");
    assert_eq!(tags["shipit:revision"], project.head());
    assert_eq!(tags["shipit:digest"], finished["services"][0]["digest"]);
    // Bitbucket puts its ids in braces, which a tag of AWS may not have.
    assert_eq!(tags["shipit:approved-by"], "_ada_");
    // The next commit has not been in sandbox.
    let project = project.file("app", "two\n").committed().run_for_head("BITBUCKET_COMMIT");
    project.shipit(prod).exits(4).says("runs there");
}

#[test]
fn on_a_terminal_the_name_of_the_environment_is_the_approval() {
    let (project, aws) = deploying();
    let project = project.branch("main");
    project.shipit(&["deploy"]).exits(0);
    project.shipit(&["deploy", "--env", "prod"]).exits(4).says("there is nobody to ask");
    project.shipit(&["deploy", "--env", "prod", "--approve"]).exits(4).says("stands for a manual step of a CI");

    for answer in ["yes\r", "production\r", "\r", "\u{4}"] {
        let mut terminal = Terminal::run(&project, &["deploy", "--env", "prod"]);
        terminal.shows("Type the name of the environment");
        terminal.types(answer);
        let (code, screen) = terminal.ends();
        assert_eq!(code, Some(4), "{answer:?}: {screen}");
        assert!(screen.contains("not approved"), "{screen}");
    }
    assert_eq!(aws.calls("UpdateService").len(), 1, "only sandbox was rolled");

    let mut terminal = Terminal::run(&project, &["deploy", "--env", "prod"]);
    terminal.shows("Type the name of the environment");
    terminal.types("prod\r");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("deployed"), "{screen}");
    assert!(aws.tags("prod", "api")["shipit:approved-by"].is_string());
}

#[test]
fn ctrl_c_at_the_question_is_no_approval() {
    let (project, aws) = deploying();
    let project = project.branch("main");
    project.shipit(&["deploy"]).exits(0);
    let mut terminal = Terminal::run(&project, &["deploy", "--env", "prod"]);
    terminal.shows("Type the name of the environment");
    terminal.types("\u{3}");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(130), "{screen}");
    assert_eq!(aws.calls("UpdateService").len(), 1);
}
