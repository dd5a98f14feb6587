//! ECS: the API over the model, and the scheduler that moves the model.

mod clusters;
mod deployments;
mod describe;
mod history;
mod images;
pub(crate) mod model;
pub(crate) mod one_off;
pub(crate) mod scheduler;
#[cfg(test)]
mod scheduler_tests;
mod services;
pub(crate) mod sightings;
pub(crate) mod stages;
mod tags;
pub(crate) mod task_definition;
mod task_definitions;
mod tasks;

use serde_json::Value;

pub(crate) use clusters::new as new_cluster;
pub(crate) use deployments::{begin, complete as settle};
pub(crate) use images::{Catalog, Resolved};
pub(crate) use services::new as new_service;

use super::wire::context::Context;
use super::wire::fault::{Answered, Fault};
use model::{Cluster, Service};

/// Answers one operation of `AmazonEC2ContainerServiceV20141113`.
///
/// # Errors
/// The exceptions of the service model, and `UnknownOperationException`.
pub(crate) fn call(operation: &str, context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    match operation {
        "CreateCluster" => Ok(clusters::create(context, input)),
        "DescribeClusters" => Ok(clusters::describe(context, input)),
        "ListClusters" => clusters::list(context, input),
        "CreateService" => services::create(context, input),
        "DescribeServices" => services::describe(context, input),
        "ListServices" => services::list(context, input),
        "UpdateService" => services::update(context, input),
        "DeleteService" => services::delete(context, input),
        "RegisterTaskDefinition" => task_definitions::register(context, input),
        "DescribeTaskDefinition" => task_definitions::describe(context, input),
        "DeregisterTaskDefinition" => task_definitions::deregister(context, input),
        "ListTaskDefinitions" => task_definitions::list(context, input),
        "ListTasks" => tasks::list(context, input),
        "DescribeTasks" => tasks::describe(context, input),
        "RunTask" => one_off::run(context, input),
        "StopTask" => tasks::stop(context, input),
        "ListServiceDeployments" => history::list(context, input),
        "DescribeServiceDeployments" => history::describe(context, input),
        "DescribeServiceRevisions" => history::revisions(context, input),
        "StopServiceDeployment" => history::stop(context, input),
        "ContinueServiceDeployment" => stages::answer(context, input),
        "ListTagsForResource" => tags::list(context, input),
        "TagResource" => tags::add(context, input),
        "UntagResource" => tags::remove(context, input),
        _ => Err(Fault::unknown_operation(operation)),
    }
}

fn cluster_missing() -> Fault {
    Fault::client("ClusterNotFoundException", "Cluster not found.")
}

fn service_missing() -> Fault {
    Fault::client("ServiceNotFoundException", "Service not found.")
}

/// The cluster that a request names; `default` when it names none, as in ECS.
fn cluster<'a>(context: &'a mut Context<'_>, input: &Value) -> Answered<&'a mut Cluster> {
    let name = super::place::short_name(input.get("cluster").and_then(Value::as_str).unwrap_or("default"));
    let place = context.place.clone();
    context.state.at(&place).clusters.get_mut(name).ok_or_else(cluster_missing)
}

/// The service that a request names under `member`.
fn service<'a>(context: &'a mut Context<'_>, input: &Value, member: &'static str) -> Answered<&'a mut Service> {
    let name = super::wire::input::Input(input).required(member)?;
    cluster(context, input)?.services.get_mut(super::place::short_name(name)).ok_or_else(service_missing)
}
