//! The engine that answers: found, asked what it is, and kept for the run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::{BollardRequest, ClientVersion};
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use serde::Deserialize;

use super::connector::{Connector, ssh_hint};
use super::credentials::Credentials;
use super::endpoint::{Address, Candidate, builder, candidates};
use super::gone;
use super::http::{Client, chain, empty};
use super::tls;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::vars::Vars;

/// Where an address comes from that deploy.yaml names.
const BUILDER: &str = "builder of deploy.yaml";
/// The newest API that was tried. An engine that is newer is spoken to in this one.
const NEWEST_API: Version = Version(1, 51);
/// The oldest API whose `/build` can be BuildKit's (Docker 18.09).
const FIRST_WITH_BUILDKIT: Version = Version(1, 39);
/// How long an engine may take to say that it is there; `ssh` included.
const PATIENCE: Duration = Duration::from_secs(35);
/// How long it may then take over each of the questions what it is and how it is.
const FACTS: Duration = Duration::from_secs(15);
/// How long bollard waits for the first line of an answer, in seconds.
const BOLLARD_PATIENCE: u64 = 120;

/// A Docker Engine that was reached. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(super) client: Client,
    pub(super) credentials: Credentials,
    facts: Arc<EngineFacts>,
    bollard: bollard::Docker,
}

/// What is known of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineFacts {
    /// What deploy.yaml calls it, where it does.
    pub(crate) name: Option<String>,
    /// `20.10.24`.
    pub(crate) version: String,
    /// The API version that is spoken with it, `1.41`.
    pub(crate) api_version: String,
    /// `linux`.
    pub(crate) os: String,
    /// In Go's words: `amd64`, `arm64`.
    pub(crate) arch: String,
    /// Whether it has BuildKit behind `/build`, which building needs.
    pub(crate) buildkit: bool,
    /// Whether images are in containerd's store, where an image's id is its manifest's digest.
    pub(crate) containerd_store: bool,
    /// For people: `unix:///var/run/docker.sock`.
    pub(crate) address: String,
    /// What gives it more memory, as an imperative sentence.
    pub(crate) more_memory: &'static str,
    /// Whether it runs on the same kernel, so that its loopback is very likely ours.
    pub(crate) on_this_host: bool,
}

impl EngineFacts {
    /// As deploy.yaml calls it, and its address.
    pub(crate) fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} ({})", self.address),
            None => self.address.clone(),
        }
    }
}

impl std::fmt::Display for EngineFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}: ")?;
        }
        write!(f, "{} on {}/{} at {}", self.version, self.os, self.arch, self.address)
    }
}

impl Engine {
    /// Finds an engine as the docker CLI would. What the user chose must answer; without a choice, the first of the
    /// usual sockets that answers is taken. The error lists all that was tried.
    pub(crate) async fn connect(vars: &Vars) -> Result<Self> {
        let mut tried = Vec::new();
        for candidate in candidates(vars)? {
            match reach(vars, &candidate).await {
                Ok((client, ping)) => return Self::acquaint(vars, client, &ping, None).await,
                Err(why) => tried.push((candidate, why)),
            }
        }
        Err(unreachable(&tried))
    }

    /// The engine at an address of deploy.yaml's `builder`. `certs` is a folder as `DOCKER_CERT_PATH` is.
    pub(crate) async fn connect_to(name: &str, host: &str, certs: Option<&Path>, vars: &Vars) -> Result<Self> {
        let candidate = Candidate { address: builder(vars, host, certs)?, origin: BUILDER.to_owned() };
        match reach(vars, &candidate).await {
            Ok((client, ping)) => {
                let name = (name != host).then(|| name.to_owned());
                let engine = Self::acquaint(vars, client, &ping, name).await?;
                engine.require_buildkit()?;
                Ok(engine)
            }
            Err(why) => Err(unreachable(&[(candidate, why)])),
        }
    }

    pub(crate) fn facts(&self) -> &EngineFacts {
        &self.facts
    }

    /// For what has no place here: containers, networks. It shares our connections.
    pub(crate) fn bollard(&self) -> &bollard::Docker {
        &self.bollard
    }

    /// Whether what it is sent can be read on the way.
    pub(crate) fn is_in_the_clear(&self) -> bool {
        let address = self.client.connector().address();
        matches!(address, Address::Tcp { tls: None, .. }) && !address.is_loopback()
    }

