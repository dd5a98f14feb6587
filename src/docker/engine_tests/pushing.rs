//! Pushes to Docker's own registry with a password, on a free port of loopback.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use futures_util::TryStreamExt;
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, kinds, unique};
use crate::docker::{Engine, RegistryAuth};
use crate::event::{Events, Kind, LayerState};
use crate::exit::Exit;
use crate::secret::Secret;
use crate::vars::Vars;

/// The third byte of a group of these makes `/` and `+` in ordinary base64.
const PASSWORD: &str = "a?b?c?d~~~>>>e?f~g>h";

struct Registry {
    child: Child,
    host: String,
    _folder: tempfile::TempDir,
}

impl Registry {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let users = Command::new("htpasswd").args(["-Bbn", "AWS", PASSWORD]).output().unwrap();
        std::fs::write(folder.path().join("users"), users.stdout).unwrap();
        let root = folder.path().display();
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n\
             auth: {{htpasswd: {{realm: test, path: {root}/users}}}}\n"
        );
        std::fs::write(folder.path().join("config.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, host: format!("127.0.0.1:{port}"), _folder: folder }
    }

    fn login(&self, password: &str) -> RegistryAuth {
        RegistryAuth { host: self.host.clone(), username: "AWS".into(), password: Secret::new(password) }
    }

    /// The manifest that the registry has under `path`, and its digest.
    async fn manifest(&self, path: &str) -> (String, serde_json::Value) {
        let output = tokio::process::Command::new("curl")
            .args(["-sSi", "-u", &format!("AWS:{PASSWORD}")])
            .args(["-H", "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"])
            .args(["-H", "Accept: application/vnd.docker.distribution.manifest.v2+json"])
            .arg(format!("http://{}/v2/{path}", self.host))
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let digest = head.lines().find_map(|line| line.strip_prefix("Docker-Content-Digest: "));
        (digest.unwrap_or_default().to_owned(), serde_json::from_str(body).unwrap())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_push_tells_each_layer_and_the_registrys_own_digest() {
    let registry = Registry::start();
    let mut bench = Bench::new("push").await;
    bench.name = format!("{}/team/app:git-1", registry.host);
    bench.steps(&format!("RUN echo {}; dd if=/dev/urandom of=/blob bs=1M count=24", unique()));
    bench.build().await.result.unwrap();
    let (events, received) = Events::channel();
    let cancel = CancellationToken::new();
    let login = registry.login(PASSWORD);
    let pushed = bench.engine.push(&bench.name, &login, &events, &cancel).await.unwrap();
    let (digest, manifest) = registry.manifest("team/app/manifests/git-1").await;
    assert_eq!(pushed.digest, digest);
    assert!(manifest["layers"].is_array(), "a plain manifest, no index: {manifest}");
    let mut states = Vec::new();
    for kind in kinds(received) {
        let Kind::PushLayer { state, current, total, .. } = kind else { panic!("{kind:?}") };
        assert!(current <= total.max(current));
        states.push(state);
    }
    let pushed_layers = states.iter().filter(|&&state| state == LayerState::Pushed).count();
    assert!(pushed_layers >= 2 && states.contains(&LayerState::Pushing), "{states:?}");

    // The second tag of the same image moves no layer, and has the same digest.
    let latest = format!("{}/team/app", registry.host);
    bench.engine.tag(&bench.name, &latest, "latest").await.unwrap();
    let (events, received) = Events::channel();
    let again = bench.engine.push(&format!("{latest}:latest"), &login, &events, &cancel).await.unwrap();
    assert_eq!(again, pushed);
    let moved = |kind: &Kind| matches!(kind, Kind::PushLayer { state: LayerState::Pushing | LayerState::Pushed, .. });
    assert!(!kinds(received).iter().any(moved));
    bench.engine.untag(&format!("{latest}:latest")).await.unwrap();
    assert_eq!(bench.engine.inspect(&bench.name).await.unwrap().os, "linux");
    bench.clean().await;
}

#[tokio::test]
async fn a_refused_push_says_why() {
    let registry = Registry::start();
    let mut bench = Bench::new("refused").await;
    bench.name = format!("{}/app:1", registry.host);
    bench.steps("LABEL a=b").build().await.result.unwrap();
    let (events, _received) = Events::channel();
    let cancel = CancellationToken::new();
    let wrong = registry.login("wrong");
    let error = bench.engine.push(&bench.name, &wrong, &events, &cancel).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Registry);
    assert!(error.hints()[0].contains("refused the login"), "{error:?}");
    let absent = format!("{}/absent:1", registry.host);
    let error = bench.engine.push(&absent, &registry.login(PASSWORD), &events, &cancel).await.unwrap_err();
    assert!(error.hints()[0].contains("went away"), "{error:?}");

    assert!(bench.engine.can_reach(&registry.host, &registry.login(PASSWORD)).await.unwrap());
    assert!(!bench.engine.can_reach(&registry.host, &wrong).await.unwrap());
    let host = registry.host.clone();
    drop(registry);
    let login = RegistryAuth { host: host.clone(), username: "AWS".into(), password: Secret::new(PASSWORD) };
    assert!(!bench.engine.can_reach(&host, &login).await.unwrap());
    let error = bench.engine.push(&bench.name, &login, &events, &cancel).await.unwrap_err();
    assert!(error.hints()[0].contains("another loopback"), "{error:?}");
    bench.clean().await;
}

#[tokio::test]
async fn an_interrupted_push_puts_no_manifest() {
    let registry = Registry::start();
    let mut bench = Bench::new("interrupted").await;
    bench.name = format!("{}/slow:1", registry.host);
    bench.steps(&format!("RUN echo {}; dd if=/dev/urandom of=/blob bs=1M count=200", unique()));
    bench.build().await.result.unwrap();
    let (events, mut received) = Events::channel();
    let cancel = CancellationToken::new();
    let stopper = cancel.clone();
    tokio::spawn(async move {
        while let Some(message) = received.recv().await {
            if matches!(message.into_kind(), Kind::PushLayer { state: LayerState::Pushing, .. }) {
                stopper.cancel();
            }
        }
    });
    let error = bench.engine.push(&bench.name, &registry.login(PASSWORD), &events, &cancel).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Interrupted);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (_, answer) = registry.manifest("slow/manifests/1").await;
    assert!(answer["errors"].is_array(), "{answer}");
    bench.clean().await;
}

