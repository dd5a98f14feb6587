//! What changed: every trap of git on a real repository, the filter of a deploy, and what it says.

use proptest::prelude::*;
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

#[test]
fn only_what_concerns_a_service_changes_it() {
    let cases: [(&str, &[&str]); 12] = [
        ("README.md", &[]),
        ("docs/a", &[]),
        ("api/app", &["api"]),
        ("api/x/y/.z", &["api"]),
        ("api/notes.md", &[]),
        ("libs/x/l", &["api"]),
        ("apis/x", &[]),
        ("web/app", &["web"]),
        // The builder is not sent what .dockerignore leaves out.
        ("web/notes", &[]),
        ("web/Dockerfile", &["web"]),
        ("web/.dockerignore", &["web"]),
        ("web/Dockerfile.dockerignore", &["web"]),
    ];
    for (path, expected) in cases {
        let project = shop().file(path, "another thing\n").committed();
        assert_eq!(changed(&project), expected, "{path}");
    }
}

#[test]
fn both_sides_of_a_rename_and_a_deletion_count() {
    let project = shop();
    project.git(&["mv", "api/app", "web/moved"]);
    commit(&project);
    // Whatever the user has set for `git diff`.
    let set = [("diff.renames", "copies"), ("diff.relative", "true"), ("diff.orderFile", "/nowhere")];
    for (key, value) in set {
        project.git(&["config", key, value]);
    }
    assert_eq!(changed(&project), ["api", "web"]);
    for (key, _) in set {
        project.git(&["config", "--unset", key]);
    }
    project.git(&["rm", "--quiet", "libs/x/l"]);
    commit(&project);
    assert_eq!(changed(&project), ["api"]);
}

#[test]
fn unusual_names_are_names() {
    for name in ["api/é ü", "api/q\"uo\tte", "api/new\nline", "api/ leading", "api/-dash", "api/back\\slash", "api/*"]
    {
        let project = shop().file(name, "x\n").committed();
        assert_eq!(changed(&project), ["api"], "{name:?}");
    }
    let project = shop();
    let name = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff\xfe");
    std::fs::write(project.path("api").join::<&std::ffi::OsStr>(name), "x").expect("a file");
    commit(&project);
    assert_eq!(changed(&project), ["api"]);
}

#[test]
fn a_mode_and_a_link_are_changes() {
    let project = shop();
    project.git(&["update-index", "--chmod=+x", "api/app"]);
    project.git(&["commit", "--quiet", "--message", "Let it run"]);
    project.git(&["checkout", "--quiet", "--", "."]);
    assert_eq!(changed(&project), ["api"]);
    std::os::unix::fs::symlink("../libs/x", project.path("web/lib")).expect("a link");
    commit(&project);
    assert_eq!(changed(&project), ["web"]);
    std::fs::remove_file(project.path("web/lib")).expect("a link");
    std::os::unix::fs::symlink("../libs", project.path("web/lib")).expect("a link");
    commit(&project);
    assert_eq!(changed(&project), ["web"]);
}

#[test]
fn a_context_behind_a_link_changes_with_the_link() {
    let project = shop().file("v1/Dockerfile", DOCKERFILE).file("v2/Dockerfile", DOCKERFILE);
    std::os::unix::fs::symlink("v1", project.path("current")).expect("a link");
    let project = project.file("deploy.yaml", &MANIFEST.replace("context: web", "context: current")).committed();
    std::fs::remove_file(project.path("current")).expect("a link");
    std::os::unix::fs::symlink("v2", project.path("current")).expect("a link");
    commit(&project);
    assert_eq!(changed(&project), ["web"]);
}

#[test]
fn a_submodule_that_is_told_to_be_ignored_is_seen() {
    let other = Project::new().file("f", "1\n").committed();
    let project = shop();
    let url = other.folder().to_str().expect("UTF-8").to_owned();
    project.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &url, "vend"]);
    project.git(&["config", "--file", ".gitmodules", "submodule.vend.ignore", "all"]);
    commit(&project);
    let other = other.file("f", "2\n").committed();
    let newer = other.head();
    project.git(&["-C", "vend", "fetch", "--quiet"]);
    project.git(&["-C", "vend", "checkout", "--quiet", &newer]);
    project.git(&["add", "--force", "vend"]);
    project.git(&["commit", "--quiet", "--message", "Take the newer one"]);
    assert_eq!(changed(&project), ["api"], "vend/** means what is behind `vend`");
}

