//! Sends an image's parts: what is there already is not sent, what breaks off is sent again, the manifest comes last.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::json;

use super::archive::{Archive, Blob, digest};
use super::client::{Body, OCI_MANIFEST, Registry, full, retrying};
use super::{Failure, Sent, WORD_EVERY, short};
use crate::error::Result;
use crate::event::{Events, Kind, LayerState};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// What is in memory of a layer at a time, in bytes.
const PIECE: usize = 256 << 10;

pub(super) async fn upload(
    archive: Archive,
    registry: &Registry,
    repository: &str,
    tag: &str,
    events: &Events,
) -> Result<Sent> {
    for blob in &archive.layers {
        let progress = Progress { events, blob };
        let state = retrying(|| send_layer(registry, repository, &archive.file, blob, progress)).await;
        match state.map_err(|failure| failure.during(registry, &format!("send layer {}", short(&blob.digest))))? {
            LayerState::Pushed => progress.say(LayerState::Pushed, blob.size),
            state => progress.say(state, 0),
        }
    }
    let manifest = manifest(&archive);
    let (name, size, config) = (digest(&archive.config), archive.config.len() as u64, Bytes::from(archive.config));
    let send_config = || async {
        if !registry.has_blob(repository, &name).await? {
            registry.put_blob(repository, &name, size, full(config.clone())).await?;
        }
        Ok(())
    };
    retrying(send_config).await.map_err(|failure| failure.during(registry, "send the image's config"))?;
    put(registry, repository, tag, manifest).await
}

/// Puts a manifest, whose parts are all there, under a tag.
pub(super) async fn put(registry: &Registry, repository: &str, tag: &str, manifest: Bytes) -> Result<Sent> {
    let put = || registry.put_manifest(repository, tag, OCI_MANIFEST, manifest.clone());
    let digest = retrying(put).await.map_err(|failure| failure.during(registry, &format!("set the tag `{tag}`")))?;
    Ok(Sent { digest, manifest })
}

#[derive(Clone, Copy)]
struct Progress<'a> {
    events: &'a Events,
    blob: &'a Blob,
}

impl Progress<'_> {
    fn say(self, state: LayerState, current: u64) {
        self.events.emit(Kind::PushLayer { id: short(&self.blob.digest), state, current, total: self.blob.size });
    }
}

async fn send_layer(
    registry: &Registry,
    repository: &str,
    file: &Arc<File>,
    blob: &Blob,
    progress: Progress<'_>,
) -> Result<LayerState, Failure> {
    if registry.has_blob(repository, &blob.digest).await? {
        return Ok(LayerState::Exists);
    }
    progress.say(LayerState::Pushing, 0);
    let body = pieces(Arc::clone(file), blob, progress.events.clone());
    registry.put_blob(repository, &blob.digest, blob.size, body).await?;
    Ok(LayerState::Pushed)
}

fn manifest(archive: &Archive) -> Bytes {
    let layers = archive.layers.iter();
    let layers: Vec<_> =
        layers.map(|blob| json!({"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size})).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest(&archive.config), "size": archive.config.len()},
        "layers": layers,
    });
    Bytes::from(manifest.to_string())
}

/// The layer's bytes, a piece at a time, as the connection takes them. They are read by place, so that an attempt that
/// was given up has no say in where the next one reads.
fn pieces(file: Arc<File>, blob: &Blob, events: Events) -> Body {
    let (id, offset, total) = (short(&blob.digest), blob.offset, blob.size);
    let read = move |sent: u64| {
        if sent > 0 && sent.is_multiple_of(WORD_EVERY) {
            events.emit(Kind::PushLayer { id: id.clone(), state: LayerState::Pushing, current: sent, total });
        }
        let file = Arc::clone(&file);
        async move {
            let size = usize::try_from(total - sent).unwrap_or(PIECE).min(PIECE);
            if size == 0 {
                return Ok(None);
            }
            let read = move || {
                let mut bytes = vec![0; size];
                file.read_exact_at(&mut bytes, offset + sent).map(|()| bytes)
            };
            let bytes = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)??;
            Ok(Some((Frame::data(Bytes::from(bytes)), sent + size as u64)))
        }
    };
    StreamBody::new(stream::try_unfold(0, read)).boxed_unsync()
}
