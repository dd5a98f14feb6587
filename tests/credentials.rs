//! Where the credentials of a run come from: a pipeline's OIDC token from memory, and keys that are left over beside it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::channel;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{Timestamp, ToSpan as _};
use serde_json::json;

use crate::support::{Project, StandIn};

/// The environment dev in the sample.
const BARE: &str = "{ branch: develop }";

const ROLE: &str = "arn:aws:iam::123456789012:role/deploy";

/// A token that ends so many minutes from now.
fn token(minutes: i64) -> String {
    let ends = Timestamp::now() + minutes.minutes();
    let claims = json!({
        "iss": "https://api.bitbucket.org/2.0/workspaces/team/pipelines-config/identity/oidc",
        "aud": "ari:cloud:bitbucket::workspace/1", "sub": "{repo}:{step}", "exp": ends.as_second(),
    });
    let part = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
    format!("{}.{}.c2lnbmF0dXJl", part(r#"{"alg":"RS256"}"#), part(&claims.to_string()))
}

/// A project whose environment dev has the role, beside a stand-in that it knows by its address alone.
fn with_role(script: &str) -> (Project, StandIn) {
    let project = Project::sample();
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let manifest = manifest.replacen(BARE, &format!("{{ branch: develop, aws: {{ role: \"{ROLE}\" }} }}"), 1);
    let project = project.file("deploy.yaml", &manifest).committed();
    let aws = StandIn::scripted(&project, script);
    let project = project.var("AWS_ENDPOINT_URL", aws.endpoint()).with_engine();
    (project, aws)
}

fn files(project: &Project) -> Vec<String> {
    project.git(&["status", "--porcelain", "--ignored"]).lines().map(str::to_owned).collect()
}

#[test]
fn a_token_and_a_role_are_enough() {
    let (project, aws) = with_role(r#"{"speed": 5}"#);
    let token = token(60);
    let project = project.var("BITBUCKET_STEP_OIDC_TOKEN", &token);
    let ran = project.shipit(&["deploy", "--env", "dev", "-v"]).exits(0).never_says(&token);
    ran.says("api: deployed");
    let asked = aws.calls("AssumeRoleWithWebIdentity");
    assert_eq!(asked.len(), 1, "one session serves the whole run: {asked:?}");
    assert_eq!(asked[0]["input"]["RoleArn"], ROLE);
    assert!(aws.calls("AssumeRole").is_empty(), "the role is opened by the token itself");
    assert_eq!(files(&project), Vec::<String>::new(), "nothing is written down");
}

#[test]
fn a_role_of_the_step_comes_before_the_role_of_the_environment() {
    let (project, aws) = with_role("{}");
    let project = project.var("SHIPIT_ID_TOKEN", &token(60)).var("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/ci");
    project.shipit(&["deploy", "--env", "dev", "--dry-run"]).exits(0);
    assert_eq!(aws.calls("AssumeRoleWithWebIdentity")[0]["input"]["RoleArn"], "arn:aws:iam::123456789012:role/ci");
    assert_eq!(aws.calls("AssumeRole")[0]["input"]["RoleArn"], ROLE);
}

#[test]
fn keys_beside_a_token_are_told_once() {
    let (project, aws) = with_role("{}");
    let project = project.var("BITBUCKET_STEP_OIDC_TOKEN", &token(60)).with_aws(&aws);
    let ran = project.shipit(&["deploy", "--env", "dev", "--dry-run"]).exits(0);
    ran.says("the keys in AWS_ACCESS_KEY_ID are not used").says("assumed-role/deploy");
    project.shipit(&["doctor", "--env", "dev"]).says("the keys in AWS_ACCESS_KEY_ID are not used");
    // Nobody named a role in deploy.yaml: the keys win, as they do for every SDK.
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let project =
        project.file("deploy.yaml", &manifest.replace(&format!(", aws: {{ role: \"{ROLE}\" }}"), "")).committed();
    let project = project.var("AWS_ROLE_ARN", ROLE);
    let asked = aws.calls("AssumeRoleWithWebIdentity").len();
    let ran = project.shipit(&["deploy", "--env", "dev", "--dry-run"]).exits(0);
    ran.says("the keys in AWS_ACCESS_KEY_ID win over the web identity (BITBUCKET_STEP_OIDC_TOKEN)").says("user/local");
    assert_eq!(aws.calls("AssumeRoleWithWebIdentity").len(), asked);
}

#[test]
fn credentials_that_end_too_soon_are_told_before_the_start() {
    let (project, _aws) = with_role("{}");
    let plan = |minutes: i64, timeout: &str| {
        let project = project.command(&["deploy", "--env", "dev", "--dry-run", "--timeout", timeout]);
        let mut command = project;
        crate::support::Ran::from(command.env("SHIPIT_ID_TOKEN", token(minutes)).output().expect("it runs")).exits(0)
    };
    // The session lasts an hour, whatever becomes of the token.
    plan(5, "20m").never_says("goes on unwatched");
    plan(5, "2h").says("a wait may last 120 minutes here, and what is under way then goes on unwatched");
    plan(180, "2h").never_says("goes on unwatched");
}

#[test]
fn a_refused_token_is_explained() {
    let (project, aws) = with_role("{}");
    let value = token(60);
    let project = project.var("BITBUCKET_STEP_OIDC_TOKEN", &value);
    let refused = |error: &str, message: &str| {
        aws.follow(
            &json!({"faults": [{"operation": "AssumeRoleWithWebIdentity", "error": error, "message": message}]})
                .to_string(),
        );
        project.shipit(&["deploy", "--env", "dev", "--dry-run"]).exits(7).never_says(&value)
    };
    refused("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
        .says("AWS refused sts:AssumeRoleWithWebIdentity")
        .says(ROLE)
        .says("trust policy")
        .says("ari:cloud:bitbucket::workspace/1")
        .says("{repo}:{step}");
    refused("InvalidIdentityToken", "No OpenIDConnect provider found in your account for https://x")
        .says("identity provider https://api.bitbucket.org");
    refused("ExpiredTokenException", "Token expired").says("a new one comes with a new step");
    // The stand-in's own judgement.
    aws.follow("{}");
    let mut late = project.command(&["deploy", "--env", "dev", "--dry-run"]);
    let ran: crate::support::Ran = late.env("BITBUCKET_STEP_OIDC_TOKEN", token(-5)).output().expect("it runs").into();
    ran.exits(7).says("ExpiredTokenException").says("run it again");
    let mut garbled = project.command(&["status", "--env", "dev"]);
    let ran: crate::support::Ran =
        garbled.env("BITBUCKET_STEP_OIDC_TOKEN", "not-a-token-at-all").output().expect("it runs").into();
    ran.exits(7).says("InvalidIdentityToken").never_says("not-a-token-at-all");
}

#[test]
fn an_issuer_that_cannot_be_read_for_a_moment_is_asked_again() {
    let (project, aws) = with_role(
        r#"{"faults": [{"operation": "AssumeRoleWithWebIdentity", "times": 1, "error": "InvalidIdentityToken",
            "message": "Couldn't retrieve verification key from your identity provider"}]}"#,
    );
    let project = project.var("BITBUCKET_STEP_OIDC_TOKEN", &token(60));
    project.shipit(&["deploy", "--env", "dev", "--dry-run"]).exits(0);
    assert_eq!(aws.calls("AssumeRoleWithWebIdentity").len(), 2);
}

#[test]
fn a_session_that_runs_out_is_renewed_as_long_as_the_token_lives() {
    let short = r#""session_seconds": 2, "speed": 1, "services": {"dev/api": {"deployments": [
        {"tasks": [{"healthy_after_ms": 5000}]}]}}"#;
    let (project, aws) = with_role(&format!("{{{short}}}"));
    let project = project.var("BITBUCKET_STEP_OIDC_TOKEN", &token(60));
    project.shipit(&["deploy", "--env", "dev"]).exits(0);
    assert!(aws.calls("AssumeRoleWithWebIdentity").len() > 1);
    // The token ends in the middle of the next wait: the rollout goes on, and it is said so.
    let project = project.file("app", "two\n").committed();
    let run = project.start(&["deploy", "--env", "dev"]);
    aws.wait_for_more("UpdateService", 1);
    aws.follow(&format!(
        r#"{{{short}, "faults": [{{"operation": "AssumeRoleWithWebIdentity", "error": "ExpiredTokenException",
            "message": "Token expired"}}]}}"#
    ));
    let ran: crate::support::Ran = run.wait_with_output().expect("it ends").into();
    ran.exits(7).says("ExpiredTokenException: Token expired").says("a new one comes with a new step");
    assert_eq!(aws.calls("UpdateService").len(), 2);
}