    /// An error when the engine cannot build as shipit needs it to.
    pub(crate) fn require_buildkit(&self) -> Result<()> {
        if self.facts.buildkit {
            return Ok(());
        }
        let what = format!("the engine at {} ({}) has no BuildKit", self.facts.address, self.facts.version);
        Err(Error::new(Exit::Build, what)
            .hint("use Docker Engine 18.09 or newer; podman's Docker API has no BuildKit sessions"))
    }

    async fn acquaint(vars: &Vars, client: Client, ping: &HeaderMap, name: Option<String>) -> Result<Self> {
        let address = client.connector().address().to_string();
        let doing = || format!("the engine at {address} does not say what it is");
        let late = |_| {
            let error = Error::new(Exit::Build, doing()).cause(format!("no answer within {} s", FACTS.as_secs()));
            error.hint(client.if_gone())
        };
        let version = tokio::time::timeout(FACTS, client.get("/version", "")).await.map_err(late)?;
        let version: VersionAnswer = version.map_err(|error| error.during(Exit::Build, doing()))?;
        if version.os != "linux" {
            let what =
                format!("the engine at {address} runs {} containers, and only linux images can be built", version.os);
            return Err(Error::new(Exit::Build, what).hint("switch Docker Desktop to Linux containers"));
        }
        let api = spoken(&version);
        let client = client.at_version(&api.to_string());
        // Bitbucket's Docker may refuse this one, and a sick engine takes for ever; what it would tell has defaults.
        let info = tokio::time::timeout(FACTS, client.get("/info", "")).await;
        let info: InfoAnswer = info.ok().and_then(Result::ok).unwrap_or_default();
        let facts = EngineFacts {
            name,
            buildkit: api >= FIRST_WITH_BUILDKIT && !ping.contains_key("libpod-api-version"),
            containerd_store: info.has_containerd_store(),
            more_memory: gone::more_memory(vars, client.connector().address()),
            on_this_host: is_on_this_host(client.connector().address(), version.kernel_version.as_deref()),
            version: version.version,
            api_version: api.to_string(),
            os: version.os,
            arch: version.arch,
            address,
        };
        let bollard = bollard_over(&client, api)?;
        Ok(Self { credentials: Credentials::new(vars), client, facts: Arc::new(facts), bollard })
    }
}

/// hyper's words for a connection that ended before it took the request.
const NEVER_SENT: &str = "connection was not ready";

