//! Pushing by the engine itself, which remembers what a registry has and compresses only what it has not. The request
//! is our own because bollard drops the ids of layers and the digest.

mod failure;
mod layers;

use std::time::{Duration, Instant};

use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use self::layers::Layers;
use super::credentials::RegistryAuth;
use super::engine::Engine;
use super::http::{Query, RequestError, chain, empty, full, path_element};
use super::reference::split_tag;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::exit::Exit;

/// A line of progress that grows beyond this is no progress.
const LONGEST_LINE: usize = 1 << 20;

/// How long an engine may try to log in to a registry on loopback. One that knows it answers at once.
const REACH: Duration = Duration::from_secs(3);

/// The engine tries the upload of a layer again, but not that of a manifest, and nothing that was throttled. What a
/// registry has already it is not sent twice.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// What the registry has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// Of the manifest, `sha256:…`.
    pub(crate) digest: String,
}

impl Engine {
    /// Pushes `host/repository:tag`. When `cancel` fires, the engine stops, and no manifest was put unless it already
    /// was; the error is `Exit::Interrupted`.
    pub(crate) async fn push(
        &self,
        reference: &str,
        auth: &RegistryAuth,
        events: &Events,
        cancel: &CancellationToken,
    ) -> Result<Pushed> {
        let (repository, tag) = split_tag(reference);
        let path = format!("/images/{}/push", path_element(repository));
        let query = Query::default().with("tag", tag).into_string();
        let once = async || {
            let request =
                self.client.request(Method::POST, &path, &query).header("X-Registry-Auth", auth.header()).body(empty());
            let response =
                self.client.ask(request).await.map_err(|error| (failure::refused(reference, error), false))?;
            follow_answer(response.into_body(), events).await.map_err(|ended| match ended {
                Ended::Refused(message) => (failure::explain(reference, &message), failure::may_pass(&message)),
                Ended::Broken(why) => {
                    (self.lost(format!("cannot push {reference}"), why).with_exit(Exit::Registry), false)
                }
            })
        };
        let push = async {
            let mut pauses = AGAIN_AFTER.into_iter();
            loop {
                match (once().await, pauses.next()) {
                    (Ok(pushed), _) => return Ok(pushed),
                    (Err((error, true)), Some(pause)) => {
                        events.warn(format!("{}; pushing again", error.line()), None);
                        tokio::time::sleep(pause).await;
                    }
                    (Err((error, _)), _) => return Err(error),
                }
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::new(Exit::Interrupted, format!("interrupted while pushing {reference}"))),
            pushed = push => pushed,
        }
    }

    /// Whether the engine can log in to the registry: with a registry on loopback this tells whether the engine's
    /// loopback is ours. An engine that is still trying after `REACH` does not reach it well enough to push. An error
    /// means that the engine itself did not answer.
    pub(crate) async fn can_reach(&self, registry_host: &str, auth: &RegistryAuth) -> Result<bool> {
        let auth = RegistryAuth { host: registry_host.to_owned(), ..auth.clone() };
        let request = self
            .client
            .request(Method::POST, "/auth", "")
            .header("Content-Type", "application/json")
            .body(full(auth.json().to_string()));
        match tokio::time::timeout(REACH, self.client.ask(request)).await {
            Ok(Ok(_)) => Ok(true),
            Err(_) | Ok(Err(RequestError::Refused { .. })) => Ok(false),
            Ok(Err(error)) => {
                Err(error.during(Exit::Registry, format!("cannot ask the engine whether it reaches {registry_host}")))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    id: String,
    #[serde(default)]
    status: String,
    progress_detail: Option<ProgressDetail>,
    aux: Option<Aux>,
    error: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProgressDetail {
    current: u64,
    total: u64,
}

#[derive(Deserialize)]
struct Aux {
    #[serde(rename = "Digest")]
    digest: Option<String>,
}

/// Why a push came to no digest.
enum Ended {
    /// In the engine's own words.
    Refused(String),
    /// The connection to the engine ended first.
    Broken(Vec<String>),
}

/// Reads the progress to its end.
async fn follow_answer(mut body: Incoming, events: &Events) -> Result<Pushed, Ended> {
    let mut layers = Layers::default();
    let mut digest = None;
    let mut buffer: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Ended::Broken(chain(&error)))?;
        buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        while let Some(end) = buffer.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let Ok(line) = serde_json::from_slice::<Line>(&line) else { continue };
            if let Some(error) = line.error {
                return Err(Ended::Refused(error));
            }
            digest = line.aux.and_then(|aux| aux.digest).or_else(|| digest_in(&line.status)).or(digest);
            let progress = line.progress_detail.unwrap_or_default();
            if let Some(kind) = layers.accept(&line.id, &line.status, progress.current, progress.total, Instant::now())
            {
                events.emit(kind);
            }
        }
        if buffer.len() > LONGEST_LINE {
            buffer.clear();
        }
    }
    digest
        .map(|digest| Pushed { digest })
        .ok_or_else(|| Ended::Broken(vec!["the engine ended the push without a digest".to_owned()]))
}

/// The last line of a push, `TAG: digest: sha256:… size: 527`.
fn digest_in(status: &str) -> Option<String> {
    let (_, rest) = status.split_once("digest: ")?;
    let digest = rest.split_whitespace().next()?;
    digest.starts_with("sha256:").then(|| digest.to_owned())
}