#[test]
fn a_step_without_its_token_is_told_which_line_is_missing() {
    let (project, _aws) = with_role("{}");
    let plan = |project: &Project| project.shipit(&["deploy", "--env", "dev", "--dry-run"]).exits(7);
    let project = project.var("BITBUCKET_BUILD_NUMBER", "7").var("BITBUCKET_BRANCH", "develop");
    plan(&project).says("no usable AWS credentials").says("add `oidc: true` to the step");
}

#[test]
fn a_role_that_may_not_be_assumed_names_both_sides() {
    let (project, aws) = with_role(r#"{"deny": ["sts:AssumeRole"]}"#);
    let project = project.with_aws(&aws);
    let ran = project.shipit(&["deploy", "--env", "dev", "--dry-run"]).exits(7);
    ran.says(&format!("AWS refused sts:AssumeRole for {ROLE}")).says("in the trust policy of that role");
}

#[test]
fn github_is_asked_for_its_token() {
    let (project, aws) = with_role("{}");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/token?api-version=2.0", listener.local_addr().expect("an address"));
    let value = token(10);
    let body = json!({"count": 1, "value": value}).to_string();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
        let head: Vec<String> = lines.map(|line| line.expect("a line")).take_while(|line| !line.is_empty()).collect();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
            .expect("it takes an answer");
        head
    });
    let project = project
        .var("ACTIONS_ID_TOKEN_REQUEST_URL", &url)
        .var("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "the-bearer-of-the-job")
        .var("AWS_REGION", "ap-south-1");
    let ran = project.shipit(&["deploy", "--env", "dev", "--dry-run", "--timeout", "5h"]).exits(0);
    ran.says("assumed-role/deploy").never_says(&value).never_says("the-bearer-of-the-job").never_says("unwatched");
    let head = served.join().expect("it served");
    assert_eq!(head[0], "GET /token?api-version=2.0&audience=sts.amazonaws.com HTTP/1.1");
    assert!(head.iter().any(|line| line.eq_ignore_ascii_case("authorization: bearer the-bearer-of-the-job")));
    assert_eq!(aws.calls("AssumeRoleWithWebIdentity").len(), 1);
}

