//! The script of a stand-in without containers: how tasks behave, what a service is like, and which calls fail.
//! It says what would take real ECS half an hour to produce, or cannot be produced at will.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::clock::Millis;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Script {
    /// How many times faster than the clock scripted time passes; 1 when absent.
    pub(crate) speed: Option<u32>,
    /// ECS's published rates are enforced, by the clock and not by `speed`.
    pub(crate) rates: bool,
    /// Actions that are refused, as IAM names them (`ecs:UpdateService`).
    pub(crate) deny: Vec<String>,
    pub(crate) faults: Vec<InjectedFault>,
    /// How long a session of STS lasts, whatever was asked for: AWS itself gives none of less than 15 minutes.
    pub(crate) session_seconds: Option<i64>,
    /// By `CLUSTER/SERVICE`.
    pub(crate) services: BTreeMap<String, ServiceScript>,
    /// By repository: what becomes of the scans of its images.
    pub(crate) scans: BTreeMap<String, ScanScript>,
}

/// The way of every scan in one repository. Without states it takes a moment and ends well.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ScanScript {
    /// One after the other since the scan began; the last one stays.
    pub(crate) states: Vec<ScanState>,
    pub(crate) findings: Vec<ScanFinding>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ScanState {
    /// As ECR names it; `NONE`: there is no scan yet.
    pub(crate) status: String,
    pub(crate) lasts_ms: Millis,
    pub(crate) description: Option<String>,
    /// COMPLETE or ACTIVE, but the findings are not there.
    pub(crate) no_results: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ScanFinding {
    pub(crate) id: String,
    /// `CRITICAL`, `HIGH`…
    pub(crate) severity: String,
    pub(crate) package: String,
    pub(crate) installed: String,
    /// Only enhanced scanning tells it.
    pub(crate) fixed: Option<String>,
}

/// Something that goes wrong on the wire.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a way of its own in which a call goes wrong")]
pub(crate) struct InjectedFault {
    /// An action as IAM names it, without the service (`DescribeServices`, `InitiateLayerUpload`).
    pub(crate) operation: String,
    /// The registry's operations and S3's only: those of this repository or bucket, and nobody else's.
    pub(crate) repository: Option<String>,
    /// How many calls are answered properly first.
    pub(crate) after: u32,
    /// How many calls it hits; for ever when absent.
    pub(crate) times: Option<u32>,
    pub(crate) status: Option<u16>,
    /// The exception's name.
    pub(crate) error: Option<String>,
    pub(crate) message: Option<String>,
    /// The connection is closed without an answer.
    pub(crate) drop: bool,
    /// ECS, ECR and S3 only: the call does what it is for, and only then the connection closes or the error is answered.
    pub(crate) after_effect: bool,
    /// `GetDownloadUrlForLayer` only: the layer is delivered with another first byte.
    pub(crate) altered: bool,
    /// `GetDownloadUrlForLayer` only: the layer breaks off after its first bytes.
    pub(crate) cut: bool,
    /// The answer comes late; on its own it is a proper answer.
    pub(crate) delay_ms: u64,
    /// `DescribeServices` only: the answer is the one from before the last `UpdateService`.
    pub(crate) stale: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServiceScript {
    /// The service runs from the start: this digest is what its tasks show.
    pub(crate) running: Option<String>,
    /// `ACTIVE`, `DRAINING`, `INACTIVE`, or `MISSING` for a service that is not there at all.
    pub(crate) status: Option<String>,
    /// `ECS`, `CODE_DEPLOY` or `EXTERNAL`.
    pub(crate) controller: Option<String>,
    pub(crate) desired: Option<u32>,
    pub(crate) breaker: Option<BreakerScript>,
    /// `ROLLING`, `BLUE_GREEN`, `LINEAR` or `CANARY`.
    pub(crate) strategy: Option<String>,
    /// The bake time that its configuration shows. How long a deployment bakes is what its stages say.
    pub(crate) bake_minutes: Option<u32>,
    /// A deployment counts as completed when its tasks are healthy, while old tasks still run.
    pub(crate) early_success: Option<bool>,
    /// With `early_success`: so long the old tasks still run after that.
    pub(crate) clean_up_after_ms: Option<Millis>,
    /// `enabled` or `disabled`: what every container of its task definition says from here on.
    pub(crate) version_consistency: Option<String>,
    pub(crate) minimum_healthy_percent: Option<u32>,
    pub(crate) maximum_percent: Option<u32>,
    /// The deployments made by `UpdateService`, in order; the last one is also that of all later ones.
    pub(crate) deployments: Vec<DeploymentScript>,
    /// The tasks that `RunTask` starts from this service's task definition, in order; the last one is also that of all
    /// later ones. Without any, each ends at once with code 0.
    pub(crate) run_tasks: Vec<TaskScript>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BreakerScript {
    pub(crate) enable: bool,
    pub(crate) rollback: bool,
    /// A rollback makes a deployment with a new id in place of taking up the old one; both have been seen with AWS.
    pub(crate) new_id: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DeploymentScript {
    /// The tasks in the order of their start; the last one is also that of all later ones.
    pub(crate) tasks: Vec<TaskScript>,
    /// The digest that the tasks show, whatever `latest` leads to.
    pub(crate) digest: Option<String>,
    /// Somebody else forces a new deployment this long after this one began.
    pub(crate) superseded_after_ms: Option<Millis>,
    /// What it goes through between SCALE_UP and CLEAN_UP, unless the strategy is a rolling one.
    pub(crate) stages: Vec<StageScript>,
}

/// A lifecycle stage of a blue/green, linear or canary deployment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StageScript {
    /// As ECS names it: `TEST_TRAFFIC_SHIFT`, `PRODUCTION_TRAFFIC_SHIFT`, `BAKE_TIME`…
    pub(crate) name: String,
    pub(crate) lasts_ms: u64,
    pub(crate) pause: Option<PauseScript>,
    /// It ends here, and ECS goes back, for this reason.
    pub(crate) fails: Option<String>,
    /// It ends here, and nothing takes its place, for this reason.
    pub(crate) stopped: Option<String>,
}

/// A hook that waits for `ContinueServiceDeployment`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PauseScript {
    pub(crate) hook: String,
    pub(crate) timeout_ms: u64,
    /// When nobody answers it goes on; otherwise it goes back, which is ECS's default.
    pub(crate) then_continue: bool,
}

/// How one task lives. Without any member: it is up at once, stays healthy, and ends when told to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TaskScript {
    pub(crate) pending_ms: u64,
    /// It never runs, for this reason.
    pub(crate) fail_to_start: Option<String>,
    /// The wait between RUNNING and healthy.
    pub(crate) healthy_after_ms: u64,
    /// It runs but never becomes healthy: after `healthy_after_ms` it is taken down for this reason.
    pub(crate) unhealthy: Option<String>,
    pub(crate) exit: Option<ExitScript>,
    /// How long it takes to stop after SIGTERM.
    pub(crate) drain_ms: u64,
    /// What its container writes before it ends.
    pub(crate) log: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ExitScript {
    pub(crate) after_ms: u64,
    pub(crate) code: i32,
    /// The container's own reason, as in `OutOfMemoryError: Container killed due to memory usage`.
    pub(crate) reason: Option<String>,
}

impl ServiceScript {
    /// What the deployment with this number does; 1 is the first that `UpdateService` makes, 0 the seeded one.
    pub(crate) fn deployment(&self, ordinal: u32) -> DeploymentScript {
        let Some(index) = usize::try_from(ordinal).unwrap_or(usize::MAX).checked_sub(1) else {
            return DeploymentScript::default();
        };
        self.deployments.get(index).or(self.deployments.last()).cloned().unwrap_or_default()
    }
}

impl ServiceScript {
    /// What the one-off task with this number, counted from 0, does.
    pub(crate) fn run_task(&self, number: u32) -> TaskScript {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let at_once = || TaskScript { exit: Some(ExitScript::default()), ..TaskScript::default() };
        self.run_tasks.get(index).or(self.run_tasks.last()).cloned().unwrap_or_else(at_once)
    }
}

impl DeploymentScript {
    /// What the deployment's task with this number, counted from 0, does.
    pub(crate) fn task(&self, number: u32) -> TaskScript {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        self.tasks.get(index).or(self.tasks.last()).cloned().unwrap_or_default()
    }
}

/// # Errors
/// Where in the script, and what is wrong there.
pub(crate) fn parse(json: &[u8]) -> Result<Script, String> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(json)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_last_task_and_the_last_deployment_go_on_for_ever() {
        let script = parse(
            br#"{"services": {"dev/api": {"deployments": [
                {"tasks": [{"fail_to_start": "no"}, {"exit": {"code": 3}}]},
                {"digest": "sha256:other"}
            ]}}}"#,
        )
        .unwrap();
        let service = &script.services["dev/api"];
        assert!(service.deployment(0).tasks.is_empty(), "the seeded deployment is not scripted");
        assert_eq!(service.deployment(1).task(0).fail_to_start.as_deref(), Some("no"));
        assert_eq!(service.deployment(1).task(7).exit.unwrap().code, 3);
        assert_eq!(service.deployment(9).digest.as_deref(), Some("sha256:other"));
    }

    #[test]
    fn a_misspelt_member_is_refused_with_its_place() {
        let error = parse(br#"{"services": {"dev/api": {"deploymnets": []}}}"#).unwrap_err();
        assert!(error.contains("services.dev/api") && error.contains("deploymnets"), "{error}");
    }
}
