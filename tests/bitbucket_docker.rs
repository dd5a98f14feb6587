//! The Docker of a Bitbucket pipeline, at `DOCKER_HOST=tcp://…`: runtime v2 with its authorization plugin, and v3 without.

use crate::support::{EngineProxy, Project, Ran, Running, StandIn, pipelines_refuse, with_base_image};

const MANIFEST: &str = r#"version: 1
name: sample
aws: { region: ap-south-1 }
environments:
  dev: { branch: develop }
services:
  api:
    repository: api-${env}
    secrets: [TOKEN, MODE]
    build_secrets: [TOKEN]
    build_args: { MODE: "${MODE}" }
"#;

const DOCKERFILE: &str = "FROM busybox:stable\nARG MODE\nCOPY app /app\n\
                          RUN --mount=type=secret,id=TOKEN test -s /run/secrets/TOKEN && echo $MODE > /mode\n";

/// A step of a pipeline on `develop`, with this Dockerfile, whose Docker is that engine.
fn step(engine: &EngineProxy, manifest: &str, dockerfile: &str) -> (Project, StandIn) {
    with_base_image();
    let project = Project::new()
        .file("deploy.yaml", manifest)
        .file("Dockerfile", dockerfile)
        .file("app", "one\n")
        .committed()
        .var("BITBUCKET_BUILD_NUMBER", "7")
        .var("BITBUCKET_BRANCH", "develop")
        .var("DEV_TOKEN", "hunter2hunter2")
        .var("DEV_MODE", "quiet");
    let commit = project.head();
    let aws = StandIn::scripted(&project, r#"{"services": {"dev/api": {"desired": 2}}}"#);
    let project = project.var("BITBUCKET_COMMIT", &commit).var("DOCKER_HOST", &engine.address()).with_aws(&aws);
    (project, aws)
}

fn deployed(engine: &EngineProxy) {
    let (project, aws) = step(engine, MANIFEST, DOCKERFILE);
    let ran: Ran = project.shipit(&["deploy", "--output", "json"]).exits(0).never_says("hunter2");
    let service = ran.finished()["services"][0].clone();
    assert_eq!(service["verdict"], "deployed");
    assert_eq!(service["digest"], aws.latest("api-dev"));
    assert_eq!(engine.requests("/build?").len(), 1);
    assert_eq!(engine.requests("/push?tag=").len(), 2);
}

#[test]
fn runtime_v2_builds_pushes_and_deploys_and_is_asked_nothing_that_it_refuses() {
    let engine = EngineProxy::pipelines();
    deployed(&engine);
    assert!(engine.refused().is_empty(), "{:?}", engine.refused());
}

#[test]
fn runtime_v3_is_an_engine_as_any() {
    deployed(&EngineProxy::open());
}

#[test]
fn a_foreign_platform_is_refused_there_with_what_to_do() {
    let engine = EngineProxy::pipelines();
    let manifest = format!("{MANIFEST}    platform: linux/arm64\n");
    let (project, _aws) = step(&engine, &manifest, "FROM scratch\nCOPY app /app\n");
    let ran = project.shipit(&["deploy"]).exits(5).says("authorization denied by plugin pipelines");
    ran.says("hint: Bitbucket's Docker builds for linux/amd64 alone").says("`builder:`");
    assert_eq!(engine.refused().len(), 1);
}

/// Nobody has seen the whole list of what the plugin lets pass: what would be refused besides ends in words as well.
#[test]
fn whatever_else_is_refused_is_told_with_what_to_do() {
    for (target, exit, said) in [
        ("/version", 5, "authorization denied by plugin pipelines"),
        ("POST /session", 5, "authorization denied by plugin pipelines"),
        ("/build?", 5, "authorization denied by plugin pipelines"),
        ("/push?", 6, "authorization denied by plugin pipelines"),
        ("/tag?", 5, "authorization denied by plugin pipelines"),
        // Only a part of what is looked for can be looked for then.
        ("/get", 0, "the files of the image were not looked through for secrets: the engine refuses"),
    ] {
        let engine = EngineProxy::pipelines();
        engine.refuse(target);
        let (project, aws) = step(&engine, MANIFEST, DOCKERFILE);
        let ran = project.shipit(&["deploy"]);
        assert!(!engine.refused().is_empty(), "{target} is not asked for");
        let ran = ran.exits(exit).says(said).never_says("hunter2");
        if exit == 0 {
            ran.says("take an engine that lets an image out");
        } else {
            ran.says("hint: Bitbucket's own Docker refuses this");
            assert!(aws.calls("UpdateService").is_empty(), "{target}");
        }
    }
}

#[test]
fn a_secret_in_the_environment_is_found_where_no_image_is_let_out() {
    let engine = EngineProxy::pipelines();
    engine.refuse("/get");
    let (project, aws) = step(&engine, MANIFEST, "FROM busybox:stable\nENV T=hunter2hunter2\nCOPY app /app\n");
    project.shipit(&["deploy"]).exits(4).says("TOKEN in its environment variable `T`").never_says("hunter2");
    assert!(aws.calls("InitiateLayerUpload").is_empty());
}

/// Its label says that it was looked through, so nobody would do it later.
#[test]
fn an_image_that_is_not_let_out_is_not_used_again() {
    for (refuses, builds) in [(false, 1), (true, 2)] {
        let engine = EngineProxy::pipelines();
        if refuses {
            engine.refuse("/get");
        }
        let (project, _aws) = step(&engine, MANIFEST, DOCKERFILE);
        let project = project.file(".dockerignore", ".git\n").committed().run_for_head("BITBUCKET_COMMIT");
        project.shipit(&["deploy"]).exits(0);
        project.shipit(&["deploy", "api"]).exits(0);
        assert_eq!(engine.requests("/build?").len(), builds, "refuses: {refuses}");
    }
}

#[test]
fn a_step_that_wants_an_ssh_agent_is_told_to_take_a_secret() {
    let engine = EngineProxy::pipelines();
    let dockerfile = "FROM busybox:stable\nRUN --mount=type=ssh,required=true true\n";
    let (project, _aws) = step(&engine, MANIFEST, dockerfile);
    project.shipit(&["deploy"]).exits(5).says("hint: no ssh agent is forwarded").says("`build_secrets`");
}

#[test]
fn docker_that_was_stopped_for_its_memory_is_told_with_the_line_to_change() {
    let engine = EngineProxy::pipelines();
    let dockerfile = format!("FROM busybox:stable\nRUN echo {} && sleep 60\n", super::builders::nonce());
    let (project, _aws) = step(&engine, MANIFEST, &dockerfile);
    let mut running = Running::start(&project, &["deploy"]);
    running.wait_for("line of the build", |event| event["event"] == "build-log");
    engine.cut();
    let ran = running.ends().exits(5).says("the Docker Engine ended the build without an answer");
    let hint = ran.finished()["services"][0]["hint"].as_str().expect("a hint").to_owned();
    assert!(hint.contains("definitions.services.docker.memory"), "{hint}");
}

/// The plugin of these tests against what others have met at Bitbucket's.
#[test]
fn the_plugin_refuses_what_bitbuckets_does() {
    let json = [("content-type", "application/json"), ("content-length", "9")];
    let chunked = [("content-type", "application/json"), ("transfer-encoding", "chunked")];
    let ssh = [("x-docker-expose-session-grpc-method", "/moby.sshforward.v1.SSH/ForwardAgent")];
    type Headers = [(&'static str, &'static str)];
    let rows: [(&str, &str, &Headers, &str, Option<&str>); 16] = [
        ("GET", "/_ping", &[], "", None),
        ("HEAD", "/_ping", &[], "", Some("")),
        ("GET", "/plugins", &[], "", Some("")),
        ("POST", "/grpc", &[], "", Some("")),
        ("GET", "/v1.41/version", &[], "", None),
        ("POST", "/session", &[], "", None),
        ("POST", "/session", &ssh, "", Some("ssh")),
        ("POST", "/v1.41/build?version=2", &[], "", None),
        ("POST", "/v1.41/build?version=2&platform=linux%2Farm64", &[], "", Some("platform")),
        ("POST", "/v1.41/build?networkmode=host", &[], "", Some("network")),
        ("POST", "/v1.41/auth", &json, "{}", None),
        ("POST", "/v1.41/auth", &chunked, "", Some("content length")),
        ("POST", "/v1.41/images/h%3A1/r/push?tag=latest", &[], "", None),
        ("POST", "/v1.41/containers/create", &json, r#"{"HostConfig":{"Privileged":true}}"#, Some("privileged")),
        ("POST", "/v1.41/containers/create", &json, r#"{"HostConfig":{"Mounts":[{}]}}"#, Some("mount")),
        ("POST", "/v1.41/containers/create", &json, r#"{"HostConfig":{"SecurityOpt":["x"]}}"#, Some("security-opt")),
    ];
    for (method, target, headers, body, expected) in rows {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let refusal = pipelines_refuse(method, path, query, headers, body.as_bytes());
        assert_eq!(refusal.is_some(), expected.is_some(), "{method} {target}: {refusal:?}");
        assert!(refusal.unwrap_or_default().contains(expected.unwrap_or_default()), "{method} {target}");
    }
}
