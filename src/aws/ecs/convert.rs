//! From the SDK's types to our snapshot. Total: an unknown word never panics, an absent number is 0.

use aws_sdk_ecs::primitives::DateTime;
use aws_sdk_ecs::types;
use jiff::Timestamp;

use super::snapshot::{
    CapacityProvider, Container, Controller, Deployment, DeploymentStatus, Launch, Network, RolloutState, Service,
    ServiceEvent, ServiceStatus, Task,
};

pub(super) fn service(from: &types::Service) -> Service {
    let controller = match from.deployment_controller().map(types::DeploymentController::r#type) {
        Some(types::DeploymentControllerType::CodeDeploy) => Controller::CodeDeploy,
        Some(types::DeploymentControllerType::External) => Controller::External,
        _ => Controller::Ecs,
    };
    let strategy = from.deployment_configuration().and_then(|configuration| configuration.strategy());
    Service {
        arn: from.service_arn().unwrap_or_default().to_owned(),
        status: match from.status().unwrap_or_default() {
            "ACTIVE" => ServiceStatus::Active,
            "DRAINING" => ServiceStatus::Draining,
            "INACTIVE" => ServiceStatus::Inactive,
            other => ServiceStatus::Other(other.to_owned()),
        },
        controller,
        strategy: strategy.map_or("ROLLING", |strategy| strategy.as_str()).to_owned(),
        desired: count(from.desired_count()),
        running: count(from.running_count()),
        pending: count(from.pending_count()),
        task_definition: from.task_definition().unwrap_or_default().to_owned(),
        launch: Box::new(launch(from)),
        deployments: from.deployments().iter().map(deployment).collect(),
        events: from.events().iter().map(event).collect(),
    }
}

fn launch(from: &types::Service) -> Launch {
    let capacity = from.capacity_provider_strategy().iter().map(|item| CapacityProvider {
        name: item.capacity_provider().to_owned(),
        weight: item.weight(),
        base: item.base(),
    });
    let network = from.network_configuration().and_then(|network| network.awsvpc_configuration());
    Launch {
        compatibility: from.launch_type().map(|kind| kind.as_str().to_owned()),
        capacity_providers: capacity.collect(),
        platform_version: from.platform_version().map(str::to_owned),
        network: network.map(|network| Network {
            subnets: network.subnets().to_vec(),
            security_groups: network.security_groups().to_vec(),
            public_ip: network.assign_public_ip().map(|assign| assign.as_str().to_owned()),
        }),
    }
}

fn deployment(from: &types::Deployment) -> Deployment {
    Deployment {
        id: from.id().unwrap_or_default().to_owned(),
        status: match from.status().unwrap_or_default() {
            "PRIMARY" => DeploymentStatus::Primary,
            "ACTIVE" => DeploymentStatus::Active,
            _ => DeploymentStatus::Inactive,
        },
        rollout: match from.rollout_state() {
            Some(types::DeploymentRolloutState::InProgress) => Some(RolloutState::InProgress),
            Some(types::DeploymentRolloutState::Completed) => Some(RolloutState::Completed),
            Some(types::DeploymentRolloutState::Failed) => Some(RolloutState::Failed),
            _ => None,
        },
        reason: from.rollout_state_reason().map(str::to_owned),
        created_at: time(from.created_at()),
        desired: count(from.desired_count()),
        running: count(from.running_count()),
        pending: count(from.pending_count()),
        failed: count(from.failed_tasks()),
    }
}

fn event(from: &types::ServiceEvent) -> ServiceEvent {
    ServiceEvent {
        id: from.id().unwrap_or_default().to_owned(),
        at: time(from.created_at()),
        text: from.message().unwrap_or_default().to_owned(),
    }
}

pub(super) fn task(from: &types::Task) -> Task {
    let arn = from.task_arn().unwrap_or_default();
    Task {
        id: arn.rsplit('/').next().unwrap_or_default().to_owned(),
        definition: from.task_definition_arn().unwrap_or_default().to_owned(),
        group: from.group().unwrap_or_default().to_owned(),
        started_by: from.started_by().map(str::to_owned),
        last_status: from.last_status().unwrap_or_default().to_owned(),
        healthy: match from.health_status() {
            Some(types::HealthStatus::Healthy) => Some(true),
            Some(types::HealthStatus::Unhealthy) => Some(false),
            _ => None,
        },
        stop_code: from.stop_code().map(|code| code.as_str().to_owned()),
        stopped_reason: from.stopped_reason().map(str::to_owned),
        stopped_at: time(from.stopped_at()),
        containers: from.containers().iter().map(container).collect(),
    }
}

fn container(from: &types::Container) -> Container {
    Container {
        name: from.name().unwrap_or_default().to_owned(),
        image: from.image().unwrap_or_default().to_owned(),
        runtime_id: from.runtime_id().map(str::to_owned),
        digest: from.image_digest().map(str::to_owned),
        exit_code: from.exit_code(),
        reason: from.reason().map(str::to_owned),
        published: from
            .network_bindings()
            .iter()
            .filter_map(|binding| Some(format!("{}:{}", binding.bind_ip()?, binding.host_port()?)))
            .collect(),
    }
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

pub(super) fn time(from: Option<&DateTime>) -> Option<Timestamp> {
    let from = from?;
    Timestamp::new(from.secs(), i32::try_from(from.subsec_nanos()).ok()?).ok()
}
