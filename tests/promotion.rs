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

/// Sandbox's build knew nothing of prod's secrets.
#[test]
fn an_image_with_a_file_in_which_a_secret_of_prod_lies() {
    const TOKEN: &str = "q7/Zk+the-token?of-prod";
    for (file, said) in [
        (format!("token: {TOKEN}\n"), "TOKEN in file `settings` of layer 2 of 2"),
        ("cTcvWmsrdGhlLXRva2VuP29mLXByb2Q=\n".to_owned(), "TOKEN, in base64, in file `settings` of layer 2 of 2"),
    ] {
        let (project, aws) = project(ONE_ACCOUNT, "    secrets: [TOKEN]\n");
        let project = project
            .file("Dockerfile", "FROM scratch\nCOPY base /base\nCOPY settings /settings\n")
            .file("settings", &file)
            .committed()
            .var("SANDBOX_TOKEN", "the-token-of-sandbox")
            .var("PROD_TOKEN", TOKEN);
        let (project, _) = to_sandbox(project);
        let before = updates(&aws);
        let ran = project.shipit(&PROD).exits(4).never_says(TOKEN).never_says(file.trim());
        let service = ran.finished()["services"][0].clone();
        assert_eq!(service["verdict"], "refused", "{service}");
        assert!(service["reason"].as_str().is_some_and(|reason| reason.contains(said)), "{service}");
        assert!(service["hint"].as_str().is_some_and(|hint| hint.contains("deploy that to `sandbox`")), "{service}");
        // Not even a place for a layer was asked for.
        let asked = aws.operations().into_iter().filter(|asked| asked.contains("/v2/api-prod/blobs/uploads")).count();
        assert_eq!((asked, answered(&aws, "PUT", "/v2/api-prod/manifests/", 201), updates(&aws)), (0, 0, before));
        // Without it the image goes through, and only what prod lacks is looked through.
        let (project, _) = to_sandbox(project.file("settings", "nothing\n").committed());
        let layers = |project: &Project| {
            let events = project.shipit(&PROD).exits(0).events();
            let searched = events.iter().find(|event| event["event"] == "image-searched").cloned().unwrap_or_default();
            assert_eq!(searched["secrets"], json!(["TOKEN"]));
            searched["layers"].clone()
        };
        assert_eq!(layers(&project), 2);
        let (project, _) = to_sandbox(project.file("settings", "nothing more\n").committed());
        assert_eq!(layers(&project), 1);
    }
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

/// As random as a layer of a program, so that it comes in many pieces.
fn with_a_large_layer() -> (Project, StandIn, String) {
    let (project, aws) = project(OTHER_ACCOUNT, "");
    let mut state = 1_u32;
    let noise = (0..300_000).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + u8::try_from((state >> 24) % 90).expect("it is below 90"))
    });
    let (project, digest) = to_sandbox(project.file("base", &noise.collect::<String>()).committed());
    (project, aws, digest)
}

