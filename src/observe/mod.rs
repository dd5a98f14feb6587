//! Reads everything that the plan depends on, all services at once, and changes nothing.
//!
//! In two looks: what runs (`running`), which is a few calls for all services together, and what a rollout goes by
//! (`basis`), which is a few calls a service and only for those that need it. A service that is proven to be unchanged by
//! the first look costs no second one.
//!
//! A refused read is not the end: it is kept as an error, so that the plan can name all that is in the way together.

mod basis;
mod running;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use crate::after::Before;
use crate::archive::{self, ObservedArchive};
use crate::aws::Clients;
use crate::aws::ecr::{self, Repository};
use crate::aws::ecs::{self, Service, Task, TaskDefinition};
use crate::aws::identity::{Identity, identity};
use crate::changes::Judgement;
use crate::config::specification::{self, Specification};
use crate::docker::EngineFacts;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::reuse;

pub(crate) use basis::{Basis, look_closer};
pub(crate) use running::what_runs;

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
    pub(crate) service: Result<Service>,
    /// Absent where the service could not be read.
    pub(crate) tags: Option<Result<BTreeMap<String, String>>>,
    pub(crate) running: Option<Result<Vec<Task>>>,
    /// Read while a rollout is in flight, and only then.
    pub(crate) stopped: Option<Result<Vec<Task>>>,
    /// Absent where nobody had to look closer.
    pub(crate) basis: Option<Basis>,
    /// Whether it changed.
    pub(crate) judgement: Judgement,
    /// What the repository has for the inputs of a build; absent where nobody asked.
    pub(crate) image: Option<reuse::Seen>,
    /// How the registry is scanned; read only where a scan is a gate.
    pub(crate) scanning: Option<Result<ecr::scan::Registry>>,
}

impl ObservedService {
    /// The repository, where it could be read.
    pub(crate) fn repository(&self) -> Option<&Repository> {
        self.basis.as_ref()?.repository.as_ref().ok()
    }

    /// The digest of `latest`, where it is known to have one.
    pub(crate) fn latest(&self) -> Option<&str> {
        self.basis.as_ref()?.latest.as_ref().ok()?.as_deref()
    }

    /// The task definition, where it could be read.
    pub(crate) fn definition(&self) -> Option<&TaskDefinition> {
        self.basis.as_ref()?.definition.as_ref()?.as_ref().ok()
    }

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

/// The first look at all services of the specification, side by side.
pub(crate) async fn observe(clients: &Clients, specification: &Specification, commit: &str) -> Observed {
    let archives = specification.archives.iter().map(|archive| archive::observe(clients, archive, commit));
    let scanning = async {
        let is_gate =
            |service: &specification::Service| service.scan.as_ref().is_some_and(|scan| scan.fail_on.is_some());
        match specification.services.iter().any(is_gate) {
            true => Some(ecr::scan::registry(clients).await),
            false => None,
        }
    };
    let (identity, mut services, archives, scanning) =
        tokio::join!(identity(clients), what_runs(clients, &specification.services), join_all(archives), scanning);
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

/// Both looks at each of these services, in their order.
pub(crate) async fn observe_services(clients: &Clients, services: &[specification::Service]) -> Vec<ObservedService> {
    let mut seen = what_runs(clients, services).await;
    look_closer(clients, services, &mut seen, None, |_, _| true).await;
    seen
}

/// Both looks at one service.
pub(crate) async fn observe_service(clients: &Clients, service: &specification::Service) -> ObservedService {
    // As many answers as services.
    observe_services(clients, std::slice::from_ref(service)).await.remove(0)
}
