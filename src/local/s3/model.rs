//! What the stand-in keeps of S3. The bytes are files of their own, which never change once they are written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::local::clock::Millis;
use crate::local::place::Place;

/// A bucket's name is the world's, so buckets are not kept by account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bucket {
    pub(crate) place: Place,
    pub(crate) created_at: Millis,
    #[serde(default)]
    pub(crate) objects: BTreeMap<String, Object>,
    /// Multipart uploads under way, by id.
    #[serde(default)]
    pub(crate) uploads: BTreeMap<String, Upload>,
}

impl Bucket {
    pub(crate) fn new(place: &Place, now: Millis) -> Self {
        Self { place: place.clone(), created_at: now, objects: BTreeMap::new(), uploads: BTreeMap::new() }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) content: Content,
    pub(crate) modified: Millis,
    pub(crate) about: About,
}

/// Bytes that were received.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Content {
    /// Name of the file.
    pub(crate) id: String,
    pub(crate) bytes: u64,
    /// Without its quotes.
    pub(crate) etag: String,
    pub(crate) checksum: Checksum,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checksum {
    /// As in `x-amz-checksum-sha256`, in small letters.
    pub(crate) algorithm: String,
    /// Base64; `-N` at its end where it is one of N parts' checksums.
    pub(crate) value: String,
}

/// What the client says of an object.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) content_type: Option<String>,
    /// Without `x-amz-meta-`.
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) begun_at: Millis,
    pub(crate) about: About,
    /// Of the parts.
    pub(crate) algorithm: String,
    /// The object's checksum is that of all its bytes, and not of the parts' checksums.
    pub(crate) whole: bool,
    #[serde(default)]
    pub(crate) parts: BTreeMap<u32, Content>,
}
