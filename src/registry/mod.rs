//! A push without the engine: for a registry on this machine's loopback that the engine cannot reach, because it runs
//! in a virtual machine or elsewhere. The image is exported, and its parts are sent from here.
//!
//! Everywhere else the engine pushes by itself: it is faster, and keeps track of what the registry has.

mod archive;
mod upload;

use bytes::Bytes;
use futures_util::Stream;

use crate::error::{Error, Result};
use crate::event::Events;
use crate::exit::Exit;
use crate::secret::Secret;

/// Where to, and as whom.
pub(crate) struct Destination<'a> {
    /// `HOST:PORT`, spoken to by plain HTTP: a loopback address.
    pub(crate) host: &'a str,
    pub(crate) repository: &'a str,
    pub(crate) tag: &'a str,
    pub(crate) username: &'a str,
    pub(crate) password: &'a Secret,
}

/// Sends the exported image and returns the manifest's digest. The export goes through an unnamed file, so memory
/// stays bounded and nothing is left behind.
pub(crate) async fn push_export(
    export: impl Stream<Item = std::io::Result<Bytes>> + Unpin,
    destination: &Destination<'_>,
    events: &Events,
) -> Result<String> {
    let archive = archive::spool(export).await?;
    upload::upload(&archive, destination, events).await
}

fn failed(what: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    Error::new(Exit::Registry, what).because(error)
}
