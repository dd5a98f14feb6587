//! `shipit doctor`: what works, what does not, and the IAM policy held to the calls that are really made.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Project, Ran, StandIn};

fn examined(project: &Project, args: &[&str]) -> Ran {
    project.shipit(&[&["doctor", "--output", "json"], args].concat())
}

/// The check of that environment (`""` for this machine) and name whose detail holds the text.
#[track_caller]
fn check(ran: &Ran, environment: &str, what: &str, text: &str) -> Value {
    let events = ran.events();
    let is_it = |event: &&Value| {
        event["environment"].as_str().unwrap_or_default() == environment
            && event["what"] == what
            && event["detail"].as_str().is_some_and(|detail| detail.contains(text))
    };
    events.iter().find(is_it).unwrap_or_else(|| panic!("no {environment}/{what} with `{text}` in {events:#?}")).clone()
}

#[test]
fn everything_that_works_is_said() {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, r#"{"speed": 5}"#);
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    let changes = || {
        let all = ["PutImage", "TagResource", "UntagResource", "UpdateService", "RunTask"];
        all.map(|change| aws.calls(change).len())
    };
    let before = changes();
    let ran = examined(&project, &["--env", "dev"]).exits(0);
    for (environment, what, text) in [
        ("", "deploy.yaml", "1 service in dev, sandbox, prod"),
        ("", "git", "on `develop`, which goes to dev"),
        ("", "engine", "on linux/"),
        ("", "BuildKit", "API"),
        ("dev", "region", "ap-south-1 from deploy.yaml"),
        ("dev", "credentials", "keys in the environment"),
        ("dev", "identity", ":user/local"),
        ("dev", "account", "123456789012"),
        ("dev", "registry", "a login to"),
        ("dev", "api", "repository api-dev: `latest` is sha256:"),
        ("dev", "api", "service dev/api is ACTIVE"),
    ] {
        assert_eq!(check(&ran, environment, what, text)["state"], "works");
    }
    let permissions = check(&ran, "dev", "permissions", "every read is allowed");
    assert_eq!((&permissions["state"], &permissions["exit_code"]), (&"cannot tell".into(), &0.into()));
    let text = project.shipit(&["doctor"]).exits(0).says("nothing is wrong").says("\ndev, sandbox, prod\n");
    assert_eq!(changes(), before, "doctor only reads");
    assert!(text.stdout.lines().count() <= 30, "one screen:\n{}", text.stdout);
}

#[test]
fn a_refused_read_names_the_action_that_is_missing() {
    let project = Project::sample();
    let script = r#"{"deny": ["ecs:ListTagsForResource", "ecr:GetAuthorizationToken", "ecs:ListServiceDeployments"]}"#;
    let aws = StandIn::scripted(&project, script);
    let project = project.with_aws(&aws).with_engine();
    let ran = examined(&project, &["--env", "dev"]).exits(7);
    let told = check(&ran, "dev", "api", "ecs:ListTagsForResource is not allowed");
    assert_eq!((&told["state"], &told["missing_action"]), (&"does not".into(), &"ecs:ListTagsForResource".into()));
    check(&ran, "dev", "api", "ecs:ListServiceDeployments is not allowed");
    check(&ran, "dev", "registry", "ecr:GetAuthorizationToken is not allowed");
    let all = "not allowed: ecr:GetAuthorizationToken, ecs:ListServiceDeployments, ecs:ListTagsForResource";
    check(&ran, "dev", "permissions", all);
    // The rest is looked at all the same.
    assert_eq!(check(&ran, "dev", "api", "service dev/api is ACTIVE")["state"], "works");
    project.shipit(&["doctor"]).exits(7).says("fix: ").says("--iam-policy");
}

