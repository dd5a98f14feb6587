//! The judgement on a rollout: a pure function of what ECS answered and when.
//!
//! It goes by the id of my deployment, never by "the service is stable": after a rollback by the circuit breaker, and
//! after somebody else's deployment, the service is stable too. `Completed` is not yet `deployed`: `proof` follows.

use std::time::Duration;

use super::failure::{Failure, alike};
use crate::aws::ecs::{Deployment, DeploymentStatus, RolloutState, Service, ServiceStatus};

/// ECS may not show a new deployment at once (eventual consistency): so long it is waited for.
const APPEARS_WITHIN: Duration = Duration::from_secs(60);

/// One answer without a deployment that was seen before may come from a replica that lags: so long it is doubted.
const GONE_AFTER: Duration = Duration::from_secs(10);

/// The same failure so many times, with nothing running, is a crash loop.
const CRASH_LOOP: usize = 2;

/// So many are one even while another attempt runs.
const CRASH_LOOP_WHILE_RUNNING: usize = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Waiting,
    /// ECS calls my deployment complete, and it is the PRIMARY.
    Completed,
    Ended(Ending),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// ECS gave it up (circuit breaker without rollback).
    Failed {
        reason: String,
    },
    /// ECS went back to an earlier deployment.
    RolledBack {
        to: Option<String>,
        reason: String,
    },
    /// The same failure again and again; ECS itself would go on trying.
    CrashLoop {
        failures: usize,
    },
    /// Somebody else's deployment took the place of mine.
    Superseded {
        by: String,
    },
    /// The service is being deleted, or is.
    ServiceGone {
        status: String,
    },
    TimedOut,
}

/// What is known of my deployment so far.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    mine: String,
    timeout: Duration,
    fail_fast: bool,
    /// When my deployment was created, once it was seen.
    seen: Option<Deployment>,
    missing_since: Option<Duration>,
    /// How many tasks had failed when ECS first called it complete.
    failures_when_complete: Option<usize>,
}

impl Decision {
    pub(crate) fn new(mine: &str, timeout: Duration, fail_fast: bool) -> Self {
        Self {
            mine: mine.to_owned(),
            timeout,
            fail_fast,
            seen: None,
            missing_since: None,
            failures_when_complete: None,
        }
    }

    /// Takes one answer in. `at` is the time since the rollout began; `failures` are all failed tasks of my deployment
    /// so far, in the order of their end. `None` for the service: ECS says that there is none.
    pub(crate) fn observe(&mut self, service: Option<&Service>, failures: &[Failure], at: Duration) -> Progress {
        let progress = self.judge(service, failures, at);
        if progress == Progress::Waiting && at >= self.timeout {
            return Progress::Ended(Ending::TimedOut);
        }
        progress
    }

    /// The time is up although ECS did not answer any more.
    pub(crate) fn is_over(&self, at: Duration) -> bool {
        at >= self.timeout
    }

    fn judge(&mut self, service: Option<&Service>, failures: &[Failure], at: Duration) -> Progress {
        let Some(service) = service else {
            return self.absent(at, |_| Ending::ServiceGone { status: "MISSING".to_owned() });
        };
        match &service.status {
            ServiceStatus::Draining => return gone("DRAINING"),
            ServiceStatus::Inactive => return gone("INACTIVE"),
            ServiceStatus::Active | ServiceStatus::Other(_) => {}
        }
        let Some(mine) = service.deployment(&self.mine) else {
            let Some(primary) = service.primary() else { return Progress::Waiting };
            if self.seen.is_some() && (rolls_back(primary) || self.has_failed_by_events(service)) {
                return Progress::Ended(rolled_back(primary));
            }
            return self.absent(at, |seen| replaced(seen, primary));
        };
        self.seen = Some(mine.clone());
        self.missing_since = None;
        if mine.rollout == Some(RolloutState::Failed) {
            let reason = mine.reason.clone().unwrap_or_else(|| "ECS gave the deployment up".to_owned());
            return Progress::Ended(match service.primary().filter(|primary| primary.id != self.mine) {
                Some(primary) => Ending::RolledBack { to: Some(primary.id.clone()), reason },
                None => Ending::Failed { reason },
            });
        }
        if mine.status != DeploymentStatus::Primary {
            return match service.primary() {
                Some(primary) if rolls_back(primary) => Progress::Ended(rolled_back(primary)),
                Some(primary) => Progress::Ended(Ending::Superseded { by: primary.id.clone() }),
                None => Progress::Waiting,
            };
        }
        let complete = is_complete(mine, service);
        let same = alike(failures);
        let looping = same >= CRASH_LOOP_WHILE_RUNNING || (same >= CRASH_LOOP && mine.running == 0);
        // Tasks that live for a moment can make ECS call it complete between two crashes.
        if complete && self.failures_when_complete.is_none() {
            self.failures_when_complete = Some(failures.len());
        }
        let since_complete = self.failures_when_complete.map_or(0, |before| failures.len().saturating_sub(before));
        let goes_on = !complete || mine.running < mine.desired || since_complete >= CRASH_LOOP_WHILE_RUNNING;
        if self.fail_fast && looping && goes_on {
            return Progress::Ended(Ending::CrashLoop { failures: same });
        }
        if complete { Progress::Completed } else { Progress::Waiting }
    }