#[test]
fn a_layer_that_breaks_off_in_the_middle_goes_on_where_it_was() {
    let (project, aws, digest) = with_a_large_layer();
    aws.follow(r#"{"faults": [{"operation": "GetDownloadUrlForLayer", "after": 1, "times": 2, "cut": true}]}"#);
    let finished = project.shipit(&PROD).exits(0).finished();
    assert_eq!(finished["services"][0]["digest"], Value::from(digest.clone()));
    assert_eq!((sent(&aws), aws.latest("api-sandbox")), (3, digest));
}

#[test]
fn a_layer_that_never_comes_whole_is_told_with_its_registry() {
    let (project, aws, _) = with_a_large_layer();
    aws.follow(r#"{"faults": [{"operation": "GetDownloadUrlForLayer", "after": 1, "drop": true}]}"#);
    let before = updates(&aws);
    let ran = project.shipit(&["deploy", "--env", "prod"]).exits(6);
    ran.says("cannot read ").says("does not answer").says("push-failed");
    assert_eq!((answered(&aws, "PUT", "/v2/api-prod/manifests/", 201), updates(&aws)), (0, before));
}

#[test]
fn a_login_that_ends_while_it_copies_is_told_as_that() {
    let (project, aws, digest) = live_in_sandbox(OTHER_ACCOUNT, "");
    let words = "Your authorization token has expired. Reauthenticate and try again.";
    for (operation, doing) in [("GetDownloadUrlForLayer", "cannot read "), ("CompleteLayerUpload", "cannot send ")] {
        let fault = json!({"operation": operation, "after": 1, "status": 403, "error": "DENIED", "message": words});
        aws.follow(&json!({"faults": [fault]}).to_string());
        let ran = project.shipit(&["deploy", "--env", "prod"]).exits(6);
        ran.says(doing).says("token has expired").says("what has arrived stays: run it again");
    }
    aws.follow("{}");
    assert_eq!(project.shipit(&PROD).exits(0).finished()["services"][0]["digest"], Value::from(digest));
}

#[test]
fn an_index_comes_with_all_that_it_names() {
    let (project, aws, child) = live_in_sandbox(ONE_ACCOUNT, "");
    let ecr = |operation: &str, input: &Value| aws.aws("ecr", &format!("{ECR}{operation}"), input);
    let asked = json!({"repositoryName": "api-sandbox", "imageIds": [{"imageDigest": child}]});
    let manifest = ecr("BatchGetImage", &asked)["images"][0]["imageManifest"].as_str().expect("a manifest").to_owned();
    // Something signed and sealed beside the image, as buildx has it: a manifest that runs nowhere.
    let attestation = format!("{manifest}\n");
    let put = |manifest: &str, media_type: &str, tag: &str| {
        let input = json!({"repositoryName": "api-sandbox", "imageManifest": manifest, "imageTag": tag,
                           "imageManifestMediaType": media_type});
        ecr("PutImage", &input)["image"]["imageId"]["imageDigest"].as_str().expect("a digest").to_owned()
    };
    let kind: Value = serde_json::from_str(&manifest).expect("JSON");
    let kind = kind["mediaType"].as_str().expect("a media type");
    let sealed = put(&attestation, kind, "sealed");
    let index = "application/vnd.oci.image.index.v1+json";
    let of = |digest: &str, size: usize, platform: Value| json!({"mediaType": kind, "digest": digest, "size": size, "platform": platform});
    let body = json!({"schemaVersion": 2, "mediaType": index, "manifests": [
        of(&child, manifest.len(), json!({"os": "linux", "architecture": "amd64"})),
        of(&sealed, attestation.len(), json!({"os": "unknown", "architecture": "unknown"})),
    ]});
    let digest = put(&body.to_string(), index, "latest");
    // Somebody brought it to sandbox with shipit: it is on record there.
    let arn = aws.service("sandbox", "api")["serviceArn"].clone();
    let ecs = |operation: &str, input: &Value| {
        aws.aws("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), input)
    };
    ecs("TagResource", &json!({"resourceArn": arn, "tags": [{"key": "shipit:digest", "value": digest}]}));
    ecs("UpdateService", &json!({"cluster": "sandbox", "service": "api", "forceNewDeployment": true}));
    project.shipit(&["wait", "--env", "sandbox"]);
    let finished = project.shipit(&PROD).exits(0).finished();
    assert_eq!(finished["services"][0]["digest"], Value::from(digest.clone()));
    assert_eq!(aws.latest("api-prod"), digest);
    let all = json!({"repositoryName": "api-prod", "imageIds": [{"imageDigest": child}, {"imageDigest": sealed}]});
    let answer = ecr("BatchGetImage", &all);
    let bodies: Vec<&str> = answer["images"]
        .as_array()
        .expect("images")
        .iter()
        .filter_map(|image| image["imageManifest"].as_str())
        .collect();
    assert_eq!(bodies.len(), 2, "{answer}");
    assert!(bodies.contains(&manifest.as_str()) && bodies.contains(&attestation.as_str()), "{answer}");
}

#[test]
fn a_tag_of_prod_that_cannot_be_moved_stays_where_it_is() {
    let (project, aws, digest) = live_in_sandbox(ONE_ACCOUNT, "");
    let input = json!({
        "repositoryName": "api-prod", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "latest"}],
    });
    aws.aws("ecr", &format!("{ECR}PutImageTagMutability"), &input);
    for _ in 0..2 {
        let finished = project.shipit(&["deploy", "api", "--env", "prod", "--output", "json"]).exits(0).finished();
        assert_eq!(finished["services"][0]["digest"], Value::from(digest.clone()));
    }
    let input = json!({"repositoryName": "api-prod", "imageTagMutability": "IMMUTABLE"});
    aws.aws("ecr", &format!("{ECR}PutImageTagMutability"), &input);
    let ran = project.shipit(&["deploy", "api", "--env", "prod"]).exits(6);
    ran.says("does not let the tag `latest` be moved").says("IMMUTABLE_WITH_EXCLUSION");
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
