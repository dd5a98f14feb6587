//! The proof: every running task of the service was started by my deployment and runs my digest, as many as desired.
//!
//! Pure. `COMPLETED` is not enough: with early success criteria old tasks still run, and when somebody pushed between
//! my push and the first task, my deployment runs their image.

use crate::aws::ecs::Task;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// So many tasks run my digest, and no other task runs.
    Proven { tasks: u32 },
    /// Not yet; what is still missing, in words.
    Waiting { reason: String },
    /// Something else runs, and waiting will not change it.
    Refuted { reason: String },
}

/// `digests`: the pushed manifest, and its child for the platform where it is an index. `tasks`: those that ECS means
/// to run.
pub(crate) fn prove(tasks: &[Task], mine: &str, container: &str, digests: &[String], desired: u32) -> Proof {
    if desired == 0 {
        return Proof::Refuted { reason: "the service's desired count is 0, so nothing runs".to_owned() };
    }
    let (mut good, mut unsure, mut old) = (0_u32, 0_u32, 0_u32);
    for task in tasks {
        if task.started_by.as_deref() != Some(mine) {
            old += 1;
            continue;
        }
        match task.container(container).and_then(|container| container.digest.as_ref()) {
            Some(digest) if !digests.contains(digest) => {
                return Proof::Refuted {
                    reason: format!("task {} of this deployment runs {digest}, which is not what was pushed", task.id),
                };
            }
            Some(_) if task.last_status == "RUNNING" && task.healthy != Some(false) => good += 1,
            // Not started far enough to have a digest: absence is no mismatch.
            _ => unsure += 1,
        }
    }
    if good >= desired && old == 0 {
        return Proof::Proven { tasks: good };
    }
    let mut missing = Vec::new();
    if good < desired {
        missing.push(format!("{good} of {desired} tasks run the pushed digest"));
    }
    if unsure > 0 {
        missing.push(format!("{unsure} not yet running or healthy"));
    }
    if old > 0 {
        missing.push(format!("{old} of other deployments still there"));
    }
    Proof::Waiting { reason: missing.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::{Proof, prove};
    use crate::aws::ecs::{Container, Task};

    fn task(by: &str, digest: Option<&str>, status: &str, healthy: Option<bool>) -> Task {
        Task {
            id: "t1".to_owned(),
            started_by: Some(by.to_owned()),
            last_status: status.to_owned(),
            healthy,
            containers: vec![Container {
                name: "api".to_owned(),
                digest: digest.map(str::to_owned),
                ..Container::default()
            }],
            ..Task::default()
        }
    }

    fn judged(tasks: &[Task], desired: u32) -> Proof {
        prove(tasks, "mine", "api", &["sha256:index".to_owned(), "sha256:child".to_owned()], desired)
    }

    #[test]
    fn proven_by_the_manifest_or_its_child() {
        let tasks = [
            task("mine", Some("sha256:index"), "RUNNING", None),
            task("mine", Some("sha256:child"), "RUNNING", Some(true)),
        ];
        assert_eq!(judged(&tasks, 2), Proof::Proven { tasks: 2 });
    }

    #[test]
    fn refuted_by_another_digest_and_by_an_empty_service() {
        let tasks =
            [task("mine", Some("sha256:index"), "RUNNING", None), task("mine", Some("sha256:other"), "RUNNING", None)];
        assert!(matches!(judged(&tasks, 2), Proof::Refuted { reason } if reason.contains("sha256:other")));
        assert!(matches!(judged(&[], 0), Proof::Refuted { .. }));
    }

    #[test]
    fn waits_for_whatever_is_not_certain() {
        let good = task("mine", Some("sha256:index"), "RUNNING", None);
        let cases = [
            (vec![good.clone()], "1 of 2 tasks"),
            (vec![good.clone(), task("mine", None, "RUNNING", None)], "1 not yet"),
            (vec![good.clone(), task("mine", Some("sha256:index"), "PENDING", None)], "1 not yet"),
            (vec![good.clone(), task("mine", Some("sha256:index"), "RUNNING", Some(false))], "1 not yet"),
            (vec![good.clone(), good, task("old", Some("sha256:index"), "RUNNING", None)], "1 of other deployments"),
            (vec![], "0 of 2"),
        ];
        for (tasks, expected) in cases {
            match judged(&tasks, 2) {
                Proof::Waiting { reason } => assert!(reason.contains(expected), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
