//! Reads everything that the plan depends on, all services at once, and changes nothing.
//!
//! A refused read is not the end: it is kept as an error, so that the plan can name all that is in the way together.

use std::collections::BTreeMap;

use futures_util::future::{join, join_all};

use crate::aws::ecr::{self, Repository};
use crate::aws::ecs::{self, Desired, Service, Task, TaskDefinition};
use crate::aws::identity::{Identity, identity};
use crate::aws::{Clients, Settings};
use crate::config::specification::{self, Specification};
use crate::docker::EngineFacts;
use crate::error::Result;
use crate::revision::Revision;

/// The world as it was just before the plan.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) identity: Result<Identity>,
    pub(crate) region: String,
    pub(crate) engine: Result<EngineFacts>,
    /// In the order of the specification's services.
    pub(crate) services: Vec<ObservedService>,
    /// The environment that must run the commit first, service by service.
    pub(crate) after: Option<Result<Vec<Release>>>,
}

#[derive(Debug)]
pub(crate) struct ObservedService {
    pub(crate) repository: Result<Repository>,
    /// Digest of `latest`; `Ok(None)` where there is no such tag.
    pub(crate) latest: Result<Option<String>>,
    /// Digest of the commit's own tag.
    pub(crate) commit_tag: Result<Option<String>>,
    pub(crate) service: Result<Service>,
    /// Absent where the service could not be read.
    pub(crate) definition: Option<Result<TaskDefinition>>,
    pub(crate) tags: Option<Result<BTreeMap<String, String>>>,
    pub(crate) running: Option<Result<Vec<Task>>>,
    pub(crate) stopped: Option<Result<Vec<Task>>>,
}

/// What one service runs, by shipit's own record and by ECS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) service: String,
    /// The revision that shipit recorded, if the running digest is still the recorded one.
    pub(crate) revision: Option<String>,
    /// No rollout is under way or failed.
    pub(crate) settled: bool,
}

/// Reads for all services of the specification, side by side.
pub(crate) async fn observe(
    clients: &Clients,
    specification: &Specification,
    revision: &Revision,
    engine: Result<EngineFacts>,
) -> Observed {
    let services = specification.services.iter().map(|service| observe_service(clients, service, revision));
    let (identity, services) = join(identity(clients), join_all(services)).await;
    Observed { identity, region: clients.region.clone(), engine, services, after: None }
}

/// What the services of another environment run, for the `after` gate.
pub(crate) async fn observe_releases(specification: &Specification, settings: &Settings) -> Result<Vec<Release>> {
    let clients = Clients::connect(&specification.environment, settings).await?;
    let releases = specification.services.iter().map(|service| release(&clients, service));
    join_all(releases).await.into_iter().collect()
}

async fn observe_service(clients: &Clients, service: &specification::Service, revision: &Revision) -> ObservedService {
    let commit_tag = revision.tag();
    let (registry, ecs) = join(
        async {
            tokio::join!(
                ecr::repository(clients, &service.repository),
                ecr::digest_of(clients, &service.repository, "latest"),
                ecr::digest_of(clients, &service.repository, &commit_tag),
            )
        },
        async {
            let found = ecs::describe(clients, &service.cluster, &service.service).await;
            let Ok(known) = &found else { return (found, None) };
            let (cluster, name) = (&service.cluster, &service.service);
            let more = tokio::join!(
                ecs::describe_task_definition(clients, &known.task_definition),
                ecs::read_tags(clients, &known.arn),
                ecs::list_tasks(clients, cluster, name, Desired::Running),
                ecs::list_tasks(clients, cluster, name, Desired::Stopped),
            );
            (found, Some(more))
        },
    )
    .await;
    let (repository, latest, commit_tag) = registry;
    let (service, more) = ecs;
    let (definition, tags, running, stopped) = match more {
        Some((definition, tags, running, stopped)) => (Some(definition), Some(tags), Some(running), Some(stopped)),
        None => (None, None, None, None),
    };
    ObservedService { repository, latest, commit_tag, service, definition, tags, running, stopped }
}

async fn release(clients: &Clients, service: &specification::Service) -> Result<Release> {
    let found = ecs::describe(clients, &service.cluster, &service.service).await?;
    let tags = ecs::read_tags(clients, &found.arn).await?;
    let tasks = ecs::list_tasks(clients, &service.cluster, &service.service, Desired::Running).await?;
    let recorded = tags.get(ecs::Tag::Digest.key());
    let runs_it = !tasks.is_empty()
        && recorded.is_some_and(|digest| {
            tasks.iter().all(|task| task.containers.iter().any(|container| container.digest.as_ref() == Some(digest)))
        });
    Ok(Release {
        service: service.name.clone(),
        revision: tags.get(ecs::Tag::Revision.key()).filter(|_| runs_it).cloned(),
        settled: found.deployments.len() == 1
            && found
                .primary()
                .is_some_and(|primary| primary.rollout.is_none_or(|state| state == ecs::RolloutState::Completed)),
    })
}
