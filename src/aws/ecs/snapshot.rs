//! ECS's answers as plain values, with what shipit decides upon and nothing else. The decisions are pure functions
//! over these, so a test can write any answer down.

use jiff::Timestamp;

/// One answer of `DescribeServices` about one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) arn: String,
    pub(crate) status: ServiceStatus,
    pub(crate) controller: Controller,
    /// ROLLING where ECS says nothing.
    pub(crate) strategy: String,
    pub(crate) desired: u32,
    pub(crate) running: u32,
    pub(crate) pending: u32,
    pub(crate) task_definition: String,
    pub(crate) launch: Box<Launch>,
    /// Empty for the `CODE_DEPLOY` and EXTERNAL controllers.
    pub(crate) deployments: Vec<Deployment>,
    /// Newest first, 100 at most.
    pub(crate) events: Vec<ServiceEvent>,
}

impl Service {
    pub(crate) fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.status == DeploymentStatus::Primary)
    }

    /// Blue/green, linear or canary: traffic moves in stages, and only ECS's record of the deployment tells how far.
    pub(crate) fn is_staged(&self) -> bool {
        self.strategy != "ROLLING"
    }

    pub(crate) fn deployment(&self, id: &str) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.id == id)
    }
}

/// Where and how a service's tasks are started: a task of its own kind takes the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Launch {
    /// ECS's `launchType`: `FARGATE` or `EC2`; `None` where capacity providers decide.
    pub(crate) compatibility: Option<String>,
    pub(crate) capacity_providers: Vec<CapacityProvider>,
    pub(crate) platform_version: Option<String>,
    /// `None` outside the network mode `awsvpc`.
    pub(crate) network: Option<Network>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CapacityProvider {
    pub(crate) name: String,
    pub(crate) weight: i32,
    pub(crate) base: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) subnets: Vec<String>,
    pub(crate) security_groups: Vec<String>,
    /// `ENABLED` or `DISABLED`.
    pub(crate) public_ip: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServiceStatus {
    Active,
    Draining,
    Inactive,
    /// A word that this version does not know.
    Other(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    Ecs,
    CodeDeploy,
    External,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deployment {
    /// `ecs-svc/…`.
    pub(crate) id: String,
    pub(crate) status: DeploymentStatus,
    /// `None` behind a Classic Load Balancer, where ECS does not say.
    pub(crate) rollout: Option<RolloutState>,
    pub(crate) reason: Option<String>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) desired: u32,
    pub(crate) running: u32,
    pub(crate) pending: u32,
    /// Consecutive failures; back to 0 after a healthy task.
    pub(crate) failed: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeploymentStatus {
    Primary,
    Active,
    Inactive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RolloutState {
    InProgress,
    Completed,
    Failed,
}

impl RolloutState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceEvent {
    pub(crate) id: String,
    pub(crate) at: Option<Timestamp>,
    pub(crate) text: String,
}

/// One answer of `DescribeTasks` about one task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Task {
    /// The last segment of the ARN.
    pub(crate) id: String,
    /// ARN of the task definition that it was started from.
    pub(crate) definition: String,
    /// `service:NAME` for a service's task.
    pub(crate) group: String,
    /// For a service's task: the id of the deployment that started it.
    pub(crate) started_by: Option<String>,
    pub(crate) last_status: String,
    pub(crate) healthy: Option<bool>,
    pub(crate) stop_code: Option<String>,
    pub(crate) stopped_reason: Option<String>,
    pub(crate) stopped_at: Option<Timestamp>,
    pub(crate) containers: Vec<Container>,
}

impl Task {
    pub(crate) fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The service that it belongs to, by ECS's own word.
    pub(crate) fn service(&self) -> Option<&str> {
        self.group.strip_prefix("service:")
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) name: String,
    /// As the task definition has it: `HOST/NAME:TAG`.
    pub(crate) image: String,
    /// The container's id on its host, where ECS says it.
    pub(crate) runtime_id: Option<String>,
    /// Manifest digest as the registry answered for the reference; may be absent before the container runs.
    pub(crate) digest: Option<String>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) reason: Option<String>,
    /// `HOST:PORT` of each port that ECS publishes on a host (bridge networking; empty on Fargate).
    pub(crate) published: Vec<String>,
}
