//! What runs where: the judgement on what was read about one service. Pure but for `read`, which asks.

mod read;

use jiff::Timestamp;
use serde::Serialize;

use crate::aws::ecs::{RolloutState, Service, ServiceStatus as EcsStatus, Tag};
use crate::config::specification::{Environment, Service as Wanted};
use crate::error::Error;
use crate::exit::Exit;
use crate::gates;
use crate::observe::ObservedService;
use crate::rollout::failure::Failure;

pub(crate) use read::read;

/// How a service stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// The rollout is complete, and as many tasks run as are wanted.
    Steady,
    /// A rollout is under way.
    Rolling,
    /// A rollout is under way, and its tasks fail.
    Failing,
    /// ECS has given the last rollout up.
    Failed,
    /// No rollout, but fewer tasks than are wanted, or not all of the same image.
    Degraded,
    /// Nothing is wanted: the desired count is 0.
    Stopped,
    /// The service is being deleted, or is.
    Gone,
    /// A zip is there, under its live key.
    Live,
    /// No zip is there yet.
    Absent,
    /// It could not be read.
    Unknown,
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Rolling => "rolling",
            Self::Failing => "failing",
            Self::Failed => "failed",
            Self::Degraded => "degraded",
            Self::Stopped => "stopped",
            Self::Gone => "gone",
            Self::Live => "live",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        }
    }
}

/// One service of one environment: a row of the table, a line of JSON. `null` is "not known".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ServiceStatus {
    pub(crate) environment: String,
    pub(crate) service: String,
    pub(crate) state: State,
    /// The commit that runs, full where it is known in full.
    pub(crate) revision: Option<String>,
    /// Whether the revision is shipit's own record of this digest; otherwise it is what the image is tagged with.
    pub(crate) recorded: bool,
    pub(crate) subject: Option<String>,
    pub(crate) author: Option<String>,
    /// The digest that all running tasks have.
    pub(crate) digest: Option<String>,
    /// When the PRIMARY deployment began.
    pub(crate) since: Option<Timestamp>,
    pub(crate) deployed_by: Option<String>,
    pub(crate) approved_by: Option<String>,
    pub(crate) desired: u32,
    pub(crate) running: u32,
    pub(crate) pending: u32,
    /// Id of the PRIMARY deployment, `ecs-svc/…`.
    pub(crate) deployment: Option<String>,
    /// ECS's word for its rollout.
    pub(crate) rollout: Option<&'static str>,
    /// The revision that a rollback took away and that is held.
    pub(crate) held: Option<String>,
    pub(crate) branch: String,
    /// How many commits of the environment's branch do not run yet.
    pub(crate) behind: Option<u64>,
    pub(crate) latest_digest: Option<String>,
    /// Whether the next task of anybody would run what runs now.
    pub(crate) latest_runs: Option<bool>,
    /// What a person should know besides, in whole phrases.
    pub(crate) notes: Vec<String>,
    /// Why it could not be read.
    pub(crate) error: Option<String>,
    pub(crate) hint: Option<String>,
    /// 0, or the code for the error.
    pub(crate) exit_code: Exit,
}

impl ServiceStatus {
    pub(crate) fn empty(environment: &Environment, service: &str) -> Self {
        Self {
            environment: environment.name.clone(),
            service: service.to_owned(),
            state: State::Unknown,
            revision: None,
            recorded: false,
            subject: None,
            author: None,
            digest: None,
            since: None,
            deployed_by: None,
            approved_by: None,
            desired: 0,
            running: 0,
            pending: 0,
            deployment: None,
            rollout: None,
            held: None,
            branch: environment.branch.clone(),
            behind: None,
            latest_digest: None,
            latest_runs: None,
            notes: Vec::new(),
            error: None,
            hint: None,
            exit_code: Exit::Success,
        }
    }

    /// A service that could not be read.
    pub(crate) fn unread(environment: &Environment, service: &str, error: &Error) -> Self {
        Self {
            error: Some(error.line()),
            hint: error.hints().first().cloned(),
            exit_code: error.exit(),
            ..Self::empty(environment, service)
        }
    }
}

