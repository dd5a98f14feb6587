//! Sends an image's parts by the OCI distribution protocol: what is there already is not sent, the manifest comes last.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use base64::Engine as _;
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;

use super::archive::{Archive, Blob, digest};
use super::{Destination, failed};
use crate::error::{Error, Result};
use crate::event::{Events, Kind, LayerState};
use crate::exit::Exit;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const PIECE: usize = 256 << 10;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

pub(super) async fn upload(archive: &Archive, destination: &Destination<'_>, events: &Events) -> Result<String> {
    let registry = Registry { client: Client::builder(TokioExecutor::new()).build_http(), destination };
    for blob in &archive.layers {
        let state = |state, current| Kind::PushLayer { id: short(&blob.digest), state, current, total: blob.size };
        if registry.has(&blob.digest).await? {
            events.emit(state(LayerState::Exists, 0));
            continue;
        }
        events.emit(state(LayerState::Pushing, 0));
        let file = archive.file.try_clone().map_err(|error| failed("the exported image could not be read", &error))?;
        registry.send(&blob.digest, blob.size, pieces(file, blob)?).await?;
        events.emit(state(LayerState::Pushed, blob.size));
    }
    let config = digest(&archive.config);
    if !registry.has(&config).await? {
        registry.send(&config, archive.config.len() as u64, full(archive.config.clone())).await?;
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config, "size": archive.config.len()},
        "layers": archive.layers.iter().map(|blob| {
            json!({"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size})
        }).collect::<Vec<_>>(),
    });
    registry.put_manifest(manifest.to_string().into_bytes()).await
}

struct Registry<'a> {
    client: Client<HttpConnector, Body>,
    destination: &'a Destination<'a>,
}

impl Registry<'_> {
    async fn has(&self, digest: &str) -> Result<bool> {
        let path = format!("/v2/{}/blobs/{digest}", self.destination.repository);
        let answer = self.call(Method::HEAD, &path, None, 0, full(Vec::new())).await?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(refused("a layer could not be looked for", answer).await),
        }
    }

    /// One upload in one piece: POST for a place, PUT for the bytes.
    async fn send(&self, digest: &str, size: u64, body: Body) -> Result<()> {
        let path = format!("/v2/{}/blobs/uploads/", self.destination.repository);
        let answer = self.call(Method::POST, &path, None, 0, full(Vec::new())).await?;
        let place = answer.headers().get(header::LOCATION).and_then(|place| place.to_str().ok()).map(str::to_owned);
        let (StatusCode::ACCEPTED, Some(place)) = (answer.status(), place) else {
            return Err(refused("the registry did not take a layer", answer).await);
        };
        let base = format!("http://{}", self.destination.host);
        let path = place.strip_prefix(&base).unwrap_or(&place);
        let path = format!("{path}{}digest={digest}", if path.contains('?') { '&' } else { '?' });
        let answer = self.call(Method::PUT, &path, Some("application/octet-stream"), size, body).await?;
        match answer.status() {
            StatusCode::CREATED => Ok(()),
            _ => Err(refused("the registry did not take a layer", answer).await),
        }
    }

    async fn put_manifest(&self, manifest: Vec<u8>) -> Result<String> {
        let path = format!("/v2/{}/manifests/{}", self.destination.repository, self.destination.tag);
        let (size, digest) = (manifest.len() as u64, digest(&manifest));
        let answer = self.call(Method::PUT, &path, Some(MANIFEST), size, full(manifest)).await?;
        match answer.status() {
            StatusCode::CREATED => Ok(digest),
            _ => Err(refused("the registry did not take the manifest", answer).await),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        size: u64,
        body: Body,
    ) -> Result<Response<Incoming>> {
        let Destination { host, username, password, .. } = self.destination;
        let login = base64::prelude::BASE64_STANDARD.encode(format!("{username}:{}", password.expose()));
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{host}{path}"))
            .header(header::AUTHORIZATION, format!("Basic {login}"))
            .header(header::CONTENT_LENGTH, size);
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let request = request.body(body).map_err(|error| failed("the registry's address is not understood", &error))?;
        self.client
            .request(request)
            .await
            .map_err(|error| failed(&format!("the registry {host} cannot be reached from here"), &error))
    }
}

async fn refused(what: &str, answer: Response<Incoming>) -> Error {
    let status = answer.status();
    let body = answer.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text: String = String::from_utf8_lossy(&body).chars().take(500).collect();
    Error::new(Exit::Registry, what).cause(format!("{status} {text}"))
}

fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync()
}

/// The layer's bytes, a piece at a time, in the order that the connection takes them.
fn pieces(mut file: File, blob: &Blob) -> Result<Body> {
    file.seek(SeekFrom::Start(blob.offset)).map_err(|error| failed("the exported image could not be read", &error))?;
    let read = |(mut file, left): (File, u64)| async move {
        if left == 0 {
            return Ok(None);
        }
        let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let (file, bytes) = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; size];
            file.read_exact(&mut bytes).map(|()| (file, bytes))
        })
        .await
        .map_err(std::io::Error::other)??;
        Ok(Some((Frame::data(Bytes::from(bytes)), (file, left - size as u64))))
    };
    Ok(StreamBody::new(stream::try_unfold((file, blob.size), read)).boxed_unsync())
}

/// As an engine shows a layer: 12 hex digits.
fn short(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(12).collect()
}
