//! `RunTask`: a task that belongs to no service, from its request to the day when it is forgotten.
//!
//! One task a request, as shipit asks for it. Network and launch settings are taken as they are: a stand-in has neither
//! subnets nor capacity.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::{Cluster, OneOff};
use super::scheduler::{self, Order, StartOrder};
use super::sightings::{self, Sighting};
use super::{Catalog, cluster_missing, describe, task_definition, tasks};
use crate::local::clock::Millis;
use crate::local::ids;
use crate::local::options::Pace;
use crate::local::place::short_name;
use crate::local::state::Holdings;
use crate::local::wire::context::Context;
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::input::Input;

/// What ECS allows in `startedBy`.
const STARTED_BY_LENGTH: usize = 128;

pub(crate) fn run(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let wanted = request.required("taskDefinition")?;
    if request.number("count").unwrap_or(1) != 1 {
        return Err(Fault::invalid_parameter("This stand-in runs one task a request: count must be 1."));
    }
    let started_by = request.text("startedBy").unwrap_or_default();
    if !is_started_by(started_by) {
        return Err(Fault::invalid_parameter(
            "startedBy can be up to 128 letters, numbers, hyphens, forward slashes and underscores.",
        ));
    }
    let cluster_name = short_name(request.text("cluster").unwrap_or("default"));
    let token = request.text("clientToken").filter(|token| !token.is_empty());
    let (now, host) = (context.now, context.host);
    let Holdings { place, repositories, clusters, task_definitions, .. } = context.state.at(&context.place);
    let cluster = clusters.get_mut(cluster_name).ok_or_else(cluster_missing)?;
    let known = |one_off: &&OneOff| token.is_some() && one_off.token.as_deref() == token;
    if let Some(known) = cluster.one_offs.iter().find(known) {
        return Ok(json!({"tasks": [describe::one_off(known, cluster_name, place)], "failures": []}));
    }
    let definition = task_definition::find_in(task_definitions, place, wanted)
        .map_err(|_| Fault::client("ClientException", "TaskDefinition not found."))?
        .arn
        .clone();
    let catalog = Catalog { host, place, repositories, definitions: task_definitions };
    let mut prepared = scheduler::prepare(catalog, &definition, &BTreeMap::new());
    let overrides = request.member("overrides").cloned().unwrap_or(Value::Null);
    for each in Input(&overrides).list("containerOverrides").iter().map(Input) {
        let name = each.required("name")?;
        if !prepared.shown.iter().any(|container| container.name == name) {
            return Err(Fault::invalid_parameter("Override for container named that is not in the TaskDefinition."));
        }
        if each.member("command").is_some()
            && let Some((container, _)) = prepared.containers.iter_mut().find(|(known, _)| known.name == name)
        {
            container.command = each.texts("command").into_iter().map(str::to_owned).collect();
        }
    }
    let family = tasks::family_of(&definition).to_owned();
    let service = cluster
        .services
        .values()
        .find(|service| tasks::family_of(&service.task_definition) == family)
        .map(|service| service.name.clone());
    let number = cluster.one_offs.iter().filter(|one_off| one_off.service == service).count();
    let id = ids::task();
    let mut task = scheduler::pending(place, cluster_name, &id, started_by, &definition, now);
    task.containers = prepared.shown;
    let mut order = None;
    match prepared.failure {
        Some(reason) => scheduler::never_started(&mut task, reason, now),
        None => {
            order = Some(Order::Start(Box::new(StartOrder {
                task: id,
                place: place.clone(),
                cluster: cluster_name.to_owned(),
                service: service.clone().unwrap_or_else(|| family.clone()),
                ordinal: 0,
                number: u32::try_from(number).unwrap_or(u32::MAX),
                one_off: true,
                platform: prepared.platform,
                containers: prepared.containers,
            })));
        }
    }
    let group = request.text("group").map_or_else(|| format!("family:{family}"), str::to_owned);
    let one_off = OneOff { task, group, token: token.map(str::to_owned), overrides, service };
    let shown = describe::one_off(&one_off, cluster_name, place);
    cluster.one_offs.push(one_off);
    context.orders.extend(order);
    Ok(json!({"tasks": [shown], "failures": []}))
}

fn is_started_by(text: &str) -> bool {
    text.len() <= STARTED_BY_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-/_".contains(&byte))
}

/// Takes what was seen of the cluster's one-off tasks into account, and forgets those that stopped long ago. Returns
/// whether anything was changed.
pub(crate) fn advance(cluster: &mut Cluster, sightings: &[Sighting], now: Millis, pace: Pace) -> bool {
    let mut changed = false;
    for Sighting { task, what } in sightings {
        let found = cluster.one_offs.iter_mut().find(|one_off| one_off.task.id == *task && one_off.task.exists());
        if let Some(one_off) = found {
            sightings::see(&mut one_off.task, what, now);
            changed = true;
        }
    }
    let before = cluster.one_offs.len();
    cluster.one_offs.retain(|one_off| one_off.task.stopped_at.is_none_or(|at| now - at < pace.remember_stopped));
    changed || cluster.one_offs.len() != before
}

#[cfg(test)]
mod tests {
    #[test]
    fn started_by_is_as_ecs_has_it() {
        for (text, expected) in [("", true), ("shipit/api_1-b", true), ("shipit:api", false), ("a b", false)] {
            assert_eq!(super::is_started_by(text), expected, "{text}");
        }
        assert!(!super::is_started_by(&"a".repeat(129)));
    }
}
