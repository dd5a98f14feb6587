//! What an image of a repository says of itself, without a pull: its config, which is a blob of a few kilobytes.

use aws_sdk_ecr::types::ImageIdentifier;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Manifest, fetch, manifest};
use crate::aws::Clients;
use crate::aws::download;
use crate::aws::error::aws;
use crate::docker::{ImageConfig, hexadecimal};
use crate::error::{Error, Result};
use crate::exit::Exit;

/// The manifest that a tag has now; `None` where there is no such tag.
pub(crate) async fn tagged(clients: &Clients, repository: &str, tag: &str) -> Result<Option<Manifest>> {
    fetch(clients, repository, ImageIdentifier::builder().image_tag(tag).build()).await
}

/// The config of the image, or of its child for this architecture where it is an index.
///
/// # Errors
/// It cannot be read, or is not what its digest says ([`Exit::Aws`]).
pub(crate) async fn config(
    clients: &Clients,
    repository: &str,
    of: &Manifest,
    architecture: &str,
) -> Result<ImageConfig> {
    let broken = |what: &str| Error::new(Exit::Aws, format!("the config of {} cannot be read: {what}", of.digest));
    let child = match of.child(architecture) {
        Some(digest) => Some(manifest(clients, repository, &digest).await?.ok_or_else(|| broken("its child is gone"))?),
        None => None,
    };
    let body: Value = serde_json::from_str(&child.as_ref().unwrap_or(of).body).unwrap_or_default();
    let digest = body.pointer("/config/digest").and_then(Value::as_str).ok_or_else(|| broken("it has none"))?;
    let address = clients
        .ecr
        .get_download_url_for_layer()
        .repository_name(repository)
        .layer_digest(digest)
        .send()
        .await
        .map_err(|error| aws("ecr:GetDownloadUrlForLayer", &error))?;
    let address = address.download_url().ok_or_else(|| broken("ecr:GetDownloadUrlForLayer gave no address"))?;
    let bytes = download::read(address, &clients.proxies).await.map_err(|why| broken(&why))?;
    if digest != format!("sha256:{}", hexadecimal(&Sha256::digest(&bytes))) {
        return Err(broken("what came is something else"));
    }
    ImageConfig::parse(digest, &bytes).map_err(|error| broken(&error.to_string()))
}
