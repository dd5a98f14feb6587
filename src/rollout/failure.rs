//! What a stopped task tells: whether it failed, how, and which container did it.
//!
//! Pure. What lies behind it and what to do is `cause`'s matter.

use jiff::Timestamp;

use super::cause::Cause;
use crate::aws::ecs::{Container, Task};

/// One failed task of my deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Task id.
    pub(crate) task: String,
    /// ECS's words: the container's reason where it has one, otherwise the task's.
    pub(crate) reason: String,
    pub(crate) exit_code: Option<i32>,
    pub(crate) cause: Cause,
    /// The container that did it, and its id on its host, where one is to blame.
    pub(crate) container: Option<String>,
    pub(crate) runtime_id: Option<String>,
    /// ARN of the task definition.
    pub(crate) definition: String,
    pub(crate) stopped_at: Option<Timestamp>,
    /// What two tasks must share to have failed alike.
    likeness: String,
}

impl Failure {
    /// `None` when the task did not fail (it was scaled in, replaced, stopped by a person, or lost its host), and as
    /// long as ECS has not said how: a task is listed as stopped before its container's exit code is known.
    pub(crate) fn of(task: &Task, container: &str) -> Option<Self> {
        let stopped = task.stopped_reason.clone().unwrap_or_default();
        let unhealthy = stopped.contains("health check");
        match task.stop_code.as_deref() {
            Some("TaskFailedToStart" | "EssentialContainerExited") => {}
            Some("ServiceSchedulerInitiated") if unhealthy => {}
            _ => return None,
        }
        let culprit = if unhealthy { None } else { culprit(&task.containers, container) };
        let exit_code = culprit.and_then(|culprit| culprit.exit_code);
        if task.stop_code.as_deref() == Some("EssentialContainerExited")
            && exit_code.is_none()
            && task.last_status != "STOPPED"
        {
            return None;
        }
        let reason = culprit.and_then(|culprit| culprit.reason.clone()).unwrap_or(stopped);
        // Whoever is unhealthy was not to blame alone: its own log says most.
        let writer = culprit.or_else(|| task.container(container));
        Some(Self {
            task: task.id.clone(),
            cause: Cause::of(&reason, exit_code),
            likeness: format!("{:?}/{}/{exit_code:?}", task.stop_code, shape(&reason, &task.id)),
            reason,
            exit_code,
            container: writer.map(|writer| writer.name.clone()),
            runtime_id: writer.and_then(|writer| writer.runtime_id.clone()),
            definition: task.definition.clone(),
            stopped_at: task.stopped_at,
        })
    }

    /// The reason and the exit code in one phrase.
    pub(crate) fn in_words(&self) -> String {
        match self.exit_code {
            Some(code) => format!("{} (exit code {code})", self.reason),
            None => self.reason.clone(),
        }
    }

    /// Whether its containers ever ran, so that there may be a log.
    pub(crate) fn has_run(&self) -> bool {
        self.exit_code.is_some() || matches!(self.cause, Cause::LoadBalancerHealth | Cause::ContainerHealth)
    }

    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.likeness == other.likeness
    }
}

/// The container that brought the task down: of those that ended badly, one that was not merely told to stop because
/// another had ended, and the image's own before a sidecar.
fn culprit<'a>(containers: &'a [Container], own: &str) -> Option<&'a Container> {
    let ended = containers.iter().filter(|container| container.reason.is_some() || container.exit_code.is_some());
    ended.min_by_key(|container| {
        let badly = container.reason.is_some() || container.exit_code != Some(0);
        let told_to_stop = container.reason.is_none() && matches!(container.exit_code, Some(137 | 143));
        (!badly, told_to_stop, container.name != own)
    })
}

/// How many failures are like the last one; they are given in the order of their end.
pub(crate) fn alike(failures: &[Failure]) -> usize {
    failures.last().map_or(0, |last| failures.iter().filter(|failure| failure.is_like(last)).count())
}

