//! The second look: what a rollout goes by. It costs calls of each service's own, and is made where something is to be
//! done, or where what runs does not tell by itself what it is.

use futures_util::future::{join, join_all};

use super::ObservedService;
use crate::aws::Clients;
use crate::aws::ecr::{self, Repository};
use crate::aws::ecs::{self, TaskDefinition};
use crate::config::specification::Service;
use crate::error::Result;

/// The repository that a service's images come from, and the task definition that names them.
#[derive(Debug)]
pub(crate) struct Basis {
    pub(crate) repository: Result<Repository>,
    /// Digest of `latest`; `Ok(None)` where there is no such tag.
    pub(crate) latest: Result<Option<String>>,
    /// Digest of the commit's own tag; read only where a tag that is there cannot be moved.
    pub(crate) commit_tag: Result<Option<String>>,
    /// Absent where the service could not be read.
    pub(crate) definition: Option<Result<TaskDefinition>>,
}

/// Adds the basis to those of the services that `wanted` takes and that have none yet. `commit_tag`: the tag of the commit
/// that is to be deployed, where there is one.
pub(crate) async fn look_closer(
    clients: &Clients,
    services: &[Service],
    seen: &mut [ObservedService],
    commit_tag: Option<&str>,
    wanted: impl Fn(&Service, &ObservedService) -> bool,
) {
    let all = services.iter().zip(seen);
    let all: Vec<_> = all.filter(|(service, seen)| seen.basis.is_none() && wanted(service, seen)).collect();
    let names: Vec<&str> = all.iter().map(|(service, _)| service.repository.as_str()).collect();
    let repositories = async {
        let found = ecr::repositories(clients, &names).await;
        let tags = all.iter().zip(&found).map(async |((service, _), repository)| {
            // A tag that can be moved is moved, whatever it is on.
            let stays = |tag: &&str| repository.as_ref().is_ok_and(|repository| !repository.tag_is_mutable(tag));
            match commit_tag.filter(stays) {
                Some(tag) => ecr::digest_of(clients, &service.repository, tag).await,
                None => Ok(None),
            }
        });
        let tags = join_all(tags).await;
        found.into_iter().zip(tags).collect::<Vec<_>>()
    };
    let latest = all.iter().map(|(service, _)| ecr::digest_of(clients, &service.repository, "latest"));
    let definitions = all.iter().map(async |(_, seen)| match &seen.service {
        Ok(found) => Some(ecs::describe_task_definition(clients, &found.task_definition).await),
        Err(_) => None,
    });
    let (repositories, (latest, definitions)) = join(repositories, join(join_all(latest), join_all(definitions))).await;
    let read = repositories.into_iter().zip(latest).zip(definitions);
    for ((_, seen), (((repository, commit_tag), latest), definition)) in all.into_iter().zip(read) {
        seen.basis = Some(Basis { repository, latest, commit_tag, definition });
    }
}