#[test]
fn a_merge_is_what_it_brought() {
    let project = shop();
    project.git(&["checkout", "--quiet", "-b", "feature"]);
    let project = project.file("web/app", "two\n").committed();
    project.git(&["checkout", "--quiet", "develop"]);
    let project = project.file("README.md", "more words\n").committed();
    project.git(&["merge", "--quiet", "--no-ff", "--message", "Merge", "feature"]);
    assert_eq!(changed_since(&project, "HEAD~1"), ["web"]);
    // A pull request is counted from where it was branched off, whatever went into the other branch since.
    project.git(&["checkout", "--quiet", "-b", "next", "HEAD~1"]);
    let project = project.file("api/app", "three\n").committed();
    assert_eq!(changed_since(&project, "develop"), ["api"]);
}

#[test]
fn replaced_objects_are_not_looked_at() {
    let project = shop();
    let old = project.head();
    let project = project.file("api/app", "two\n").committed();
    project.git(&["replace", &old, "HEAD"]);
    assert_eq!(changed_since(&project, &old), ["api"]);
}

#[test]
fn what_is_not_committed_counts_on_a_laptop_and_not_in_a_pipeline() {
    let project = shop().file("api/new", "x\n").file("web/app", "two\n");
    assert_eq!(changed_since(&project, "HEAD"), ["api", "web"]);
    let pipeline = project.var("BITBUCKET_BUILD_NUMBER", "7").var("BITBUCKET_BRANCH", "develop");
    assert_eq!(changed_since(&pipeline, "HEAD"), Vec::<String>::new());
}

#[test]
fn deploy_yaml_is_compared_by_what_it_means() {
    type Works = &'static [(&'static str, &'static str)];
    let works: [(&str, &str, Works); 7] = [
        ("name: shop", "name: other", &[]),
        ("{ context: web,", "{ context: web, dockerfile: Dockerfile, platform: linux/amd64,", &[]),
        ("{ context: web,", "{ context: web, build_args: { A: b },", &[("web", "build")]),
        ("{ context: web,", "{ context: web, cluster: other,", &[("web", "deploy")]),
        ("{ context: web,", "{ context: web, environments: { prod: { target: x } },", &[]),
        ("{ context: web,", "{ context: web, environments: { dev: { target: x } },", &[("web", "build")]),
        ("dev: { branch: develop }", "dev: { branch: develop, approval: required }", &[]),
    ];
    for (from, to, expected) in works {
        assert!(MANIFEST.contains(from));
        let project = shop().file("deploy.yaml", &MANIFEST.replace(from, to)).committed();
        let rows = rows(&project, "HEAD~1", &[]);
        let work = rows.iter().filter(|row| row["changed"] == true);
        let work: Vec<_> =
            work.map(|row| (row["service"].as_str().expect("a name"), row["work"].as_str().expect("a word"))).collect();
        assert_eq!(work, expected, "{to}");
    }
}

#[test]
fn a_secret_of_another_name_is_a_change_although_no_value_is_known() {
    let with = |name: &str| {
        MANIFEST.replace(
            "{ context: web,",
            &format!("{{ context: web, secrets: [{name}], build_args: {{ A: '${{{name}}}' }},"),
        )
    };
    let project = shop().file("deploy.yaml", &with("ONE")).committed().file("deploy.yaml", &with("TWO")).committed();
    let rows = rows(&project, "HEAD~1", &["web"]);
    assert_eq!(rows[0]["changed"], true);
    assert!(rows[0]["reason"].as_str().expect("a reason").contains("build_args"), "{}", rows[0]);
}

#[test]
fn a_filter_that_is_narrowed_does_not_hide_the_change_beside_it() {
    let project = shop()
        .file("deploy.yaml", &MANIFEST.replace("[api/**, libs/**, vend/**]", "[api/**]"))
        .file("libs/x/l", "other\n")
        .committed();
    assert_eq!(changed(&project), ["api"]);
    let project = project.file("libs/x/l", "third\n").committed();
    assert_eq!(changed(&project), Vec::<String>::new());
}

