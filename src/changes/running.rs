//! The base of each service: shipit's own record, or the reads behind one, which are those of the image's label.
//!
//! A read that is refused is an error and never "changed": the pipeline's role lacks a permission, and would deploy
//! everything each time.

use super::base::{Base, Found, LABEL, by_label, by_record};
use crate::aws::ecs::Tag;
use crate::aws::{Clients, ecr};
use crate::config::specification::Service;
use crate::error::{Error, Result};
use crate::gates;
use crate::observe::ObservedService;

/// What one service runs, as far as it can be told.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) base: Result<Base>,
    /// The revision that runs, as it is recorded or labelled: nothing is known of its form.
    pub(crate) revision: Option<String>,
    /// Another image runs than shipit recorded; this is the revision of the recorded one.
    pub(crate) not_ours: Option<String>,
}

/// Whether shipit's record tells the base by what the tasks show, so that nothing else has to be read for it.
pub(crate) fn is_told_by_record(service: &Service, seen: &ObservedService) -> bool {
    refused(seen).is_none()
        && matches!(by_record(seen, gates::container(service, seen).as_deref()), Found::Base(Base::Known { .. }))
}

/// Reads what is missing, and nothing where shipit's record holds.
pub(crate) async fn running(clients: &Clients, service: &Service, seen: &ObservedService) -> Running {
    if let Some(error) = refused(seen) {
        return Running { base: Err(error.clone()), revision: None, not_ours: None };
    }
    let container = gates::container(service, seen);
    let found = by_record(seen, container.as_deref());
    let digest = container.as_deref().and_then(|container| seen.running_digest(container));
    let recorded = seen.recorded_revision(digest.as_deref()).map(str::to_owned);
    match found {
        Found::Base(base) => Running { base: Ok(base), revision: recorded, not_ours: None },
        Found::Label { digest } => {
            let architecture = service.platform.architecture();
            let label = label(clients, &service.repository, &digest, architecture).await;
            let other = seen.tag(Tag::Digest).is_some_and(|recorded| recorded != digest);
            Running {
                base: label.as_ref().map(|label| by_label(label.as_deref())).map_err(Clone::clone),
                revision: recorded.or_else(|| label.ok().flatten()),
                not_ours: other.then(|| seen.tag(Tag::Revision).map(str::to_owned)).flatten(),
            }
        }
    }
}

/// The label of the image with this digest; `None` where it has none, or the repository does not have it any more.
async fn label(clients: &Clients, repository: &str, digest: &str, architecture: &str) -> Result<Option<String>> {
    let Some(manifest) = ecr::manifest(clients, repository, digest).await? else { return Ok(None) };
    let config = ecr::config(clients, repository, &manifest, architecture).await?;
    Ok(config.image.labels.get(LABEL).cloned())
}

/// The first read, of those that tell what runs, that was refused.
fn refused(seen: &ObservedService) -> Option<&Error> {
    let basis = seen.basis.as_ref();
    let repository = basis.and_then(|basis| basis.repository.as_ref().err());
    let service = seen.service.as_ref().err();
    let definition = basis.and_then(|basis| basis.definition.as_ref()?.as_ref().err());
    let tags = seen.tags.as_ref().and_then(|read| read.as_ref().err());
    let tasks = seen.running.as_ref().and_then(|read| read.as_ref().err());
    repository.or(service).or(definition).or(tags).or(tasks)
}
