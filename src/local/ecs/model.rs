//! Clusters, services, deployments and tasks as the stand-in keeps them. Data only: `scheduler` moves it, `describe`
//! shows it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stages::{Pause, Strategy};
use crate::local::clock::Millis;
use crate::local::ids;
use crate::local::state::Tags;

/// How many service events are kept, as in ECS.
const EVENTS: usize = 100;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) arn: String,
    #[serde(default)]
    pub(crate) tags: Tags,
    #[serde(default)]
    pub(crate) services: BTreeMap<String, Service>,
    /// Tasks of `RunTask`, the oldest first; stopped ones are forgotten after a while.
    #[serde(default)]
    pub(crate) one_offs: Vec<OneOff>,
}

/// A task that belongs to no service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OneOff {
    /// Its `deployment` is the `startedBy` of the request, which may be empty.
    pub(crate) task: Task,
    pub(crate) group: String,
    /// The request's `clientToken`: the same one is answered with the same task.
    #[serde(default)]
    pub(crate) token: Option<String>,
    /// As in the request.
    #[serde(default)]
    pub(crate) overrides: Value,
    /// The service whose task definition it was started from, where there is one: its script tells how it goes.
    #[serde(default)]
    pub(crate) service: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) cluster: String,
    pub(crate) status: ServiceStatus,
    pub(crate) controller: Controller,
    /// ARN.
    pub(crate) task_definition: String,
    pub(crate) desired: u32,
    pub(crate) configuration: Configuration,
    pub(crate) created_at: Millis,
    #[serde(default)]
    pub(crate) tags: Tags,
    /// The newest first.
    pub(crate) deployments: Vec<Deployment>,
    /// The newest first.
    #[serde(default)]
    pub(crate) events: VecDeque<ServiceEvent>,
    /// The oldest first; stopped ones are forgotten after a while.
    #[serde(default)]
    pub(crate) tasks: Vec<Task>,
    /// What the last deployment that reached a steady state ran: where a rollback leads.
    #[serde(default)]
    pub(crate) last_completed: Option<Completed>,
    /// Number of the next deployment; 0 was the one that the service was created with.
    pub(crate) next_ordinal: u32,
    #[serde(default)]
    pub(crate) history: Vec<ServiceDeployment>,
    #[serde(default)]
    pub(crate) revisions: Vec<Revision>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ServiceStatus {
    Active,
    Draining,
    Inactive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Controller {
    Ecs,
    CodeDeploy,
    External,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Configuration {
    pub(crate) minimum_healthy_percent: u32,
    pub(crate) maximum_percent: u32,
    pub(crate) breaker: bool,
    pub(crate) rollback: Rollback,
    #[serde(default)]
    pub(crate) early_success: bool,
    /// With early success: how long the old tasks stay after it.
    #[serde(default)]
    pub(crate) clean_up_after: Millis,
    #[serde(default)]
    pub(crate) strategy: Strategy,
    #[serde(default)]
    pub(crate) bake_minutes: u32,
}

/// What the circuit breaker does once it has tripped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Rollback {
    Off,
    /// The old deployment is PRIMARY again, under its id.
    SameId,
    /// A new deployment of the old revision. AWS has been seen doing either.
    NewId,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    pub(crate) ordinal: u32,
    pub(crate) primary: bool,
    pub(crate) rollout: Rollout,
    pub(crate) reason: String,
    pub(crate) task_definition: String,
    pub(crate) revision: String,
    pub(crate) created_at: Millis,
    pub(crate) updated_at: Millis,
    /// Consecutive failures.
    pub(crate) failed_tasks: u32,
    /// How many tasks were started so far.
    pub(crate) started_tasks: u32,
    /// No task is started before this time.
    pub(crate) next_start_at: Millis,
    /// Container to manifest digest, settled by the first task.
    #[serde(default)]
    pub(crate) resolved: BTreeMap<String, String>,
    /// A service that was created before there was an image: no task is started, and nothing fails.
    #[serde(default)]
    pub(crate) waiting: bool,
    /// Whether "unable to consistently start tasks" was said.
    #[serde(default)]
    pub(crate) crash_loop_told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Rollout {
    InProgress,
    Completed,
    Failed,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Completed {
    pub(crate) deployment: String,
    pub(crate) ordinal: u32,
    pub(crate) task_definition: String,
    pub(crate) revision: String,
    pub(crate) resolved: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ServiceEvent {
    pub(crate) id: String,
    pub(crate) at: Millis,
    pub(crate) text: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) arn: String,
    /// Id of the deployment that started it: `startedBy`.
    pub(crate) deployment: String,
    /// ARN of its task definition.
    pub(crate) definition: String,
    pub(crate) status: TaskStatus,
    /// `RUNNING` until somebody or something wants it gone.
    pub(crate) wanted: bool,
    pub(crate) health: Health,
    /// Counts as healthy for the scheduler: health check passed, port open, or up long enough.
    pub(crate) ready: bool,
    pub(crate) created_at: Millis,
    #[serde(default)]
    pub(crate) started_at: Option<Millis>,
    #[serde(default)]
    pub(crate) stopping_at: Option<Millis>,
    #[serde(default)]
    pub(crate) stopped_at: Option<Millis>,
    #[serde(default)]
    pub(crate) stop_code: Option<String>,
    #[serde(default)]
    pub(crate) stopped_reason: Option<String>,
    pub(crate) containers: Vec<Container>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TaskStatus {
    Pending,
    Running,
    Deactivating,
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Health {
    Unknown,
    Healthy,
    Unhealthy,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Container {
    pub(crate) name: String,
    /// As the task definition has it.
    pub(crate) image: String,
    #[serde(default)]
    pub(crate) digest: Option<String>,
    /// The engine's id of the container.
    #[serde(default)]
    pub(crate) runtime_id: Option<String>,
    #[serde(default)]
    pub(crate) exit_code: Option<i64>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) bindings: Vec<Binding>,
}

/// A port of a container, published on the loopback of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Binding {
    pub(crate) container_port: u16,
    pub(crate) host_port: u16,
}

/// What `ListServiceDeployments` lists: it remembers an ending after the deployment itself has vanished.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ServiceDeployment {
    pub(crate) arn: String,
    pub(crate) deployment: String,
    pub(crate) ending: Ending,
    pub(crate) reason: Option<String>,
    pub(crate) created_at: Millis,
    pub(crate) updated_at: Millis,
    pub(crate) finished_at: Option<Millis>,
    pub(crate) source_revision: Option<String>,
    pub(crate) target_revision: String,
    /// The reason and the revision that it goes back to.
    pub(crate) rollback: Option<(String, String)>,
    pub(crate) failures: u32,
    pub(crate) threshold: u32,
    /// Of a blue/green, linear or canary one: the lifecycle stage, and the hook that it waits at.
    #[serde(default)]
    pub(crate) stage: Option<String>,
    #[serde(default)]
    pub(crate) pause: Option<Pause>,
}

/// The `status` of a service deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    InProgress,
    Successful,
    Stopped,
    RollbackInProgress,
    RollbackSuccessful,
}

/// A task definition with the digests that were settled for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Revision {
    pub(crate) arn: String,
    pub(crate) task_definition: String,
    pub(crate) created_at: Millis,
    /// Container, image, digest.
    pub(crate) images: Vec<(String, String, Option<String>)>,
}

impl ServiceStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Inactive => "INACTIVE",
        }
    }
}