#[test]
fn an_old_deploy_yaml_that_cannot_be_read_is_a_change_in_words() {
    let project = shop().file("deploy.yaml", "version: 1\nwhatever: true\n").committed();
    let project = project.file("deploy.yaml", MANIFEST).committed();
    let rows = rows(&project, "HEAD~1", &[]);
    for row in &rows {
        assert_eq!(row["changed"], true);
        assert!(row["reason"].as_str().expect("a reason").contains("cannot read deploy.yaml"), "{row}");
    }
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

#[test]
fn a_base_that_a_shallow_clone_does_not_have_is_fetched() {
    let mut project = shop();
    let base = project.head();
    for number in 0..3 {
        project = project.file("web/app", &format!("{number}\n")).committed();
    }
    let clone = shallow(&project);
    let ran = clone.shipit(&["changed", "--env", "dev", "--base", &base]).exits(0);
    ran.says("is fetched from origin").says("web/app changed since");
    assert_eq!(clone.git(&["rev-parse", "HEAD"]).trim(), project.head());
    // A branch of the remote that the clone does not follow.
    let clone = shallow(&project);
    project.git(&["branch", "target", &base]);
    assert_eq!(changed_since(&clone, "origin/target"), ["web"]);
    let missing = "0123456789012345678901234567890123456789";
    clone.shipit(&["changed", "--env", "dev", "--base", missing]).exits(2).says("there is no commit").says("hint:");
    clone.shipit(&["changed", "--env", "dev", "--base", "--output"]).exits(2);
}

#[test]
fn each_pipeline_gets_its_form() {
    let project = shop().file("api/app", "two\n").committed();
    let said = |format: &str| {
        let ran = project.shipit(&["changed", "--env", "dev", "--base", "HEAD~1", "--format", format]).exits(0);
        ran.stdout
    };
    assert_eq!(said("lines"), "api\n");
    assert_eq!(said("json"), "[\"api\"]\n");
    assert_eq!(said("bitbucket"), "CHANGED=true\nCHANGED_API=true\nCHANGED_WEB=false\n");
    assert_eq!(said("github"), "changed=true\nservices=[\"api\"]\nchanged_api=true\nchanged_web=false\n");
    assert_eq!(said("github-matrix"), "{\"include\":[{\"service\":\"api\"}]}\n");
    let table = said("text");
    assert!(table.contains("api/app changed since"), "{table}");
    let project = project.file("deploy.yaml", &MANIFEST.replace("libs/**", "lib/**")).committed();
    let ran = project.shipit(&["changed", "--env", "dev", "--base", "HEAD~2", "--explain"]).exits(0);
    ran.says("api/app  by api/**").says("the pattern `lib/**` of deploy.yaml fits no file").says("(by --base)");
}

#[test]
fn a_pattern_that_means_nothing_is_refused_with_its_place() {
    let project = shop().file("deploy.yaml", &MANIFEST.replace("libs/**", "../libs")).committed();
    project.shipit(&["check"]).exits(2).says("deploy.yaml:8").says("there is no `..` in a pattern");
}

/// The filter of a deploy.
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

/// A run of the manual step that the commit's own pipeline has for production.
fn behind_a_manual_step(project: Project) -> Project {
    let pipeline = "pipelines: { branches: { main: [{ step: { script: [shipit deploy] } },
        { step: { trigger: manual, script: [shipit deploy --env prod --approve] } }] } }";
    let project = project.branch("main").file("bitbucket-pipelines.yml", pipeline).committed();
    let project = project.var("BITBUCKET_BUILD_NUMBER", "7").var("BITBUCKET_REPO_FULL_NAME", "team/shop");
    project.var("BITBUCKET_BRANCH", "main").var("BITBUCKET_STEP_TRIGGERER_UUID", "{ada}")
}

