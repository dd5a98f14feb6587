//! ECS's own record of a service's deployments: how each one goes or ended, and why. It is kept for 90 days, when the
//! deployment itself has long vanished from the service, and it alone tells the stages of a blue/green, linear or
//! canary deployment.
//!
//! Reading only. Nothing links a record to a deployment's `ecs-svc/…` id; `rollout` joins them by their time.

use std::time::Duration;

use aws_sdk_ecs::primitives::DateTime;
use aws_sdk_ecs::types::{self, CreatedAt, ServiceDeploymentRollbackMonitorsStatus as Monitor};
use jiff::Timestamp;

use super::convert::time;
use crate::aws::Clients;
use crate::aws::error::aws;
use crate::aws::pace::Budget;
use crate::error::Result;

/// `DescribeServiceDeployments` takes this many at most.
const DESCRIBE_LIMIT: usize = 20;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeploymentRecord {
    pub(crate) arn: String,
    pub(crate) status: RecordStatus,
    /// ECS's words on the status.
    pub(crate) reason: Option<String>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    /// `BAKE_TIME`, `TEST_TRAFFIC_SHIFT`…; absent for a rolling one.
    pub(crate) stage: Option<String>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) breaker: Option<Breaker>,
    /// The alarms that went off.
    pub(crate) alarms: Vec<String>,
    /// Why ECS went back, and to which service revision.
    pub(crate) rollback_reason: Option<String>,
    pub(crate) rollback_to: Option<String>,
    /// ARN of the service revision that it rolls out.
    pub(crate) revision: Option<String>,
    /// What its configuration makes it wait at least: bake times and the pauses between traffic steps.
    pub(crate) waits: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum RecordStatus {
    #[default]
    Pending,
    InProgress,
    Successful,
    StopRequested,
    Stopped,
    RollbackRequested,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
    /// A word that this version does not know.
    Other(String),
}

impl RecordStatus {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::Successful => "SUCCESSFUL",
            Self::StopRequested => "STOP_REQUESTED",
            Self::Stopped => "STOPPED",
            Self::RollbackRequested => "ROLLBACK_REQUESTED",
            Self::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            Self::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            Self::RollbackFailed => "ROLLBACK_FAILED",
            Self::Other(word) => word,
        }
    }
}

/// A lifecycle hook of the stage that the deployment is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hook {
    pub(crate) id: String,
    /// It waits until somebody calls `ContinueServiceDeployment`, not for a function's answer.
    pub(crate) is_pause: bool,
    /// `AWAITING_ACTION`, `IN_PROGRESS`, `SUCCEEDED`, `FAILED`, `TIMED_OUT`.
    pub(crate) status: String,
    pub(crate) expires_at: Option<Timestamp>,
    /// `CONTINUE` or `ROLLBACK`: what ECS does when the time is up.
    pub(crate) then: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Breaker {
    pub(crate) failures: u32,
    pub(crate) threshold: u32,
    pub(crate) triggered: bool,
}

/// The newest records first, at most 20; only those created after `after`, where it is given.
pub(crate) async fn list(
    clients: &Clients,
    cluster: &str,
    service: &str,
    after: Option<Timestamp>,
) -> Result<Vec<DeploymentRecord>> {
    clients.pace.turn(Budget::ServiceDeployments).await;
    let after = after.map(|after| CreatedAt::builder().after(DateTime::from_secs(after.as_second())).build());
    let listed = clients
        .ecs
        .list_service_deployments()
        .cluster(cluster)
        .service(service)
        .set_created_at(after)
        .send()
        .await
        .map_err(|error| aws("ecs:ListServiceDeployments", &error))?;
    let mut briefs: Vec<_> = listed.service_deployments().iter().collect();
    briefs.sort_by_key(|brief| std::cmp::Reverse(time(brief.created_at())));
    let arns: Vec<String> = briefs
        .into_iter()
        .filter_map(|brief| brief.service_deployment_arn().map(str::to_owned))
        .take(DESCRIBE_LIMIT)
        .collect();
    if arns.is_empty() {
        return Ok(Vec::new());
    }
    clients.pace.turn(Budget::ServiceDeployments).await;
    let described = clients
        .ecs
        .describe_service_deployments()
        .set_service_deployment_arns(Some(arns))
        .send()
        .await
        .map_err(|error| aws("ecs:DescribeServiceDeployments", &error))?;
    let mut records: Vec<_> = described.service_deployments().iter().map(record).collect();
    records.sort_by_key(|record| std::cmp::Reverse(record.created_at));
    Ok(records)
}

