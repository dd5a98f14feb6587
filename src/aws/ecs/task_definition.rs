//! Reading the task definition that a service runs.

use std::collections::BTreeMap;

use aws_sdk_ecs::types::{self, VersionConsistency};

use crate::aws::Clients;
use crate::aws::error::aws;
use crate::aws::pace::Budget;
use crate::error::Result;

#[derive(Clone, Debug)]
pub(crate) struct TaskDefinition {
    /// `X86_64` or `ARM64`; ECS's default is `X86_64`.
    pub(crate) architecture: String,
    /// `LINUX` where ECS says nothing.
    pub(crate) os: String,
    pub(crate) containers: Vec<ContainerDefinition>,
}

#[derive(Clone, Debug)]
pub(crate) struct ContainerDefinition {
    pub(crate) name: String,
    pub(crate) image: String,
    /// `false`: each task resolves the tag for itself, so the tasks of one deployment may run different digests.
    pub(crate) version_consistency: bool,
    pub(crate) log: Option<LogConfiguration>,
}

/// Where a container's output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogConfiguration {
    /// `awslogs`, `awsfirelens`, `splunk`…
    pub(crate) driver: String,
    pub(crate) options: BTreeMap<String, String>,
}

pub(crate) async fn describe(clients: &Clients, arn: &str) -> Result<TaskDefinition> {
    clients.pace.turn(Budget::TaskDefinitionRead).await;
    let answer = clients
        .ecs
        .describe_task_definition()
        .task_definition(arn)
        .send()
        .await
        .map_err(|error| aws("ecs:DescribeTaskDefinition", &error))?;
    let found = answer.task_definition();
    let platform = found.and_then(|definition| definition.runtime_platform());
    Ok(TaskDefinition {
        architecture: platform
            .and_then(|platform| platform.cpu_architecture())
            .map_or("X86_64", |architecture| architecture.as_str())
            .to_owned(),
        os: platform
            .and_then(|platform| platform.operating_system_family())
            .map_or("LINUX", |family| family.as_str())
            .to_owned(),
        containers: found
            .map(aws_sdk_ecs::types::TaskDefinition::container_definitions)
            .unwrap_or_default()
            .iter()
            .map(|container| ContainerDefinition {
                name: container.name().unwrap_or_default().to_owned(),
                image: container.image().unwrap_or_default().to_owned(),
                version_consistency: container.version_consistency() != Some(&VersionConsistency::Disabled),
                log: container.log_configuration().map(log),
            })
            .collect(),
    })
}

fn log(from: &types::LogConfiguration) -> LogConfiguration {
    LogConfiguration {
        driver: from.log_driver().as_str().to_owned(),
        options: from.options().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect(),
    }
}
