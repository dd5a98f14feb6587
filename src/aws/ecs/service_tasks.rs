//! The running tasks of several services of one cluster, in as few calls as ECS allows.
//!
//! A list of a whole cluster's tasks is a hundred tasks a call, but a cluster may hold thousands that are none of ours. So
//! it is read only as long as that costs half of what a list for each service would.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::join_all;

use super::snapshot::Task;
use super::tasks::{self, Desired};
use crate::aws::Clients;
use crate::error::Result;

/// `ListTasks` gives and `DescribeTasks` takes this many at most.
const LIMIT: usize = 100;

/// By service, as it is named here. `running`: how many tasks they have together, as far as ECS has said.
pub(crate) async fn list<'s>(
    clients: &Clients,
    cluster: &str,
    services: &BTreeSet<&'s str>,
    running: usize,
) -> BTreeMap<&'s str, Result<Vec<Task>>> {
    match whole_cluster(clients, cluster, pages(services.len(), running)).await {
        Ok(Some(tasks)) => by_group(tasks, services),
        // Throttled for so long, or no answer at all: more calls would make it no better.
        Err(error) if error.is_transient() => services.iter().map(|service| (*service, Err(error.clone()))).collect(),
        // Too many tasks; or a policy that knows nothing but these services.
        Ok(None) | Err(_) => each(clients, cluster, services).await,
    }
}

/// How many pages of a whole cluster may be read. Each costs two calls, where a list for each service costs one and a share
/// of the descriptions.
fn pages(services: usize, running: usize) -> usize {
    let (own, ours) = (services + running.div_ceil(LIMIT), running.div_ceil(LIMIT));
    let pages = own / 4;
    if ours > pages { 0 } else { pages }
}

/// Every running task of the cluster; `None` where there are more of them than fit into so many pages.
async fn whole_cluster(clients: &Clients, cluster: &str, pages: usize) -> Result<Option<Vec<Task>>> {
    let (mut arns, mut next) = (Vec::new(), None);
    for _ in 0..pages {
        let page = tasks::page(clients, cluster, None, Desired::Running, next).await?;
        arns.extend(page.arns);
        next = page.next;
        if next.is_none() {
            return tasks::describe(clients, cluster, &arns).await.map(Some);
        }
    }
    Ok(None)
}

/// ECS itself puts a service's tasks into the group `service:NAME`.
fn by_group<'s>(tasks: Vec<Task>, services: &BTreeSet<&'s str>) -> BTreeMap<&'s str, Result<Vec<Task>>> {
    let mut groups: HashMap<String, Vec<Task>> = HashMap::new();
    for task in tasks {
        if let Some(service) = task.service() {
            groups.entry(service.to_owned()).or_default().push(task);
        }
    }
    // A service may be named by its ARN, and twice.
    let of = |service: &str| groups.get(tasks::id(service)).cloned().unwrap_or_default();
    services.iter().map(|service| (*service, Ok(of(service)))).collect()
}

/// A list for each service, and the descriptions together.
async fn each<'s>(
    clients: &Clients,
    cluster: &str,
    services: &BTreeSet<&'s str>,
) -> BTreeMap<&'s str, Result<Vec<Task>>> {
    let lists = services.iter().map(|service| tasks::arns(clients, cluster, service, Desired::Running));
    let lists = join_all(lists).await;
    let all: Vec<String> = lists.iter().flatten().flatten().cloned().collect();
    let described = tasks::describe(clients, cluster, &all).await;
    let known: HashMap<&str, &Task> = match &described {
        Ok(tasks) => tasks.iter().map(|task| (task.id.as_str(), task)).collect(),
        Err(_) => HashMap::new(),
    };
    let mut answers = BTreeMap::new();
    for (service, list) in services.iter().zip(lists) {
        let answer = match (list, &described) {
            (Err(error), _) => Err(error),
            (Ok(arns), Ok(_)) => {
                let tasks = arns.iter().filter_map(|arn| known.get(tasks::id(arn)));
                Ok(tasks.map(|task| (*task).clone()).collect())
            }
            // One service whose tasks may not be read makes ECS refuse the whole call: the others shall not suffer for it.
            (Ok(arns), Err(error)) if services.len() > 1 && !error.is_transient() => {
                tasks::describe(clients, cluster, &arns).await
            }
            (Ok(_), Err(error)) => Err(error.clone()),
        };
        answers.insert(*service, answer);
    }
    answers
}

#[cfg(test)]
mod tests;
