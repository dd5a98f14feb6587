//! The filter of a deploy: what is deployed, what is left as it is, and what is never forgotten.

use std::time::{Duration, Instant};

use super::*;
use crate::support::Running;

fn deployed() -> (Project, StandIn) {
    deployed_with(r#"{"speed": 5, "services": {"dev/api": {}, "dev/web": {}}}"#)
}

fn deployed_with(script: &str) -> (Project, StandIn) {
    let project = shop();
    let aws = StandIn::scripted(&project, script);
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0).says("no known base");
    (project, aws)
}

fn verdicts(ran: &Ran) -> Vec<(String, String)> {
    let finished = ran.finished();
    let services = finished["services"].as_array().expect("services").iter();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    services.map(|service| (text(&service["service"]), text(&service["verdict"]))).collect()
}

#[track_caller]
fn deploys(project: &Project, more: &[&str], expected: [&str; 2]) -> Ran {
    let ran = project.shipit(&[&["deploy", "--output", "json"], more].concat());
    let [api, web] = expected;
    assert_eq!(verdicts(&ran), [("api".into(), api.into()), ("web".into(), web.into())], "{}", ran.everything());
    ran
}

#[test]
fn only_what_changed_is_deployed() {
    let (project, aws) = deployed();
    let first = project.head();
    let project = project.file("README.md", "more\n").committed();
    let ran = project.shipit(&["deploy"]).exits(0);
    ran.says("nothing to deploy in dev").says(&format!("unchanged since {}", &first[..12]));
    let project = project.file("web/app", "two\n").committed();
    let ran = deploys(&project, &[], ["unchanged", "deployed"]);
    let api = &ran.finished()["services"][0];
    assert_eq!((&api["since"], &api["revision"]), (&Value::from(first.as_str()), &Value::from(first.as_str())));
    assert_eq!(aws.tags("dev", "web")["shipit:base"], project.head());
    assert_eq!(aws.tags("dev", "api")["shipit:base"], first);
    // The plan of a dry run is the same value, and `changed` says the same.
    let project = project.file("api/app", "two\n").committed();
    deploys(&project, &["--dry-run"], ["planned", "unchanged"]).exits(0);
    let ran = project.shipit(&["changed", "--env", "dev", "--format", "lines"]).exits(0);
    assert_eq!(ran.stdout, "api\n");
    // On purpose everything goes, and a base may be given.
    deploys(&project, &["--dry-run", "--all"], ["planned", "planned"]);
    deploys(&project, &["--dry-run", "--base", "HEAD"], ["unchanged", "unchanged"]);
    deploys(&project, &["--dry-run", "--base", &first], ["planned", "planned"]);
    let ran = project.shipit(&["deploy", "web", "--dry-run", "--output", "json"]).exits(0);
    assert_eq!(verdicts(&ran), [("web".into(), "planned".into())]);
}

#[test]
fn a_deploy_that_failed_is_not_forgotten() {
    let script = r#"{"speed": 5, "services": {"dev/web": {}, "dev/api": {"deployments": [
        {}, {"tasks": [{"healthy_after_ms": 60000, "exit": {"after_ms": 300, "code": 3}}]}, {}]}}}"#;
    let (project, aws) = deployed_with(script);
    let good = aws.tags("dev", "api")["shipit:base"].clone();
    let project = project.file("api/app", "two\n").committed();
    deploys(&project, &[], ["rolled-back", "unchanged"]).exits(8);
    assert_eq!(aws.tags("dev", "api")["shipit:base"], good);
    // The next commit is somebody else's, and the change that did not arrive goes with it.
    let project = project.file("web/app", "two\n").committed();
    deploys(&project, &[], ["deployed", "deployed"]).exits(0);
    assert_eq!(aws.tags("dev", "api")["shipit:base"], project.head());
}