/// The text without what differs from task to task: ids and counters.
pub(super) fn shape(text: &str, task: &str) -> String {
    let text = if task.is_empty() { text.to_owned() } else { text.replace(task, "") };
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Failure, alike};
    use crate::aws::ecs::{Container, Task};
    use crate::rollout::cause::Cause;

    pub(in crate::rollout) fn stopped(id: &str, code: &str, reason: &str, exit_code: Option<i32>) -> Task {
        Task {
            id: id.to_owned(),
            started_by: Some("ecs-svc/1".to_owned()),
            last_status: "STOPPED".to_owned(),
            stop_code: Some(code.to_owned()),
            stopped_reason: Some(reason.to_owned()),
            containers: vec![Container { name: "api".to_owned(), exit_code, ..Container::default() }],
            ..Task::default()
        }
    }

    pub(in crate::rollout) fn exited(id: &str, code: i32) -> Failure {
        let task = stopped(id, "EssentialContainerExited", "Essential container in task exited", Some(code));
        Failure::of(&task, "api").expect("it failed")
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
    fn a_task_that_still_stops_counts_once_it_is_known_how_it_failed() {
        let mut task = stopped("t", "EssentialContainerExited", "Essential container in task exited", None);
        task.last_status = "STOPPING".to_owned();
        assert_eq!(Failure::of(&task, "api"), None);
        task.containers[0].exit_code = Some(2);
        assert!(Failure::of(&task, "api").is_some());
        let mut task = stopped("t", "ServiceSchedulerInitiated", "Task failed ELB health checks in (x)", None);
        task.last_status = "DEACTIVATING".to_owned();
        assert!(Failure::of(&task, "api").is_some(), "draining may take minutes, and the reason is known");
    }

    #[test]
    fn the_same_cause_is_known_again_although_ids_and_counters_differ() {
        let failure = |id: &str, retries: u8| {
            let reason = format!("CannotPullContainerError: retried {retries} time(s): task {id}: not found");
            Failure::of(&stopped(id, "TaskFailedToStart", &reason, None), "api").expect("it failed")
        };
        assert_eq!(alike(&[failure("aaa", 1), failure("bbb", 5)]), 2);
        assert_eq!(alike(&[exited("id-a", 1), exited("id-b", 2), exited("id-c", 1)]), 2);
        assert_eq!(alike(&[]), 0);
        // How a container ends that was taken down for its health differs from time to time.
        let unhealthy = |code| {
            let task = stopped("t", "ServiceSchedulerInitiated", "Task failed container health checks", Some(code));
            Failure::of(&task, "api").expect("it failed")
        };
        assert_eq!(alike(&[unhealthy(137), unhealthy(143)]), 2);
    }

    #[test]
    fn the_containers_own_reason_is_told_before_the_tasks() {
        let mut task = stopped("t", "EssentialContainerExited", "Essential container in task exited", Some(137));
        task.containers[0].reason = Some("OutOfMemoryError: Container killed due to memory usage".to_owned());
        let failure = Failure::of(&task, "api").expect("it failed");
        assert_eq!(failure.in_words(), "OutOfMemoryError: Container killed due to memory usage (exit code 137)");
        assert_eq!(failure.cause, Cause::OutOfMemory);
    }

    #[test]
    fn the_container_that_brought_the_task_down_is_found() {
        let cases: [(&[(&str, i32)], &str); 5] = [
            (&[("api", 1), ("log", 143)], "api"),
            (&[("log", 2), ("api", 143)], "log"),
            (&[("log", 2), ("api", 137)], "log"),
            (&[("log", 1), ("api", 1)], "api"),
            (&[("log", 0), ("api", 143)], "api"),
        ];
        for (ended, expected) in cases {
            let mut task = stopped("t", "EssentialContainerExited", "Essential container in task exited", None);
            let container = |(name, code): &(&str, i32)| Container {
                name: (*name).to_owned(),
                exit_code: Some(*code),
                ..Container::default()
            };
            task.containers = ended.iter().map(container).collect();
            let failure = Failure::of(&task, "api").expect("it failed");
            assert_eq!(failure.container.as_deref(), Some(expected), "{ended:?}");
        }
    }
}