fn record(from: &types::ServiceDeployment) -> DeploymentRecord {
    let rollback = from.rollback();
    DeploymentRecord {
        arn: from.service_deployment_arn().unwrap_or_default().to_owned(),
        status: from.status().map_or(RecordStatus::Other("UNKNOWN".to_owned()), status),
        reason: from.status_reason().map(str::to_owned),
        created_at: time(from.created_at()),
        finished_at: time(from.finished_at()),
        stage: from.lifecycle_stage().map(|stage| stage.as_str().to_owned()),
        hooks: from.lifecycle_hook_details().iter().map(hook).collect(),
        breaker: from.deployment_circuit_breaker().map(|breaker| Breaker {
            failures: u32::try_from(breaker.failure_count()).unwrap_or(0),
            threshold: u32::try_from(breaker.threshold()).unwrap_or(0),
            triggered: breaker.status() == Some(&Monitor::Triggered),
        }),
        alarms: from.alarms().map(|alarms| alarms.triggered_alarm_names().to_vec()).unwrap_or_default(),
        rollback_reason: rollback.and_then(types::Rollback::reason).map(str::to_owned),
        rollback_to: rollback.and_then(|rollback| rollback.service_revision_arn()).map(str::to_owned),
        revision: from.target_service_revision().and_then(types::ServiceRevisionSummary::arn).map(str::to_owned),
        waits: from.deployment_configuration().map_or(Duration::ZERO, waits),
    }
}

fn status(from: &types::ServiceDeploymentStatus) -> RecordStatus {
    use types::ServiceDeploymentStatus as Status;
    match from {
        Status::Pending => RecordStatus::Pending,
        Status::InProgress => RecordStatus::InProgress,
        Status::Successful => RecordStatus::Successful,
        Status::StopRequested => RecordStatus::StopRequested,
        Status::Stopped => RecordStatus::Stopped,
        Status::RollbackRequested => RecordStatus::RollbackRequested,
        Status::RollbackInProgress => RecordStatus::RollbackInProgress,
        Status::RollbackSuccessful => RecordStatus::RollbackSuccessful,
        Status::RollbackFailed => RecordStatus::RollbackFailed,
        other => RecordStatus::Other(other.as_str().to_owned()),
    }
}

fn hook(from: &types::DeploymentLifecycleHookDetail) -> Hook {
    Hook {
        id: from.hook_id().unwrap_or_default().to_owned(),
        is_pause: from.target_type() == Some(&types::DeploymentLifecycleHookTargetType::Pause),
        status: from.status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
        expires_at: time(from.expires_at()),
        then: from.timeout_action().map(|action| action.as_str().to_owned()),
    }
}

/// ECS's defaults where the configuration names a strategy and leaves its numbers out: steps of 10 % with 6 min
/// between them, a canary of 10 min.
fn waits(from: &types::DeploymentConfiguration) -> Duration {
    let minutes = |given: Option<i32>, default: u64| given.map_or(default, |given| u64::try_from(given).unwrap_or(0));
    let traffic = match from.strategy() {
        Some(types::DeploymentStrategy::Linear) => {
            let linear = from.linear_configuration();
            let percent = linear.and_then(types::LinearConfiguration::step_percent).unwrap_or(10.0).clamp(1.0, 100.0);
            let mut pauses = 0;
            let mut reached = percent;
            while reached < 100.0 {
                pauses += 1;
                reached += percent;
            }
            pauses * minutes(linear.and_then(types::LinearConfiguration::step_bake_time_in_minutes), 6)
        }
        Some(types::DeploymentStrategy::Canary) => {
            minutes(from.canary_configuration().and_then(types::CanaryConfiguration::canary_bake_time_in_minutes), 10)
        }
        _ => 0,
    };
    Duration::from_mins(traffic + minutes(from.bake_time_in_minutes(), 0))
}

#[cfg(test)]
mod tests {
    use super::waits;
    use aws_sdk_ecs::types::{CanaryConfiguration, DeploymentConfiguration, DeploymentStrategy, LinearConfiguration};

    #[test]
    fn what_a_configuration_makes_one_wait() {
        let minutes = |configuration: DeploymentConfiguration| waits(&configuration).as_secs() / 60;
        let of = |strategy| DeploymentConfiguration::builder().strategy(strategy);
        assert_eq!(minutes(DeploymentConfiguration::builder().build()), 0);
        assert_eq!(minutes(of(DeploymentStrategy::BlueGreen).bake_time_in_minutes(15).build()), 15);
        assert_eq!(minutes(of(DeploymentStrategy::Linear).build()), 54, "nine pauses between ten steps");
        let linear = LinearConfiguration::builder().step_percent(40.0).step_bake_time_in_minutes(5).build();
        let linear = of(DeploymentStrategy::Linear).linear_configuration(linear).bake_time_in_minutes(10);
        assert_eq!(minutes(linear.build()), 20, "40, 80 and 100 per cent: two pauses and the bake");
        let canary = CanaryConfiguration::builder().canary_bake_time_in_minutes(3).build();
        assert_eq!(minutes(of(DeploymentStrategy::Canary).canary_configuration(canary).build()), 3);
        assert_eq!(minutes(of(DeploymentStrategy::Canary).build()), 10);
    }
}