#[test]
fn nothing_changed_needs_no_engine_and_no_approval() {
    let project = shop();
    let aws = StandIn::scripted(&project, r#"{"speed": 5, "services": {"prod/api": {}, "prod/web": {}}}"#);
    let project = behind_a_manual_step(project).with_aws(&aws).with_engine();
    project.shipit(&["deploy", "--env", "prod", "--approve"]).exits(0);
    let project = project.file("README.md", "more\n").committed().var("DOCKER_HOST", "unix:///nowhere.sock");
    project.shipit(&["deploy", "--env", "prod"]).exits(0).says("nothing to deploy in prod");
    // But who may not read what runs there knows nothing.
    aws.follow(r#"{"deny": ["ecs:ListTagsForResource"]}"#);
    project.shipit(&["deploy", "--env", "prod"]).exits(7).says("ecs:ListTagsForResource").never_says("unchanged");
    project.shipit(&["changed", "--env", "prod"]).exits(7).says("ecs:ListTagsForResource");
}

#[test]
fn what_runs_tells_its_commit_where_no_tag_does() {
    let (project, aws) = deployed();
    let arn = aws.service("dev", "api")["serviceArn"].clone();
    let untag = |keys: &[&str]| {
        let input = serde_json::json!({"resourceArn": arn, "tagKeys": keys});
        aws.aws("ecs", "AmazonEC2ContainerServiceV20141113.UntagResource", &input);
    };
    untag(&["shipit:base", "shipit:revision", "shipit:digest"]);
    let project = project.file("README.md", "more\n").committed();
    let rows = project.shipit(&["changed", "--env", "dev", "--output", "json"]).exits(0).events();
    assert_eq!((&rows[0]["changed"], &rows[0]["base_from"]), (&Value::from(false), &Value::from("image-label")));
    assert_eq!(rows[1]["base_from"], "service-tag");
    assert_eq!(aws.calls("GetDownloadUrlForLayer").len(), 1);
    // A tag that does not belong to what runs says nothing.
    let tag = |key: &str, value: &str| {
        let input = serde_json::json!({"resourceArn": arn, "tags": [{"key": key, "value": value}]});
        aws.aws("ecs", "AmazonEC2ContainerServiceV20141113.TagResource", &input);
    };
    tag("shipit:digest", "sha256:0000");
    tag("shipit:base", &project.head());
    let rows = project.shipit(&["changed", "--env", "dev", "--output", "json"]).exits(0).events();
    assert_eq!(rows[0]["base_from"], "image-label");
    // Nor does one that is no commit, or was built from more than a commit.
    let digest = aws.latest("api-dev");
    tag("shipit:digest", &digest);
    for (value, why) in [("main", "is no commit"), (&format!("{}-dirty", project.head()), "uncommitted changes")] {
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
    let project = project.file("api/app", "bad\n").committed();
    project.shipit(&deploy).exits(0);
    // Somebody moves the tag and forces a deployment, as the manual says.
    aws.tag("api-prod", &good, "latest");
    let input = serde_json::json!({"cluster": "prod", "service": "api", "forceNewDeployment": true});
    aws.aws("ecs", "AmazonEC2ContainerServiceV20141113.UpdateService", &input);
    project.shipit(&["wait", "--env", "prod", "web"]).exits(0);
    while aws.service("prod", "api")["deployments"].as_array().expect("deployments").len() > 1 {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let project = project.file("web/app", "two\n").committed();
    let ran = project.shipit(&deploy).exits(4);
    ran.says("somebody else rolled it").says("shipit deploy --env prod api");
    let ran = project.shipit(&[&deploy[..], &["api", "--output", "json"]].concat()).exits(0);
    assert_eq!(verdicts(&ran), [("api".into(), "deployed".into())]);
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "lib", "x.md", ".h", "é"]).prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 1..4).prop_map(|parts| parts.join("/"))
}

fn pattern() -> impl Strategy<Value = String> {
    let part = prop_oneof![name(), Just("*".to_owned()), Just("**".to_owned()), Just("{a,b}".to_owned())];
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"))
}

/// What a pattern means, part by part: another way than the binary's.
fn means(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], _) => true,
        (["**"], rest) => !rest.is_empty(),
        (["**", more @ ..], rest) => (0..=rest.len()).any(|skipped| means(more, &rest[skipped..])),
        (_, []) => false,
        ([first, more @ ..], [part, rest @ ..]) => {
            let fits = match *first {
                "*" => true,
                "{a,b}" => matches!(*part, "a" | "b"),
                word => word == *part,
            };
            fits && means(more, rest)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// `unchanged` is never said when any changed file is meant by a pattern, and `changed` only then.
    #[test]
    fn unchanged_means_that_no_changed_file_matches(
        files in prop::collection::btree_set(path(), 1..6),
        paths in prop::collection::vec(pattern(), 1..4),
        ignore in prop::collection::vec(pattern(), 0..2),
    ) {
        let list = |patterns: &[String]| serde_json::to_string(patterns).expect("JSON");
        let manifest = format!(
            "version: 1\nenvironments: {{ dev: {{ branch: develop }} }}\nservices:\n  s: {{ context: own, paths: {}, ignore: {}, \
             repository: ss }}\n",
            list(&paths), list(&ignore)
        );
        let project = Project::new().file("deploy.yaml", &manifest).file("own/Dockerfile", DOCKERFILE).committed();
        let mut written = Vec::new();
        for file in &files {
            // A file cannot be a folder too.
            let path = project.path(file);
            if std::fs::create_dir_all(path.parent().expect("a parent")).is_ok() && std::fs::write(&path, "x").is_ok() {
                written.push(file.clone());
            }
        }
        project.git(&["add", "--all"]);
        project.git(&["commit", "--quiet", "--message", "Change something"]);
        let meant = |patterns: &[String], file: &str| patterns.iter().any(|pattern| {
            let pattern: Vec<&str> = pattern.split('/').collect();
            means(&pattern, &file.split('/').collect::<Vec<_>>())
        });
        let expected = written.iter().any(|file| meant(&paths, file) && !meant(&ignore, file));
        prop_assert_eq!(changed_since(&project, "HEAD~1") == ["s"], expected);
    }
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
