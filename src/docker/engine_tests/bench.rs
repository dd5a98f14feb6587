//! A build context in a temporary folder, a base image made of busybox, and what was said while something ran.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use tokio::process::Command;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use crate::config::specification::Platform;
use crate::docker::http::{Query, full};
use crate::docker::{BuildRequest, Engine, RegistryAuth};
use crate::error::Error;
use crate::event::{Events, Kind, Message};
use crate::secret::Secret;
use crate::vars::Vars;

pub(super) const BASE: &str = "shipit-engine-test/base:1";

pub(super) struct Bench {
    pub(super) engine: Engine,
    pub(super) context: tempfile::TempDir,
    pub(super) dockerfile: PathBuf,
    pub(super) name: String,
    pub(super) target: Option<String>,
    pub(super) build_args: BTreeMap<String, Secret>,
    pub(super) build_secrets: BTreeMap<String, Secret>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) registry_auth: Vec<RegistryAuth>,
    pub(super) cancel: CancellationToken,
}

/// How a build went, and what it said.
pub(super) struct Told {
    pub(super) result: Result<String, Error>,
    pub(super) kinds: Vec<Kind>,
}

impl Bench {
    /// `name` becomes the image's, so that tests do not meet.
    pub(super) async fn new(name: &str) -> Self {
        let engine = Engine::connect(&Vars::of_process()).await.unwrap();
        import_base(&engine).await;
        let context = tempfile::tempdir().unwrap();
        Self {
            dockerfile: context.path().join("Dockerfile"),
            context,
            engine,
            name: format!("shipit-engine-test/{name}:1"),
            target: None,
            build_args: BTreeMap::new(),
            build_secrets: BTreeMap::new(),
            labels: BTreeMap::new(),
            registry_auth: Vec::new(),
            cancel: CancellationToken::new(),
        }
    }

    pub(super) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.context.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// The Dockerfile, with `FROM` the base image in front. Each text is built anew but for `COPY`.
    pub(super) fn steps(&self, steps: &str) -> &Self {
        std::fs::write(&self.dockerfile, format!("FROM {BASE}\n{steps}\n")).unwrap();
        self
    }

    pub(super) async fn build(&self) -> Told {
        self.build_for(Platform::LinuxAmd64).await
    }

    pub(super) async fn build_for(&self, platform: Platform) -> Told {
        let (events, received) = Events::channel();
        let tags = [self.name.clone()];
        let request = BuildRequest {
            context: self.context.path(),
            dockerfile: &self.dockerfile,
            target: self.target.as_deref(),
            platform,
            build_args: &self.build_args,
            build_secrets: &self.build_secrets,
            labels: &self.labels,
            tags: &tags,
            no_cache: false,
            inline_cache: false,
            cache_from: &[],
            registry_auth: &self.registry_auth,
        };
        let result = self.engine.build(&request, &events, &self.cancel).await.map(|built| built.image_id);
        Told { result, kinds: kinds(received) }
    }

    /// Builds, and runs `ls -R`-like questions as the image's last step: its output lines.
    pub(super) async fn output_of(&self, steps: &str) -> Vec<String> {
        let told = self.steps(steps).build().await;
        told.result.as_ref().unwrap();
        told.lines()
    }

    pub(super) async fn clean(&self) {
        self.engine.untag(&self.name).await.unwrap();
    }
}

impl Told {
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |kind: &Kind| if let Kind::BuildLog { line, .. } = kind { Some(line.clone()) } else { None };
        self.kinds.iter().filter_map(line).collect()
    }

    /// Files and bytes of the context that were sent.
    pub(super) fn sent(&self) -> (u64, u64) {
        let sent =
            |kind: &Kind| if let Kind::ContextSent { files, bytes } = kind { Some((*files, *bytes)) } else { None };
        self.kinds.iter().rev().find_map(sent).unwrap_or_default()
    }

    #[track_caller]
    pub(super) fn error(&self) -> &Error {
        self.result.as_ref().unwrap_err()
    }
}

pub(super) fn kinds(mut received: UnboundedReceiver<Message>) -> Vec<Kind> {
    std::iter::from_fn(|| received.try_recv().ok()).map(Message::into_kind).collect()
}

/// A text that no earlier build can have cached.
pub(super) fn unique() -> String {
    format!("{:?}-{}", std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap(), std::process::id())
}

async fn import_base(engine: &Engine) {
    if engine.inspect(BASE).await.is_ok() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    for folder in ["bin", "tmp", "etc"] {
        std::fs::create_dir(root.path().join(folder)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.path().join("bin/busybox")).unwrap();
    for applet in
        ["sh", "ls", "cat", "sleep", "find", "sort", "stat", "wc", "test", "echo", "dd", "seq", "mkdir", "sed"]
    {
        symlink("busybox", root.path().join("bin").join(applet)).unwrap();
    }
    let tar = Command::new("tar").arg("-C").arg(root.path()).args(["-c", "."]).output().await.unwrap();
    assert!(tar.status.success());
    let (repository, tag) = BASE.split_once(':').unwrap();
    let query = Query::default()
        .with("fromSrc", "-")
        .with("repo", repository)
        .with("tag", tag)
        .with("platform", "linux/amd64")
        .with("changes", "ENV PATH=/bin");
    let request = engine
        .client
        .request(Method::POST, "/images/create", &query.into_string())
        .header("Content-Type", "application/x-tar")
        .body(full(Bytes::from(tar.stdout)));
    engine.client.ask(request).await.unwrap().into_body().collect().await.unwrap();
}

pub(super) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
