//! `--report`: what a reviewer gets to see, through the real binary.

use crate::support::{InsightsProxy, Project, StandIn};

const GOOD: &str = r#"{"services": {"dev/api": {}}}"#;

/// The sample with a fault in the service `api`, whose key is on line 11.
fn faulty() -> Project {
    let project = Project::sample();
    let text = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let text = text.replace("    repository: api-${env}", "    repository: api-${env}\n    dockerfile: no.Dockerfile");
    project.file("deploy.yaml", &text).committed()
}

fn in_pipelines(project: Project, proxy: &InsightsProxy) -> Project {
    project
        .var("BITBUCKET_BUILD_NUMBER", "7")
        .var("BITBUCKET_BRANCH", "feature")
        .var("BITBUCKET_PR_ID", "3")
        .var("BITBUCKET_COMMIT", "0123456789abcdef0123456789abcdef01234567")
        .var("BITBUCKET_REPO_FULL_NAME", "team/shop")
        .var("SHIPIT_BITBUCKET_PROXY", proxy.address())
}

#[test]
fn a_dry_run_as_markdown_is_alone_on_stdout() {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, GOOD);
    let project = project.with_aws(&aws).with_engine().var("DEV_TOKEN", "hunter2hunter2");
    let text = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let text = text.replace("    repository: api-${env}", "    repository: api-${env}\n    secrets: [TOKEN]");
    let project = project.file("deploy.yaml", &text);
    project.git(&["add", "--all"]);
    project.git(&["commit", "--quiet", "--message", "Say <b>hunter2hunter2</b> | to all"]);
    let ran = project.shipit(&["deploy", "--dry-run", "--report", "markdown"]).exits(0);
    assert!(
        ran.stdout.starts_with("## shipit: plan for dev\n\n**nothing is in the way of this deploy"),
        "{}",
        ran.stdout
    );
    for text in ["| api | planned | ", "\\<b\\>\\*\\*\\*\\</b\\> \\| to all", "### What would be done\n\napi\n\n1. "] {
        assert!(ran.stdout.contains(text), "{text}\n{}", ran.stdout);
    }
    assert!(ran.stderr.contains("plan for dev"), "the plan for the person is on stderr: {}", ran.stderr);
    ran.never_says("hunter2");
    assert!(aws.calls("UpdateService").is_empty());
}

#[test]
fn a_deploy_as_markdown_in_a_file() {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, GOOD);
    let project = project.with_aws(&aws).with_engine();
    // Not in the build context, of which it would be a change.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.md");
    let to = format!("markdown={}", path.display());
    let ran = project.shipit(&["deploy", "--output", "json", "--report", &to]).exits(0);
    assert_eq!(ran.finished()["services"][0]["verdict"], "deployed");
    let text = std::fs::read_to_string(&path).expect("a report");
    assert!(text.starts_with("## shipit: deploy for dev\n\n**api: deployed**\n"), "{text}");
    assert!(text.contains("| api | deployed | ") && text.contains("sha256:"), "{text}");
    let again = project.shipit(&["deploy", "--dry-run", "--report", "markdown"]).exits(0).stdout;
    assert!(again.contains("**there is nothing to do**") && again.contains("| api | unchanged | "), "{again}");
    assert!(!again.contains("What would be done"), "{again}");
    project.shipit(&["deploy", "--output", "json", "--report", "markdown"]).exits(2).says("markdown=PATH");
}

#[test]
fn a_rollout_that_failed_is_reported_with_its_reason() {
    let script = r#"{"services": {"dev/api": {"deployments": [
        {}, {"tasks": [{"healthy_after_ms": 60000, "exit": {"after_ms": 200, "code": 3}}]}]}}}"#;
    let project = Project::sample();
    let aws = StandIn::scripted(&project, script);
    let summary = project.path("summary.md").display().to_string();
    let project = project.with_aws(&aws).with_engine().var("GITHUB_STEP_SUMMARY", &summary);
    project.shipit(&["deploy"]).exits(0);
    let project = project.file("app", "two\n").committed();
    let ran = project.shipit(&["deploy", "--report", "github"]).exits(8);
    let line = ran.stdout.lines().find(|line| line.starts_with("::error ")).expect("an annotation").to_owned();
    assert!(line.starts_with("::error file=deploy.yaml,line=11,title=shipit%3A deploy for dev::api: "), "{line}");
    assert!(line.contains("exit code 3") && line.contains("%0A"), "{line}");
    let text = std::fs::read_to_string(&summary).expect("a summary");
    assert!(text.contains("**failed: api (exit code 8)**") && text.contains("### What went wrong"), "{text}");
    assert!(text.contains("exit code 3"), "{text}");
}

