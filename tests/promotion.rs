//! `image: promote` and `soak`: what was tested in the environment before is what ships, byte for byte.

use serde_json::{Value, json};

use crate::support::{Project, Running, StandIn};

/// Prod in the account of sandbox, or in another one, in another region, reached by a role.
const ONE_ACCOUNT: &str = "{ branch: main, after: sandbox, image: promote }";
const OTHER_ACCOUNT: &str = "{ branch: main, after: sandbox, image: promote, aws: { region: eu-west-1, \
     account: \"210987654321\", role: \"arn:aws:iam::210987654321:role/deploy\" } }";

const SANDBOX: [&str; 5] = ["deploy", "--env", "sandbox", "--output", "json"];
const PROD: [&str; 5] = ["deploy", "--env", "prod", "--output", "json"];

const ECR: &str = "AmazonEC2ContainerRegistry_V20150921.";

fn manifest(prod: &str, service: &str) -> String {
    format!(
        "version: 1\nname: sample\naws: {{ region: ap-south-1, account: \"123456789012\" }}\nenvironments:\n  \
         sandbox: {{ branch: main }}\n  prod: {prod}\nservices:\n  api:\n    repository: api-${{env}}\n{service}"
    )
}

/// The sample on `main` with two layers, of which one hardly ever changes, and a stand-in that has both environments.
fn project(prod: &str, service: &str) -> (Project, StandIn) {
    let project = Project::sample()
        .branch("main")
        .file("deploy.yaml", &manifest(prod, service))
        .file("Dockerfile", "FROM scratch\nCOPY base /base\nARG LEVEL\nENV LEVEL=$LEVEL\nCOPY app /app\n")
        .file("base", "a base\n")
        .committed();
    let aws = StandIn::scripted(&project, "{}");
    (project.with_aws(&aws), aws)
}

/// Brings HEAD to sandbox. Only that needs an engine. Returns the digest.
fn to_sandbox(project: Project) -> (Project, String) {
    let project = project.with_engine();
    let finished = project.shipit(&SANDBOX).exits(0).finished();
    let digest = finished["services"][0]["digest"].as_str().expect("a digest").to_owned();
    // Whoever looks for an engine from here on finds none.
    (project.var("DOCKER_HOST", "unix:///nowhere/docker.sock"), digest)
}

fn live_in_sandbox(prod: &str, service: &str) -> (Project, StandIn, String) {
    let (project, aws) = project(prod, service);
    let (project, digest) = to_sandbox(project);
    (project, aws, digest)
}

/// How often the registry answered so to requests like this.
fn answered(aws: &StandIn, method: &str, path: &str, status: u16) -> usize {
    let is_it = |call: &Value| {
        let operation = call["operation"].as_str().expect("an operation");
        operation.strip_prefix(method).is_some_and(|rest| rest.trim_start().starts_with(path))
            && call["status"] == status
    };
    aws.journal().iter().filter(|call| is_it(call)).count()
}

/// Blobs that were sent to prod.
fn sent(aws: &StandIn) -> usize {
    answered(aws, "PUT", "/v2/api-prod/blobs/uploads/", 201)
}

/// Blobs that were read from sandbox.
fn read(aws: &StandIn) -> usize {
    answered(aws, "GET", "/v2/api-sandbox/blobs/", 200)
}

fn mounting(aws: &StandIn, value: &str) {
    aws.aws("ecr", &format!("{ECR}PutAccountSetting"), &json!({"name": "BLOB_MOUNTING", "value": value}));
}

fn updates(aws: &StandIn) -> usize {
    aws.calls("UpdateService").len()
}

#[test]
fn the_image_of_sandbox_is_copied_and_rolled_without_an_engine() {
    for prod in [ONE_ACCOUNT, OTHER_ACCOUNT] {
        let (project, aws, digest) = live_in_sandbox(prod, "");
        mounting(&aws, "DISABLED");
        let plan = project.shipit(&["deploy", "--env", "prod", "--dry-run"]).exits(0);
        plan.says(&format!("promoted from sandbox {digest} (git {})", &project.head()[..12]))
            .says("copy the image from the repository api-sandbox of sandbox")
            .never_says("Docker Engine");
        let finished = project.shipit(&PROD).exits(0).finished();
        assert_eq!(finished["services"][0]["verdict"], "deployed", "{finished}");
        assert_eq!(finished["services"][0]["digest"], Value::from(digest.clone()));
        assert_eq!(sent(&aws), 3, "two layers and the config");
        // The next commit changes one layer: what prod has is neither read nor sent again.
        let before = read(&aws);
        let (project, next) = to_sandbox(project.file("app", "two\n").committed());
        assert_ne!(next, digest);
        let finished = project.shipit(&PROD).exits(0).finished();
        assert_eq!(finished["services"][0]["digest"], Value::from(next));
        assert_eq!(sent(&aws), 5, "a layer and the config");
        // One read more: the config is looked into before anything is copied.
        assert_eq!(read(&aws) - before, 3);
    }
}

