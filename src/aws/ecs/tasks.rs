//! Reading a service's tasks, running or stopped.

use aws_sdk_ecs::types::DesiredStatus;

use super::convert;
use super::snapshot::Task;
use crate::aws::Clients;
use crate::aws::error::aws;
use crate::error::Result;

/// DescribeTasks takes this many at most.
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
    let mut pages = clients
        .ecs
        .list_tasks()
        .cluster(cluster)
        .service_name(service)
        .desired_status(match desired {
            Desired::Running => DesiredStatus::Running,
            Desired::Stopped => DesiredStatus::Stopped,
        })
        .into_paginator()
        .items()
        .send();
    let mut arns = Vec::new();
    while let Some(arn) = pages.next().await {
        arns.push(arn.map_err(|error| aws("ecs:ListTasks", &error))?);
    }
    let mut tasks = Vec::with_capacity(arns.len());
    for some in arns.chunks(DESCRIBE_LIMIT) {
        let answer = clients
            .ecs
            .describe_tasks()
            .cluster(cluster)
            .set_tasks(Some(some.to_vec()))
            .send()
            .await
            .map_err(|error| aws("ecs:DescribeTasks", &error))?;
        tasks.extend(answer.tasks().iter().map(convert::task));
    }
    Ok(tasks)
}