#[test]
fn github_gets_annotations_and_adds_to_its_summary() {
    let project = faulty().file("summary.md", "before\n");
    let summary = project.path("summary.md").display().to_string();
    let project = project.var("GITHUB_ACTIONS", "true").var("GITHUB_STEP_SUMMARY", &summary);
    let ran = project.shipit(&["check", "--report", "auto"]).exits(2);
    let wanted =
        "::error file=deploy.yaml,line=11,title=shipit%3A check::api: the Dockerfile no.Dockerfile cannot be read";
    assert!(ran.stdout.lines().any(|line| line.starts_with(wanted)), "{}", ran.stdout);
    assert_eq!(ran.stdout.matches("::error").count(), 1, "once, not for each environment: {}", ran.stdout);
    let text = std::fs::read_to_string(&summary).expect("a summary");
    assert!(text.starts_with("before\n## shipit: check\n\n**1 finding (exit code 2)**\n"), "{text}");
    assert!(text.contains("- **api**: the Dockerfile no.Dockerfile cannot be read"), "{text}");
}

#[test]
fn no_log_of_a_build_gives_a_command_to_the_runner() {
    crate::support::with_base_image();
    let dockerfile = "FROM busybox:stable\nRUN echo '::add-mask::7'; echo ' ##[add-mask]7'; exit 3\n";
    let project = Project::sample().file("api/Dockerfile", dockerfile).file("Dockerfile", dockerfile).committed();
    project.git(&["commit", "--quiet", "--allow-empty", "--message", "::error::forged"]);
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine().var("GITHUB_ACTIONS", "true").run_for_head("GITHUB_SHA");
    let ran = project.var("GITHUB_REF", "refs/heads/develop").shipit(&["deploy", "--report", "github"]).exits(5);
    let said = ran.everything();
    assert!(said.contains("add-mask") && said.contains("forged"), "{said}");
    let command = |line: &&str| line.trim_start().starts_with("::") || line.contains("##[");
    // Those that are meant.
    let own = |line: &&str| line.starts_with("::error file=deploy.yaml,") || line.starts_with("::warning title=shipit");
    let forged: Vec<&str> = said.lines().filter(command).filter(|line| !own(line)).collect();
    assert!(forged.is_empty(), "{forged:?}");
}

#[test]
fn every_fault_of_a_broken_file_has_its_line_from_the_top_of_the_repository() {
    let text = "version: 1\nenvironments:\n  dev: { brnach: x, branch: develop }\nservices:\n  api: { repository: a, platform: 1% }\n";
    let project = Project::new().file("infra/deploy.yaml", text).var("GITHUB_STEP_SUMMARY", "/dev/null");
    let ran = project.shipit(&["deploy", "--config", "infra/deploy.yaml", "--report", "github"]).exits(2);
    for line in ["::error file=infra/deploy.yaml,line=3,", "::error file=infra/deploy.yaml,line=5,"] {
        assert!(ran.stdout.lines().any(|said| said.starts_with(line)), "{line}\n{}", ran.stdout);
    }
    let project = project.file("infra/deploy.yaml", "version: 1\nname: [x\n");
    let ran = project.shipit(&["check", "--config", "infra/deploy.yaml", "--report", "github"]).exits(2);
    let first = ran.stdout.lines().next().expect("an annotation");
    assert!(first.starts_with("::error file=infra/deploy.yaml,line=2,"), "{first}");
    let ran = project.shipit(&["check", "--report", "github"]).exits(2);
    assert!(ran.stdout.starts_with("::error title=shipit%3A check::there is no deploy.yaml"), "{}", ran.stdout);
}

#[test]
fn bitbucket_gets_a_report_on_the_commit_that_it_knows() {
    let proxy = InsightsProxy::answering("200 OK");
    let project = in_pipelines(faulty(), &proxy).var("BITBUCKET_ACCESS_TOKEN", "hunter2hunter2");
    project.shipit(&["check", "--report", "auto", "--report", "bitbucket"]).exits(2).never_says("hunter2");
    let asked = proxy.asked();
    let report = "http://api.bitbucket.org/2.0/repositories/team/shop/commit/0123456789abcdef0123456789abcdef01234567/reports/shipit-check";
    let lines: Vec<String> = asked.iter().map(|one| format!("{} {}", one.method, one.address)).collect();
    let wanted = [format!("DELETE {report}"), format!("PUT {report}"), format!("POST {report}/annotations")];
    assert_eq!(lines, wanted);
    assert!(asked.iter().all(|one| one.headers.contains("host: api.bitbucket.org")));
    assert!(!format!("{asked:?}").contains("hunter2"), "a token went through the proxy");
    assert_eq!(asked[1].body["result"], "FAILED");
    assert_eq!(asked[1].body["link"], "https://bitbucket.org/team/shop/pipelines/results/7");
    let annotation = &asked[2].body[0];
    assert_eq!((&annotation["path"], &annotation["line"]), (&"deploy.yaml".into(), &11.into()), "{annotation}");
    assert!(annotation["summary"].as_str().expect("text").starts_with("api: the Dockerfile"), "{annotation}");
}

