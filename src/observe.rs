//! Reads everything that the plan depends on, all services at once, and changes nothing.
//!
//! A refused read is not the end: it is kept as an error, so that the plan can name all that is in the way together.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join, join_all};

use crate::after::Before;
use crate::archive::{self, ObservedArchive};
use crate::aws::Clients;
use crate::aws::ecr::{self, Repository};
use crate::aws::ecs::{self, Desired, Service, Task, TaskDefinition};
use crate::aws::identity::{Identity, identity};
use crate::changes::Judgement;
use crate::config::specification::{self, Specification};
use crate::docker::EngineFacts;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::gates;
use crate::reuse;
use crate::revision::Revision;

/// The world as it was just before the plan.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) identity: Result<Identity>,
    pub(crate) region: String,
    /// Never empty; looked for only where something may have to be built.
    pub(crate) engines: Result<Vec<EngineFacts>>,
    /// In the order of the specification's services.
    pub(crate) services: Vec<ObservedService>,
    /// In the order of the specification's archives.
    pub(crate) archives: Vec<ObservedArchive>,
    /// The environment that must run the commit first.
    pub(crate) before: Option<Result<Before>>,
    /// Worth a word: patterns that mean nothing.
    pub(crate) notes: Vec<String>,
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
    /// Read while a rollout is in flight, and only then.
    pub(crate) stopped: Option<Result<Vec<Task>>>,
    /// Whether it changed.
    pub(crate) judgement: Judgement,
    /// What the repository has for the inputs of a build; absent where nobody asked.
    pub(crate) image: Option<reuse::Seen>,
    /// How the registry is scanned; read only where a scan is a gate.
    pub(crate) scanning: Option<Result<ecr::scan::Registry>>,
}

impl ObservedService {
    /// The service's tags, where they could be read.
    pub(crate) fn recorded(&self) -> Option<&BTreeMap<String, String>> {
        self.tags.as_ref()?.as_ref().ok()
    }

    /// The value of one of shipit's tags.
    pub(crate) fn tag(&self, tag: ecs::Tag) -> Option<&str> {
        self.recorded()?.get(tag.key()).map(String::as_str)
    }

    /// The digests that the tasks have in that container, each once, of those tasks that `wanted` takes.
    pub(crate) fn digests(&self, container: &str, wanted: impl Fn(&Task) -> bool) -> Vec<String> {
        let tasks = self.running.as_ref().and_then(|read| read.as_ref().ok()).into_iter().flatten();
        let digests = tasks.filter(|task| wanted(task)).filter_map(|task| task.container(container)?.digest.clone());
        digests.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The digest that the running tasks have in that container, if it is one and the same.
    pub(crate) fn running_digest(&self, container: &str) -> Option<String> {
        match self.digests(container, |_| true).as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    /// The recorded revision, as long as the recorded digest is the one that runs.
    pub(crate) fn recorded_revision(&self, running: Option<&str>) -> Option<&str> {
        let digest = self.tag(ecs::Tag::Digest)?;
        (running == Some(digest)).then(|| self.tag(ecs::Tag::Revision)).flatten()
    }
}

/// Reads for all services of the specification, side by side.
pub(crate) async fn observe(clients: &Clients, specification: &Specification, revision: &Revision) -> Observed {
    let services = specification
        .services
        .iter()
        .map(|service| async { observe_service(clients, service, Some(&revision.tag())).await });
    let commit = revision.full();
    let archives = specification.archives.iter().map(|archive| archive::observe(clients, archive, &commit));
    let scanning = async {
        let is_gate =
            |service: &specification::Service| service.scan.as_ref().is_some_and(|scan| scan.fail_on.is_some());
        match specification.services.iter().any(is_gate) {
            true => Some(ecr::scan::registry(clients).await),
            false => None,
        }
    };
    let (identity, mut services, archives, scanning) =
        tokio::join!(identity(clients), join_all(services), join_all(archives), scanning);
    for service in &mut services {
        service.scanning.clone_from(&scanning);
    }
    Observed {
        identity,
        region: clients.region.clone(),
        engines: Err(Error::new(Exit::Build, "nothing is built, so no engine was looked for")),
        services,
        archives,
        before: None,
        notes: Vec::new(),
    }
}

/// Reads what one service is like now. `commit_tag`: the tag of the commit that is to be deployed, where there is one.
pub(crate) async fn observe_service(
    clients: &Clients,
    service: &specification::Service,
    commit_tag: Option<&str>,
) -> ObservedService {
    let (registry, ecs) = join(
        async {
            tokio::join!(
                ecr::repository(clients, &service.repository),
                ecr::digest_of(clients, &service.repository, "latest"),
                async {
                    match commit_tag {
                        Some(tag) => ecr::digest_of(clients, &service.repository, tag).await,
                        None => Ok(None),
                    }
                },
            )
        },
        async {
            let found = ecs::describe(clients, &service.cluster, &service.service).await;
            let Ok(known) = &found else { return (found, None) };
            let (cluster, name) = (&service.cluster, &service.service);
            // Only of a rollout in flight does it matter how its tasks end.
            let stopped = async {
                match gates::moving(known) {
                    Some(_) => Some(ecs::list_tasks(clients, cluster, name, Desired::Stopped).await),
                    None => None,
                }
            };
            let more = tokio::join!(
                ecs::describe_task_definition(clients, &known.task_definition),
                ecs::read_tags(clients, &known.arn),
                ecs::list_tasks(clients, cluster, name, Desired::Running),
                stopped,
            );
            (found, Some(more))
        },
    )
    .await;
    let (repository, latest, commit_tag) = registry;
    let (service, more) = ecs;
    let (definition, tags, running, stopped) = match more {
        Some((definition, tags, running, stopped)) => (Some(definition), Some(tags), Some(running), stopped),
        None => (None, None, None, None),
    };
    ObservedService {
        repository,
        latest,
        commit_tag,
        service,
        definition,
        tags,
        running,
        stopped,
        judgement: Judgement::default(),
        image: None,
        scanning: None,
    }
}