#[test]
fn one_registry_mounts_where_the_account_lets_it() {
    let (project, aws, digest) = live_in_sandbox(ONE_ACCOUNT, "");
    let ran = project.shipit(&PROD).exits(0);
    assert_eq!(ran.finished()["services"][0]["digest"], Value::from(digest));
    assert!(ran.events().iter().any(|event| event["state"] == "mounted"), "{}", ran.stdout);
    assert_eq!((sent(&aws), read(&aws)), (0, 1), "only the config was read");
    assert_eq!(aws.latest("api-prod"), aws.latest("api-sandbox"));
    // Not from one account to another, whatever they say.
    let (project, aws, _) = live_in_sandbox(OTHER_ACCOUNT, "");
    project.shipit(&PROD).exits(0);
    assert_eq!(sent(&aws), 3);
}

#[test]
fn an_image_that_sandbox_no_longer_has() {
    let (project, aws, digest) = live_in_sandbox(ONE_ACCOUNT, "");
    let input = json!({"repositoryName": "api-sandbox", "imageIds": [{"imageDigest": digest}]});
    aws.aws("ecr", &format!("{ECR}BatchDeleteImage"), &input);
    let before = updates(&aws);
    let ran = project.shipit(&["deploy", "--env", "prod"]).exits(6);
    ran.says("is no longer in the repository `api-sandbox`").says("deploy the commit there again");
    assert_eq!((sent(&aws), updates(&aws)), (0, before));
}

#[test]
fn a_commit_that_has_not_been_there_long_enough() {
    let soaking = |span: &str| format!("{{ branch: main, after: sandbox, image: promote, soak: {span} }}");
    let (project, aws, _) = live_in_sandbox(&soaking("15m"), "");
    let before = updates(&aws);
    let ran = project.shipit(&["deploy", "--env", "prod"]).exits(4);
    ran.says("`soak` asks for 15m").says("run this again in 1");
    assert_eq!(updates(&aws), before);
    let project = project.file("deploy.yaml", &manifest(&soaking("1ms"), ""));
    project.shipit(&["deploy", "--env", "prod", "--allow-dirty", "--dry-run"]).never_says("soak");
}

#[test]
fn an_image_that_prod_would_have_had_built_otherwise() {
    let service = "    secrets: [LEVEL, SAME]\n    build_args: { LEVEL: '${LEVEL}', SAME: '${SAME}', WHERE: '${env}' }\n    \
                   environments: { prod: { target: prod } }\n";
    let (project, aws) = project(ONE_ACCOUNT, service);
    let project =
        project.file("Dockerfile", "FROM scratch AS prod\nCOPY app /app\nFROM prod\nCOPY base /base\n").committed();
    let vars = [
        ("SANDBOX_LEVEL", "level-of-sandbox"),
        ("SANDBOX_SAME", "x"),
        ("PROD_LEVEL", "level-of-prod"),
        ("PROD_SAME", "x"),
    ];
    let project = vars.iter().fold(project, |project, (name, value)| project.var(name, value));
    let (project, _) = to_sandbox(project);
    let before = updates(&aws);
    let ran = project.shipit(&["deploy", "--env", "prod"]).exits(4);
    ran.says("`target`, `build_args.LEVEL`, `build_args.WHERE` differ")
        .says("read what differs when the container starts")
        .never_says("build_args.SAME")
        .never_says("level-of");
    // Where sandbox's value is not at hand, it is not taken for the same.
    let text = manifest(ONE_ACCOUNT, "    secrets: [LEVEL]\n    build_args: { LEVEL: '${LEVEL}' }\n");
    let project = project.file("deploy.yaml", &text).committed();
    let (project, _) = to_sandbox(project);
    let project = project.var("SANDBOX_LEVEL", "");
    let ran = project.shipit(&["deploy", "--env", "prod"]).exits(4);
    ran.says("cannot be told").says("`build_args.LEVEL`").says("set the secrets of `sandbox`").never_says("level-of");
    assert_eq!((sent(&aws), updates(&aws)), (0, before + 1));
}

