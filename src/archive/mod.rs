//! Services of `kind: zip`: files that are packed (`pack`), kept in a bucket under a key of their commit, and copied over
//! the key that is live. What an object is, is written on it (`label`). Deploying one is in `deploy::deliver`.

mod back;
mod label;
mod observe;
mod pack;
mod past;
mod plan;
mod rollback;
mod standing;

use std::fmt::Write as _;

pub(crate) use label::Label;
pub(crate) use observe::{ObservedArchive, observe, release};
pub(crate) use pack::{Packed, excluded, look, pack};
pub(crate) use past::history;
pub(crate) use plan::{ArchivePlan, plan};
pub(crate) use rollback::{ArchiveStep, By, bring_back, look_back};
pub(crate) use standing::status;

/// `s3://BUCKET/KEY`.
pub(crate) fn place(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
