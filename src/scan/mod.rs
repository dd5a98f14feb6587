//! What ECR's scan says of an image: a gate before `latest` is moved, where deploy.yaml has `scan.fail_on`; otherwise one
//! look after the rollout, which never waits and never fails.
//!
//! ECR and Inspector do the scanning. Nothing is judged here that they do not report.

mod gate;
mod judge;
mod policy;

pub(crate) use gate::{Scanning, look};
pub(crate) use judge::Report;
pub(crate) use policy::{Policy, Severity, Waiver};
