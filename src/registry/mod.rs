//! Registries without the engine: a copy from one to another (`copy`), and a push to one on this machine's loopback that
//! the engine cannot reach, because it runs in a virtual machine or elsewhere: the image is exported, and its parts are
//! sent from here.
//!
//! Everywhere else the engine pushes by itself: it is faster, and keeps track of what the registry has. The client is
//! also what the stand-in talks to another registry with.

mod archive;
mod blobs;
mod client;
mod copy;
#[cfg(test)]
mod copy_tests;
mod failure;
mod parts;
mod reader;
mod transport;
#[cfg(test)]
mod transport_tests;
mod upload;
#[cfg(test)]
mod upload_tests;

use bytes::Bytes;
use futures_util::Stream;

pub(crate) use client::{Registry, Stored};
pub(crate) use copy::Copy;
pub(crate) use failure::Failure;
pub(crate) use parts::{Image, Part};
pub(crate) use reader::contents;
pub(crate) use transport::{Connector, Proxies, is_loopback};

use crate::error::{Error, Result};
use crate::event::Events;
use crate::exit::Exit;

/// How many bytes go by between two words about progress.
const WORD_EVERY: u64 = 1 << 20;

/// An image that the registry has, with all its parts.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) digest: String,
    manifest: Bytes,
}

/// Sends the exported image. The export goes through an unnamed file, so memory stays bounded and nothing is left
/// behind.
///
/// # Errors
/// `Exit::Registry`: the engine's export breaks off or is not understood; the registry refuses or does not answer.
pub(crate) async fn push_export(
    export: impl Stream<Item = std::io::Result<Bytes>> + Unpin,
    registry: &Registry,
    repository: &str,
    tag: &str,
    events: &Events,
) -> Result<Sent> {
    let archive = archive::spool(export).await?;
    upload::upload(archive, registry, repository, tag, events).await
}

/// Sets one more tag on an image that was sent: nothing is exported again.
pub(crate) async fn tag_again(registry: &Registry, repository: &str, sent: &Sent, tag: &str) -> Result<Sent> {
    upload::put(registry, repository, tag, sent.manifest.clone()).await
}

/// As an engine shows a layer: 12 hex digits.
fn short(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(12).collect()
}

fn failed(what: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    Error::new(Exit::Registry, what).because(error)
}
