//! `ListTasks`, `DescribeTasks`, `StopTask`.

use serde_json::{Value, json};

use super::{Catalog, cluster, cluster_missing, describe, scheduler, service_missing};
use crate::local::place::short_name;
use crate::local::state::Holdings;
use crate::local::wire::context::Context;
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::input::Input;

pub(crate) fn list(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let running = match request.text("desiredStatus").unwrap_or("RUNNING") {
        "RUNNING" | "PENDING" => true,
        "STOPPED" => false,
        _ => return Err(Fault::invalid_parameter("desiredStatus must be RUNNING, PENDING or STOPPED.")),
    };
    let service_name = request.text("serviceName").map(short_name);
    let started_by = request.text("startedBy");
    let family = request.text("family");
    if started_by.is_some() && (service_name.is_some() || family.is_some()) {
        return Err(Fault::invalid_parameter("If startedBy is specified, it must be the only filter."));
    }
    let cluster = cluster(context, input)?;
    if let Some(name) = service_name
        && !cluster.services.contains_key(name)
    {
        return Err(service_missing());
    }
    let of_services = cluster
        .services
        .values()
        .filter(|service| service_name.is_none_or(|name| name == service.name))
        .flat_map(|service| &service.tasks);
    let one_offs = cluster.one_offs.iter().filter(|_| service_name.is_none()).map(|one_off| &one_off.task);
    let arns: Vec<String> = of_services
        .chain(one_offs)
        .filter(|task| task.wanted == running)
        .filter(|task| started_by.is_none_or(|by| by == task.deployment))
        .filter(|task| family.is_none_or(|family| family_of(&task.definition) == family))
        .map(|task| task.arn.clone())
        .collect();
    let (page, next) = request.page(&arns, 100)?;
    Ok(json!({"taskArns": page, "nextToken": next}))
}

pub(super) fn family_of(arn: &str) -> &str {
    let name = short_name(arn);
    name.rsplit_once(':').map_or(name, |(family, _)| family)
}

pub(crate) fn describe(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let wanted = Input(input).texts("tasks");
    if wanted.is_empty() {
        return Err(Fault::invalid_parameter("Tasks cannot be empty."));
    }
    if wanted.len() > 100 {
        return Err(Fault::invalid_parameter("taskIds can have at most 100 items."));
    }
    let place = context.place.clone();
    let cluster = cluster(context, input)?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in wanted {
        let id = short_name(name);
        let task = cluster.services.values().find_map(|service| {
            service.tasks.iter().find(|task| task.id == id).map(|task| describe::task(task, service, &place))
        });
        let one_off = || cluster.one_offs.iter().find(|one_off| one_off.task.id == id);
        let task = task.or_else(|| one_off().map(|one_off| describe::one_off(one_off, &cluster.name, &place)));
        match task {
            Some(task) => found.push(task),
            None => failures.push(json!({
                "arn": place.arn("ecs", &format!("task/{}/{id}", cluster.name)), "reason": "MISSING",
            })),
        }
    }
    Ok(json!({"tasks": found, "failures": failures}))
}

pub(crate) fn stop(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let id = short_name(request.required("task")?);
    let reason = request.text("reason").unwrap_or("Task stopped by user");
    let cluster_name = short_name(request.text("cluster").unwrap_or("default"));
    let (now, host) = (context.now, context.host);
    let Holdings { place, repositories, clusters, task_definitions, .. } = context.state.at(&context.place);
    let catalog = Catalog { host, place, repositories, definitions: task_definitions };
    let cluster = clusters.get_mut(cluster_name).ok_or_else(cluster_missing)?;
    if let Some(one_off) = cluster.one_offs.iter_mut().find(|one_off| one_off.task.id == id) {
        let order = scheduler::stop_task(&mut one_off.task, catalog, "UserInitiated", reason, now);
        let shown = describe::one_off(one_off, &cluster.name, place);
        context.orders.extend(order);
        return Ok(json!({"task": shown}));
    }
    let service = cluster
        .services
        .values_mut()
        .find(|service| service.tasks.iter().any(|task| task.id == id))
        .ok_or_else(|| Fault::invalid_parameter("The referenced task was not found."))?;
    let order = scheduler::stop(service, catalog, id, "UserInitiated", reason, now);
    let shown = service
        .tasks
        .iter()
        .find(|task| task.id == id)
        .map(|task| describe::task(task, service, place))
        .unwrap_or_default();
    context.orders.extend(order);
    Ok(json!({"task": shown}))
}