#[test]
fn an_sso_login_that_has_ended_names_the_command_that_renews_it() {
    let ended = r#"{"startUrl": "https://x.example/start", "region": "eu-west-1", "accessToken": "the-access-token",
        "expiresAt": "2020-01-01T00:00:00Z"}"#;
    let config = "[profile work]\nsso_session = my\nsso_account_id = 123456789012\nsso_role_name = deploy\n\
                  [sso-session my]\nsso_region = eu-west-1\nsso_start_url = https://x.example/start\n";
    // Named by the SHA-1 of the session.
    let cache = ".home/.aws/sso/cache/3ece1471f44f63177cbc35ba0b904e0c096b6783.json";
    let project = Project::sample().file(".home/.aws/config", config);
    let aws = StandIn::scripted(&project, "{}");
    let project = project.var("AWS_ENDPOINT_URL", aws.endpoint()).var("AWS_PROFILE", "work").with_engine();
    let says = |project: &Project, why: &str| {
        for args in [&["doctor", "--env", "dev"][..], &["status", "--env", "dev"], &["deploy", "--dry-run"]] {
            let ran = project.shipit(args).exits(7).never_says("the-access-token");
            ran.says("the login of SSO has ended").says(why).says("log in: `aws sso login --profile work`");
        }
    };
    says(&project, "failed to load the cached SSO token");
    let project = project.file(cache, ended);
    says(&project, "the SSO token has expired");
    let project = project.var("AWS_PROFILE", "typo");
    project.shipit(&["doctor", "--env", "dev"]).exits(7).says("AWS_PROFILE names `typo`");
}

