//! Reading a service's tasks, running or stopped.

use std::collections::BTreeSet;

use aws_sdk_ecs::types::DesiredStatus;
use futures_util::future::try_join_all;

use super::convert;
use super::snapshot::Task;
use crate::aws::Clients;
use crate::aws::error::aws;
use crate::aws::pace::Budget;
use crate::error::{Error, Result};

/// `DescribeTasks` takes this many at most.
const DESCRIBE_LIMIT: usize = 100;

/// Which tasks: those that ECS means to run, or those it has stopped (visible for about an hour).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Desired {
    Running,
    Stopped,
}

/// Every task of the service with that desired status, all pages.
///
/// Not filtered by `startedBy`: ECS takes that filter only alone, so the caller looks at [`Task::started_by`].
pub(crate) async fn list(clients: &Clients, cluster: &str, service: &str, desired: Desired) -> Result<Vec<Task>> {
    list_except(clients, cluster, service, desired, &BTreeSet::new()).await
}

/// The same without the tasks of these ids: a crash loop leaves many stopped tasks, and most are known already.
pub(crate) async fn list_except(
    clients: &Clients,
    cluster: &str,
    service: &str,
    desired: Desired,
    known: &BTreeSet<String>,
) -> Result<Vec<Task>> {
    let mut arns = arns(clients, cluster, service, desired).await?;
    arns.retain(|arn| !known.contains(id(arn)));
    describe(clients, cluster, &arns).await
}

/// The tasks of these ids or ARNs; one that ECS does not know, or not yet, is left out.
pub(crate) async fn describe(clients: &Clients, cluster: &str, arns: &[String]) -> Result<Vec<Task>> {
    let calls = arns.chunks(DESCRIBE_LIMIT).map(|some| async {
        clients.pace.turn(Budget::TaskRead).await;
        let answer = clients
            .ecs
            .describe_tasks()
            .cluster(cluster)
            .set_tasks(Some(some.to_vec()))
            .send()
            .await
            .map_err(|error| aws("ecs:DescribeTasks", &error))?;
        Ok::<Vec<Task>, Error>(answer.tasks().iter().map(convert::task).collect())
    });
    Ok(try_join_all(calls).await?.into_iter().flatten().collect())
}

/// The ARN of every task of the service.
pub(super) async fn arns(clients: &Clients, cluster: &str, service: &str, desired: Desired) -> Result<Vec<String>> {
    let (mut arns, mut next) = (Vec::new(), None);
    loop {
        let page = page(clients, cluster, Some(service), desired, next).await?;
        arns.extend(page.arns);
        next = page.next;
        if next.is_none() {
            return Ok(arns);
        }
    }
}

impl From<Desired> for DesiredStatus {
    fn from(desired: Desired) -> Self {
        match desired {
            Desired::Running => Self::Running,
            Desired::Stopped => Self::Stopped,
        }
    }
}

/// One answer of `ListTasks`: 100 tasks at most.
pub(super) struct Page {
    pub(super) arns: Vec<String>,
    pub(super) next: Option<String>,
}

/// Without a service: of the whole cluster.
pub(super) async fn page(
    clients: &Clients,
    cluster: &str,
    service: Option<&str>,
    desired: Desired,
    next: Option<String>,
) -> Result<Page> {
    clients.pace.turn(Budget::TaskRead).await;
    let page = clients
        .ecs
        .list_tasks()
        .cluster(cluster)
        .set_service_name(service.map(str::to_owned))
        .desired_status(desired.into())
        .set_next_token(next)
        .send()
        .await
        .map_err(|error| aws("ecs:ListTasks", &error))?;
    let next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
    Ok(Page { arns: page.task_arns().to_vec(), next })
}

/// The last segment of a task's ARN.
pub(super) fn id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}
