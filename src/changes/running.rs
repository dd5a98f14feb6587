//! The base of each service: shipit's own record, or the reads behind one, which are those of the image's label.
//!
//! A read that is refused is an error and never "changed": the pipeline's role lacks a permission, and would deploy
//! everything each time.

use std::collections::BTreeMap;

use super::base::{Base, Found, LABEL, by_label, by_record};
use crate::aws::ecs::{self, Desired, Tag};
use crate::aws::{Clients, ecr};
use crate::config::specification::Service;
use crate::error::{Error, Result};
use crate::gates;
use crate::observe::ObservedService;

/// A lifecycle rule takes images away, whether they run or not.
const GONE: &str = "no known base: the repository does not have the image that runs any more";

/// ECS calls a rollout complete once its tasks have run for a moment, and a deploy that failed leaves such an image there.
const DIES: &str = "no known base: the tasks of what runs end by themselves, and nobody has proven it";

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
            let dies = match dies(clients, service, seen).await {
                Ok(dies) => dies,
                Err(error) => return Running { base: Err(error), revision: recorded, not_ours: None },
            };
            let labels = labels(clients, &service.repository, &digest, architecture).await;
            let label = labels.as_ref().ok().and_then(|labels| labels.as_ref()?.get(LABEL));
            let other = seen.tag(Tag::Digest).is_some_and(|recorded| recorded != digest);
            Running {
                base: match &labels {
                    Ok(Some(_)) if dies => Ok(Base::Unknown(DIES.to_owned())),
                    Ok(Some(_)) => Ok(by_label(label.map(String::as_str))),
                    Ok(None) => Ok(Base::Unknown(GONE.to_owned())),
                    Err(error) => Err(error.clone()),
                },
                revision: recorded.or_else(|| label.cloned()),
                not_ours: other.then(|| seen.tag(Tag::Revision).map(str::to_owned)).flatten(),
            }
        }
    }
}

/// Whether what runs without shipit's proof dies again and again.
async fn dies(clients: &Clients, service: &Service, seen: &ObservedService) -> Result<bool> {
    let Ok(found) = &seen.service else { return Ok(false) };
    let stopped = ecs::list_tasks(clients, &service.cluster, &service.service, Desired::Stopped).await?;
    Ok(gates::dies(found, &stopped, service))
}

/// The labels of the image with this digest; `None` where the repository does not have it any more.
async fn labels(
    clients: &Clients,
    repository: &str,
    digest: &str,
    architecture: &str,
) -> Result<Option<BTreeMap<String, String>>> {
    let Some(manifest) = ecr::manifest(clients, repository, digest).await? else { return Ok(None) };
    let config = ecr::config(clients, repository, &manifest, architecture).await?;
    Ok(Some(config.image.labels))
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
