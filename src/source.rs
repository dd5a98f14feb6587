//! How the image of a service comes to be. Decided in the plan, carried out by `deploy`.

use std::sync::Arc;

use serde::Serialize;

use crate::aws::ecr::Manifest;
use crate::content_key::{ContentKey, Keyed};
use crate::docker::Image;

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Source {
    /// From the checkout, by the engine.
    Build(Build),
    /// The repository has an image that was built from the same inputs.
    Reuse(Box<Reuse>),
    /// The very image that runs in another environment is copied, byte for byte.
    Promote(Promotion),
}

/// An image of another environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Promotion {
    /// The environment that it runs in.
    pub(crate) from: String,
    /// Its ECR repository there.
    pub(crate) repository: String,
    /// Its digest; absent where nothing can be promoted, which a finding says.
    pub(crate) digest: Option<String>,
    /// The full commit, under the same condition.
    pub(crate) revision: Option<String>,
}

/// A build, and why it is one.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Build {
    /// The key that the image will have; absent where there is none.
    pub(crate) content_key: Option<ContentKey>,
    /// Why no image is used again, in words; absent where that was not asked.
    pub(crate) why: Option<String>,
    /// What is another one than in the image that is `latest` now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) differs: Vec<String>,
    /// Nothing that was built before may be used, layers neither.
    pub(crate) without_cache: bool,
    /// `HOST/NAME` of the repository; empty where it could not be read.
    #[serde(skip)]
    pub(crate) uri: String,
    #[serde(skip)]
    pub(crate) keyed: Option<Arc<Keyed>>,
}

/// An image that is in the repository already.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reuse {
    pub(crate) content_key: ContentKey,
    /// The tag that led to it.
    pub(crate) tag: String,
    pub(crate) digest: String,
    /// The commit that it was built from, as its label has it.
    pub(crate) revision: Option<String>,
    /// How old it was when it was looked at.
    pub(crate) age_seconds: Option<u64>,
    /// `HOST/NAME` of the repository.
    #[serde(skip)]
    pub(crate) uri: String,
    #[serde(skip)]
    pub(crate) manifest: Manifest,
    /// What it says of itself, for the checks that every image has to pass.
    #[serde(skip)]
    pub(crate) image: Image,
}

impl Source {
    /// Whether a Docker Engine is needed.
    pub(crate) fn needs_engine(&self) -> bool {
        matches!(self, Self::Build(_))
    }

    pub(crate) fn content_key(&self) -> Option<&ContentKey> {
        match self {
            Self::Build(build) => build.content_key.as_ref(),
            Self::Reuse(reuse) => Some(&reuse.content_key),
            Self::Promote(_) => None,
        }
    }

    /// One word for a receipt.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Build(_) => "built",
            Self::Reuse(_) => "reused",
            Self::Promote(_) => "promoted",
        }
    }
}
