//! The way back of a zip: the one that is kept of another commit is copied over the live key, and what it takes away is
//! held. Both are one call, so there is no moment between them.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::back::{named, newest, previous};
use super::live::{make_live, prove};
use super::past::kept;
use super::{Label, place};
use crate::aws::Clients;
use crate::aws::s3::{self, Copy, Object};
use crate::config::specification::Archive;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::git::log;
use crate::interrupt::interrupted;
use crate::plan::Finding;
use crate::rollback::{To, Version};
use crate::rollout::Stop;
use crate::verdict::Verdict;

/// One zip's part of a rollback.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ArchiveStep {
    /// The key in deploy.yaml.
    pub(crate) service: String,
    pub(crate) kind: &'static str,
    pub(crate) bucket: String,
    pub(crate) latest_key: String,
    /// Where what comes back is kept.
    pub(crate) key: Option<String>,
    /// What is taken away.
    pub(crate) from: Version,
    /// What comes back.
    pub(crate) to: Version,
    /// It is there already: nothing is to be done.
    pub(crate) unchanged: bool,
    #[serde(skip)]
    latest_etag: Option<String>,
    /// As the bucket has it.
    #[serde(skip)]
    target: Option<Object>,
}

/// Who does it, for the label.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By<'a> {
    pub(crate) identity: Option<&'a str>,
    pub(crate) approved_by: Option<&'a str>,
}

/// Looks what could be done, and what is in the way of it.
pub(crate) async fn look_back(
    clients: &Clients,
    archive: &Archive,
    folder: &Path,
    to: &To,
) -> (ArchiveStep, Vec<Finding>) {
    let mut step = ArchiveStep {
        service: archive.name.clone(),
        kind: "zip",
        bucket: archive.bucket.clone(),
        latest_key: archive.latest_key.clone(),
        key: None,
        from: Version::default(),
        to: Version::default(),
        unchanged: false,
        latest_etag: None,
        target: None,
    };
    let looked = look(clients, archive, folder, to, &mut step).await;
    (step, looked.err().map(|error| Finding::of(&archive.name, &error)).into_iter().collect())
}

async fn look(clients: &Clients, archive: &Archive, folder: &Path, to: &To, step: &mut ArchiveStep) -> Result<()> {
    s3::bucket(clients, &archive.bucket).await?;
    let latest = s3::head(clients, &archive.bucket, &archive.latest_key).await?;
    let label = latest.as_ref().map(Label::of).unwrap_or_default();
    step.latest_etag = latest.map(|latest| latest.etag);
    step.from = version(folder, &label).await;
    let (kept, more) = kept(clients, archive).await?;
    let gate = |text: String| {
        let error = Error::new(Exit::Gate, text);
        let error = more.iter().fold(error, Error::cause);
        error.hint(format!("name the revision: --to REV, one of {}", newest(&kept)))
    };
    let chosen = match to {
        To::Named(name) => named(name, &kept).map_err(gate)?,
        To::Previous => previous(&label, &kept)
            .ok_or_else(|| gate("nothing is known to have been live before what is live now".to_owned()))?,
    };
    let target = s3::head(clients, &archive.bucket, &chosen.key).await?;
    let target = target.ok_or_else(|| gate(format!("{} is gone", place(&archive.bucket, &chosen.key))))?;
    let of = Label::of(&target);
    if of.sha256.is_none() {
        return Err(gate(format!("{} was not put there by shipit", place(&archive.bucket, &chosen.key))));
    }
    step.to = version(folder, &of).await;
    step.key = Some(chosen.key.clone());
    step.unchanged = of.sha256 == label.sha256 && of.revision == label.revision;
    step.target = Some(target);
    Ok(())
}

/// With the commit's subject, where this clone knows it.
async fn version(folder: &Path, label: &Label) -> Version {
    let subject = match &label.revision {
        Some(revision) => log::commit(folder, revision).await.map(|commit| commit.subject),
        None => None,
    };
    Version { digest: label.digest(), revision: label.revision.clone(), subject }
}

/// Copies it over the live key and looks whether it is there.
pub(crate) async fn bring_back(clients: &Clients, step: &ArchiveStep, by: By<'_>, interrupt: bool) -> Result<(), Stop> {
    if interrupt {
        return Err(Stop::new(Verdict::Interrupted, interrupted("interrupted; what is live is as it was")));
    }
    let (Some(target), Some(key)) = (&step.target, &step.key) else {
        return Err(Stop::new(Verdict::Refused, Error::new(Exit::Fault, "there is nothing to bring back")));
    };
    let label = Label {
        at: Some(Timestamp::now().strftime("%FT%TZ").to_string()),
        by: by.identity.map(str::to_owned),
        approved_by: by.approved_by.map(str::to_owned),
        base: step.from.revision.clone().or_else(|| step.to.revision.clone()),
        held: step.from.revision.clone(),
        previous: None,
        ..Label::of(target)
    };
    let copy = Copy {
        bucket: &step.bucket,
        from: key,
        from_etag: &target.etag,
        to: &step.latest_key,
        to_etag: step.latest_etag.as_deref(),
    };
    make_live(clients, copy, &label).await?;
    let is_back = |now: &Object| Label::of(now) == label && now.bytes == target.bytes;
    prove(clients, &step.bucket, &step.latest_key, is_back).await
}