    /// A failed deployment vanishes from the list; the service's events keep what became of it.
    fn has_failed_by_events(&self, service: &Service) -> bool {
        let mine = format!("(deployment {}) deployment failed", self.mine);
        service.events.iter().any(|event| event.text.contains(&mine))
    }

    /// My deployment is not in the answer: not yet, or not any more.
    fn absent(&mut self, at: Duration, ending: impl Fn(Option<&Deployment>) -> Ending) -> Progress {
        let since = *self.missing_since.get_or_insert(at);
        let patience = if self.seen.is_some() { GONE_AFTER } else { APPEARS_WITHIN };
        if at.saturating_sub(since) < patience {
            return Progress::Waiting;
        }
        Progress::Ended(ending(self.seen.as_ref()))
    }
}

/// Behind a Classic Load Balancer ECS gives no rollout state: then the counts have to say it.
fn is_complete(mine: &Deployment, service: &Service) -> bool {
    match mine.rollout {
        Some(state) => state == RolloutState::Completed,
        None => {
            service.deployments.len() == 1
                && mine.running == mine.desired
                && mine.desired == service.desired
                && mine.pending == 0
        }
    }
}

/// Whether ECS has made this deployment the PRIMARY again to undo a later one.
pub(crate) fn rolls_back(primary: &Deployment) -> bool {
    primary.reason.as_deref().is_some_and(|reason| reason.contains("rolling back"))
}

fn rolled_back(primary: &Deployment) -> Ending {
    let reason = match &primary.reason {
        Some(reason) if rolls_back(primary) => reason.clone(),
        _ => "ECS deployment circuit breaker: tasks failed to start.".to_owned(),
    };
    Ending::RolledBack { to: Some(primary.id.clone()), reason }
}

/// An older PRIMARY means that ECS went back; a newer one is somebody else's.
fn replaced(mine: Option<&Deployment>, primary: &Deployment) -> Ending {
    let older = match (mine.and_then(|mine| mine.created_at), primary.created_at) {
        (Some(mine), Some(theirs)) => theirs < mine,
        _ => false,
    };
    if older {
        let reason = "ECS shows the deployment before it as PRIMARY again".to_owned();
        Ending::RolledBack { to: Some(primary.id.clone()), reason }
    } else {
        Ending::Superseded { by: primary.id.clone() }
    }
}

