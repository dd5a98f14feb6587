//! `CreateCluster`, `DescribeClusters`, `ListClusters`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::{Cluster, Service, ServiceStatus, Task, TaskStatus};
use super::task_definition::{tags_from, tags_shown};
use crate::local::place::{Place, short_name};
use crate::local::state::Tags;
use crate::local::wire::context::Context;
use crate::local::wire::fault::Answered;
use crate::local::wire::input::Input;

pub(crate) fn new(place: &Place, name: &str, tags: Tags) -> Cluster {
    Cluster {
        name: name.to_owned(),
        arn: place.arn("ecs", &format!("cluster/{name}")),
        tags,
        services: BTreeMap::new(),
        one_offs: Vec::new(),
    }
}

pub(crate) fn create(context: &mut Context<'_>, input: &Value) -> Value {
    let request = Input(input);
    let name = request.text("clusterName").unwrap_or("default");
    let holdings = context.holdings();
    let place = holdings.place.clone();
    let cluster =
        holdings.clusters.entry(name.to_owned()).or_insert_with(|| new(&place, name, tags_from(request.list("tags"))));
    json!({"cluster": shown(cluster)})
}

pub(crate) fn describe(context: &mut Context<'_>, input: &Value) -> Value {
    let mut names = Input(input).texts("clusters");
    if names.is_empty() {
        names.push("default");
    }
    let holdings = context.holdings();
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match holdings.clusters.get(short_name(name)) {
            Some(cluster) => found.push(shown(cluster)),
            None => failures.push(json!({
                "arn": holdings.place.arn("ecs", &format!("cluster/{}", short_name(name))), "reason": "MISSING"
            })),
        }
    }
    json!({"clusters": found, "failures": failures})
}

pub(crate) fn list(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let arns: Vec<String> = context.holdings().clusters.values().map(|cluster| cluster.arn.clone()).collect();
    let (page, next) = Input(input).page(&arns, 100)?;
    Ok(json!({"clusterArns": page, "nextToken": next}))
}

fn shown(cluster: &Cluster) -> Value {
    let active = |service: &&Service| service.status == ServiceStatus::Active;
    let tasks = |status| {
        let tasks = cluster.services.values().flat_map(|service| &service.tasks);
        tasks.filter(|task: &&Task| task.status == status).count()
    };
    json!({
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": tasks(TaskStatus::Running),
        "pendingTasksCount": tasks(TaskStatus::Pending),
        "activeServicesCount": cluster.services.values().filter(active).count(),
        "statistics": [],
        "settings": [{"name": "containerInsights", "value": "disabled"}],
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
        "tags": tags_shown(&cluster.tags),
    })
}
