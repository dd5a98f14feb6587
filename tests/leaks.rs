//! The leak gate: a secret in the image is refused before anything was pushed, wherever it lies and in whatever form.

use std::process::Command;

use crate::support::{Project, StandIn, docker, engine, with_base_image};

/// No number, no word, no address.
const VALUE: &str = "q7/Zk+leak?me 4x2";
const BASE64: &str = "cTcvWmsrbGVhaz9tZSA0eDI";
const URL_ENCODED: &str = "q7%2FZk%2Bleak%3Fme%204x2";

const MANIFEST: &str = r"version: 1
name: sample
aws: { region: ap-south-1 }
environments: { dev: { branch: develop } }
services:
  api:
    repository: api-${env}
    secrets: [TOKEN]
";

/// A project whose Dockerfile is these lines on the tests' base image.
fn project(manifest: &str, dockerfile: &str) -> (Project, StandIn) {
    with_base_image();
    let project = Project::new()
        .file("deploy.yaml", manifest)
        .file("Dockerfile", dockerfile)
        .file("app", "one\n")
        .file("settings", &format!("first\ntoken: {VALUE}\nlast\n"))
        .committed()
        .with_engine()
        .var("DEV_TOKEN", VALUE);
    let aws = StandIn::scripted(&project, r#"{"services": {"dev/api": {}}}"#);
    (project.with_aws(&aws), aws)
}

/// Nothing of the image came to the registry.
#[track_caller]
fn nothing_was_pushed(aws: &StandIn) {
    for action in ["InitiateLayerUpload", "PutImage", "UpdateService"] {
        assert_eq!(aws.calls(action).len(), 0, "{action}");
    }
}

/// Each with a part of the Dockerfile and the place that is named.
#[test]
fn a_planted_secret_is_refused_before_anything_is_pushed() {
    let table = [
        (format!("ENV SETTING=\"{VALUE}\""), "TOKEN in its environment variable `SETTING`"),
        (format!("LABEL a.b=\"{BASE64}\""), "TOKEN, in base64, in its label `a.b`"),
        ("LABEL a.b=\"eDpxNy9aaytsZWFrP21lIDR4Mg==\"".to_owned(), "TOKEN, in base64, in its label `a.b`"),
        (
            format!("RUN : 'https://example.com/?t={URL_ENCODED}'"),
            "TOKEN, URL-encoded, in step 3 of 3 of its history (RUN)",
        ),
        (format!("CMD [\"/app\", \"--token={VALUE}\"]"), "TOKEN in its command"),
        (format!("HEALTHCHECK CMD [\"/app\", \"{VALUE}\"]"), "TOKEN in its config, `Healthcheck`"),
        ("COPY settings /etc/app/settings".to_owned(), "TOKEN in file `etc/app/settings` of layer 3 of 3 (COPY)"),
        (
            "COPY settings /etc/app/settings\nRUN rm /etc/app/settings && echo done > /done".to_owned(),
            "TOKEN in file `etc/app/settings` of layer 3 of 4 (COPY)",
        ),
        (
            format!("RUN echo {BASE64} | cut -c1-10 > /half; echo '{URL_ENCODED}' | sed s/x/x/ > /whole"),
            "TOKEN, URL-encoded, in file `whole` of layer 3 of 3 (RUN)",
        ),
        (
            format!("RUN printf '%s%s' 'aaaa{}' '{}' > /two", &BASE64[..12], &BASE64[12..]),
            "TOKEN, in base64, in file `two` of layer 3 of 3 (RUN)",
        ),
        ("COPY app \"/q7%2fZk%2bleak%3fme+4x2\"".to_owned(), "TOKEN, URL-encoded, in file"),
        (format!("RUN ln -s '/x/{VALUE}' /link"), "TOKEN in file `link` of layer 3 of 3 (RUN)"),
        (
            format!("RUN mkdir -p /a/$(head -c 200 /dev/zero | tr '\\0' d) && cd /a/d* && touch '{URL_ENCODED}'"),
            "TOKEN, URL-encoded, in file `a/dddd",
        ),
        // Far into a file, and across whatever is read at a time.
        (
            "RUN --mount=type=bind,source=settings,target=/s { head -c 65518 /dev/zero; cat /s; } > /big".to_owned(),
            "TOKEN in file `big` of layer 3 of 3 (RUN)",
        ),
    ];
    let (mut project, aws) = project(MANIFEST, "");
    for (line, place) in table {
        let dockerfile = format!("FROM busybox:stable\nCOPY app /app\n{line}\n");
        project = project.file("Dockerfile", &dockerfile).committed();
        let ran = project.shipit(&["deploy", "--output", "json"]).exits(4);
        let service = &ran.finished()["services"][0];
        assert_eq!(service["verdict"], "refused", "{line}: {service}");
        let reason = service["reason"].as_str().expect("a reason");
        assert!(reason.contains(place), "{line}: `{place}` is not in {reason}");
        for form in [VALUE, BASE64, URL_ENCODED] {
            assert!(!ran.everything().contains(form), "{line}: {}", ran.everything());
        }
        nothing_was_pushed(&aws);
    }
}

#[test]
fn all_places_are_named_at_once_with_what_to_do() {
    let dockerfile = format!("FROM busybox:stable\nENV A=\"{VALUE}\"\nCOPY settings /settings\n");
    let (project, aws) = project(MANIFEST, &dockerfile);
    let ran = project.shipit(&["deploy"]).exits(4);
    ran.says("environment variable `A`").says("file `settings`").says("build_secrets").never_says(VALUE);
    nothing_was_pushed(&aws);
}

#[test]
fn what_build_args_name_may_be_read_and_what_build_secrets_name_never() {
    let dockerfile = "FROM busybox:stable\nARG T\nENV T=$T\nRUN echo \"$T\" > /token\n";
    let readable = format!("{MANIFEST}    build_args: {{ T: '${{TOKEN}}' }}\n");
    let (project, aws) = project(&readable, dockerfile);
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(0);
    let searched = |events: &[serde_json::Value]| events.iter().any(|event| event["event"] == "image-searched");
    assert!(!searched(&ran.events()), "no secret is to be looked for, so no layer is read");
    let pushed = aws.calls("PutImage").len();
    let both = format!("{readable}    build_secrets: [TOKEN]\n");
    let project = project.file("deploy.yaml", &both).committed();
    project.shipit(&["deploy"]).exits(4).says("TOKEN in its environment variable `T`").says("file `token`");
    assert_eq!(aws.calls("PutImage").len(), pushed);
}

#[test]
fn a_mounted_secret_leaves_nothing_and_the_search_is_told() {
    let dockerfile = "FROM busybox:stable\nRUN --mount=type=secret,id=TOKEN wc -c < /run/secrets/TOKEN > /size\n";
    let (project, _aws) = project(&format!("{MANIFEST}    build_secrets: [TOKEN]\n"), dockerfile);
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(0);
    let events = ran.events();
    let searched = events.iter().find(|event| event["event"] == "image-searched").expect("it was searched");
    assert_eq!(searched["secrets"], serde_json::json!(["TOKEN"]));
    assert_eq!(searched["layers"], 2);
    assert!(searched["bytes"].as_u64() > Some(100_000), "{searched}");
}

#[test]
fn short_values_words_and_addresses_raise_no_false_alarm() {
    let manifest = MANIFEST.replace("[TOKEN]", "[PORT, STAGE, MODE, OTEL, PIN]");
    let dockerfile = "FROM busybox:stable\nENV PGPORT=5432 NODE_ENV=staging\nEXPOSE 5432\nCOPY words /words\n";
    let (project, aws) = project(&manifest, dockerfile);
    let project = project
        .file("words", "production staging 5432 http://localhost:4317 hunter2\n")
        .committed()
        .var("DEV_PORT", "5432")
        .var("DEV_STAGE", "staging")
        .var("DEV_MODE", "production")
        .var("DEV_OTEL", "http://localhost:4317")
        .var("DEV_PIN", "hunter2");
    project.shipit(&["deploy"]).exits(0);
    let pushed = aws.calls("PutImage").len();
    for (line, said) in [
        ("ENV TO=http://localhost:4317/v1", "OTEL in its environment variable `TO`"),
        ("ENV PASSWORD=hunter2", "PIN in its environment variable `PASSWORD`"),
        ("LABEL port=5432", "PORT in its label `port`"),
    ] {
        std::fs::write(project.path("Dockerfile"), format!("{dockerfile}{line}\n")).expect("a file");
        let ran = project.shipit(&["deploy"]);
        ran.exits(4).says(said).never_says("MODE in").never_says("STAGE in");
    }
    assert_eq!(aws.calls("PutImage").len(), pushed);
}

#[test]
fn what_the_base_image_holds_is_said_and_let_through() {
    let (project, aws) = project(MANIFEST, "");
    let base = format!("shipit-test-leaks:{}", std::process::id());
    let made = Command::new("docker")
        .env("DOCKER_HOST", engine())
        .args(["build", "--quiet", "--tag", &base, "--file", "-"])
        .arg(project.folder())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .and_then(|mut build| {
            use std::io::Write as _;
            let dockerfile = format!("FROM busybox:stable\nENV OF_BASE=\"{VALUE}\"\nCOPY settings /of-base\n");
            build.stdin.take().expect("its stdin").write_all(dockerfile.as_bytes())?;
            build.wait()
        });
    assert!(made.expect("docker runs").success());
    let project = project.file("Dockerfile", &format!("FROM {base}\nCOPY app /app\n")).committed();
    let ran = project.shipit(&["deploy"]);
    let refused = project
        .file("Dockerfile", &format!("FROM {base}\nCOPY app /app\nCOPY settings /of-build\n"))
        .committed()
        .shipit(&["deploy"]);
    docker(&["rmi", "--force", &base]);
    ran.exits(0)
        .says("the base image holds")
        .says("TOKEN in its environment variable `OF_BASE`")
        .says("file `of-base`");
    refused.exits(4).says("file `of-build` of layer").never_says("file `of-base`");
    assert!(!aws.calls("UpdateService").is_empty());
}

/// The engine's BuildKit pulls a base image without giving it a name: whose layer it is has to be told all the same.
#[test]
fn a_base_image_that_only_buildkit_has_is_told_from_the_build() {
    let (project, aws) = project(MANIFEST, "");
    let token = aws.aws("ecr", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken", &serde_json::json!({}));
    let data = &token["authorizationData"][0];
    let host = data["proxyEndpoint"].as_str().expect("an address").trim_start_matches("http://").to_owned();
    let login = serde_json::json!({"auths": {&host: {"auth": data["authorizationToken"]}}}).to_string();
    let project = project.file(".home/.docker/config.json", &login).file(".gitignore", ".home\n");
    let config = project.path(".home/.docker");
    let run = |args: &[&str]| {
        let ran = Command::new("docker")
            .env("DOCKER_HOST", engine())
            .env("DOCKER_CONFIG", &config)
            .env("DOCKER_BUILDKIT", "0")
            .current_dir(project.folder())
            .args(args)
            .output()
            .expect("docker runs");
        assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    std::fs::write(project.path("Dockerfile"), "FROM busybox:stable\nCOPY settings /of-base\n").expect("a file");
    let base = format!("{host}/api-dev:base");
    run(&["build", "--quiet", "--tag", &base, "."]);
    run(&["push", "--quiet", &base]);
    run(&["rmi", "--force", &base]);
    let with = |more: &str| {
        let dockerfile = format!("FROM {base}\nCOPY app /app\n{more}");
        std::fs::write(project.path("Dockerfile"), dockerfile).expect("a file");
        project.shipit(&["deploy"])
    };
    with("").exits(0).says("the base image holds").says("file `of-base`");
    with("COPY settings /of-build\n").exits(4).says("file `of-build`").never_says("file `of-base`");
}