/// Judges what was read. `child`: the digest of `latest`'s manifest for the service's platform, where `latest` is an
/// index.
pub(crate) fn judge(
    environment: &Environment,
    service: &Wanted,
    seen: &ObservedService,
    child: Option<&str>,
) -> ServiceStatus {
    let found = match &seen.service {
        Ok(found) => found,
        Err(error) => return ServiceStatus::unread(environment, &service.name, error),
    };
    let primary = found.primary();
    let container = gates::container(service, seen);
    let digests = container.as_deref().map(|container| seen.digests(container, |_| true)).unwrap_or_default();
    let digest = if let [only] = digests.as_slice() { Some(only.clone()) } else { None };
    let latest = seen.latest().map(str::to_owned);
    // Where `latest` is an index, tasks may show its digest or that of its platform's manifest.
    let pushed = if child.is_some() && child == digest.as_deref() { &latest } else { &digest };
    let recorded = seen.recorded_revision(pushed.as_deref()).map(str::to_owned);
    let valid = recorded.is_some();
    let mut status = ServiceStatus {
        state: state(found, service, seen, digests.len()),
        recorded: valid,
        revision: recorded,
        since: primary.and_then(|primary| primary.created_at),
        // Who deployed something else is of no interest.
        deployed_by: seen.tag(Tag::DeployedBy).filter(|_| valid).map(str::to_owned),
        approved_by: seen.tag(Tag::ApprovedBy).filter(|_| valid).map(str::to_owned),
        desired: found.desired,
        running: found.running,
        pending: found.pending,
        deployment: primary.map(|primary| primary.id.clone()),
        rollout: primary.and_then(|primary| primary.rollout).map(RolloutState::as_str),
        held: seen.tag(Tag::Held).map(str::to_owned),
        latest_runs: latest_runs(latest.as_deref(), child, digest.as_deref()),
        latest_digest: latest,
        digest,
        ..ServiceStatus::empty(environment, &service.name)
    };
    status.notes = notes(&status, service, seen, &digests);
    status
}

fn state(found: &Service, service: &Wanted, seen: &ObservedService, digests: usize) -> State {
    if matches!(found.status, EcsStatus::Draining | EcsStatus::Inactive) {
        return State::Gone;
    }
    if gates::moving(found).is_some() {
        let failing = gates::only_fails(found, seen, service);
        return if failing { State::Failing } else { State::Rolling };
    }
    if found.primary().is_some_and(|primary| primary.rollout == Some(RolloutState::Failed)) {
        return State::Failed;
    }
    match (found.desired, found.running) {
        (0, 0) => State::Stopped,
        (desired, running) if running < desired || digests > 1 => State::Degraded,
        _ => State::Steady,
    }
}

/// `None` while nothing runs, or the registry could not be asked.
fn latest_runs(latest: Option<&str>, child: Option<&str>, running: Option<&str>) -> Option<bool> {
    let running = running?;
    Some(latest? == running || child == Some(running))
}

fn notes(status: &ServiceStatus, service: &Wanted, seen: &ObservedService, digests: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    if digests.len() > 1 {
        notes.push(format!("its tasks run {} images: {}", digests.len(), digests.join(", ")));
    }
    if let Some(latest) = status.latest_digest.as_deref().filter(|_| status.latest_runs == Some(false)) {
        notes.push(format!("`latest` is {latest}, which does not run: the next rollout of anybody would bring it"));
    }
    if let Some(held) = &status.held {
        notes.push(format!("{held} was rolled back and is held; deploy --release-hold brings it back"));
    }
    if status.digest.is_some() && !status.recorded && seen.tag(Tag::Digest).is_some() {
        notes.push(
            "what runs is not what shipit recorded: somebody else, or an unfinished deploy, rolled it".to_owned(),
        );
    }
    if let Some(primary) = seen.service.as_ref().ok().and_then(Service::primary) {
        let settled = primary.rollout == Some(RolloutState::Completed);
        notes.extend(primary.reason.clone().filter(|_| !settled));
        if let Some(failure) = last_failure(service, seen, &primary.id).filter(|_| status.state != State::Steady) {
            notes.push(format!("its last task to fail: {}", failure.in_words()));
        }
    }
    let basis = seen.basis.as_ref();
    for (what, error) in [
        ("its tags", seen.tags.as_ref().and_then(|read| read.as_ref().err())),
        ("its tasks", seen.running.as_ref().and_then(|read| read.as_ref().err())),
        ("its task definition", basis.and_then(|basis| basis.definition.as_ref()?.as_ref().err())),
        ("the repository", basis.and_then(|basis| basis.repository.as_ref().err().or(basis.latest.as_ref().err()))),
    ] {
        notes.extend(error.map(|error| format!("{what} could not be read: {}", error.line())));
    }
    notes
}

fn last_failure(service: &Wanted, seen: &ObservedService, deployment: &str) -> Option<Failure> {
    let stopped = seen.stopped.as_ref()?.as_ref().ok()?;
    let mine = stopped.iter().filter(|task| task.started_by.as_deref() == Some(deployment));
    let last = mine.max_by_key(|task| task.stopped_at)?;
    Failure::of(last, service.container.as_deref().unwrap_or(&service.name))
}

#[cfg(test)]
mod tests;