/// A program in the project's `bin` that writes its environment to `NAME.env` in the home, and then does `then`.
fn listening(project: Project, name: &str, then: &str) -> Project {
    let path = format!("bin/{name}");
    let project = project.file(&path, &format!("#!/bin/sh\nenv >> \"$HOME/{name}.env\"\n{then}\n"));
    std::fs::set_permissions(project.path(&path), std::fs::Permissions::from_mode(0o755)).expect("a program");
    project
}

#[test]
fn no_program_is_given_credentials_or_secrets() {
    let project = Project::sample();
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let project = project.file(
        "deploy.yaml",
        &manifest.replace("repository: api-${env}", "repository: api-${env}\n    secrets: [TOKEN]"),
    );
    let aws = StandIn::scripted(&project, "{}");
    // A base image in a registry that wants a login, which BuildKit asks for and a helper knows.
    let elsewhere = StandIn::scripted(&project, "{}");
    let registry = elsewhere.endpoint().strip_prefix("http://").expect("an address").to_owned();
    let docker = json!({"credHelpers": {&registry: "dumps"}}).to_string();
    let path = std::env::var("PATH").expect("a PATH");
    let project = project
        .file("Dockerfile", &format!("FROM {registry}/nowhere/base:1\n"))
        .file(".gitignore", "bin\n.home\n")
        .committed()
        .file(".home/.docker/config.json", &docker)
        .with_aws(&aws);
    let engine = crate::support::engine();
    let project =
        listening(project, "ssh", &format!("DOCKER_HOST={engine} PATH='{path}' exec docker system dial-stdio"));
    let project = listening(project, "git", &format!("PATH='{path}' exec git \"$@\""));
    let project =
        listening(project, "docker-credential-dumps", "cat >/dev/null; echo '{\"Username\":\"u\",\"Secret\":\"s\"}'");
    let programs = format!("{}:{path}", project.path("bin").display());
    let project = project
        .var("PATH", &programs)
        .var("DOCKER_HOST", "ssh://me@far")
        .var("DEV_TOKEN", "a-secret-of-dev")
        .var("AWS_SESSION_TOKEN", "a-session")
        .var("BITBUCKET_STEP_OIDC_TOKEN", &token(60))
        .var("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "a-bearer")
        .var("PASSWORD_STORE_DIR", "/the/store");
    project.shipit(&["deploy", "--env", "dev"]).never_says("a-secret-of-dev");
    let seen = |name: &str| std::fs::read_to_string(project.path(&format!(".home/{name}.env"))).expect(name);
    for name in ["ssh", "git", "docker-credential-dumps"] {
        let seen = seen(name);
        assert!(seen.contains("PATH="), "{name}: {seen}");
        for secret in ["AWS_", "DEV_TOKEN", "OIDC", "a-bearer", "SHIPIT_ID_TOKEN"] {
            assert!(!seen.contains(secret), "{name} was given {secret}: {seen}");
        }
    }
    assert!(seen("docker-credential-dumps").contains("PASSWORD_STORE_DIR=/the/store"));
}

#[test]
fn calls_to_aws_go_through_the_proxy() {
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", proxy.local_addr().expect("an address"));
    let (sender, asked) = channel();
    std::thread::spawn(move || {
        for stream in proxy.incoming().flatten() {
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            let _ = write!(&stream, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let project = Project::sample()
        .with_engine()
        .var("AWS_ACCESS_KEY_ID", "AKIAX")
        .var("AWS_SECRET_ACCESS_KEY", "not-to-be-seen")
        .var("HTTPS_PROXY", &address);
    project.shipit(&["status", "--env", "dev"]).exits(7).says("HTTPS_PROXY").never_says("not-to-be-seen");
    let first = asked.try_recv().expect("a request to the proxy");
    assert_eq!(first.trim(), "CONNECT sts.ap-south-1.amazonaws.com:443 HTTP/1.1");
}

#[test]
fn the_stand_in_of_local_is_on_this_machine_whatever_proxy_is_set() {
    let project = Project::sample()
        .with_engine()
        .var("XDG_STATE_HOME", "state")
        .var("HTTP_PROXY", "http://127.0.0.1:9")
        .var("HTTPS_PROXY", "http://127.0.0.1:9");
    project.shipit(&["status", "--env", "dev", "--local"]).exits(0);
}
