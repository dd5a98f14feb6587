//! What an image consists of: its manifest, those beneath it where it is an index, and the blobs that they name.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Deserialize;

use super::client::{Registry, Stored, retrying};
use super::failure::Failure;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// An index that names more is none of an image.
const MANIFESTS_AT_MOST: usize = 100;

/// A config is JSON of a few kilobytes.
const CONFIG_AT_MOST: u64 = 4 << 20;

/// A blob that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(super) digest: String,
    /// Bytes.
    pub(super) size: u64,
    /// Otherwise it is a config.
    pub(super) is_layer: bool,
}

impl Part {
    pub(super) const fn what(&self) -> &'static str {
        if self.is_layer { "layer" } else { "config" }
    }
}

/// An image as a registry has it.
#[derive(Debug)]
pub(crate) struct Image {
    /// Children before their index; the image itself is the last.
    manifests: Vec<Stored>,
    /// Each once.
    blobs: Vec<Part>,
}

/// The members of manifests and indexes that matter here.
#[derive(Deserialize)]
struct Manifest {
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

impl Descriptor {
    /// Layers that registries do not keep, and that come from their maker.
    fn is_kept(&self) -> bool {
        !self.media_type.contains("foreign") && !self.media_type.contains("nondistributable")
    }
}

impl Image {
    /// Reads the manifests of the image with that digest, each checked against the digest that it is called by.
    ///
    /// # Errors
    /// `Exit::Registry`: it is not there (any more), is not what its digest says, or cannot be read.
    pub(crate) async fn read(registry: &Registry, repository: &str, digest: &str) -> Result<Self> {
        let mut image = Self { manifests: Vec::new(), blobs: Vec::new() };
        let mut seen = BTreeSet::new();
        let mut waiting = vec![digest.to_owned()];
        while let Some(name) = waiting.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let doing = format!("read the image {name} from `{repository}`");
            if seen.len() > MANIFESTS_AT_MOST {
                let what = format!("its index names more than {MANIFESTS_AT_MOST} manifests");
                return Err(Failure::Strange(what).during(registry, &doing));
            }
            let found = retrying(|| registry.manifest(repository, &name)).await;
            let stored = found.map_err(|failure| failure.during(registry, &doing))?.ok_or_else(|| {
                Error::new(Exit::Registry, format!("the image {name} is no longer in the repository `{repository}`"))
                    .hint("its lifecycle policy or somebody may have taken it: deploy the commit there again")
            })?;
            if stored.digest != name {
                return Err(Failure::other_bytes(&name).during(registry, &doing));
            }
            let manifest = parse(&stored).map_err(|failure| failure.during(registry, &doing))?;
            image.note(&manifest);
            waiting.extend(manifest.manifests.into_iter().map(|child| child.digest));
            image.manifests.push(stored);
        }
        // Found from the top down; put from the bottom up.
        image.manifests.reverse();
        Ok(image)
    }

    /// Reads the config of the image for this architecture of Linux; where the image is no index, its own.
    ///
    /// # Errors
    /// `Exit::Gate` when the index has nothing for it; `Exit::Registry` when it cannot be read.
    pub(crate) async fn config(&self, registry: &Registry, repository: &str, architecture: &str) -> Result<Bytes> {
        let doing = "read the image's config";
        let strange = |what: &str| Failure::Strange(what.to_owned()).during(registry, doing);
        let index = parse(self.root()).map_err(|failure| failure.during(registry, doing))?;
        let manifest = if index.manifests.is_empty() {
            index
        } else {
            let fits = |child: &&Descriptor| {
                child.platform.as_ref().is_some_and(|its| its.os == "linux" && its.architecture == architecture)
            };
            let child = index.manifests.iter().find(fits).ok_or_else(|| {
                Error::new(Exit::Gate, format!("the image {} has nothing for linux/{architecture}", self.root().digest))
                    .hint("build it for that platform, or set `platform` to what it has")
            })?;
            let stored = self.manifests.iter().find(|stored| stored.digest == child.digest);
            parse(stored.ok_or_else(|| strange("its index does not lead to an image"))?)
                .map_err(|failure| failure.during(registry, doing))?
        };
        let config = manifest.config.ok_or_else(|| strange("the manifest names no config"))?;
        if config.size > CONFIG_AT_MOST {
            return Err(strange("the config is too large to be one"));
        }
        let read = retrying(|| registry.small_blob(repository, &config.digest)).await;
        read.map_err(|failure| failure.during(registry, doing))
    }

    pub(super) fn root(&self) -> &Stored {
        // `read` puts at least one.
        &self.manifests[self.manifests.len() - 1]
    }

    pub(crate) fn digest(&self) -> &str {
        &self.root().digest
    }

    pub(super) fn children(&self) -> &[Stored] {
        &self.manifests[..self.manifests.len() - 1]
    }

    pub(super) fn blobs(&self) -> &[Part] {
        &self.blobs
    }

    /// Of all its manifests, each once.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Part> {
        self.blobs.iter().filter(|part| part.is_layer)
    }

    fn note(&mut self, manifest: &Manifest) {
        let config = manifest.config.iter().map(|config| (config, false));
        for (descriptor, is_layer) in config.chain(manifest.layers.iter().map(|layer| (layer, true))) {
            let is_new = self.blobs.iter().all(|known| known.digest != descriptor.digest);
            if is_new && descriptor.is_kept() {
                self.blobs.push(Part { digest: descriptor.digest.clone(), size: descriptor.size, is_layer });
            }
        }
    }
}

/// A digest ends up in paths, so it has to be one.
fn parse(stored: &Stored) -> Result<Manifest, Failure> {
    let manifest: Manifest = serde_json::from_slice(&stored.bytes)
        .map_err(|error| Failure::Strange(format!("{} is no manifest: {error}", stored.digest)))?;
    let mut all = manifest.config.iter().chain(&manifest.layers).chain(&manifest.manifests);
    match all.find(|descriptor| !is_digest(&descriptor.digest)) {
        Some(_) => Err(Failure::Strange(format!("{} names something that is no digest", stored.digest))),
        None => Ok(manifest),
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
