//! Tasks that belong to no service: `RunTask` with a service's own settings, which of them are there, and `StopTask`.
//!
//! Whether one may run now, and what its end means, is decided in `one_off`.

use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, LaunchType,
    NetworkConfiguration, TaskOverride,
};

use super::convert;
use super::snapshot::{Launch, Network, Service, Task};
use super::tasks::{Desired, describe};
use crate::aws::Clients;
use crate::aws::error::aws;
use crate::aws::pace::Budget;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// What to run, on whose settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TaskRequest<'a> {
    pub(crate) cluster: &'a str,
    pub(crate) service: &'a Service,
    pub(crate) container: &'a str,
    /// In place of the container's own.
    pub(crate) command: &'a [String],
    /// Letters, digits, `-`, `_` and `/`, 128 at most.
    pub(crate) started_by: &'a str,
}

/// Starts one task. The SDK gives the request a client token, so that one whose answer is lost is sent again and is still
/// one task.
///
/// # Errors
/// ECS refuses it, or has no place for it ([`Exit::Aws`]).
pub(crate) async fn run(clients: &Clients, request: TaskRequest<'_>) -> Result<Task> {
    let Launch { compatibility, capacity_providers, platform_version, network } = &*request.service.launch;
    let command = ContainerOverride::builder().name(request.container).set_command(Some(request.command.to_vec()));
    let mut call = clients
        .ecs
        .run_task()
        .cluster(request.cluster)
        .task_definition(&request.service.task_definition)
        .count(1)
        .overrides(TaskOverride::builder().container_overrides(command.build()).build())
        .started_by(request.started_by)
        .set_platform_version(platform_version.clone().filter(|version| !version.is_empty()))
        .set_network_configuration(network.as_ref().map(network_configuration).transpose()?);
    // ECS takes either of the two.
    if capacity_providers.is_empty() {
        call = call.set_launch_type(compatibility.as_deref().map(LaunchType::from));
    }
    for provider in capacity_providers {
        let item = CapacityProviderStrategyItem::builder()
            .capacity_provider(&provider.name)
            .weight(provider.weight)
            .base(provider.base)
            .build()
            .map_err(|error| incomplete(&error))?;
        call = call.capacity_provider_strategy(item);
    }
    let answer = call.send().await.map_err(|error| aws("ecs:RunTask", &error))?;
    if let Some(task) = answer.tasks().first() {
        return Ok(convert::task(task));
    }
    let mut error = Error::new(Exit::Aws, "ECS did not start the task");
    for failure in answer.failures() {
        error = error.cause([failure.reason(), failure.detail()].into_iter().flatten().collect::<Vec<_>>().join(": "));
    }
    Err(error.hint("look whether the cluster has room for one more task of this service"))
}

/// The cluster's tasks with this `startedBy` that ECS means to run, or those that it does not any more.
pub(crate) async fn started_by(
    clients: &Clients,
    cluster: &str,
    started_by: &str,
    desired: Desired,
) -> Result<Vec<Task>> {
    clients.pace.turn(Budget::TaskRead).await;
    // One page: there is one such task at a time, and ECS forgets those that have stopped.
    let page = clients
        .ecs
        .list_tasks()
        .cluster(cluster)
        .started_by(started_by)
        .desired_status(desired.into())
        .send()
        .await
        .map_err(|error| aws("ecs:ListTasks", &error))?;
    describe(clients, cluster, page.task_arns()).await
}

/// Asks ECS to stop a task: SIGTERM, and SIGKILL after the container's `stopTimeout`.
pub(crate) async fn stop(clients: &Clients, cluster: &str, task: &str, reason: &str) -> Result<()> {
    clients
        .ecs
        .stop_task()
        .cluster(cluster)
        .task(task)
        .reason(reason)
        .send()
        .await
        .map_err(|error| aws("ecs:StopTask", &error))?;
    Ok(())
}

fn network_configuration(network: &Network) -> Result<NetworkConfiguration> {
    let vpc = AwsVpcConfiguration::builder()
        .set_subnets(Some(network.subnets.clone()))
        .set_security_groups(Some(network.security_groups.clone()))
        .set_assign_public_ip(network.public_ip.as_deref().map(AssignPublicIp::from))
        .build()
        .map_err(|error| incomplete(&error))?;
    Ok(NetworkConfiguration::builder().awsvpc_configuration(vpc).build())
}

fn incomplete(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::new(Exit::Aws, "the service's network or launch settings are not complete").because(error)
}
