//! What a stopped task tells: whether it failed, for which cause, and what to do about it.
//!
//! The texts are ECS's own and vary with the platform version, so they are matched by keyword and always shown raw.

use crate::aws::ecs::Task;

/// One failed task of my deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Task id.
    pub(crate) task: String,
    /// ECS's words: the container's reason where it has one, otherwise the task's.
    pub(crate) reason: String,
    pub(crate) exit_code: Option<i32>,
    /// What two tasks must share to have failed alike.
    cause: String,
}

impl Failure {
    /// `None` when the task did not fail: it was scaled in, replaced, stopped by a person, or lost its host.
    pub(crate) fn of(task: &Task, container: &str) -> Option<Self> {
        let stopped = task.stopped_reason.clone().unwrap_or_default();
        let failed = match task.stop_code.as_deref() {
            Some("TaskFailedToStart" | "EssentialContainerExited") => true,
            Some("ServiceSchedulerInitiated") => stopped.contains("health check"),
            _ => false,
        };
        if !failed {
            return None;
        }
        // The container of this image first, then whichever ended badly.
        let mut containers: Vec<_> = task.containers.iter().collect();
        containers.sort_by_key(|candidate| candidate.name != container);
        let culprit = containers
            .iter()
            .find(|candidate| candidate.reason.is_some() || candidate.exit_code.is_some_and(|code| code != 0))
            .or_else(|| containers.iter().find(|candidate| candidate.exit_code.is_some()));
        let exit_code = culprit.and_then(|candidate| candidate.exit_code);
        let reason = culprit.and_then(|candidate| candidate.reason.clone()).unwrap_or_else(|| stopped.clone());
        let cause = format!("{:?}/{}/{exit_code:?}", task.stop_code, without_ids(&reason, &task.id));
        Some(Self { task: task.id.clone(), reason, exit_code, cause })
    }

    /// The reason and the exit code in one phrase.
    pub(crate) fn in_words(&self) -> String {
        match self.exit_code {
            Some(code) => format!("{} (exit code {code})", self.reason),
            None => self.reason.clone(),
        }
    }

    /// What to do about it, for the causes that have one usual remedy.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        let has = |word: &str| self.reason.contains(word);
        Some(if has("matching platform") {
            "the image is built for another platform than the task definition's `runtimePlatform`: compare the two"
        } else if has("CannotPull") && (has("not found") || has("manifest unknown")) {
            "the image is not in the registry any more: look at the repository's lifecycle policy, then deploy again"
        } else if has("CannotPull") && (has("403") || has("denied") || has("permissions")) {
            "the task's execution role may not pull the image: allow ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and \
             ecr:GetAuthorizationToken"
        } else if has("CannotPull") || has("connection issue") || has("i/o timeout") {
            "the task does not reach the registry: check its subnets, NAT or VPC endpoints, and port 443 in its security \
             group"
        } else if has("log group does not exist") || has("logging driver") {
            "create the log group that the task definition names, or set awslogs-create-group"
        } else if has("ResourceInitializationError") && (has("secret") || has("ssm") || has("asm")) {
            "a secret that the task definition names cannot be read: check its ARN and the execution role"
        } else if has("OutOfMemory") || self.exit_code == Some(137) {
            "the container was killed: raise the memory in the task definition, or see why it needs more"
        } else if has("executable file not found") || self.exit_code == Some(127) {
            "the start command is not in the image: check ENTRYPOINT, CMD and the task definition's `command`"
        } else if has("permission denied") || self.exit_code == Some(126) {
            "the start command is not executable for the image's user"
        } else if has("health check") {
            "the task runs but does not get healthy: check the path, the port and the grace period of the health check"
        } else if self.exit_code == Some(0) {
            "the process ended by itself: a service has to keep running in the foreground"
        } else if self.exit_code.is_some() {
            "the application ended by itself: read the container's log, then deploy the fix"
        } else {
            return None;
        })
    }
}

/// How many failures share the cause of the last one; they are given in the order of their end.
pub(crate) fn alike(failures: &[Failure]) -> usize {
    failures.last().map_or(0, |last| failures.iter().filter(|failure| failure.cause == last.cause).count())
}

/// Task ids and counters differ from task to task; the cause does not.
fn without_ids(reason: &str, task: &str) -> String {
    reason.replace(task, "").chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Failure, alike};
    use crate::aws::ecs::{Container, Task};

    pub(in crate::rollout) fn stopped(id: &str, code: &str, reason: &str, exit_code: Option<i32>) -> Task {
        Task {
            id: id.to_owned(),
            started_by: Some("ecs-svc/1".to_owned()),
            last_status: "STOPPED".to_owned(),
            healthy: None,
            stop_code: Some(code.to_owned()),
            stopped_reason: Some(reason.to_owned()),
            stopped_at: None,
            containers: vec![Container {
                name: "api".to_owned(),
                digest: None,
                exit_code,
                reason: None,
                published: Vec::new(),
            }],
        }
    }

    #[test]
    fn only_the_releases_own_faults_count_as_failures() {
        let cases = [
            ("TaskFailedToStart", "CannotPullContainerError: …", true),
            ("EssentialContainerExited", "Essential container in task exited", true),
            ("ServiceSchedulerInitiated", "Task failed ELB health checks in (target-group x)", true),
            ("ServiceSchedulerInitiated", "Task failed container health checks", true),
            ("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/2)", false),
            ("UserInitiated", "Task stopped by user", false),
            ("SpotInterruption", "Your Spot Task was interrupted.", false),
            ("InfrastructureHealth", "ECS is performing maintenance", false),
        ];
        for (code, reason, fails) in cases {
            assert_eq!(Failure::of(&stopped("t", code, reason, None), "api").is_some(), fails, "{reason}");
        }
    }

    #[test]
    fn the_same_cause_is_known_again_although_ids_and_counters_differ() {
        let failure = |id: &str, retries: u8| {
            let reason = format!("CannotPullContainerError: retried {retries} time(s): task {id}: not found");
            Failure::of(&stopped(id, "TaskFailedToStart", &reason, None), "api").expect("it failed")
        };
        assert_eq!(alike(&[failure("aaa", 1), failure("bbb", 5)]), 2);
        let exited = |code| {
            let task = stopped("t", "EssentialContainerExited", "Essential container in task exited", Some(code));
            Failure::of(&task, "api").expect("it failed")
        };
        assert_eq!(alike(&[exited(1), exited(2), exited(1)]), 2);
        assert_eq!(alike(&[]), 0);
    }

    #[test]
    fn the_containers_own_reason_is_told_before_the_tasks() {
        let mut task = stopped("t", "EssentialContainerExited", "Essential container in task exited", Some(137));
        task.containers[0].reason = Some("OutOfMemoryError: Container killed due to memory usage".to_owned());
        let failure = Failure::of(&task, "api").expect("it failed");
        assert_eq!(failure.in_words(), "OutOfMemoryError: Container killed due to memory usage (exit code 137)");
        assert!(failure.hint().is_some_and(|hint| hint.contains("memory")));
    }
}
