//! The ECS service scheduler: given what is known and the time, which tasks to start and which to stop. Pure but for
//! the ids of new tasks: it moves the service and returns the orders, and somebody else carries them out.

use std::collections::BTreeMap;

use super::deployments;
use super::images::{Catalog, Resolved};
use super::model::{Configuration, Container, Deployment, Health, Rollout, Service, ServiceStatus, Task, TaskStatus};
use super::stages;
use super::task_definition::{self, ContainerDefinition};
use crate::local::clock::Millis;
use crate::local::ids;
use crate::local::options::Pace;
use crate::local::place::Place;
use crate::local::state::TaskDefinition;

/// Something for the runtime to do. What comes of it returns as a `Sighting`.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Start(Box<StartOrder>),
    Stop(StopOrder),
}

#[derive(Clone, Debug)]
pub(crate) struct StartOrder {
    pub(crate) task: String,
    pub(crate) place: Place,
    pub(crate) cluster: String,
    pub(crate) service: String,
    /// Number of the deployment within the service, and of the task within the deployment.
    pub(crate) ordinal: u32,
    pub(crate) number: u32,
    /// A task of `RunTask`: `service` is the one whose script it follows, `number` counts those of that service.
    pub(crate) one_off: bool,
    /// `linux/ARCH`.
    pub(crate) platform: &'static str,
    pub(crate) containers: Vec<(ContainerDefinition, Resolved)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StopOrder {
    pub(crate) task: String,
    /// Seconds between SIGTERM and SIGKILL.
    pub(crate) grace: u32,
}

/// Takes every step that is due.
pub(crate) fn advance(service: &mut Service, catalog: Catalog<'_>, now: Millis, pace: Pace) -> Vec<Order> {
    let mut orders = Vec::new();
    if service.status == ServiceStatus::Active {
        trip_breaker(service, now);
        stop_unhealthy(service, catalog, now, pace, &mut orders);
        start_missing(service, catalog, now, pace, &mut orders);
    }
    stop_surplus(service, catalog, now, &mut orders);
    forget(service, now, pace);
    if service.status == ServiceStatus::Active {
        complete(service, now);
    } else if service.desired == 0 && !service.tasks.iter().any(Task::exists) {
        service.status = ServiceStatus::Inactive;
        service.deployments.clear();
    }
    orders
}

fn trip_breaker(service: &mut Service, now: Millis) {
    let threshold = Configuration::threshold(service.desired);
    let tripped = service.configuration.breaker
        && service
            .primary()
            .is_some_and(|primary| primary.rollout == Rollout::InProgress && primary.failed_tasks >= threshold);
    if tripped {
        deployments::trip(service, now);
    }
}

fn stop_unhealthy(service: &mut Service, catalog: Catalog<'_>, now: Millis, pace: Pace, orders: &mut Vec<Order>) {
    let unhealthy: Vec<(String, String)> = service
        .tasks
        .iter()
        .filter(|task| task.wanted && task.exists() && task.health == Health::Unhealthy)
        .map(|task| (task.id.clone(), task.deployment.clone()))
        .collect();
    for (task, deployment) in unhealthy {
        let reason = service
            .task_mut(&task)
            .and_then(|task| task.stopped_reason.take())
            .unwrap_or_else(|| "Task failed container health checks".to_owned());
        service.say(now, &format!("(task {task}) failed container health checks."));
        orders.extend(stop(service, catalog, &task, "ServiceSchedulerInitiated", &reason, now));
        deployments::count_failure(service, &deployment, now, pace);
    }
}

fn start_missing(service: &mut Service, catalog: Catalog<'_>, now: Millis, pace: Pace, orders: &mut Vec<Order>) {
    let ceiling = (service.desired * service.configuration.maximum_percent / 100).max(1);
    while let Some(primary) = service.primary() {
        let wanted = service.tasks_of(&primary.id).filter(|task| task.wanted && task.exists()).count();
        let all = service.tasks.iter().filter(|task| task.exists()).count();
        let may = !primary.waiting && primary.rollout != Rollout::Failed && now >= primary.next_start_at;
        if !may || wanted >= service.desired as usize || all >= ceiling as usize {
            return;
        }
        let id = primary.id.clone();
        match start(service, catalog, &id, now) {
            Some(order) => orders.push(order),
            None => deployments::count_failure(service, &id, now, pace),
        }
    }
}

/// Starts one task of a deployment, or notes one that could not be started.
fn start(service: &mut Service, catalog: Catalog<'_>, id: &str, now: Millis) -> Option<Order> {
    let deployment = service.deployments.iter_mut().find(|deployment| deployment.id == id)?;
    let number = deployment.started_tasks;
    deployment.started_tasks += 1;
    let task = ids::task();
    let mut record = pending(catalog.place, &service.cluster, &task, id, &deployment.task_definition, now);
    let mut order = StartOrder {
        task: task.clone(),
        place: catalog.place.clone(),
        cluster: service.cluster.clone(),
        service: service.name.clone(),
        ordinal: deployment.ordinal,
        number,
        one_off: false,
        platform: "linux/amd64",
        containers: Vec::new(),
    };
    let prepared = prepare(catalog, &deployment.task_definition, &deployment.resolved);
    record.containers = prepared.shown;
    order.platform = prepared.platform;
    order.containers = prepared.containers;
    if let Some(reason) = prepared.failure {
        never_started(&mut record, reason, now);
        service.tasks.push(record);
        return None;
    }
    for container in &record.containers {
        if let Some(digest) = &container.digest {
            deployment.resolved.entry(container.name.clone()).or_insert_with(|| digest.clone());
        }
    }
    settle_revision(service, id, &record);
    service.tasks.push(record);
    service.say(now, &format!("has started 1 tasks: (task {task})."));
    Some(Order::Start(Box::new(order)))
}

/// A task that has just been asked for.
pub(super) fn pending(
    place: &Place,
    cluster: &str,
    task: &str,
    started_by: &str,
    definition: &str,
    now: Millis,
) -> Task {
    Task {
        arn: place.arn("ecs", &format!("task/{cluster}/{task}")),
        id: task.to_owned(),
        deployment: started_by.to_owned(),
        definition: definition.to_owned(),
        status: TaskStatus::Pending,
        wanted: true,
        health: Health::Unknown,
        ready: false,
        created_at: now,
        started_at: None,
        stopping_at: None,
        stopped_at: None,
        stop_code: None,
        stopped_reason: None,
        containers: Vec::new(),
    }
}

/// What a task of a task definition consists of.
pub(super) struct Prepared {
    pub(super) platform: &'static str,
    /// As `DescribeTasks` shows them.
    pub(super) shown: Vec<Container>,
    /// Those whose image is found.
    pub(super) containers: Vec<(ContainerDefinition, Resolved)>,
    /// Why it cannot be started.
    pub(super) failure: Option<String>,
}

/// Resolves the images of a task definition; `settled` are the digests that earlier tasks have settled, by container.
pub(super) fn prepare(catalog: Catalog<'_>, definition: &str, settled: &BTreeMap<String, String>) -> Prepared {
    let mut prepared = Prepared { platform: "linux/amd64", shown: Vec::new(), containers: Vec::new(), failure: None };
    match task_definition::find_in(catalog.definitions, catalog.place, definition) {
        Err(fault) => prepared.failure = Some(fault.message),
        Ok(definition) => {
            prepared.platform = definition.platform();
            for container in definition.containers() {
                let resolved = catalog.resolve(&container.image, settled.get(&container.name));
                let mut shown =
                    Container { name: container.name.clone(), image: container.image.clone(), ..Container::default() };
                match resolved {
                    Ok(resolved) => {
                        if let Resolved::Own { digest, .. } = &resolved {
                            shown.digest = Some(digest.clone());
                        }
                        prepared.containers.push((container, resolved));
                    }
                    Err(reason) => {
                        shown.reason = Some(reason.clone());
                        prepared.failure = prepared.failure.or(Some(reason));
                    }
                }
                prepared.shown.push(shown);
            }
        }
    }
    prepared
}

pub(super) fn never_started(task: &mut Task, reason: String, now: Millis) {
    task.status = TaskStatus::Stopped;
    task.wanted = false;
    task.stopped_at = Some(now);
    task.stopping_at = Some(now);
    task.stop_code = Some("TaskFailedToStart".to_owned());
    task.stopped_reason = Some(reason);
}

/// Writes the digests that the first task found into the service revision.
fn settle_revision(service: &mut Service, deployment: &str, task: &Task) {
    let Some(revision) = service.deployment_mut(deployment).map(|deployment| deployment.revision.clone()) else {
        return;
    };
    if let Some(revision) = service.revisions.iter_mut().find(|known| known.arn == revision)
        && revision.images.is_empty()
    {
        revision.images = task
            .containers
            .iter()
            .map(|container| (container.name.clone(), container.image.clone(), container.digest.clone()))
            .collect();
    }
}

fn stop_surplus(service: &mut Service, catalog: Catalog<'_>, now: Millis, orders: &mut Vec<Order>) {
    let desired = if service.status == ServiceStatus::Active { service.desired } else { 0 };
    let floor = (desired * service.configuration.minimum_healthy_percent).div_ceil(100) as usize;
    let holding = stages::hold(service) || defers_clean_up(service, now);
    let primary = service.primary().map(|primary| primary.id.clone()).unwrap_or_default();
    let mut healthy = service.tasks.iter().filter(|task| task.wanted && task.exists() && task.ready).count();
    let mut of_primary = service.tasks_of(&primary).filter(|task| task.wanted && task.exists()).count();
    // Those that are not healthy go first: stopping them takes nothing from anybody.
    let mut candidates: Vec<(bool, String, String)> = service
        .tasks
        .iter()
        .filter(|task| task.wanted && task.exists())
        .map(|task| (task.ready, task.id.clone(), task.deployment.clone()))
        .collect();
    candidates.sort_by_key(|(ready, ..)| *ready);
    for (ready, task, deployment) in candidates {
        let is_old = deployment != primary;
        let surplus = (is_old && !holding) || of_primary > desired as usize;
        if !surplus || (ready && healthy <= floor) {
            continue;
        }
        healthy -= usize::from(ready);
        of_primary -= usize::from(!is_old);
        let reason = format!("Scaling activity initiated by (deployment {deployment})");
        let what = if ready { "running" } else { "pending" };
        service.say(now, &format!("has stopped 1 {what} tasks: (task {task})."));
        orders.extend(stop(service, catalog, &task, "ServiceSchedulerInitiated", &reason, now));
    }
}

/// With early success and deferred clean-up the old tasks outlive the deployment's completion.
fn defers_clean_up(service: &Service, now: Millis) -> bool {
    let Configuration { early_success, clean_up_after, .. } = service.configuration;
    let stays = |primary: &Deployment| match primary.rollout {
        Rollout::InProgress => true,
        Rollout::Completed => now < primary.updated_at + clean_up_after,
        Rollout::Failed => false,
    };
    early_success && clean_up_after > 0 && service.primary().is_some_and(stays)
}

/// Wants a task gone.
pub(crate) fn stop(
    service: &mut Service,
    catalog: Catalog<'_>,
    task: &str,
    code: &str,
    reason: &str,
    now: Millis,
) -> Option<Order> {
    let record = service.task_mut(task)?;
    stop_task(record, catalog, code, reason, now)
}

/// The same for a task on its own.
pub(super) fn stop_task(
    record: &mut Task,
    catalog: Catalog<'_>,
    code: &str,
    reason: &str,
    now: Millis,
) -> Option<Order> {
    if !record.wanted || !record.exists() {
        return None;
    }
    record.wanted = false;
    if record.status == TaskStatus::Running {
        record.status = TaskStatus::Deactivating;
    }
    record.stopping_at = Some(now);
    record.stop_code = Some(code.to_owned());
    record.stopped_reason = Some(reason.to_owned());
    let definition = task_definition::find_in(catalog.definitions, catalog.place, &record.definition);
    let containers = definition.map(TaskDefinition::containers).unwrap_or_default();
    let grace = containers.iter().map(|container| container.stop_timeout).max().unwrap_or(30);
    Some(Order::Stop(StopOrder { task: record.id.clone(), grace }))
}

/// Drops deployments that nothing is left of, and tasks that stopped long ago.
fn forget(service: &mut Service, now: Millis, pace: Pace) {
    let with_tasks: Vec<String> =
        service.tasks.iter().filter(|task| task.exists()).map(|task| task.deployment.clone()).collect();
    service.deployments.retain(|deployment| {
        let lingers = deployment.rollout == Rollout::Failed && now - deployment.updated_at < pace.linger;
        deployment.primary || lingers || with_tasks.contains(&deployment.id)
    });
    service.tasks.retain(|task| task.stopped_at.is_none_or(|at| now - at < pace.remember_stopped));
}

fn complete(service: &mut Service, now: Millis) {
    let Some(primary) = service.primary().filter(|primary| primary.rollout == Rollout::InProgress) else { return };
    if stages::hold(service) {
        return;
    }
    let ready = service.tasks_of(&primary.id).filter(|task| task.wanted && task.exists() && task.ready).count();
    let alone = service.deployments.len() == 1 && !service.tasks.iter().any(|task| task.exists() && !task.wanted);
    if ready >= service.desired as usize && (alone || service.configuration.early_success) {
        deployments::complete(service, now);
    }
}