/// Asks whether anybody is there. GET, because Bitbucket's Docker refuses HEAD.
async fn reach(vars: &Vars, candidate: &Candidate) -> Result<(Client, HeaderMap), String> {
    if let Address::Unix(path) = &candidate.address {
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => return Err("there is no such socket".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
    }
    let connector = Connector::new(candidate.address.clone()).map_err(|error| error.line())?;
    let client = Client::new(connector, gone::hint(vars, &candidate.address));
    // An engine refuses a certificate once the handshake is over. Where that comes before the request is on its way, hyper
    // says only that it was never sent: asked again, the engine's own words are there.
    let ping = async {
        let mut tries = 0;
        loop {
            match client.ask(client.request(Method::GET, "/_ping", "").body(empty())).await {
                Err(error) if tries < 5 && error.to_string().contains(NEVER_SENT) => tries += 1,
                answer => return answer,
            }
        }
    };
    match tokio::time::timeout(PATIENCE, ping).await {
        Ok(Ok(response)) => Ok((client, response.headers().clone())),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn unreachable(tried: &[(Candidate, String)]) -> Error {
    let mut error = Error::new(Exit::Build, "no Docker Engine answers");
    for (candidate, why) in tried {
        error = error.cause(format!("{} ({}): {why}", candidate.address, candidate.origin));
    }
    let denied = tried
        .iter()
        .any(|(candidate, why)| matches!(candidate.address, Address::Unix(_)) && why.contains("Permission denied"));
    let of_way = |(candidate, why): &(Candidate, String)| {
        tls::hint(&candidate.address, why).or_else(|| ssh_hint(&candidate.address, why))
    };
    if let Some(hint) = tried.iter().find_map(of_way) {
        return error.hint(hint);
    }
    if tried.iter().any(|(candidate, _)| candidate.origin == BUILDER) {
        return error.hint("start that engine, correct its address in deploy.yaml, or take it out");
    }
    let chosen = !tried.iter().any(|(candidate, _)| candidate.origin == "usual socket");
    error.hint(match (denied, chosen) {
        (true, _) => "add yourself to the group that owns the socket (often `docker`), and log in again",
        (false, true) => "start that engine, or choose another with DOCKER_HOST or DOCKER_CONTEXT",
        (false, false) => "start Docker, or set DOCKER_HOST to an engine's address",
    })
}

fn bollard_over(client: &Client, api: Version) -> Result<bollard::Docker> {
    let client = client.clone();
    let transport = move |request: BollardRequest| {
        let client = client.clone();
        async move { client.send(request.map(BodyExt::boxed_unsync)).await.map_err(BollardError::from) }
    };
    let version = ClientVersion { major_version: api.0, minor_version: api.1 };
    bollard::Docker::connect_with_custom_transport(transport, Some("http://docker"), BOLLARD_PATIENCE, &version)
        .map_err(|error| {
            chain(&error).into_iter().fold(Error::new(Exit::Fault, "cannot set up the Docker client"), Error::cause)
        })
}

/// A unix socket or the loopback interface may still belong to a virtual machine (Docker Desktop, colima): its kernel
/// is another than ours. Where ours is unknown, the answer is no.
fn is_on_this_host(address: &Address, kernel: Option<&str>) -> bool {
    let ours = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    address.is_loopback() && !ours.is_empty() && kernel.is_none_or(|kernel| kernel == ours.trim())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionAnswer {
    version: String,
    api_version: String,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: Option<String>,
    os: String,
    arch: String,
    kernel_version: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct InfoAnswer {
    driver_status: Option<Vec<Vec<String>>>,
}

impl InfoAnswer {
    fn has_containerd_store(&self) -> bool {
        self.driver_status.iter().flatten().flatten().any(|word| word.starts_with("io.containerd.snapshotter"))
    }
}

/// A version of the API, compared by its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(usize, usize);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The newest version that both sides know; the engine's oldest, when it no longer knows ours.
fn spoken(answer: &VersionAnswer) -> Version {
    let newest = Version::parse(&answer.api_version).unwrap_or(NEWEST_API);
    let oldest = answer.min_api_version.as_deref().and_then(Version::parse).unwrap_or(newest);
    newest.min(NEWEST_API).max(oldest)
}

#[cfg(test)]
mod tests {
    use super::{BUILDER, Candidate, InfoAnswer, VersionAnswer, spoken, unreachable};
    use crate::docker::endpoint::parse;

    #[test]
    fn the_newest_common_version_is_spoken() {
        for (newest, oldest, expected) in [
            ("1.41", Some("1.12"), "1.41"),
            ("1.60", Some("1.44"), "1.51"),
            ("1.70", Some("1.55"), "1.55"),
            ("1.41", None, "1.41"),
        ] {
            let answer = VersionAnswer {
                version: String::new(),
                api_version: newest.to_owned(),
                min_api_version: oldest.map(str::to_owned),
                os: String::new(),
                arch: String::new(),
                kernel_version: None,
            };
            assert_eq!(spoken(&answer).to_string(), expected);
        }
    }

    #[test]
    fn the_image_store_is_told_by_the_driver_status() {
        let info = r#"{"DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]]}"#;
        assert!(serde_json::from_str::<InfoAnswer>(info).unwrap().has_containerd_store());
        let info = r#"{"DriverStatus":[["Backing Filesystem","extfs"]]}"#;
        assert!(!serde_json::from_str::<InfoAnswer>(info).unwrap().has_containerd_store());
        assert!(!serde_json::from_str::<InfoAnswer>(r#"{"DriverStatus":null}"#).unwrap().has_containerd_store());
    }

    #[test]
    fn an_ssh_that_does_not_get_through_says_what_it_lacks() {
        for (why, expected) in [
            ("ssh: Host key verification failed.", "known_hosts"),
            ("ssh: me@h: Permission denied (publickey).", "IdentityFile"),
            ("ssh: bash: line 1: docker: command not found", "docker CLI on that host"),
            ("ssh: Could not resolve hostname h: Name or service not known", "host's name"),
            ("ssh: something else", "correct its address in deploy.yaml"),
        ] {
            let address = parse("ssh://me@h", None).unwrap();
            let error = unreachable(&[(Candidate { address, origin: BUILDER.to_owned() }, why.to_owned())]);
            assert!(error.hints()[0].contains(expected), "{why}: {:?}", error.hints());
        }
    }

    #[test]
    fn the_error_lists_all_that_was_tried() {
        let tried = ["/a", "/b"].map(|path| {
            let address = parse(&format!("unix://{path}"), None).unwrap();
            (Candidate { address, origin: "usual socket".to_owned() }, "there is no such socket".to_owned())
        });
        let error = unreachable(&tried);
        assert_eq!(error.causes().len(), 2);
        assert_eq!(error.causes()[1], "unix:///b (usual socket): there is no such socket");
        assert!(error.hints()[0].contains("DOCKER_HOST"));
    }
}