#[test]
fn what_a_rollback_took_away_does_not_come_back_with_the_next_commit() {
    let (project, aws) = deployed();
    let good = aws.latest("api-dev");
    let project = project.file("api/app", "bad\n").committed();
    let bad = project.head();
    deploys(&project, &[], ["deployed", "unchanged"]);
    project.shipit(&["rollback", "--env", "dev", "api"]).exits(0);
    let project = project.file("web/app", "two\n").committed();
    let ran = project.shipit(&["deploy"]).exits(0);
    ran.says(&format!("{} was rolled back here and is held", &bad[..12])).says("--release-hold").says("deployed");
    assert_eq!(aws.latest("api-dev"), good);
    assert_eq!(aws.tags("dev", "api")["shipit:held"], bad);
    // A change of its own ends the hold; so does whoever means it.
    for more in [&["--release-hold"][..], &["api"]] {
        let ran = project.shipit(&[&["deploy", "--dry-run", "--output", "json"], more].concat()).exits(0);
        assert_eq!(verdicts(&ran)[0], ("api".into(), "planned".into()), "{more:?}");
    }
    let project = project.file("api/app", "better\n").committed();
    deploys(&project, &[], ["deployed", "unchanged"]);
    assert_eq!(aws.tags("dev", "api").get("shipit:held"), None);
}

#[test]
fn two_services_with_one_image_have_a_base_each() {
    let manifest = MANIFEST.replace(
        "web: { context: web, repository: \"web-${env}\" }",
        "worker: { context: api, paths: [api/**], repository: \"api-${env}\" }",
    );
    let project = shop().file("deploy.yaml", &manifest).committed();
    let aws = StandIn::scripted(&project, r#"{"speed": 5, "services": {"dev/api": {}, "dev/worker": {}}}"#);
    let project = project.with_aws(&aws).with_engine();
    let ended = |args: &[&str]| -> Vec<String> {
        let ran = project.shipit(&[&["deploy", "--output", "json"], args].concat()).exits(0);
        verdicts(&ran).into_iter().map(|(_, verdict)| verdict).collect()
    };
    assert_eq!(ended(&[]), ["deployed", "deployed"]);
    let first = project.head();
    std::fs::write(project.path("api/app"), "two\n").expect("a file");
    commit(&project);
    assert_eq!(ended(&["worker"]), ["deployed"]);
    assert_eq!(
        (&aws.tags("dev", "api")["shipit:base"], &aws.tags("dev", "worker")["shipit:base"]),
        (&Value::from(first), &Value::from(project.head()))
    );
    assert_eq!(ended(&[]), ["deployed", "unchanged"]);
    assert_eq!(ended(&[]), ["unchanged", "unchanged"]);
}

#[test]
fn what_is_deployed_of_a_tree_that_was_not_clean_is_no_base() {
    let (project, aws) = deployed();
    let project = project.file("api/app", "not committed\n");
    deploys(&project, &[], ["deployed", "unchanged"]).exits(0);
    assert!(aws.tags("dev", "api")["shipit:base"].as_str().expect("a base").ends_with("-dirty"));
    project.git(&["checkout", "--quiet", "--", "."]);
    let ran = deploys(&project, &["--dry-run"], ["planned", "unchanged"]).exits(0);
    ran.says("with uncommitted changes");
}

#[test]
fn an_image_that_a_lifecycle_rule_took_away_is_no_base() {
    let (project, aws) = deployed();
    let digest = aws.latest("api-dev");
    aws.untag_service("dev", "api", &["shipit:base", "shipit:revision", "shipit:digest"]);
    let input = serde_json::json!({"repositoryName": "api-dev", "imageIds": [{"imageDigest": digest}]});
    aws.aws("ecr", "AmazonEC2ContainerRegistry_V20150921.BatchDeleteImage", &input);
    let ran = deploys(&project, &["--dry-run"], ["planned", "unchanged"]);
    ran.says("does not have the image that runs any more");
}

#[test]
fn labels_that_a_base_image_brought_along_do_not_disturb() {
    let labels = "LABEL org.opencontainers.image.source=https://example.com/another/repository\n\
        LABEL org.opencontainers.image.revision=0123456789012345678901234567890123456789\n";
    let project = shop().file("api/Dockerfile", &format!("{DOCKERFILE}{labels}")).committed();
    let aws = StandIn::scripted(&project, r#"{"speed": 5, "services": {"dev/api": {}, "dev/web": {}}}"#);
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    aws.untag_service("dev", "api", &["shipit:base", "shipit:revision", "shipit:digest"]);
    let rows = project.shipit(&["changed", "--env", "dev", "--output", "json"]).exits(0).events();
    assert_eq!((&rows[0]["changed"], &rows[0]["base_from"]), (&Value::from(false), &Value::from("image-label")));
}

/// A run of the manual step that the commit's own pipeline has for production.
fn behind_a_manual_step(project: Project) -> Project {
    let pipeline = "pipelines: { branches: { main: [{ step: { script: [shipit deploy] } },
        { step: { trigger: manual, script: [shipit deploy --env prod --approve] } }] } }";
    let project = project.branch("main").file("bitbucket-pipelines.yml", pipeline).committed();
    let project = project.var("BITBUCKET_BUILD_NUMBER", "7").var("BITBUCKET_REPO_FULL_NAME", "team/shop");
    project
        .var("BITBUCKET_BRANCH", "main")
        .var("BITBUCKET_STEP_TRIGGERER_UUID", "{ada}")
        .run_for_head("BITBUCKET_COMMIT")
}