impl Controller {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ecs => "ECS",
            Self::CodeDeploy => "CODE_DEPLOY",
            Self::External => "EXTERNAL",
        }
    }
}

impl Rollout {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

impl Ending {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Successful => "SUCCESSFUL",
            Self::Stopped => "STOPPED",
            Self::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            Self::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
        }
    }
}

impl TaskStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopped => "STOPPED",
        }
    }
}

impl Health {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
        }
    }
}

impl Default for Configuration {
    /// As a service created without any configuration has it.
    fn default() -> Self {
        Self {
            minimum_healthy_percent: 100,
            maximum_percent: 200,
            breaker: false,
            rollback: Rollback::Off,
            early_success: false,
            clean_up_after: 0,
            strategy: Strategy::Rolling,
            bake_minutes: 0,
        }
    }
}

impl Configuration {
    /// Failures after which the circuit breaker trips: half of the desired count, between 3 and 200.
    pub(crate) fn threshold(desired: u32) -> u32 {
        desired.div_ceil(2).clamp(3, 200)
    }
}

impl Service {
    pub(crate) fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.primary)
    }

    pub(crate) fn deployment_mut(&mut self, id: &str) -> Option<&mut Deployment> {
        self.deployments.iter_mut().find(|deployment| deployment.id == id)
    }

    pub(crate) fn task_mut(&mut self, id: &str) -> Option<&mut Task> {
        self.tasks.iter_mut().find(|task| task.id == id)
    }

    pub(crate) fn tasks_of<'a>(&'a self, deployment: &'a str) -> impl Iterator<Item = &'a Task> {
        self.tasks.iter().filter(move |task| task.deployment == deployment)
    }

    /// Says something in the service's events, as ECS does: `(service NAME) TEXT`.
    pub(crate) fn say(&mut self, now: Millis, text: &str) {
        let text = format!("(service {}) {text}", self.name);
        self.events.push_front(ServiceEvent { id: ids::uuid(), at: now, text });
        self.events.truncate(EVENTS);
    }

    /// The record that keeps the ending of a deployment.
    pub(crate) fn record_of(&mut self, deployment: &str) -> Option<&mut ServiceDeployment> {
        self.history.iter_mut().rev().find(|record| record.deployment == deployment)
    }
}

impl Task {
    /// Still has, or will have, a process.
    pub(crate) fn exists(&self) -> bool {
        self.status != TaskStatus::Stopped
    }
}