#[test]
fn what_is_not_there_is_said_with_what_to_do() {
    let project = Project::sample();
    let script = r#"{"services": {"dev/api": {"status": "MISSING"}, "sandbox/api": {"controller": "CODE_DEPLOY"}}}"#;
    let aws = StandIn::scripted(&project, script);
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let manifest = manifest.replace("prod: { repository: api }", "prod: { repository: elsewhere }");
    let project = project.with_aws(&aws).with_engine().file("deploy.yaml", &manifest);
    let ran = examined(&project, &[]).exits(7);
    for (environment, text) in [
        ("dev", "service `api` does not exist in cluster `dev`"),
        ("sandbox", "CODE_DEPLOY deployment controller"),
        ("prod", "repository `elsewhere` does not exist"),
    ] {
        let told = check(&ran, environment, "api", text);
        assert_eq!(told["state"], "does not");
        assert!(told["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{told}");
    }
    project.shipit(&["doctor", "--env", "nowhere"]).exits(2).says("nowhere");
}

const ZIP: &str = "  docs: { kind: zip, bucket: \"apps-${env}\" }\n";

#[test]
fn the_buckets_of_zips_are_looked_at() {
    let project = Project::sample();
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let project = project.file("deploy.yaml", &(manifest.clone() + ZIP)).committed();
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    let dev = || examined(&project, &["--env", "dev"]);
    let ran = dev().exits(0);
    check(&ran, "", "deploy.yaml", "2 services in dev");
    assert_eq!(check(&ran, "dev", "docs", "nothing is at s3://apps-dev/docs/latest.zip yet")["state"], "works");
    check(&ran, "dev", "permissions", "ecs:TagResource, s3:PutObject cannot be tried");
    project.shipit(&["deploy", "docs"]).exits(0);
    check(&dev().exits(0), "dev", "docs", &format!("docs/latest.zip is {}", &project.head()[..12]));
    for (action, text) in [("s3:ListBucket", "s3:HeadBucket on bucket `apps-dev`"), ("s3:GetObject", "s3:HeadObject")] {
        aws.follow(&format!(r#"{{"deny": ["{action}"]}}"#));
        let ran = dev().exits(7);
        let told = check(&ran, "dev", "docs", text);
        assert_eq!((&told["state"], &told["missing_action"]), (&"does not".into(), &action.into()));
        check(&ran, "dev", "permissions", &format!("not allowed: {action}"));
    }
    aws.follow("{}");
    let project = project.file("deploy.yaml", &(manifest + &ZIP.replace("apps-", "other-")));
    let ran = examined(&project, &["--env", "dev"]).exits(7);
    let told = check(&ran, "dev", "docs", "bucket `other-dev` does not exist");
    assert!(told["fix"].as_str().expect("a fix").starts_with("create it"), "{told}");
}

#[test]
fn zips_alone_need_no_engine_and_no_registry() {
    let manifest = "version: 1\naws: { region: ap-south-1, account: \"123456789012\" }\nenvironments: { dev: { branch: develop } }\nservices:\n";
    let project = Project::new().file("deploy.yaml", &(manifest.to_owned() + ZIP)).file("app", "x").committed();
    let aws = StandIn::scripted(&project, r#"{"deny": ["ecr:GetAuthorizationToken"]}"#);
    let project = project.with_aws(&aws).var("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let ran = examined(&project, &[]).exits(0);
    assert!(ran.events().iter().all(|event| event["what"] != "engine" && event["what"] != "registry"));
    check(&ran, "dev", "permissions", "every read is allowed; s3:PutObject cannot be tried");
    // The calls and the policy agree.
    let project = project.file("app", "y").committed();
    for args in [&["deploy"][..], &["status"], &["history"], &["rollback", "--env", "dev", "--dry-run"]] {
        project.shipit(args);
    }
    let called: BTreeSet<String> = aws.operations().iter().filter_map(|operation| permission(operation)).collect();
    let allowed = allowed(&project, &[]);
    assert!(called.is_subset(&allowed), "not allowed: {:?}", called.difference(&allowed).collect::<Vec<_>>());
    let rare = ["s3:AbortMultipartUpload".to_owned()];
    assert!(allowed.difference(&called).eq(&rare), "{allowed:?} {called:?}");
}

/// What IAM calls the permission for an operation of S3.
fn permission(operation: &str) -> Option<String> {
    let name = match operation.strip_prefix("s3:")? {
        "HeadBucket" | "ListObjectsV2" => "ListBucket",
        "HeadObject" => "GetObject",
        "CopyObject" | "PutObject" => "PutObject",
        _ => panic!("{operation}"),
    };
    Some(format!("s3:{name}"))
}

#[test]
fn the_environment_before_and_the_scan_of_a_gate_are_looked_at() {
    let project = Project::sample().branch("main");
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let manifest = manifest.replace("approval: required", "image: promote, scan: { fail_on: high }");
    let project = project.file("deploy.yaml", &manifest).committed();
    let aws = StandIn::scripted(&project, r#"{"speed": 5}"#);
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    let ran = examined(&project, &["--env", "prod"]).exits(0);
    assert_eq!(check(&ran, "prod", "after sandbox", "and its images, can be read")["state"], "works");
    assert_eq!(check(&ran, "prod", "scan", "the registry's scanning is basic")["state"], "works");
    assert!(ran.events().iter().all(|event| event["what"] != "engine"), "nothing is built there");
    for (action, what) in [
        ("ecr:GetRegistryScanningConfiguration", "scan"),
        ("ecr:GetDownloadUrlForLayer", "after sandbox"),
        ("ecs:ListTasks", "after sandbox"),
    ] {
        aws.follow(&format!(r#"{{"deny": ["{action}"]}}"#));
        let ran = examined(&project, &["--env", "prod"]).exits(7);
        assert_eq!(check(&ran, "prod", what, "is not allowed")["missing_action"], action);
    }
    // The calls of a promotion and its policy agree.
    aws.follow(r#"{"speed": 5}"#);
    let before = aws.operations().len();
    project.shipit(&["deploy", "--env", "prod", "--dry-run"]).exits(0);
    let called = |from: usize| aws.operations().iter().skip(from).filter_map(|operation| action(operation)).collect();
    let looks: BTreeSet<String> = called(before);
    let read_only = allowed(&project, &["--env", "prod", "--read-only"]);
    assert!(looks.is_subset(&read_only), "not allowed: {:?}", looks.difference(&read_only).collect::<Vec<_>>());
    project.shipit(&["deploy", "--env", "prod"]);
    let all: BTreeSet<String> = called(before);
    let deploy = allowed(&project, &["--env", "prod"]);
    assert!(all.is_subset(&deploy), "not allowed: {:?}", all.difference(&deploy).collect::<Vec<_>>());
    assert!(all.contains("ecr:StartImageScan") || all.contains("ecr:DescribeImageScanFindings"), "{all:?}");
}

#[test]
fn the_wrong_account_is_told_and_not_looked_into() {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, "{}");
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let project = project.file("deploy.yaml", &manifest.replace("123456789012", "999999999999"));
    let project = project.with_aws(&aws).with_engine();
    let ran = examined(&project, &["--env", "dev"]).exits(4);
    assert_eq!(check(&ran, "dev", "account", "999999999999")["state"], "does not");
    assert_eq!(check(&ran, "dev", "services", "cannot be looked at")["state"], "cannot tell");
    assert!(aws.calls("DescribeServices").is_empty());
}

#[test]
fn where_nothing_answers_every_line_says_so() {
    let project = Project::sample()
        .var("DOCKER_HOST", "tcp://127.0.0.1:9")
        .var("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .var("AWS_ACCESS_KEY_ID", "AKIAX")
        .var("AWS_SECRET_ACCESS_KEY", "not-to-be-seen");
    let ran = examined(&project, &["--env", "dev"]).exits(7).never_says("not-to-be-seen");
    assert_eq!(check(&ran, "", "engine", "no Docker Engine answers")["exit_code"], 5);
    assert_eq!(check(&ran, "dev", "identity", "sts:GetCallerIdentity")["state"], "does not");
    // No credentials at all, no deploy.yaml, no git.
    let folder = tempfile::tempdir().expect("a folder");
    let mut bare = project.command(&["doctor"]);
    let ran: Ran = bare.current_dir(folder.path()).env_remove("AWS_ACCESS_KEY_ID").output().expect("it runs").into();
    ran.exits(5).says("there is no deploy.yaml").says("this is no git repository");
}

#[test]
fn each_builder_of_deploy_yaml_is_asked() {
    let project = Project::sample();
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let engine = crate::support::engine();
    let builders =
        format!("builder: [{{ name: far, host: \"tcp://127.0.0.1:9\" }}, {{ name: near, host: \"{engine}\" }}]\n");
    let project = project.file("deploy.yaml", &(manifest + &builders));
    let ran = examined(&project, &["--env", "dev"]);
    assert_eq!(check(&ran, "", "builder far", "tcp://127.0.0.1:9")["state"], "does not");
    assert_eq!(check(&ran, "", "builder near", "on linux/")["state"], "works");
}

#[test]
fn keys_that_win_over_a_web_identity_are_told() {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine().var("BITBUCKET_STEP_OIDC_TOKEN", "a.b.c");
    let ran = examined(&project, &["--env", "dev"]).exits(7).never_says("a.b.c");
    let told = check(&ran, "dev", "credentials", "the keys in AWS_ACCESS_KEY_ID win over the web identity");
    assert!(told["fix"].as_str().expect("a fix").contains("take AWS_ACCESS_KEY_ID"), "{told}");
}

/// The action that ECR checks for a request of the registry's protocol.
fn action(operation: &str) -> Option<String> {
    let Some((method, path)) = operation.split_once(' ') else {
        return (!operation.starts_with("sts:")).then(|| operation.to_owned());
    };
    let name = match (method, path) {
        (_, "/v2/") => return None,
        ("HEAD" | "GET", path) if path.contains("/manifests/") => "BatchGetImage",
        ("PUT", path) if path.contains("/manifests/") => "PutImage",
        ("HEAD", path) if path.contains("/blobs/") => "BatchCheckLayerAvailability",
        ("GET", path) if path.contains("/blobs/") => "GetDownloadUrlForLayer",
        ("POST", _) => "InitiateLayerUpload",
        ("PATCH", _) => "UploadLayerPart",
        ("PUT", _) => "CompleteLayerUpload",
        _ => panic!("{operation} is none that a push makes"),
    };
    Some(format!("ecr:{name}"))
}

fn called(aws: &StandIn) -> BTreeSet<String> {
    aws.operations().iter().filter_map(|operation| action(operation)).collect()
}

fn allowed(project: &Project, args: &[&str]) -> BTreeSet<String> {
    let ran = project.shipit(&[&["doctor", "--iam-policy"], args].concat()).exits(0);
    let policy: Value = serde_json::from_str(&ran.stdout).expect("a policy");
    assert_eq!(policy["Version"], "2012-10-17");
    let statements = policy["Statement"].as_array().expect("statements");
    let actions = statements.iter().flat_map(|statement| match &statement["Action"] {
        Value::Array(actions) => actions.clone(),
        one => vec![one.clone()],
    });
    actions.map(|action| action.as_str().expect("text").to_owned()).collect()
}

#[test]
fn the_policy_and_the_calls_agree() {
    let project = Project::sample();
    let fails = r#"{"healthy_after_ms": 60000, "exit": {"after_ms": 300, "code": 3}, "log": ["it broke"]}"#;
    let script = format!(
        r#"{{"speed": 10, "services": {{"dev/api": {{"deployments": [{{}}, {{}}, {{"tasks": [{fails}]}}]}}}}}}"#
    );
    let aws = StandIn::scripted(&project, &script);
    let project = project.with_aws(&aws).with_engine();
    // Who only looks.
    project.shipit(&["deploy", "--dry-run"]).exits(0);
    project.shipit(&["status", "--env", "dev"]).exits(0);
    project.shipit(&["history", "--env", "dev"]).exits(0);
    project.shipit(&["doctor", "--env", "dev"]).exits(0);
    let looks = called(&aws);
    let read_only = allowed(&project, &["--env", "dev", "--read-only"]);
    assert!(looks.is_subset(&read_only), "not allowed: {:?}", looks.difference(&read_only).collect::<Vec<_>>());
    // The whole life of a service: deployed twice, rolled back, one that fails, a task of its own.
    project.shipit(&["deploy"]).exits(0);
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy"]).exits(0);
    let project = project.file("app", "three\n").committed();
    project.shipit(&["deploy"]).exits(8);
    aws.follow(r#"{"speed": 10, "services": {"dev/api": {}}}"#);
    let project = project.file("app", "four\n").committed();
    project.shipit(&["deploy"]).exits(0);
    project.shipit(&["rollback", "--env", "dev"]).exits(0);
    let project = project.file("app", "five\n").committed();
    project.shipit(&["deploy"]).exits(0);
    project.shipit(&["status", "--env", "dev"]).exits(0);
    project.shipit(&["history", "--env", "dev"]).exits(0);
    project.shipit(&["wait", "--env", "dev"]).exits(0);
    let life = called(&aws);
    let deploy = allowed(&project, &["--env", "dev"]);
    assert!(life.is_subset(&deploy), "not allowed: {:?}", life.difference(&deploy).collect::<Vec<_>>());
    project.shipit(&["run", "--env", "dev", "api", "--", "true"]);
    project.shipit(&["init", "--from-ecs", "dev", "--dry-run"]).exits(0);
    let all = called(&aws);
    let everything = allowed(&project, &["--env", "dev", "--with-run", "--with-init"]);
    assert!(all.is_subset(&everything), "not allowed: {:?}", all.difference(&everything).collect::<Vec<_>>());
    // Nothing is asked for that nobody uses. These are for a look into an image that is there already, the tags that come
    // with a service, a rollback of a rollout in flight, a task that takes too long, and the roles that ECS takes for a task.
    let rare = [
        "ecr:GetAccountSetting",
        "ecr:GetDownloadUrlForLayer",
        "ecs:ListTagsForResource",
        "ecs:StopServiceDeployment",
        "ecs:StopTask",
        "iam:PassRole",
    ];
    let rare = rare.map(str::to_owned);
    let needless: Vec<&String> = everything.difference(&all).filter(|action| !rare.contains(action)).collect();
    assert!(needless.is_empty(), "never called: {needless:?}");
}
