//! The content key: what was built before is not built again, and what only looks like it is.

use serde_json::{Value, json};

use crate::support::{Project, Ran, Running, StandIn, docker, engine, with_base_image};

const STEADY: &str = r#"{"services": {"dev/api": {"desired": 1}}}"#;

const MANIFEST: &str = "version: 1
name: sample
aws: { region: ap-south-1 }
environments: { dev: { branch: develop } }
services:
  api:
    context: api
    repository: api-${env}
";

const DOCKERFILE: &str = "FROM scratch\nARG A\nARG B\nCOPY . /\n";

/// A service whose context is a folder, so that neither `.git` nor deploy.yaml is in it. `more`: lines of the service.
fn project(more: &str) -> Project {
    Project::new()
        .file("deploy.yaml", &format!("{MANIFEST}{more}"))
        .file("api/Dockerfile", DOCKERFILE)
        .file("api/src/app", &format!("one of {}\n", std::process::id()))
        .file("api/notes", "notes\n")
        .committed()
}

fn standing_in(project: Project) -> (Project, StandIn) {
    let aws = StandIn::scripted(&project, STEADY);
    (project.with_aws(&aws).with_engine(), aws)
}

/// The same project with other lines of the service, in a commit of its own.
fn with_lines(project: Project, more: &str) -> Project {
    project.file("deploy.yaml", &format!("{MANIFEST}{more}")).committed()
}

/// Naming the service says that it is meant, whatever changed.
#[track_caller]
fn deploy(project: &Project, more: &[&str]) -> Ran {
    project.shipit(&[&["deploy", "api", "--output", "json"], more].concat())
}

#[track_caller]
fn digest(ran: &Ran) -> String {
    ran.finished()["services"][0]["digest"].as_str().expect("a digest").to_owned()
}

/// How the plan says that the image comes to be.
#[track_caller]
fn source(ran: &Ran) -> Value {
    let planned = ran.events().into_iter().find(|event| event["event"] == "planned").expect("a plan");
    planned["plan"]["services"][0]["source"].clone()
}

#[track_caller]
fn key(ran: &Ran) -> String {
    source(ran)["content_key"].as_str().expect("a key").to_owned()
}

fn tag(key: &str) -> String {
    format!("ck1-{}", &key["v1:".len()..][..40])
}

#[track_caller]
fn was_built(ran: &Ran) {
    assert_eq!(source(ran)["kind"], "build", "{}", source(ran));
    assert!(ran.events().iter().any(|event| event["event"] == "build-finished"), "{}", ran.everything());
}

#[track_caller]
fn was_reused(ran: &Ran) {
    assert_eq!(source(ran)["kind"], "reuse", "{}", source(ran));
    assert!(!ran.events().iter().any(|event| event["event"] == "build-finished"), "{}", ran.everything());
}

#[track_caller]
fn why(ran: &Ran) -> String {
    source(ran)["why"].as_str().unwrap_or_default().to_owned()
}

fn head_tag(project: &Project) -> String {
    format!("git-{}", &project.head()[..12])
}

/// The digest that a tag has, if there is such a tag.
fn digest_of(aws: &StandIn, tag: &str) -> Option<String> {
    let question = json!({"repositoryName": "api-dev", "imageIds": [{"imageTag": tag}]});
    let found = aws.aws("ecr", "AmazonEC2ContainerRegistry_V20150921.BatchGetImage", &question);
    found["images"][0]["imageId"]["imageDigest"].as_str().map(str::to_owned)
}

