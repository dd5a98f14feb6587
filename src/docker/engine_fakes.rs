//! Engines that refuse: a small server on loopback answers as podman, Bitbucket's Docker or Docker for Windows would.
//! What it was asked is kept, because some of these tolerate only certain requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio_util::sync::CancellationToken;

use super::{BuildRequest, Engine, RegistryAuth};
use crate::config::specification::Platform;
use crate::error::Error;
use crate::event::Events;
use crate::exit::Exit;
use crate::secret::Secret;
use crate::vars::Vars;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Podman,
    Bitbucket,
    Windows,
}

#[derive(Clone)]
struct Fake {
    kind: Kind,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    async fn start(kind: Kind) -> (Self, Vars) {
        let fake = Self { kind, asked: Arc::default() };
        let router = Router::new().fallback(answer).with_state(fake.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("tcp://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (fake, [("DOCKER_HOST", host.as_str())].into_iter().collect())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH).map_or("-", |length| length.to_str().unwrap());
    let path = request.uri().path().to_owned();
    fake.asked.lock().unwrap().push(format!("{} {path} {length}", request.method()));
    let os = if fake.kind == Kind::Windows { "windows" } else { "linux" };
    match (path.as_str(), fake.kind) {
        ("/_ping", Kind::Podman) => ([("Libpod-API-Version", "4.3.1")], "OK").into_response(),
        ("/_ping", _) => "OK".into_response(),
        ("/version", _) => {
            format!(r#"{{"Version":"20.10.24","ApiVersion":"1.41","Os":"{os}","Arch":"amd64"}}"#).into_response()
        }
        ("/v1.41/auth", _) => "{}".into_response(),
        _ => (StatusCode::FORBIDDEN, r#"{"message":"authorization denied by plugin pipelines: "}"#).into_response(),
    }
}

async fn build(engine: &Engine) -> Result<(), Error> {
    let context = tempfile::tempdir().unwrap();
    let dockerfile = context.path().join("Dockerfile");
    std::fs::write(&dockerfile, "FROM scratch\n").unwrap();
    let (none, labels) = (BTreeMap::new(), BTreeMap::new());
    let request = BuildRequest {
        context: context.path(),
        dockerfile: &dockerfile,
        target: None,
        platform: Platform::LinuxAmd64,
        build_args: &none,
        build_secrets: &none,
        labels: &labels,
        tags: &[],
        no_cache: false,
        inline_cache: false,
        cache_from: &[],
        registry_auth: &[],
    };
    engine.build(&request, &Events::channel().0, &CancellationToken::new()).await.map(|_| ())
}

#[tokio::test]
async fn an_engine_without_buildkit_is_told_apart_before_anything_is_sent() {
    let (fake, vars) = Fake::start(Kind::Podman).await;
    let engine = Engine::connect(&vars).await.unwrap();
    assert!(!engine.facts().buildkit);
    let error = build(&engine).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Build);
    assert!(error.message().contains("has no BuildKit") && error.hints()[0].contains("podman"), "{error:?}");
    assert!(fake.asked().iter().all(|request| request.starts_with("GET ")), "{:?}", fake.asked());
}

#[tokio::test]
async fn a_refusal_by_bitbucket_says_what_to_do_and_nothing_it_hates_is_asked() {
    let (fake, vars) = Fake::start(Kind::Bitbucket).await;
    let engine = Engine::connect(&vars).await.unwrap();
    let error = build(&engine).await.unwrap_err();
    assert_eq!(error.message(), "the Docker Engine refused a BuildKit session");
    assert!(error.hints()[0].contains("Bitbucket"), "{error:?}");
    let login = RegistryAuth { host: "h".into(), username: "AWS".into(), password: Secret::new("p") };
    assert!(engine.can_reach("h:1", &login).await.unwrap());
    let error = engine.push("h:1/r:t", &login, &Events::channel().0, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Registry);
    assert!(error.hints()[0].contains("Bitbucket"), "{error:?}");
    let asked = fake.asked();
    assert!(!asked.iter().any(|request| request.starts_with("HEAD")), "{asked:?}");
    let posts: Vec<&String> = asked.iter().filter(|request| request.starts_with("POST")).collect();
    assert_eq!(posts.len(), 3);
    assert!(!posts.iter().any(|request| request.ends_with(" -")), "each has a length: {asked:?}");
}

#[tokio::test]
async fn windows_containers_are_refused_by_name() {
    let (_fake, vars) = Fake::start(Kind::Windows).await;
    let error = Engine::connect(&vars).await.map(|_| ()).unwrap_err();
    assert!(error.message().contains("runs windows containers"), "{error:?}");
}
