//! What was delivered before: the objects that are kept by commit, and which of them is live.

use super::Label;
use crate::aws::Clients;
use crate::aws::s3::{self, Object};
use crate::config::specification::Archive;
use crate::error::Result;
use crate::history::Entry;

/// One zip that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) key: String,
    /// Full commit, `-dirty` appended where the tree was not clean.
    pub(crate) revision: String,
    pub(crate) modified: Option<jiff::Timestamp>,
}

/// Newest first; and what is to be known besides.
pub(crate) async fn kept(clients: &Clients, archive: &Archive) -> Result<(Vec<Kept>, Option<String>)> {
    let (listed, all) = s3::list(clients, &archive.bucket, &archive.key.prefix).await?;
    let mut kept: Vec<Kept> = listed
        .into_iter()
        .filter_map(|object| {
            let revision = archive.key.commit_of(&object.key)?.to_owned();
            Some(Kept { key: object.key, revision, modified: object.modified })
        })
        .collect();
    kept.sort_by_key(|one| std::cmp::Reverse(one.modified));
    let place = super::place(&archive.bucket, &archive.key.prefix);
    let note = (!all).then(|| format!("{}: there is more under {place} than is looked at", archive.name));
    Ok((kept, note))
}

/// The entries of `shipit history`, newest first.
pub(crate) async fn history(
    clients: &Clients,
    environment: &str,
    archive: &Archive,
) -> Result<(Vec<Entry>, Vec<String>)> {
    let (kept, live) = tokio::join!(kept(clients, archive), s3::head(clients, &archive.bucket, &archive.latest_key));
    let (kept, note) = kept?;
    let mut notes: Vec<String> = note.into_iter().collect();
    let live = live.unwrap_or_else(|error| {
        notes.push(format!("{}: {}", archive.name, error.line()));
        None
    });
    Ok((entries(environment, &archive.name, kept, live.as_ref()), notes))
}

fn entries(environment: &str, service: &str, kept: Vec<Kept>, live: Option<&Object>) -> Vec<Entry> {
    let label = live.map(Label::of).unwrap_or_default();
    let entry = |one: Kept| {
        let runs = label.revision.as_ref() == Some(&one.revision);
        Entry {
            environment: environment.to_owned(),
            service: service.to_owned(),
            when: one.modified,
            finished_at: None,
            state: "PUSHED".to_owned(),
            reason: (label.held.as_ref() == Some(&one.revision)).then(|| "it was rolled back and is held".to_owned()),
            revision: Some(one.revision),
            subject: None,
            author: None,
            digest: label.digest().filter(|_| runs),
            runs,
            deployed_by: label.by.clone().filter(|_| runs),
            approved_by: label.approved_by.clone().filter(|_| runs),
        }
    };
    kept.into_iter().map(entry).collect()
}
