//! Services of `kind: zip`: files (`files`) that are packed (`pack`), kept in a bucket under a key of their commit, and copied over
//! the key that is live. What an object is, is written on it (`label`). Deploying one is in `deploy::deliver`.

mod back;
mod files;
mod label;
mod live;
mod observe;
mod pack;
#[cfg(test)]
mod pack_tests;
mod past;
mod plan;
mod rollback;
mod standing;

pub(crate) use files::{excluded, look};
pub(crate) use label::Label;
pub(crate) use live::{make_live, prove};
pub(crate) use observe::{ObservedArchive, observe, release};
pub(crate) use pack::{Packed, pack};
pub(crate) use past::history;
pub(crate) use plan::{ArchivePlan, plan};
pub(crate) use rollback::{ArchiveStep, By, bring_back, look_back};
pub(crate) use standing::status;

pub(crate) use crate::aws::s3::place;