#[test]
fn nothing_changed_needs_no_engine_and_no_approval() {
    let project = shop();
    let aws = StandIn::scripted(&project, r#"{"speed": 5, "services": {"prod/api": {}, "prod/web": {}}}"#);
    let project = behind_a_manual_step(project).with_aws(&aws).with_engine();
    project.shipit(&["deploy", "--env", "prod", "--approve"]).exits(0);
    let project = project.file("README.md", "more\n").committed().var("DOCKER_HOST", "unix:///nowhere.sock");
    let project = project.run_for_head("BITBUCKET_COMMIT");
    project.shipit(&["deploy", "--env", "prod"]).exits(0).says("nothing to deploy in prod");
    // But who may not read what runs there knows nothing.
    aws.follow(r#"{"deny": ["ecs:ListTagsForResource"]}"#);
    project.shipit(&["deploy", "--env", "prod"]).exits(7).says("ecs:ListTagsForResource").never_says("unchanged");
    project.shipit(&["changed", "--env", "prod"]).exits(7).says("ecs:ListTagsForResource");
}

#[test]
fn what_runs_tells_its_commit_where_no_tag_does() {
    let (project, aws) = deployed();
    let untag = |keys: &[&str]| aws.untag_service("dev", "api", keys);
    untag(&["shipit:base", "shipit:revision", "shipit:digest"]);
    let project = project.file("README.md", "more\n").committed();
    let rows = project.shipit(&["changed", "--env", "dev", "--output", "json"]).exits(0).events();
    assert_eq!((&rows[0]["changed"], &rows[0]["base_from"]), (&Value::from(false), &Value::from("image-label")));
    assert_eq!(rows[1]["base_from"], "service-tag");
    assert_eq!(aws.calls("GetDownloadUrlForLayer").len(), 1);
    // A tag that does not belong to what runs says nothing.
    let tag = |key: &str, value: &str| aws.tag_service("dev", "api", key, value);
    tag("shipit:digest", "sha256:0000");
    tag("shipit:base", &project.head());
    let rows = project.shipit(&["changed", "--env", "dev", "--output", "json"]).exits(0).events();
    assert_eq!(rows[0]["base_from"], "image-label");
    // Nor does one that is no commit, or was built from more than a commit.
    let digest = aws.latest("api-dev");
    tag("shipit:digest", &digest);
    let tree = project.git(&["rev-parse", "HEAD^{tree}"]);
    for (value, why) in [
        ("main", "is no commit"),
        (&format!("{}-dirty", project.head()), "uncommitted changes"),
        (tree.trim(), "cannot be had from git"),
    ] {
        tag("shipit:base", value);
        let rows = project.shipit(&["changed", "--env", "dev", "--output", "json"]).exits(0).events();
        assert_eq!(rows[0]["changed"], true);
        assert!(rows[0]["reason"].as_str().expect("a reason").contains(why), "{}", rows[0]);
    }
    aws.follow(r#"{"deny": ["ecr:GetDownloadUrlForLayer"]}"#);
    untag(&["shipit:digest"]);
    project.shipit(&["deploy"]).exits(7).says("ecr:GetDownloadUrlForLayer");
}

#[test]
fn a_base_that_git_does_not_have_is_a_change_in_words() {
    let (project, _aws) = deployed();
    project.git(&["checkout", "--quiet", "--orphan", "other"]);
    project.git(&["commit", "--quiet", "--message", "Begin again"]);
    project.git(&["branch", "--quiet", "--force", "develop"]);
    project.git(&["checkout", "--quiet", "develop"]);
    project.git(&["branch", "--quiet", "-D", "other"]);
    // After a force-push the tree is what counts, whatever became of the history.
    deploys(&project, &[], ["unchanged", "unchanged"]);
    project.git(&["reflog", "expire", "--expire=now", "--all"]);
    project.git(&["gc", "--quiet", "--prune=now"]);
    let ran = project.shipit(&["deploy", "--dry-run"]).exits(0);
    ran.says("cannot be had from git, so nobody can tell").says("planned");
}

#[test]
fn an_older_commit_does_not_replace_a_newer_one() {
    let (project, aws) = deployed();
    let project = project.file("api/app", "two\n").committed();
    let newer = project.head();
    deploys(&project, &[], ["deployed", "unchanged"]);
    project.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    let rolled = aws.calls("UpdateService").len();
    let ran = project.shipit(&["deploy"]).exits(4);
    ran.says(&format!("is older than {}, which runs there", &newer[..12])).says("--allow-older");
    project.shipit(&["deploy", "api"]).exits(4).says("is older than");
    assert_eq!(aws.calls("UpdateService").len(), rolled);
    deploys(&project, &["--allow-older"], ["deployed", "unchanged"]).exits(0);
}

#[test]
fn a_shallow_clone_fetches_what_tells_which_is_older() {
    let (project, aws) = deployed();
    let older = project.head();
    let project = project.file("api/app", "two\n").committed();
    deploys(&project, &[], ["deployed", "unchanged"]);
    project.git(&["branch", "newest"]);
    project.git(&["reset", "--quiet", "--hard", &older]);
    let clone = shallow(&project);
    let clone = clone.with_aws(&aws).with_engine();
    project.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    clone.shipit(&["deploy"]).exits(4).says("is older than").says("this clone is shallow");
    // Where that cannot be had it is said, and the person decides.
    let gone = tempfile::tempdir().expect("a folder");
    let clone = shallow(&project);
    clone.git(&["remote", "set-url", "origin", &format!("file://{}", gone.path().display())]);
    let ran = clone.with_aws(&aws).with_engine().shipit(&["deploy", "--dry-run"]).exits(0);
    ran.says("so which is older is not known");
}

#[test]
fn a_rollback_by_hand_makes_somebody_choose_before_production() {
    let project = shop();
    let aws = StandIn::scripted(&project, r#"{"speed": 5, "services": {"prod/api": {}, "prod/web": {}}}"#);
    let project = behind_a_manual_step(project).with_aws(&aws).with_engine();
    let deploy = ["deploy", "--env", "prod", "--approve"];
    project.shipit(&deploy).exits(0);
    let good = aws.latest("api-prod");
    let project = project.file("api/app", "bad\n").committed().run_for_head("BITBUCKET_COMMIT");
    project.shipit(&deploy).exits(0);
    // Somebody moves the tag and forces a deployment, as the manual says.
    aws.tag("api-prod", &good, "latest");
    aws.force("prod", "api");
    project.shipit(&["wait", "--env", "prod", "web"]).exits(0);
    while aws.service("prod", "api")["deployments"].as_array().expect("deployments").len() > 1 {
        std::thread::sleep(Duration::from_millis(100));
    }
    let project = project.file("web/app", "two\n").committed().run_for_head("BITBUCKET_COMMIT");
    let ran = project.shipit(&deploy).exits(4);
    ran.says("somebody else rolled it").says("shipit deploy --env prod api");
    let ran = project.shipit(&[&deploy[..], &["api", "--output", "json"]].concat()).exits(0);
    assert_eq!(verdicts(&ran), [("api".into(), "deployed".into())]);
}

#[test]
fn a_shallow_clone_of_a_newer_commit_knows_that_it_is_newer() {
    let (project, aws) = deployed();
    let project = project.file("api/app", "two\n").committed().file("api/app", "three\n").committed();
    let clone = shallow(&project).with_aws(&aws).with_engine();
    let ran = deploys(&clone, &["--dry-run"], ["planned", "unchanged"]).exits(0);
    ran.never_says("too shallow to tell").never_says("is not known").never_says("is older than");
}

#[test]
fn an_interrupted_fetch_leaves_no_lock() {
    let (project, aws) = deployed();
    let project = project.file("api/app", "two\n").committed();
    let clone = shallow(&project).with_aws(&aws).with_engine();
    // The remote takes half a minute over what it is asked for.
    let slow = clone.path(".git/slow");
    std::fs::write(&slow, "#!/bin/sh\nexec sleep 30\n").expect("a file");
    std::fs::set_permissions(&slow, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a program");
    let config = format!("[uploadpack]\n\tpackObjectsHook = {}\n", slow.display());
    let clone = clone.file(".home/.gitconfig", &config);
    let (lock, deadline) = (clone.path(".git/shallow.lock"), Instant::now() + Duration::from_secs(60));
    let wait_until = |is_there: bool| {
        while lock.exists() != is_there {
            assert!(Instant::now() < deadline, "the lock is there: {}", !is_there);
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let run = Running::start(&clone, &["deploy", "--dry-run"]);
    wait_until(true);
    run.gets("TERM").exits(130);
    wait_until(false);
    let clone = clone.file(".home/.gitconfig", "");
    deploys(&clone, &["--dry-run"], ["planned", "unchanged"]).exits(0);
}

const PROMOTED: &str = r#"version: 1
name: shop
aws: { region: ap-south-1, account: "123456789012" }
environments:
  sandbox: { branch: main }
  prod: { branch: main, after: sandbox }
services:
  api: { context: api, repository: "api-${env}" }
  site: { kind: zip, context: site, exclude: ["*.md"], bucket: "site-${env}" }
"#;

/// What is deployed to sandbox and then to production ends in these verdicts.
fn through(project: &Project, expected: [&str; 2]) {
    for environment in ["sandbox", "prod"] {
        let ran = project.shipit(&["deploy", "--env", environment, "--output", "json"]).exits(0);
        let ended: Vec<String> = verdicts(&ran).into_iter().map(|(_, verdict)| verdict).collect();
        assert_eq!(ended, expected, "{environment}");
    }
}

#[test]
fn a_commit_that_concerned_nobody_keeps_nobody_from_production() {
    let project = Project::new()
        .branch("main")
        .file("deploy.yaml", PROMOTED)
        .file("api/Dockerfile", DOCKERFILE)
        .file("api/app", "one\n")
        .file("site/index.html", "one\n")
        .committed();
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    through(&project, ["deployed", "deployed"]);
    let project = project.file("README.md", "words\n").file("site/notes.md", "words\n").committed();
    let before = aws.calls("PutObject").len();
    through(&project, ["unchanged", "unchanged"]);
    assert_eq!(aws.calls("PutObject").len(), before);
    // Deployed to sandbox by one commit, and to production by a later one that concerns neither.
    let project = project.file("api/app", "two\n").file("site/index.html", "two\n").committed();
    project.shipit(&["deploy", "--env", "sandbox"]).exits(0);
    let project = project.file("README.md", "other words\n").committed();
    project.shipit(&["deploy", "--env", "sandbox"]).exits(0).says("unchanged");
    project.shipit(&["deploy", "--env", "prod"]).exits(0).says("deployed");
    // What is not in sandbox yet goes no further.
    let project = project.file("api/app", "three\n").committed();
    project.shipit(&["deploy", "--env", "prod"]).exits(4).says("does not run in `sandbox` yet");
}
