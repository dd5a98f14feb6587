//! A label of an image of a repository, without a pull: it stands in the image's config, a blob of a few kilobytes.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Manifest, manifest};
use crate::aws::Clients;
use crate::aws::download;
use crate::aws::error::aws;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// The value of a label of the image with this digest, or of its child for this architecture where it is an index.
/// `None` where it has no such label, or the repository does not have the image any more.
///
/// # Errors
/// It may not be read, or is not what its digest says ([`Exit::Aws`]).
pub(crate) async fn label(
    clients: &Clients,
    repository: &str,
    digest: &str,
    architecture: &str,
    label: &str,
) -> Result<Option<String>> {
    let Some(mut of) = manifest(clients, repository, digest).await? else { return Ok(None) };
    if let Some(child) = of.child(architecture) {
        let Some(child) = manifest(clients, repository, &child).await? else { return Ok(None) };
        of = child;
    }
    let Some(config) = config_digest(&of) else { return Ok(None) };
    let address = clients
        .ecr
        .get_download_url_for_layer()
        .repository_name(repository)
        .layer_digest(&config)
        .send()
        .await
        .map_err(|error| aws("ecr:GetDownloadUrlForLayer", &error))?;
    let broken = |why: &str| Error::new(Exit::Aws, format!("the labels of {digest} cannot be read")).cause(why);
    let address = address.download_url().ok_or_else(|| broken("ecr:GetDownloadUrlForLayer gave no address"))?;
    let bytes = download::read(address).await.map_err(|why| broken(&why))?;
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if config != format!("sha256:{sum}") {
        return Err(broken("what came is something else"));
    }
    Ok(value(&bytes, label))
}

fn config_digest(of: &Manifest) -> Option<String> {
    let manifest: Value = serde_json::from_str(&of.body).ok()?;
    manifest.pointer("/config/digest")?.as_str().map(str::to_owned)
}

fn value(config: &[u8], label: &str) -> Option<String> {
    let config: Value = serde_json::from_slice(config).ok()?;
    config.pointer("/config/Labels")?.get(label)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn a_label_is_found_under_its_whole_name() {
        let config = br#"{"config": {"Labels": {"a.b/c": "x", "n": 1}}}"#;
        assert_eq!(value(config, "a.b/c").as_deref(), Some("x"));
        for (config, label) in
            [(&config[..], "a"), (config, "n"), (br#"{"config": {"Labels": null}}"#, "a"), (b"", "a")]
        {
            assert_eq!(value(config, label), None, "{label}");
        }
    }
}
