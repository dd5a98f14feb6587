//! Why a rollout did not do what was asked: its failed tasks grouped by cause, the last lines of one log, ECS's own
//! words, and one hint. Pure: what was seen goes in, what is told comes out, and it fits on one screen.

use serde::Serialize;

use super::cause::Cause;
use super::failure::{Failure, shape};
use crate::aws::ecs::{DeploymentRecord, RecordStatus};

/// Task ids that are named for each group.
const SAMPLES: usize = 3;

/// Service events that are kept, the last ones.
const EVENTS: usize = 5;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Diagnosis {
    /// The largest group first.
    pub(crate) groups: Vec<Group>,
    /// The log of a task of the first group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<LogTail>,
    /// ECS's service events that tell of trouble, without those that only repeat another; the oldest first.
    pub(crate) events: Vec<String>,
    /// What ECS's own record says of the deployment: its status and reason, circuit breaker, alarms, what it waits for.
    pub(crate) record: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// Tasks that failed alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Group {
    pub(crate) cause: Cause,
    pub(crate) count: usize,
    /// ECS's words on the last of them.
    pub(crate) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<String>,
    /// Ids of the last ones.
    pub(crate) tasks: Vec<String>,
}

/// The end of one container's log, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LogTail {
    pub(crate) task: String,
    pub(crate) container: String,
    pub(crate) lines: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

/// `failures` in the order of their end, `events` in the order of their time.
pub(crate) fn diagnose(
    failures: &[Failure],
    log: Option<LogTail>,
    events: &[String],
    record: Option<&DeploymentRecord>,
) -> Diagnosis {
    let mut groups = group(failures);
    if let (Some(first), Some(log)) = (groups.first_mut(), &log) {
        first.cause = first.cause.refined_by_log(&log.lines);
    }
    let cause = main_cause(&groups, events, record);
    Diagnosis {
        cause,
        hint: cause.and_then(Cause::hint).map(str::to_owned),
        groups,
        log,
        events: without_repeats(events),
        record: record.map(in_words).unwrap_or_default(),
    }
}

/// The failure whose log says most: the last one of the largest group.
pub(crate) fn most_telling(failures: &[Failure]) -> Option<&Failure> {
    largest_first(failures).into_iter().next().and_then(|group| group.last().copied())
}

impl Diagnosis {
    /// What goes into the verdict's reason: the main cause in ECS's words, and the event that explains it.
    pub(crate) fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        if let Some(group) = self.groups.first() {
            causes.push(group.in_words());
        }
        let explained = self.groups.first().is_some_and(|group| group.cause != Cause::LoadBalancerHealth);
        if !explained {
            let telling = self.events.iter().rev().find(|event| Cause::of_event(event).is_some());
            causes.extend(telling.or(self.events.last()).cloned());
        }
        if causes.is_empty() {
            causes.extend(self.record.first().cloned());
        }
        causes
    }
}

impl Group {
    /// `3 tasks: REASON (exit code 1)`; a single one without the count.
    pub(crate) fn in_words(&self) -> String {
        let code = self.exit_code.map_or_else(String::new, |code| format!(" (exit code {code})"));
        match self.count {
            1 => format!("{}{code}", self.reason),
            count => format!("{count} tasks: {}{code}", self.reason),
        }
    }
}

fn group(failures: &[Failure]) -> Vec<Group> {
    let groups = largest_first(failures).into_iter().filter_map(|alike| {
        let last = alike.last()?;
        Some(Group {
            cause: last.cause,
            count: alike.len(),
            reason: last.reason.clone(),
            exit_code: last.exit_code,
            container: last.container.clone(),
            tasks: alike.iter().rev().take(SAMPLES).map(|failure| failure.task.clone()).collect(),
        })
    });
    groups.collect()
}

