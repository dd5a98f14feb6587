//! ECS: what a service, its deployments and its tasks are like now, and the one call that rolls a service.

mod batch;
mod convert;
mod deployment_records;
mod list_services;
mod run_task;
mod service;
mod service_deployments;
mod service_tasks;
mod snapshot;
mod tags;
mod task_definition;
mod tasks;
mod update;

pub(super) use batch::Batch;
pub(crate) use batch::Tagged;
pub(crate) use deployment_records::{DeploymentRecord, Hook, RecordStatus, list as list_deployment_records};
pub(crate) use list_services::list as list_services;
pub(crate) use run_task::{TaskRequest, run as run_task, started_by as list_tasks_started_by, stop as stop_task};
pub(crate) use service::{describe, describe_optional, describe_with_tags};
pub(crate) use service_deployments::{
    ServiceDeployment, digests as revision_digests, list as list_service_deployments, stop as stop_service_deployment,
};
pub(crate) use service_tasks::list as list_tasks_of_services;
pub(crate) use snapshot::{
    Container, Controller, Deployment, DeploymentStatus, RolloutState, Service, ServiceStatus, Task,
};
pub(crate) use tags::{Tag, remove as remove_tags, write as write_tags};
pub(crate) use task_definition::{LogConfiguration, TaskDefinition, describe as describe_task_definition};
pub(crate) use tasks::{Desired, describe as describe_tasks, list as list_tasks, list_except as list_tasks_except};
pub(crate) use update::force_new_deployment;

#[cfg(test)]
pub(crate) use deployment_records::Breaker;
#[cfg(test)]
pub(crate) use snapshot::ServiceEvent;
#[cfg(test)]
pub(crate) use task_definition::ContainerDefinition;
