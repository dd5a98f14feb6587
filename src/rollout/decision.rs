//! The judgement on a rollout: a pure function of what ECS answered and when.
//!
//! It goes by the id of my deployment, never by "the service is stable": after a rollback by the circuit breaker, and
//! after somebody else's deployment, the service is stable too. `Completed` is not yet `deployed`: `proof` follows.

use std::time::Duration;

use super::failure::{Failure, alike};
use super::strategy::{Word, has_successor, record_of, word};
use crate::aws::ecs::{Deployment, DeploymentRecord, RolloutState, Service, ServiceStatus};

/// ECS may not show a new deployment, or its record, at once (eventual consistency): so long it is waited for.
const APPEARS_WITHIN: Duration = Duration::from_mins(1);

/// One answer without a deployment that was seen before may come from a replica that lags: so long it is doubted.
const GONE_AFTER: Duration = Duration::from_secs(10);

/// The same failure so many times, with nothing running, is a crash loop.
const CRASH_LOOP: usize = 2;

/// So many are one even while another attempt runs.
const CRASH_LOOP_WHILE_RUNNING: usize = 3;

/// One round of answers about my rollout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round<'a> {
    /// `None`: ECS says that there is no such service.
    pub(crate) service: Option<&'a Service>,
    /// All failed tasks of my deployment so far, in the order of their end.
    pub(crate) failures: &'a [Failure],
    /// ECS's records of the service's deployments around and after mine; empty where they were not asked for.
    pub(crate) records: &'a [DeploymentRecord],
}

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
    /// ECS went back to an earlier deployment, or is on its way.
    RolledBack {
        to: Option<String>,
        reason: String,
    },
    /// Somebody stopped the deployment, and nothing was put in its place.
    Stopped {
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
    /// The PRIMARY from just before mine, where it is known.
    previous: Option<String>,
    /// My deployment as it was last seen.
    seen: Option<Deployment>,
    missing_since: Option<Duration>,
    unrecorded_since: Option<Duration>,
    overtaken_since: Option<Duration>,
    /// How many tasks had failed when ECS first called it complete.
    failures_when_complete: Option<usize>,
}

impl Decision {
    pub(crate) fn new(mine: &str, timeout: Duration, fail_fast: bool) -> Self {
        Self {
            mine: mine.to_owned(),
            timeout,
            fail_fast,
            previous: None,
            seen: None,
            missing_since: None,
            unrecorded_since: None,
            overtaken_since: None,
            failures_when_complete: None,
        }
    }

    /// Names the PRIMARY from just before mine: while that one is shown, mine may only be late.
    pub(crate) fn after(mut self, previous: Option<&str>) -> Self {
        self.previous = previous.map(str::to_owned);
        self
    }

    /// Takes one round in. `at` is the time since the rollout began.
    pub(crate) fn observe(&mut self, round: Round<'_>, at: Duration) -> Progress {
        let progress = self.judge(round, at);
        if progress == Progress::Waiting && at >= self.timeout {
            return Progress::Ended(Ending::TimedOut);
        }
        progress
    }

    /// The time is up although ECS did not answer any more.
    pub(crate) fn is_over(&self, at: Duration) -> bool {
        at >= self.timeout
    }

    /// My deployment as it was last seen.
    pub(crate) fn seen(&self) -> Option<&Deployment> {
        self.seen.as_ref()
    }

    fn judge(&mut self, round: Round<'_>, at: Duration) -> Progress {
        let Some(service) = round.service else {
            return self.absent(at, false, |_| Ending::ServiceGone { status: "MISSING".to_owned() });
        };
        match &service.status {
            ServiceStatus::Draining => return gone("DRAINING"),
            ServiceStatus::Inactive => return gone("INACTIVE"),
            ServiceStatus::Active | ServiceStatus::Other(_) => {}
        }
        let mine = service.deployment(&self.mine);
        if let Some(mine) = mine {
            self.seen = Some(mine.clone());
            self.missing_since = None;
        }
        let record = record_of(round.records, self.seen.as_ref().and_then(|seen| seen.created_at));
        let progress = match record {
            Some(record) if service.is_staged() => self.by_record(service, record, round.records, at),
            None if service.is_staged() && self.may_still_be_recorded(at) => Progress::Waiting,
            _ => self.by_deployments(service, mine, record, at),
        };
        match mine {
            Some(mine) if self.is_crash_loop(mine, &progress, round.failures) => {
                Progress::Ended(Ending::CrashLoop { failures: alike(round.failures) })
            }
            _ => progress,
        }
    }