/// Of two groups of one size, the one that failed last comes first: it is nearer to the end.
fn largest_first(failures: &[Failure]) -> Vec<Vec<&Failure>> {
    let mut groups: Vec<Vec<&Failure>> = Vec::new();
    // From the last one on, so that the stable sort keeps the latest group in front.
    for failure in failures.iter().rev() {
        match groups.iter_mut().find(|group| group[0].is_like(failure)) {
            Some(group) => group.push(failure),
            None => groups.push(vec![failure]),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    for group in &mut groups {
        group.reverse();
    }
    groups
}

fn main_cause(groups: &[Group], events: &[String], record: Option<&DeploymentRecord>) -> Option<Cause> {
    let of_tasks = groups.first().map(|group| group.cause).filter(|cause| *cause != Cause::Unknown);
    let of_alarms = || record.is_some_and(|record| !record.alarms.is_empty()).then_some(Cause::Alarm);
    let of_events = || events.iter().rev().find_map(|event| Cause::of_event(event));
    of_tasks.or_else(of_alarms).or_else(of_events)
}

/// The last of those that differ only in ids and numbers, in the order of their time.
fn without_repeats(events: &[String]) -> Vec<String> {
    let mut kept: Vec<&String> = Vec::new();
    let mut shapes: Vec<String> = Vec::new();
    for event in events.iter().rev() {
        let shape = event_shape(event);
        if !shapes.contains(&shape) {
            shapes.push(shape);
            kept.push(event);
        }
    }
    kept.truncate(EVENTS);
    kept.into_iter().rev().cloned().collect()
}

/// `(task 0a1b…)` is the part that differs.
fn event_shape(event: &str) -> String {
    let mut text = String::new();
    let mut rest = event;
    while let Some(at) = rest.find("(task ") {
        text.push_str(&rest[..at]);
        rest = rest[at..].split_once(')').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    shape(&text, "")
}

/// ECS's record in a few lines.
pub(crate) fn in_words(record: &DeploymentRecord) -> Vec<String> {
    let mut lines = Vec::new();
    let reason = record.rollback_reason.as_ref().or(record.reason.as_ref());
    let status = record.status.as_str();
    lines.push(match (reason, &record.stage) {
        (Some(reason), _) => format!("{status}: {reason}"),
        (None, Some(stage)) if matches!(record.status, RecordStatus::InProgress) => format!("{status}: {stage}"),
        (None, _) => status.to_owned(),
    });
    if let Some(breaker) = record.breaker.filter(|breaker| breaker.failures > 0) {
        let tripped = if breaker.triggered { ", triggered" } else { "" };
        lines.push(format!(
            "circuit breaker: {} of {} failures{tripped}",
            breaker.failures,
            breaker.threshold.max(breaker.failures)
        ));
    }
    if !record.alarms.is_empty() {
        lines.push(format!("alarms: {}", record.alarms.join(", ")));
    }
    lines.extend(record.hooks.iter().filter_map(super::strategy::waiting_hook));
    lines
}

#[cfg(test)]
mod tests {
    use super::super::failure::Failure;
    use super::super::failure::tests::{exited, stopped};
    use super::{Cause, LogTail, diagnose, most_telling};
    use crate::aws::ecs::{Breaker, DeploymentRecord, RecordStatus};

    fn log(lines: &[&str]) -> LogTail {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        LogTail { task: "t".to_owned(), container: "api".to_owned(), lines, note: None }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn failures_are_grouped_and_the_largest_group_comes_first() {
        let failures = [
            exited("id-a", 1),
            exited("id-b", 3),
            exited("id-c", 3),
            exited("id-d", 3),
            exited("id-e", 3),
            exited("id-f", 1),
        ];
        let told = diagnose(&failures, None, &[], None);
        let shape: Vec<_> =
            told.groups.iter().map(|group| (group.count, group.exit_code, group.tasks.join(" "))).collect();
        assert_eq!(shape, [(4, Some(3), "id-e id-d id-c".to_owned()), (2, Some(1), "id-f id-a".to_owned())]);
        assert_eq!(told.causes(), ["4 tasks: Essential container in task exited (exit code 3)"]);
        assert_eq!(told.cause, Some(Cause::Crashed));
        assert_eq!(most_telling(&failures).map(|failure| failure.task.as_str()), Some("id-e"));
        assert_eq!(
            most_telling(&failures[..2]).map(|failure| failure.task.as_str()),
            Some("id-b"),
            "the latest of equals"
        );
        assert_eq!(most_telling(&[]), None);
    }

    #[test]
    fn the_log_decides_where_the_exit_code_says_nothing() {
        let told = diagnose(&[exited("id-a", 1)], Some(log(&["exec /app: exec format error"])), &[], None);
        assert_eq!(told.cause, Some(Cause::WrongPlatform));
        assert!(told.hint.is_some_and(|hint| hint.contains("architecture")));
    }

    #[test]
    fn a_failed_health_check_is_explained_by_its_event() {
        let task = stopped("t", "ServiceSchedulerInitiated", "Task failed ELB health checks in (target-group a)", None);
        let failure = Failure::of(&task, "api").expect("it failed");
        let why = "(service web) (task t) (port 80) is unhealthy in (target-group a) due to (reason [404])";
        let told = diagnose(&[failure], None, &texts(&[why, "(service web) failed somehow"]), None);
        assert_eq!(told.causes(), ["Task failed ELB health checks in (target-group a)", why]);
    }

    #[test]
    fn without_a_task_the_events_tell() {
        let placed = "(service web) was unable to place a task because of x.";
        let told = diagnose(&[], None, &texts(&[placed]), None);
        assert_eq!(told.cause, Some(Cause::Capacity));
        assert_eq!(told.causes(), [placed]);
    }

    #[test]
    fn an_event_that_repeats_is_told_once_and_only_the_last_ones() {
        let mut events = texts(&["(service web) (task 0aa1) failed container health checks."]);
        events.extend((0..9).map(|n| format!("(service web) failed {}", "x".repeat(n))));
        events.push("(service web) (task bb42) failed container health checks.".to_owned());
        let told = diagnose(&[], None, &events, None).events;
        assert_eq!(told.len(), 5);
        assert_eq!(told[4], "(service web) (task bb42) failed container health checks.");
        assert_eq!(told[3], "(service web) failed xxxxxxxx");
    }

    #[test]
    fn the_record_names_breaker_and_alarms() {
        let record = DeploymentRecord {
            status: RecordStatus::RollbackSuccessful,
            reason: Some("Deployment failed: alarm triggered.".to_owned()),
            breaker: Some(Breaker { failures: 2, threshold: 3, triggered: false }),
            alarms: texts(&["too-many-5xx"]),
            ..DeploymentRecord::default()
        };
        let told = diagnose(&[], None, &[], Some(&record));
        assert_eq!(
            told.record,
            [
                "ROLLBACK_SUCCESSFUL: Deployment failed: alarm triggered.",
                "circuit breaker: 2 of 3 failures",
                "alarms: too-many-5xx"
            ]
        );
        assert_eq!(told.cause, Some(Cause::Alarm));
        assert_eq!(told.causes(), ["ROLLBACK_SUCCESSFUL: Deployment failed: alarm triggered."]);
    }
}