#[test]
fn an_image_in_which_a_secret_of_prod_can_be_read() {
    let (project, aws) = project(ONE_ACCOUNT, "    secrets: [TOKEN]\n");
    let project = project
        .file("Dockerfile", "FROM scratch\nENV TOKEN=the-token-of-prod\nCOPY app /app\n")
        .committed()
        .var("SANDBOX_TOKEN", "the-token-of-sandbox")
        .var("PROD_TOKEN", "the-token-of-prod");
    let (project, _) = to_sandbox(project);
    let before = updates(&aws);
    let ran = project.shipit(&["deploy", "--env", "prod"]).exits(4);
    ran.says("a secret is readable in the image of an earlier build: TOKEN")
        .says("deploy that to `sandbox`")
        .never_says("--rebuild")
        .never_says("the-token-of");
    assert_eq!((sent(&aws), updates(&aws)), (0, before));
}

#[test]
fn a_layer_that_is_not_what_it_is_called() {
    let (project, aws, _) = live_in_sandbox(OTHER_ACCOUNT, "");
    // The config is read whole and first.
    aws.follow(r#"{"faults": [{"operation": "GetDownloadUrlForLayer", "after": 1, "altered": true}]}"#);
    let before = updates(&aws);
    let ran = project.shipit(&["deploy", "--env", "prod"]).exits(6);
    ran.says("other bytes than those of sha256:").says("push-failed").says("nothing of it is used");
    assert_eq!(sent(&aws), 0);
    assert_eq!(answered(&aws, "PUT", "/v2/api-prod/manifests/", 201), 0, "no tag leads to half an image");
    assert_eq!(updates(&aws), before);
}

#[test]
fn a_copy_that_is_interrupted_leaves_nothing_half() {
    let (project, aws, _) = live_in_sandbox(OTHER_ACCOUNT, "");
    aws.follow(r#"{"faults": [{"operation": "CompleteLayerUpload", "delay_ms": 60000}]}"#);
    let before = updates(&aws);
    let mut running = Running::start(&project, &PROD[..3]);
    running.wait_for("layer", |event| event["event"] == "push-layer");
    running.gets("INT").exits(130);
    assert_eq!((sent(&aws), updates(&aws)), (0, before));
    assert_eq!(answered(&aws, "PUT", "/v2/api-prod/manifests/", 201), 0);
    // The next one begins anew and comes through.
    aws.follow("{}");
    project.shipit(&PROD).exits(0);
}

#[test]
fn an_image_that_is_taken_out_of_sandbox_while_it_is_copied() {
    let (project, aws, _) = live_in_sandbox(OTHER_ACCOUNT, "");
    aws.follow(r#"{"faults": [{"operation": "CompleteLayerUpload", "times": 1, "delay_ms": 3000}]}"#);
    let mut running = Running::start(&project, &PROD[..3]);
    running.wait_for("layer", |event| event["event"] == "push-layer");
    let input = json!({"cluster": "sandbox", "service": "api", "desiredCount": 0});
    aws.aws("ecs", "AmazonEC2ContainerServiceV20141113.UpdateService", &input);
    let before = updates(&aws);
    let ran = running.ends().exits(4).says("no longer runs in `sandbox` as it did").says("status --env sandbox");
    assert_eq!(ran.finished()["services"][0]["verdict"], "refused");
    assert_eq!(answered(&aws, "PUT", "/v2/api-prod/manifests/latest", 201), 0);
    assert_eq!(updates(&aws), before);
}

#[test]
fn a_source_that_breaks_off_is_asked_again() {
    let (project, aws, digest) = live_in_sandbox(OTHER_ACCOUNT, "");
    aws.follow(
        r#"{"faults": [{"operation": "GetDownloadUrlForLayer", "after": 1, "times": 1, "drop": true},
            {"operation": "CompleteLayerUpload", "times": 1, "status": 503}]}"#,
    );
    let finished = project.shipit(&PROD).exits(0).finished();
    assert_eq!(finished["services"][0]["digest"], Value::from(digest));
}

#[test]
fn a_rollout_that_fails_puts_latest_back() {
    let (project, aws, good) = live_in_sandbox(ONE_ACCOUNT, "");
    project.shipit(&PROD).exits(0);
    aws.follow(
        r#"{"services": {"prod/api": {"breaker": {"enable": false}, "deployments": [
            {}, {"tasks": [{"healthy_after_ms": 60000, "exit": {"after_ms": 300, "code": 3}}]}]}}}"#,
    );
    let (project, _) = to_sandbox(project.file("app", "two\n").committed());
    project
        .shipit(&["deploy", "--env", "prod"])
        .exits(8)
        .says("exit code 3")
        .says(&format!("`latest` is back on {good}"));
    assert_eq!(aws.latest("api-prod"), good);
}
