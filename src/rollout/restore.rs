//! Puts `latest` back on the digest that runs, byte for byte, when a rollout has failed: otherwise the next scale-out
//! or forced deployment of anybody would pick the bad image up.

use crate::aws::{Clients, ecr};
use crate::error::{Error, Result};
use crate::exit::Exit;

/// Moves `latest` of the repository to `digest`.
///
/// Does nothing (`false`) when `latest` is not `pushed` any more: then somebody else has moved it since, and it is
/// theirs.
pub(crate) async fn restore_latest(clients: &Clients, repository: &str, pushed: &str, digest: &str) -> Result<bool> {
    if ecr::digest_of(clients, repository, "latest").await?.as_deref() != Some(pushed) {
        return Ok(false);
    }
    let manifest = ecr::manifest(clients, repository, digest)
        .await?
        .ok_or_else(|| Error::new(Exit::Registry, format!("{digest} is no longer in repository `{repository}`")))?;
    ecr::put_tag(clients, repository, &manifest, "latest").await?;
    Ok(true)
}