fn gone(status: &str) -> Progress {
    Progress::Ended(Ending::ServiceGone { status: status.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::failure::{Failure, tests::stopped};
    use super::{Decision, Ending, Progress};
    use crate::aws::ecs::{
        Controller, Deployment, DeploymentStatus, RolloutState, Service, ServiceEvent, ServiceStatus,
    };
    use jiff::Timestamp;
    use std::time::Duration;

    fn deployment(id: &str, status: DeploymentStatus, rollout: RolloutState) -> Deployment {
        Deployment {
            id: id.to_owned(),
            status,
            rollout: Some(rollout),
            reason: None,
            created_at: None,
            desired: 2,
            running: 0,
            pending: 0,
            failed: 0,
        }
    }

    fn mine(rollout: RolloutState) -> Deployment {
        deployment("mine", DeploymentStatus::Primary, rollout)
    }

    fn service(deployments: Vec<Deployment>) -> Service {
        Service {
            arn: "arn".to_owned(),
            status: ServiceStatus::Active,
            controller: Controller::Ecs,
            strategy: "ROLLING".to_owned(),
            desired: 2,
            running: 2,
            pending: 0,
            task_definition: "td".to_owned(),
            deployments,
            events: Vec::new(),
        }
    }

    fn crash(n: usize) -> Vec<Failure> {
        let task = stopped("t", "EssentialContainerExited", "Essential container in task exited", Some(1));
        vec![Failure::of(&task, "api").expect("it failed"); n]
    }

    /// Feeds the answers in, two seconds apart, and returns the last judgement.
    fn after(answers: &[Service]) -> Progress {
        let mut decision = Decision::new("mine", Duration::from_secs(600), true);
        let mut last = Progress::Waiting;
        for (n, answer) in answers.iter().enumerate() {
            last = decision.observe(Some(answer), &[], Duration::from_secs(2 * n as u64));
            if last != Progress::Waiting {
                break;
            }
        }
        last
    }

    fn ended(ending: Ending) -> Progress {
        Progress::Ended(ending)
    }

    #[test]
    fn complete_only_as_the_primary() {
        use DeploymentStatus::{Active, Primary};
        use RolloutState::{Completed, InProgress};
        let old = deployment("old", Active, Completed);
        assert_eq!(after(&[service(vec![mine(InProgress), old.clone()])]), Progress::Waiting);
        assert_eq!(after(&[service(vec![mine(Completed)])]), Progress::Completed);
        let theirs = deployment("theirs", Primary, Completed);
        let overtaken = service(vec![theirs, deployment("mine", Active, Completed)]);
        assert_eq!(after(&[overtaken]), ended(Ending::Superseded { by: "theirs".to_owned() }));
    }

    #[test]
    fn a_rollback_is_told_although_the_service_gets_stable_again() {
        use DeploymentStatus::{Active, Primary};
        use RolloutState::{Completed, Failed, InProgress};
        let mut back = deployment("old", Primary, InProgress);
        back.reason = Some("ECS deployment circuit breaker: rolling back to deploymentId old.".to_owned());
        let failed = deployment("mine", Active, Failed);
        let told = after(&[service(vec![mine(InProgress)]), service(vec![back.clone(), failed])]);
        assert!(matches!(told, Progress::Ended(Ending::RolledBack { to: Some(id), .. }) if id == "old"));
        // The failed deployment may have vanished between two polls, and the reason with it.
        let told = after(&[service(vec![mine(InProgress)]), service(vec![back])]);
        assert!(matches!(told, Progress::Ended(Ending::RolledBack { .. })));
        let mut started = mine(InProgress);
        started.created_at = Timestamp::from_second(2000).ok();
        let mut stable = deployment("old", Primary, Completed);
        stable.created_at = Timestamp::from_second(1000).ok();
        let stable = service(vec![stable]);
        let mut answers = vec![service(vec![started])];
        answers.extend(std::iter::repeat_n(stable, 8));
        assert!(matches!(after(&answers), Progress::Ended(Ending::RolledBack { .. })));
    }

    #[test]
    fn a_rollback_that_ended_between_two_looks_is_told_by_the_events() {
        let mut back = service(vec![deployment("new id", DeploymentStatus::Primary, RolloutState::Completed)]);
        back.events.push(ServiceEvent {
            id: "e".to_owned(),
            at: None,
            text: "(service api) (deployment mine) deployment failed: tasks failed to start.".to_owned(),
        });
        let told = after(&[service(vec![mine(RolloutState::InProgress)]), back]);
        assert!(matches!(told, Progress::Ended(Ending::RolledBack { to: Some(id), .. }) if id == "new id"));
    }

    #[test]
    fn one_stale_answer_ends_nothing() {
        use DeploymentStatus::Primary;
        use RolloutState::{Completed, InProgress};
        let stale = service(vec![deployment("old", Primary, Completed)]);
        let fresh = service(vec![mine(InProgress)]);
        let done = service(vec![mine(Completed)]);
        assert_eq!(after(&[stale.clone(), stale.clone(), fresh.clone(), stale, fresh, done]), Progress::Completed);
    }

    #[test]
    fn a_deployment_that_never_appears_was_superseded() {
        let other = service(vec![deployment("theirs", DeploymentStatus::Primary, RolloutState::InProgress)]);
        let told = after(&vec![other; 40]);
        assert_eq!(told, ended(Ending::Superseded { by: "theirs".to_owned() }));
    }

    #[test]
    fn a_breaker_without_rollback_is_a_failure() {
        let mut failed = mine(RolloutState::Failed);
        failed.reason = Some("ECS deployment circuit breaker: tasks failed to start.".to_owned());
        let told = after(&[service(vec![failed])]);
        assert!(matches!(told, Progress::Ended(Ending::Failed { reason }) if reason.contains("failed to start")));
    }

    #[test]
    fn a_crash_loop_is_told_at_the_second_identical_failure() {
        let answer = service(vec![mine(RolloutState::InProgress)]);
        let at = Duration::from_secs(5);
        let mut decision = Decision::new("mine", Duration::from_secs(600), true);
        assert_eq!(decision.observe(Some(&answer), &crash(1), at), Progress::Waiting);
        assert_eq!(decision.observe(Some(&answer), &crash(2), at), ended(Ending::CrashLoop { failures: 2 }));
        let mut patient = Decision::new("mine", Duration::from_secs(600), false);
        assert_eq!(patient.observe(Some(&answer), &crash(9), at), Progress::Waiting);
        let mut running = mine(RolloutState::InProgress);
        running.running = 1;
        let running = service(vec![running]);
        assert_eq!(decision.observe(Some(&running), &crash(2), at), Progress::Waiting);
        assert_eq!(decision.observe(Some(&running), &crash(3), at), ended(Ending::CrashLoop { failures: 3 }));
    }

    #[test]
    fn a_crash_loop_is_one_although_ecs_calls_it_complete_between_two_crashes() {
        let mut done = mine(RolloutState::Completed);
        done.running = 1;
        let mut decision = Decision::new("mine", Duration::from_secs(600), true);
        let at = Duration::from_secs(5);
        let told = decision.observe(Some(&service(vec![done.clone()])), &crash(3), at);
        assert_eq!(told, ended(Ending::CrashLoop { failures: 3 }));
        // Two failures on the way to two healthy tasks are none.
        done.running = 2;
        let done = service(vec![done]);
        let mut decision = Decision::new("mine", Duration::from_secs(600), true);
        assert_eq!(decision.observe(Some(&done), &crash(2), at), Progress::Completed);
        // Three more after that are a loop, however many run at the moment of the look.
        assert_eq!(decision.observe(Some(&done), &crash(5), at), ended(Ending::CrashLoop { failures: 5 }));
    }

    #[test]
    fn a_service_that_goes_away_ends_it() {
        let mut draining = service(vec![mine(RolloutState::InProgress)]);
        draining.status = ServiceStatus::Draining;
        assert_eq!(after(&[draining]), ended(Ending::ServiceGone { status: "DRAINING".to_owned() }));
        let mut decision = Decision::new("mine", Duration::from_secs(600), true);
        let answer = service(vec![mine(RolloutState::InProgress)]);
        assert_eq!(decision.observe(Some(&answer), &[], Duration::ZERO), Progress::Waiting);
        assert_eq!(decision.observe(None, &[], Duration::from_secs(1)), Progress::Waiting);
        let told = decision.observe(None, &[], Duration::from_secs(20));
        assert_eq!(told, ended(Ending::ServiceGone { status: "MISSING".to_owned() }));
    }

    #[test]
    fn the_time_runs_out_only_while_it_waits() {
        let mut decision = Decision::new("mine", Duration::from_secs(10), true);
        let waiting = service(vec![mine(RolloutState::InProgress)]);
        assert_eq!(decision.observe(Some(&waiting), &[], Duration::from_secs(9)), Progress::Waiting);
        assert_eq!(decision.observe(Some(&waiting), &[], Duration::from_secs(10)), ended(Ending::TimedOut));
        let done = service(vec![mine(RolloutState::Completed)]);
        assert_eq!(decision.observe(Some(&done), &[], Duration::from_secs(11)), Progress::Completed);
    }

    #[test]
    fn without_a_rollout_state_the_counts_decide() {
        let mut unknown = mine(RolloutState::InProgress);
        unknown.rollout = None;
        unknown.running = 1;
        assert_eq!(after(&[service(vec![unknown.clone()])]), Progress::Waiting);
        unknown.running = 2;
        assert_eq!(after(&[service(vec![unknown])]), Progress::Completed);
    }
}
