//! The first look: what runs. All services of a run share its calls, so that one that has not changed costs none of its
//! own: ten services a call of `DescribeServices`, their tags with them, and the tasks of a cluster together.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join, join_all};

use super::ObservedService;
use crate::aws::Clients;
use crate::aws::ecs::{self, Desired, Tagged, Task};
use crate::changes::Judgement;
use crate::config::specification::Service;
use crate::error::Result;
use crate::gates;

/// What each of these services runs, in their order.
pub(crate) async fn what_runs(clients: &Clients, services: &[Service]) -> Vec<ObservedService> {
    let asked = services.iter().map(|service| ecs::describe_with_tags(clients, &service.cluster, &service.service));
    let found: Vec<Result<Tagged>> = join_all(asked).await;
    let stopped = services.iter().zip(&found).map(|(service, found)| stopped(clients, service, found));
    let (running, stopped) = join(running(clients, services, &found), join_all(stopped)).await;
    let all = services.iter().zip(found).zip(stopped);
    let seen = all.map(|((service, found), stopped)| {
        let running = running.get(&(service.cluster.as_str(), service.service.as_str())).cloned();
        let (service, tags) = match found {
            Ok(Tagged { service, tags }) => (Ok(service), Some(tags)),
            Err(error) => (Err(error), None),
        };
        let judgement = Judgement::default();
        ObservedService { service, tags, running, stopped, basis: None, judgement, image: None, scanning: None }
    });
    seen.collect()
}

/// The running tasks by cluster and service, of those services that are there.
async fn running<'s>(
    clients: &Clients,
    services: &'s [Service],
    found: &[Result<Tagged>],
) -> BTreeMap<(&'s str, &'s str), Result<Vec<Task>>> {
    let mut clusters: BTreeMap<&str, (BTreeSet<&str>, usize)> = BTreeMap::new();
    for (service, found) in services.iter().zip(found) {
        let Ok(found) = found else { continue };
        let (names, tasks) = clusters.entry(&service.cluster).or_default();
        if names.insert(&service.service) {
            *tasks += usize::try_from(found.service.running).unwrap_or_default();
        }
    }
    let reads = clusters.into_iter().map(|(cluster, (names, tasks))| async move {
        let read = ecs::list_tasks_of_services(clients, cluster, &names, tasks).await;
        read.into_iter().map(move |(service, tasks)| ((cluster, service), tasks))
    });
    join_all(reads).await.into_iter().flatten().collect()
}

/// Only of a rollout in flight does it matter how its tasks end.
async fn stopped(clients: &Clients, service: &Service, found: &Result<Tagged>) -> Option<Result<Vec<Task>>> {
    gates::moving(&found.as_ref().ok()?.service)?;
    Some(ecs::list_tasks(clients, &service.cluster, &service.service, Desired::Stopped).await)
}