#[test]
fn on_a_machine_without_an_engine_nothing_is_built_and_no_layer_is_sent() {
    let (project, aws) = standing_in(project(""));
    let first = deploy(&project, &[]).exits(0);
    was_built(&first);
    let first_tag = tag(&key(&first));
    assert_eq!(digest_of(&aws, &first_tag).as_deref(), Some(digest(&first).as_str()));
    let requests = aws.registry_requests().len();
    assert!(requests > 0);

    // Another commit that leaves the inputs as they are, and a machine that has never seen any of it.
    let built_from = project.head()[..12].to_owned();
    let project = project.file("README.md", "words\n").committed().var("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let dry = project.shipit(&["deploy", "api", "--dry-run"]).exits(0);
    dry.says(&format!("reused from {}… (built from {built_from}, ", &first_tag[..16])).says("nothing is built");
    let second = deploy(&project, &["--receipt", "receipt.json"]).exits(0);
    was_reused(&second);
    assert_eq!(digest(&second), digest(&first));
    assert_eq!(second.finished()["services"][0]["verdict"], "deployed");
    assert_eq!(digest_of(&aws, &head_tag(&project)), Some(digest(&first)));
    assert_eq!(aws.latest("api-dev"), digest(&first));
    // The config was read through the address that ECR gave; nothing was sent.
    let requests = aws.registry_requests().split_off(requests);
    assert!(
        requests.iter().all(|request| request.starts_with("GET ") && request.contains("/blobs/sha256:")),
        "{requests:?}"
    );
    let receipt = std::fs::read_to_string(project.path("receipt.json")).expect("a receipt");
    let receipt: Value = serde_json::from_str(&receipt).expect("JSON");
    assert_eq!(receipt["services"][0]["image"], "reused");
    assert_eq!(receipt["services"][0]["content_key"], key(&first));

    // What has to be built needs an engine all the same.
    let project = project.file("api/src/app", "two\n").committed();
    deploy(&project, &[]).exits(5).says("no Docker Engine answers");
}

#[test]
fn what_differs_from_the_last_image_is_named() {
    let (project, _aws) = standing_in(project("    build_args: { A: one, B: two }\n"));
    was_built(&deploy(&project, &[]).exits(0));
    let project =
        with_lines(project, "    build_args: { A: one, B: three }\n").file("api/src/app", "two\n").committed();
    let dry = project.shipit(&["deploy", "api", "--dry-run"]).exits(0);
    dry.says("built: the repository has no image of these inputs; other than in latest: arg B, context src/app");
    let ran = deploy(&project, &[]).exits(0);
    was_built(&ran);
    assert_eq!(source(&ran)["differs"], json!(["arg B", "context src/app"]));

    // The way back to inputs that were built before is no build either.
    let project = with_lines(project, "    build_args: { A: one, B: two }\n");
    let project = project.file("api/src/app", &format!("one of {}\n", std::process::id())).committed();
    was_reused(&deploy(&project, &[]).exits(0));
}

#[test]
fn a_commit_in_an_argument_is_explained() {
    let (project, _aws) = standing_in(project("    build_args: { A: 'commit ${commit}', B: two }\n"));
    was_built(&deploy(&project, &[]).exits(0));
    was_reused(&deploy(&project, &[]).exits(0));
    let project = project.file("README.md", "words\n").committed();
    let ran = deploy(&project, &[]).exits(0);
    was_built(&ran);
    assert!(why(&ran).contains("`${commit}` in A gives every commit inputs of its own"), "{}", why(&ran));
}

#[test]
fn a_tag_on_an_image_with_another_label_proves_nothing() {
    let (project, aws) = standing_in(project(""));
    let first = deploy(&project, &[]).exits(0);
    let project = project.file("api/src/app", "two\n").committed();
    let expected = tag(&key(&project.shipit(&["deploy", "api", "--dry-run", "--output", "json"]).exits(0)));
    aws.tag("api-dev", &digest(&first), &expected);
    let ran = deploy(&project, &[]).exits(0);
    was_built(&ran);
    assert!(why(&ran).contains("is on an image with another key, or none"), "{}", why(&ran));
    assert_ne!(digest(&ran), digest(&first));
    // The tag is where it belongs now.
    assert_eq!(digest_of(&aws, &expected), Some(digest(&ran)));
    was_reused(&deploy(&project, &[]).exits(0));
}

#[test]
fn rebuild_and_an_age_that_is_too_great_build_without_any_cache() {
    let (project, aws) = standing_in(project(""));
    let first = deploy(&project, &[]).exits(0);
    was_reused(&deploy(&project, &[]).exits(0));
    let uncached = |ran: &Ran| {
        let steps = ran.events().into_iter().filter(|event| event["event"] == "build-step");
        let copies = steps.filter(|step| step["name"].as_str().is_some_and(|name| name.contains("COPY . /")));
        let states: Vec<Value> = copies.map(|step| step["state"].clone()).collect();
        assert!(states.contains(&json!("done")) && !states.contains(&json!("cached")), "{states:?}");
    };
    let ran = deploy(&project, &["--rebuild"]).exits(0);
    was_built(&ran);
    uncached(&ran);
    assert_eq!(key(&ran), key(&first));
    assert_eq!(digest_of(&aws, &tag(&key(&ran))), Some(digest(&ran)));

    let project = with_lines(project, "    rebuild_after: 1ms\n");
    let ran = deploy(&project, &[]).exits(0);
    was_built(&ran);
    uncached(&ran);
    assert!(why(&ran).contains("(rebuild_after)"), "{}", why(&ran));
    let project = with_lines(project, "    rebuild_after: 7d\n");
    was_reused(&deploy(&project, &[]).exits(0));

    let project = with_lines(project, "    rebuild_token: 'after the flood'\n");
    let ran = deploy(&project, &[]).exits(0);
    was_built(&ran);
    assert_eq!(source(&ran)["differs"], json!(["rebuild_token"]));
    was_reused(&deploy(&project, &[]).exits(0));
}

#[test]
fn build_secrets_are_no_input() {
    const LINES: &str = "    secrets: [TOKEN]\n    build_secrets: [TOKEN]\n";
    let (project, aws) = standing_in(project(LINES));
    let project = project.var("DEV_TOKEN", "hunter2-the-first");
    let first = deploy(&project, &[]).exits(0).never_says("hunter2");
    let project = project.var("DEV_TOKEN", "hunter2-the-second");
    let second = deploy(&project, &[]).exits(0);
    was_reused(&second);
    assert_eq!(key(&first), key(&second));
    // Another id is another input.
    let project = with_lines(project, "    secrets: [TOKEN, OTHER]\n    build_secrets: [TOKEN, OTHER]\n");
    let third = deploy(&project.var("DEV_OTHER", "else-thing"), &[]).exits(0);
    was_built(&third);
    assert_eq!(source(&third)["differs"], json!(["build secret OTHER"]));
    drop(aws);
}

#[test]
fn a_secret_in_an_image_that_is_there_already_is_refused_all_the_same() {
    let (project, aws) = standing_in(project(""));
    let project = project.file("api/Dockerfile", "FROM scratch\nENV PASSWORD=hunter2-hunter2\nCOPY . /\n").committed();
    deploy(&project, &[]).exits(0);
    let pushed = aws.latest("api-dev");
    let puts = aws.calls("PutImage").len();
    let project = with_lines(project, "    secrets: [PASSWORD]\n").var("DEV_PASSWORD", "hunter2-hunter2");
    let ran = deploy(&project, &[]).exits(4).says("a secret is readable in the image").never_says("hunter2-hunter2");
    was_reused(&ran);
    assert_eq!((aws.latest("api-dev"), aws.calls("PutImage").len()), (pushed, puts));
}

/// Whoever built it did not look for it: it was no secret of that environment, or of none yet.
#[test]
fn a_secret_in_a_file_of_an_image_that_is_there_already_is_looked_for_where_the_build_did_not() {
    let value = "q7/Zk+a-token?me";
    let text = MANIFEST.replace("branch: develop }", "branch: develop }, sandbox: { branch: main }");
    let text = format!("{}    secrets: [TOKEN]\n", text.replace("api-${env}", "api-dev"));
    let project = project("").file("deploy.yaml", &text).file("api/src/settings", &format!("token: {value}\n"));
    let (project, aws) = standing_in(project.committed());
    let project = project.var("DEV_TOKEN", "another-token/of-dev").var("SANDBOX_TOKEN", value);
    deploy(&project, &[]).exits(0);
    let searched = |ran: &Ran| ran.events().iter().filter(|event| event["event"] == "image-searched").count();
    // The same environment has nothing to look for again.
    let ran = deploy(&project, &["api"]).exits(0);
    was_reused(&ran);
    assert_eq!(searched(&ran), 0);
    // Another one has, although both have one repository.
    let (latest, rolled) = (aws.latest("api-dev"), aws.calls("UpdateService").len());
    let sandbox = ["--env", "sandbox", "--any-branch"];
    let ran = deploy(&project, &sandbox).exits(4).never_says(value);
    was_reused(&ran);
    let service = ran.finished()["services"][0].clone();
    assert_eq!(service["verdict"], "refused", "{service}");
    let reason = service["reason"].as_str().expect("a reason");
    assert!(reason.contains("TOKEN in file `src/settings` of layer "), "{service}");
    assert!(service["hint"].as_str().is_some_and(|hint| hint.contains("--rebuild")), "{service}");
    assert_eq!((aws.latest("api-dev"), aws.calls("UpdateService").len()), (latest, rolled));
    // With a secret that is not in it, it passes, looked through.
    let ran = deploy(&project.var("SANDBOX_TOKEN", "another-token/of-sandbox"), &sandbox).exits(0);
    was_reused(&ran);
    assert_eq!(searched(&ran), 1);
}

/// Only `latest` can be moved.
fn make_immutable(aws: &StandIn) {
    let input = json!({
        "repositoryName": "api-dev", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "latest"}],
    });
    aws.aws("ecr", "AmazonEC2ContainerRegistry_V20150921.PutImageTagMutability", &input);
}