#[tokio::test]
async fn an_image_is_read_out_as_a_tar() {
    let bench = Bench::new("export").await;
    bench.steps("LABEL a=c").build().await.result.unwrap();
    let pieces: Vec<bytes::Bytes> = bench.engine.export(&bench.name).await.unwrap().try_collect().await.unwrap();
    let tar = pieces.concat();
    assert_eq!(&tar[257..262], b"ustar");
    assert!(tar.windows(13).any(|window| window == b"manifest.json"));
    assert!(bench.engine.export("shipit-engine-test/none:1").await.is_err());
    bench.clean().await;
}

#[tokio::test]
async fn a_private_base_image_is_pulled_with_the_login_of_the_run_or_of_the_user() {
    let registry = Registry::start();
    let mut bench = Bench::new("private").await;
    let base = format!("{}/private/base:1", registry.host);
    let (name, cancel) = (std::mem::replace(&mut bench.name, base.clone()), CancellationToken::new());
    let publish = async |bench: &Bench| {
        bench.steps(&format!("LABEL once={}", unique())).build().await.result.unwrap();
        let (events, _received) = Events::channel();
        bench.engine.push(&base, &registry.login(PASSWORD), &events, &cancel).await.unwrap();
        bench.engine.untag(&base).await.unwrap();
    };
    publish(&bench).await;
    bench.name = name;
    std::fs::write(&bench.dockerfile, format!("FROM {base}\nLABEL from=private\n")).unwrap();

    let told = bench.build().await;
    assert!(told.error().hints()[0].contains("`docker login`"), "{:?}", told.error());
    bench.registry_auth = vec![registry.login(PASSWORD)];
    bench.build().await.result.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let auth = base64::prelude::BASE64_STANDARD.encode(format!("AWS:{PASSWORD}"));
    let config = serde_json::json!({ "auths": { &registry.host: { "auth": auth } } });
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let process = Vars::of_process();
    let chosen = ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"];
    let vars: Vars = [("DOCKER_CONFIG", folder.path().to_str().unwrap())]
        .into_iter()
        .chain(chosen.into_iter().filter_map(|name| Some((name, process.get(name)?))))
        .collect();
    bench.registry_auth = vec![];
    bench.engine = Engine::connect(&vars).await.unwrap();
    std::fs::write(&bench.dockerfile, format!("FROM {base}\nLABEL from=users-login\n")).unwrap();
    bench.build().await.result.unwrap();
    bench.clean().await;
}
