//! What the runtime saw of a task, and what ECS makes of it.

use super::deployments;
use super::model::{Binding, Health, Service, Task, TaskStatus};
use crate::local::clock::Millis;
use crate::local::options::Pace;

/// One observation of the runtime.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub(crate) task: String,
    pub(crate) what: Seen,
}

#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// Every container is up.
    Running(Vec<Up>),
    /// It counts as healthy; `checked` when a health check said so.
    Ready { checked: bool },
    /// It should be taken down, for the reason given or for its health check.
    Unhealthy(Option<String>),
    /// Something about it that is worth saying in the service's events.
    Note(String),
    /// It never ran.
    NotStarted { reason: String },
    /// All its processes are gone.
    Ended(Vec<End>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Up {
    pub(crate) container: String,
    pub(crate) runtime_id: Option<String>,
    /// The digest that it really runs, where the runtime knows better than the registry.
    pub(crate) digest: Option<String>,
    pub(crate) bindings: Vec<Binding>,
}

#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) container: String,
    pub(crate) exit_code: Option<i64>,
    pub(crate) reason: Option<String>,
}

/// Takes an observation into account.
pub(crate) fn apply(service: &mut Service, sighting: &Sighting, now: Millis, pace: Pace) {
    let Some(task) = service.task_mut(&sighting.task).filter(|task| task.exists()) else { return };
    let deployment = task.deployment.clone();
    if let Seen::Note(text) = &sighting.what {
        let text = format!("(task {}) {text}", sighting.task);
        return service.say(now, &text);
    }
    let Meaning { failed, healthy } = see(task, &sighting.what, now);
    if healthy && let Some(deployment) = service.deployment_mut(&deployment) {
        deployment.failed_tasks = 0;
    }
    if failed {
        deployments::count_failure(service, &deployment, now, pace);
    }
}

/// What an observation of its task means to a deployment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meaning {
    failed: bool,
    healthy: bool,
}

/// Takes an observation into account for the task alone.
pub(crate) fn see(task: &mut Task, what: &Seen, now: Millis) -> Meaning {
    let mut failed = false;
    let mut healthy = false;
    match what {
        Seen::Running(up) => {
            if task.wanted {
                task.status = TaskStatus::Running;
            }
            task.started_at = task.started_at.or(Some(now));
            for up in up {
                note_running(task, up);
            }
        }
        Seen::Ready { checked } => {
            task.ready = task.wanted;
            if *checked {
                task.health = Health::Healthy;
            }
            healthy = task.wanted;
        }
        Seen::Unhealthy(reason) => {
            task.health = Health::Unhealthy;
            task.ready = false;
            if task.wanted {
                task.stopped_reason.clone_from(reason);
            }
        }
        Seen::Note(_) => {}
        Seen::NotStarted { reason } => {
            failed = task.wanted;
            end(task, "TaskFailedToStart", reason, now);
            if let Some(container) = task.containers.first_mut() {
                container.reason = Some(reason.clone());
            }
        }
        Seen::Ended(ends) => {
            failed = task.wanted && !task.ready;
            for End { container, exit_code, reason } in ends {
                if let Some(known) = task.containers.iter_mut().find(|known| known.name == *container) {
                    known.exit_code = *exit_code;
                    known.reason.clone_from(reason);
                }
            }
            end(task, "EssentialContainerExited", "Essential container in task exited", now);
        }
    }
    Meaning { failed, healthy }
}

fn note_running(task: &mut Task, up: &Up) {
    if let Some(container) = task.containers.iter_mut().find(|container| container.name == up.container) {
        container.runtime_id.clone_from(&up.runtime_id);
        container.bindings.clone_from(&up.bindings);
        if up.digest.is_some() {
            container.digest.clone_from(&up.digest);
        }
    }
}

/// A task that was told to stop keeps the reason it was told.
fn end(task: &mut Task, code: &str, reason: &str, now: Millis) {
    if task.wanted {
        task.stop_code = Some(code.to_owned());
        task.stopped_reason = Some(reason.to_owned());
        task.stopping_at = Some(now);
    }
    task.wanted = false;
    task.ready = false;
    task.status = TaskStatus::Stopped;
    task.stopped_at = Some(now);
    for container in &mut task.containers {
        container.bindings.clear();
    }
}
