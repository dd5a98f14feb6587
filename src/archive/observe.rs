//! Reads what the plan of a zip depends on. A refused read is kept, so that all that is in the way is told together.

use super::{Label, files};
use crate::after::Release;
use crate::aws::Clients;
use crate::aws::s3::{self, Object};
use crate::changes::Judgement;
use crate::config::specification::Archive;
use crate::error::Result;

#[derive(Debug)]
pub(crate) struct ObservedArchive {
    pub(crate) bucket: Result<()>,
    /// What is live; `None` where nothing is, or the bucket cannot be used.
    pub(crate) latest: Result<Option<Object>>,
    /// What is kept of the commit already.
    pub(crate) kept: Result<Option<Object>>,
    /// How many files there are to pack.
    pub(crate) files: Result<usize>,
    /// Whether it changed.
    pub(crate) judgement: Judgement,
}

/// `commit` is as it is recorded.
pub(crate) async fn observe(clients: &Clients, archive: &Archive, commit: &str) -> ObservedArchive {
    let files = {
        let archive = archive.clone();
        tokio::task::spawn_blocking(move || files::look(&archive))
    };
    let bucket = s3::bucket(clients, &archive.bucket).await;
    // Whatever is wrong with the bucket is said once.
    let (latest, kept) = if bucket.is_ok() {
        let key = archive.key.of(commit);
        tokio::join!(s3::head(clients, &archive.bucket, &archive.latest_key), s3::head(clients, &archive.bucket, &key))
    } else {
        (Ok(None), Ok(None))
    };
    let files = files.await.unwrap_or_else(|ended| {
        Err(crate::error::Error::new(crate::exit::Exit::Fault, "the files could not be looked at").because(&ended))
    });
    ObservedArchive { bucket, latest, kept, files, judgement: Judgement::default() }
}

/// What is live in another environment. It is there whole or not at all, so it is always settled.
pub(crate) async fn release(clients: &Clients, archive: &Archive) -> Result<Release> {
    let latest = s3::head(clients, &archive.bucket, &archive.latest_key).await?;
    let label = latest.map(|latest| Label::of(&latest)).unwrap_or_default();
    let since = label.at.and_then(|at| at.parse().ok());
    Ok(Release {
        service: archive.name.clone(),
        revision: label.revision,
        digest: None,
        unproven: None,
        same: false,
        since,
    })
}
