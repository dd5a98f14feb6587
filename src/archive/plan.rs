//! What a deploy of a zip would do, and what is in its way. Pure.

use std::path::Path;

use serde::Serialize;

use super::{Label, ObservedArchive};
use crate::changes::Change;
use crate::config::specification::Archive;
use crate::plan::{Entry, Finding};

/// One zip's part of the plan.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ArchivePlan {
    /// The key in deploy.yaml.
    pub(crate) service: String,
    pub(crate) kind: &'static str,
    /// The folder whose files are packed, relative to deploy.yaml.
    pub(crate) context: String,
    /// How many there are; `null` where they could not be looked at.
    pub(crate) files: Option<usize>,
    /// Names of the secrets that have to be set, each with a value now.
    pub(crate) secrets: Vec<String>,
    pub(crate) bucket: String,
    /// Where the zip of this commit is kept.
    pub(crate) key: String,
    pub(crate) latest_key: String,
    pub(crate) change: Change,
    /// Something is kept under `key` already; it is not sent again where it is the same.
    pub(crate) kept: bool,
    /// Services of this run that are to be deployed before this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) depends_on: Vec<String>,
    /// The revision that is live now, by shipit's record.
    pub(crate) running_revision: Option<String>,
    /// SHA-256 of the zip that is live now, by shipit's record.
    pub(crate) running_digest: Option<String>,
    /// ETag of what is live now.
    #[serde(skip)]
    pub(crate) latest_etag: Option<String>,
    /// What is written on it.
    #[serde(skip)]
    pub(crate) label: Label,
}

impl ArchivePlan {
    pub(crate) fn entry(&self) -> Entry<'_> {
        Entry {
            name: &self.service,
            change: &self.change,
            depends_on: &self.depends_on,
            running_revision: self.running_revision.as_deref(),
            running_digest: self.running_digest.as_deref(),
        }
    }
}

/// The plan for one zip, without who it waits for, and what is in its way.
pub(crate) fn plan(
    archive: &Archive,
    seen: &ObservedArchive,
    root: &Path,
    commit: &str,
) -> (ArchivePlan, Vec<Finding>) {
    let reads = [seen.bucket.as_ref().err(), seen.latest.as_ref().err(), seen.kept.as_ref().err()];
    let in_the_way = reads.into_iter().chain([seen.files.as_ref().err()]).flatten();
    let findings = in_the_way.map(|error| Finding::of(&archive.name, error)).collect();
    let latest = seen.latest.as_ref().ok().and_then(Option::as_ref);
    let label = latest.map(Label::of).unwrap_or_default();
    let context = archive.context.strip_prefix(root).unwrap_or(&archive.context).display().to_string();
    let plan = ArchivePlan {
        service: archive.name.clone(),
        kind: "zip",
        context: if context.is_empty() { ".".to_owned() } else { context },
        files: seen.files.as_ref().ok().copied(),
        secrets: archive.secrets.clone(),
        bucket: archive.bucket.clone(),
        key: archive.key.of(commit),
        latest_key: archive.latest_key.clone(),
        change: seen.judgement.change.clone(),
        kept: matches!(seen.kept, Ok(Some(_))),
        depends_on: Vec::new(),
        running_revision: label.revision.clone(),
        running_digest: label.digest(),
        latest_etag: latest.map(|latest| latest.etag.clone()),
        label,
    };
    (plan, findings)
}