    /// A rolling update, judged by the service's list of deployments.
    fn by_deployments(
        &mut self,
        service: &Service,
        mine: Option<&Deployment>,
        record: Option<&DeploymentRecord>,
        at: Duration,
    ) -> Progress {
        let primary = service.primary();
        let Some(mine) = mine else {
            let Some(primary) = primary else { return Progress::Waiting };
            if let Some(seen) = &self.seen {
                if rolls_back(primary) {
                    return Progress::Ended(rolled_back(primary));
                }
                if let Some(event) = failed_by_events(service, seen) {
                    let (to, reason) = (Some(primary.id.clone()), event.to_owned());
                    return Progress::Ended(Ending::RolledBack { to, reason });
                }
            }
            if let Some(Word::RolledBack { reason, .. }) = record.map(word) {
                return Progress::Ended(Ending::RolledBack { to: Some(primary.id.clone()), reason });
            }
            // Neither mine nor the one before it: then somebody was quicker than the first look.
            let overtaken = self.previous.as_ref().is_some_and(|previous| *previous != primary.id);
            return self.absent(at, overtaken, |seen| replaced(seen, primary));
        };
        if mine.rollout == Some(RolloutState::Failed) {
            let reason = mine.reason.clone().unwrap_or_else(|| "ECS gave the deployment up".to_owned());
            return Progress::Ended(match primary.filter(|primary| primary.id != self.mine) {
                Some(primary) => Ending::RolledBack { to: Some(primary.id.clone()), reason },
                None => Ending::Failed { reason },
            });
        }
        match primary {
            Some(other) if other.id != self.mine && rolls_back(other) => Progress::Ended(rolled_back(other)),
            Some(other) if other.id != self.mine => Progress::Ended(Ending::Superseded { by: other.id.clone() }),
            Some(_) if is_complete(mine, service) => Progress::Completed,
            _ => Progress::Waiting,
        }
    }

    /// A deployment in stages, judged by ECS's record of it.
    fn by_record(
        &mut self,
        service: &Service,
        record: &DeploymentRecord,
        records: &[DeploymentRecord],
        at: Duration,
    ) -> Progress {
        let other = service.primary().filter(|primary| primary.id != self.mine);
        match (word(record), other) {
            (Word::GoesOn, _) => Progress::Waiting,
            (Word::Successful, None) => {
                self.overtaken_since = None;
                Progress::Completed
            }
            // The two answers may be of different age: the newer one is waited for.
            (Word::Successful, Some(other)) => {
                let since = *self.overtaken_since.get_or_insert(at);
                if at.saturating_sub(since) < GONE_AFTER {
                    return Progress::Waiting;
                }
                Progress::Ended(Ending::Superseded { by: other.id.clone() })
            }
            (Word::RolledBack { to, reason }, _) => Progress::Ended(Ending::RolledBack { to, reason }),
            (Word::Failed { reason }, _) => Progress::Ended(Ending::Failed { reason }),
            (Word::Stopped { .. }, Some(other)) if has_successor(records, record) => {
                Progress::Ended(Ending::Superseded { by: other.id.clone() })
            }
            (Word::Stopped { reason }, _) => Progress::Ended(Ending::Stopped { reason }),
        }
    }

    /// The record of a deployment in stages is listed some seconds late. One that never comes is no reason to wait for
    /// ever: then the list of deployments has to do, and the proof decides.
    fn may_still_be_recorded(&mut self, at: Duration) -> bool {
        at.saturating_sub(*self.unrecorded_since.get_or_insert(at)) < APPEARS_WITHIN
    }

    fn is_crash_loop(&mut self, mine: &Deployment, progress: &Progress, failures: &[Failure]) -> bool {
        let complete = match progress {
            Progress::Waiting => false,
            Progress::Completed => true,
            Progress::Ended(_) => return false,
        };
        // Tasks that live for a moment can make ECS call it complete between two crashes.
        if complete && self.failures_when_complete.is_none() {
            self.failures_when_complete = Some(failures.len());
        }
        let since_complete = self.failures_when_complete.map_or(0, |before| failures.len().saturating_sub(before));
        let goes_on = !complete || mine.running < mine.desired || since_complete >= CRASH_LOOP_WHILE_RUNNING;
        let same = alike(failures);
        let looping = same >= CRASH_LOOP_WHILE_RUNNING || (same >= CRASH_LOOP && mine.running == 0);
        self.fail_fast && looping && goes_on
    }

    /// My deployment is not in the answer: not yet, or not any more.
    fn absent(&mut self, at: Duration, overtaken: bool, ending: impl Fn(Option<&Deployment>) -> Ending) -> Progress {
        let since = *self.missing_since.get_or_insert(at);
        let patience = if self.seen.is_some() || overtaken { GONE_AFTER } else { APPEARS_WITHIN };
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

/// A failed deployment vanishes from the list, and the PRIMARY of a rollback that has ended may look like anybody's new
/// deployment; the service's events keep what became of it.
fn failed_by_events<'a>(service: &'a Service, mine: &Deployment) -> Option<&'a str> {
    let failed = format!("(deployment {}) deployment failed", mine.id);
    let since = |at| mine.created_at.is_some() && at >= mine.created_at;
    let told = service.events.iter().find(|event| {
        event.text.contains(&failed) || (since(event.at) && event.text.contains("rolling back to deployment"))
    });
    told.map(|event| event.text.as_str())
}

fn rolled_back(primary: &Deployment) -> Ending {
    Ending::RolledBack { to: Some(primary.id.clone()), reason: primary.reason.clone().unwrap_or_default() }
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
pub(super) mod tests;