#[test]
fn where_tags_cannot_be_moved_another_build_of_the_same_inputs_may_be_first() {
    let (project, aws) = standing_in(project(""));
    let first = deploy(&project, &[]).exits(0);
    make_immutable(&aws);
    let project = project.file("README.md", "words\n").committed();
    let ran = deploy(&project, &["--rebuild"]).exits(0).never_says("could not be put");
    assert_ne!(digest(&ran), digest(&first));
    assert_eq!(digest_of(&aws, &tag(&key(&first))), Some(digest(&first)));

    // A tag that somebody else has put on something else stays there, and that is said.
    let project = project.file("api/src/app", "two\n").committed();
    let expected = tag(&key(&project.shipit(&["deploy", "api", "--dry-run", "--output", "json"]).exits(0)));
    aws.tag("api-dev", &digest(&first), &expected);
    deploy(&project, &[]).exits(0).says(&format!("{expected} could not be put on the image"));
}

#[test]
fn a_repository_that_may_not_be_looked_into_means_a_build() {
    let (project, aws) = standing_in(project(""));
    deploy(&project, &[]).exits(0);
    aws.follow(r#"{"deny": ["ecr:GetDownloadUrlForLayer"], "services": {"dev/api": {"desired": 1}}}"#);
    let ran = deploy(&project, &[]).exits(0);
    was_built(&ran);
    assert!(why(&ran).contains("ecr:GetDownloadUrlForLayer"), "{}", why(&ran));
}

#[test]
fn a_file_that_changes_during_the_build_leaves_no_image_to_be_used_again() {
    with_base_image();
    let (project, aws) = standing_in(project(""));
    let dockerfile = "FROM busybox:stable\nCOPY . /x\nRUN sleep 2\n";
    let project = project.file("api/Dockerfile", dockerfile).committed();
    let mut run = Running::start(&project, &["deploy", "api"]);
    run.wait_for("the step", |event| {
        event["state"] == "started" && event["name"].as_str().is_some_and(|name| name.contains("RUN sleep"))
    });
    let project = project.file("api/src/app", "changed meanwhile\n");
    let ran = run.ends().exits(0).says("files changed while the image was built");
    was_built(&ran);
    assert_eq!(digest_of(&aws, &tag(&key(&ran))), None);
    was_built(&deploy(&project, &[]).exits(0));
}

/// A name that a base image has for one test, and that goes when the test is over.
struct Base(String);

impl Base {
    fn of(image: &str) -> Self {
        let name = format!("shipit-key-base:{}", std::process::id());
        docker(&["tag", image, &name]);
        Self(name)
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        docker(&["image", "rm", "--no-prune", &self.0]);
    }
}

#[test]
fn a_base_image_that_moved_is_another_input() {
    with_base_image();
    let base = Base::of("busybox:stable");
    let (project, _aws) = standing_in(project("    build_args: { A: x }\n"));
    let dockerfile = format!("ARG A\nARG NAME={}\nFROM $NAME AS a\nFROM a\nCOPY . /\n", base.0);
    let project = project.file("api/Dockerfile", &dockerfile).committed();
    let first = deploy(&project, &[]).exits(0);
    was_built(&first);
    was_reused(&deploy(&project, &[]).exits(0));
    let other = first.events().into_iter().find(|event| event["event"] == "build-finished").expect("an image");
    docker(&["tag", other["image"].as_str().expect("an id"), &base.0]);
    let ran = deploy(&project, &[]).exits(0);
    was_built(&ran);
    assert_eq!(source(&ran)["differs"], json!([format!("base image {}", base.0)]));
}

#[test]
fn whatever_cannot_be_told_is_no_key_and_says_why() {
    let (project, _aws) = standing_in(project(""));
    let project = project.var("DOCKER_HOST", &engine());
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    let dockerfiles = [
        ("FROM scratch\nADD https://example.com/x /x\n", "ADD fetches https://example.com/x"),
        ("FROM scratch\nARG F\nADD $F /x\n", "use COPY for files of the context"),
        ("FROM scratch\nADD git@example.com:a/b.git /x\n", "ADD fetches git@example.com:a/b.git"),
        ("# syntax=example.com/frontend\nFROM scratch\n", "is read by another program"),
        ("FROM nowhere.invalid/x:1\n", "nobody tells which image `nowhere.invalid/x:1` is now"),
        ("FROM scratch\nCOPY --from=nowhere.invalid/y / /\n", "nobody tells which image `nowhere.invalid/y` is now"),
        ("FROM scratch\nRUN --mount=from=nowhere.invalid/z x\n", "nobody tells which image `nowhere.invalid/z` is now"),
        ("FROM x:$UNDECLARED\n", "no ARG before it declares"),
        ("FROM scratch\nFETCH x\n", "not known here: FETCH"),
        ("FROM scratch\nRUN <<EOF\n", "does not end"),
    ];
    let said = |project: &Project, reason: &str| {
        let ran = project.shipit(&["deploy", "api", "--dry-run", "--allow-dirty"]).exits(0);
        let text: String = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("built: no content key: ") && text.contains(reason), "{reason}\n{}", ran.stdout);
    };
    let mut project = project;
    for (dockerfile, reason) in dockerfiles {
        project = project.file("api/Dockerfile", dockerfile);
        said(&project, reason);
    }
    project = project.file("api/Dockerfile", DOCKERFILE);
    for (path, text, reason) in [
        ("api/model.bin", lfs, "model.bin is a pointer of Git LFS"),
        ("api/vendor/.git", "gitdir: x\n", "`.git` is in the build context"),
        ("api/.dockerignore", "[\n", "a pattern that cannot be used"),
    ] {
        project = project.file(path, text);
        said(&project, reason);
        std::fs::remove_file(project.path(path)).expect("it was written");
    }
    let pipe = project.path("api/pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    said(&project, "neither a file, nor a folder, nor a link");
    std::fs::remove_file(pipe).expect("it was made");
    let project = project.var("DOCKER_HOST", "unix:///nowhere/docker.sock").file("api/Dockerfile", "FROM busybox\n");
    said(&project, "no Docker Engine tells which image `busybox` is now");
}

#[test]
fn a_repository_for_the_cache_that_is_not_there_is_a_warning() {
    let (project, aws) = standing_in(project("    cache: { repository: 'layers-${env}' }\n"));
    deploy(&project, &[]).exits(0).never_says("cache repository");
    assert!(aws.registry_requests().iter().any(|request| request == "PUT /v2/layers-dev/manifests/api-amd64"));
    let project =
        with_lines(project, "    cache: { repository: elsewhere }\n").file("api/src/app", "two\n").committed();
    let ran = deploy(&project, &[]).exits(0).says("the cache repository did not take the image");
    assert_eq!(ran.finished()["services"][0]["verdict"], "deployed");
}

#[test]
fn a_cache_that_is_written_wrongly_is_named_with_its_place() {
    for (line, what) in [
        ("cache: registry", "registry"),
        ("cache: { tag: x }", "tag"),
        ("cache: { repository: 'A B' }", "is no ECR repository"),
        ("cache: { repository: 'x-${secret}' }", "${secret}"),
        ("rebuild_after: soon", "is no span of time"),
    ] {
        project(&format!("    {line}\n")).shipit(&["check"]).exits(2).says(what).says("deploy.yaml:9:");
    }
}

#[test]
fn without_an_engine_only_what_has_to_be_built_is_refused() {
    let web = "  web: { context: web, repository: 'web-${env}' }\n";
    let project = project(web).file("web/Dockerfile", DOCKERFILE).file("web/page", "one\n").committed();
    let aws = StandIn::scripted(&project, r#"{"services": {"dev/api": {"desired": 1}, "dev/web": {"desired": 1}}}"#);
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy", "api", "web"]).exits(0);
    let project = project.var("DOCKER_HOST", "unix:///nowhere/docker.sock").file("web/page", "two\n").committed();
    let finished = project.shipit(&["deploy", "api", "web", "--output", "json"]).exits(5).finished();
    let verdict = |name: &str| {
        let services = finished["services"].as_array().expect("services");
        services.iter().find(|service| service["service"] == name).expect("it is there")["verdict"].clone()
    };
    assert_eq!((verdict("api"), verdict("web")), (json!("deployed"), json!("refused")));
}