#[test]
fn what_is_in_the_way_of_a_dry_run_stands_beside_its_service_and_shows_no_secret() {
    let proxy = InsightsProxy::answering("200 OK");
    let project = Project::sample();
    let aws = StandIn::scripted(&project, GOOD);
    let project = in_pipelines(project, &proxy).with_aws(&aws).with_engine().var("DEV_TOKEN", "hunter2hunter2");
    let text = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let text = text.replace("repository: api-${env}", "repository: gone-${env}\n    secrets: [TOKEN]");
    let project = project.file("deploy.yaml", &text);
    project.git(&["add", "--all"]);
    project.git(&["commit", "--quiet", "--message", "Take hunter2hunter2"]);
    let args = ["deploy", "--env", "dev", "--dry-run", "--any-branch", "--report", "bitbucket"];
    project.shipit(&args).exits(7).never_says("hunter2");
    let asked = proxy.asked();
    assert!(asked[0].address.ends_with("/reports/shipit-plan-dev"), "{asked:?}");
    assert_eq!((&asked[1].body["title"], &asked[1].body["result"]), (&"shipit: plan for dev".into(), &"FAILED".into()));
    let gone = |one: &&serde_json::Value| one["summary"].as_str().is_some_and(|text| text.contains("gone-dev"));
    let annotation = asked[2].body.as_array().expect("a list").iter().find(gone).expect("the finding").clone();
    assert_eq!((&annotation["line"], &annotation["severity"]), (&11.into(), &"HIGH".into()), "{annotation}");
    assert!(!format!("{asked:?}").contains("hunter2"), "{asked:?}");
}

#[test]
fn a_fault_of_the_pipelines_file_stands_beside_its_own_line() {
    let pipelines =
        "pipelines:\n  branches:\n    main:\n      - step:\n          script: [shipit deploy --env nowhere]\n";
    let project = Project::sample().file("bitbucket-pipelines.yml", pipelines).committed();
    let project = project.var("GITHUB_STEP_SUMMARY", "/dev/null");
    let ran = project.shipit(&["check", "--report", "github"]).exits(2);
    let wanted = "::error file=bitbucket-pipelines.yml,line=5,";
    assert!(ran.stdout.lines().any(|line| line.starts_with(wanted)), "{}", ran.stdout);
}

#[test]
fn many_findings_are_sent_a_hundred_at_a_time() {
    let proxy = InsightsProxy::answering("200 OK");
    let services: String = (0..120).map(|at| format!("  s{at}: {{ repository: r{at}, context: no{at} }}\n")).collect();
    let text = format!("version: 1\nenvironments: {{ dev: {{ branch: develop }} }}\nservices:\n{services}");
    let project = in_pipelines(Project::new().file("deploy.yaml", &text).committed(), &proxy);
    project.shipit(&["check", "--report", "bitbucket"]).exits(2);
    let sent: Vec<usize> = proxy.asked().iter().filter_map(|one| one.body.as_array().map(Vec::len)).collect();
    assert_eq!(sent, [100, 20]);
}

#[test]
fn a_report_that_fails_is_a_warning_and_decides_nothing() {
    let refusing = InsightsProxy::answering("403 Forbidden");
    let project = in_pipelines(Project::sample(), &refusing);
    let ran = project.shipit(&["check", "--report", "bitbucket", "--report", "markdown=no/such/folder.md"]).exits(0);
    ran.says("warning: Bitbucket refuses the report: HTTP 403 Forbidden")
        .says("as the test wants it")
        .says("warning: the report cannot be written to no/such/folder.md")
        .says("nothing is wrong");
    let project = Project::sample().var("BITBUCKET_BUILD_NUMBER", "7").var("BITBUCKET_COMMIT", "c0ffee");
    let project =
        project.var("BITBUCKET_REPO_FULL_NAME", "team/shop").var("SHIPIT_BITBUCKET_PROXY", "http://127.0.0.1:1");
    let ran = project.shipit(&["check", "--report", "auto"]).exits(0);
    ran.says("warning: Bitbucket cannot be reached for the report").says("host.docker.internal");
    let ran = Project::sample().shipit(&["check", "--report", "auto", "--report", "bitbucket"]).exits(0);
    ran.says("no pipeline that is known").says("set BITBUCKET_REPO_FULL_NAME");
    Project::sample().shipit(&["check", "--report", "html"]).exits(2).says("give markdown, markdown=PATH");
}

#[test]
fn bitbuckets_token_is_shown_nowhere() {
    let project = Project::sample();
    let text = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let text =
        text.replace("{ branch: develop }", "{ branch: develop, freeze: [{ from: 2020-01-01, to: 2099-12-31 }] }");
    let aws = StandIn::scripted(&project, GOOD);
    let project = project.with_aws(&aws).with_engine().var("BITBUCKET_ACCESS_TOKEN", "hunter2hunter2");
    project.shipit(&["check", "--env", "hunter2hunter2"]).exits(2).says("no environment `***`").never_says("hunter2");
    let project = project.file("deploy.yaml", &text);
    project.git(&["commit", "--quiet", "--all", "--message", "Take hunter2hunter2"]);
    let folder = tempfile::tempdir().expect("a folder");
    let receipt = folder.path().join("receipt.json").display().to_string();
    project.shipit(&["deploy", "--receipt", &receipt]).exits(4).says("is frozen").never_says("hunter2");
    let receipt = std::fs::read_to_string(&receipt).expect("a receipt");
    assert!(receipt.contains("Take ***") && !receipt.contains("hunter2"), "{receipt}");
}
