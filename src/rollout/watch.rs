//! The watch: asks ECS, hands the answers to `decision` and `proof`, tells what changed, and ends with one verdict.
//!
//! A failed read never ends it, unless ECS says that reading is not allowed (any more): the rollout goes on without us.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::decision::{Decision, Ending, Progress};
use super::failure::Failure;
use super::proof::{Proof, prove};
use crate::aws::Clients;
use crate::aws::ecs::{self, Desired, Service, Task};
use crate::error::{Error, Result};
use crate::event::{Events, Kind, RolloutCounts, Stage};

/// Whose rollout it is and how long to wait.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) cluster: String,
    pub(crate) service: String,
    pub(crate) container: String,
    /// My deployment's id.
    pub(crate) deployment: String,
    /// The digests that prove it: the manifest's, and its platform's child where it is an index.
    pub(crate) digests: Vec<String>,
    pub(crate) timeout: Duration,
    /// End at a crash loop, and do not wait for ECS to give up.
    pub(crate) fail_fast: bool,
}

/// How the watch ended.
#[derive(Debug)]
pub(crate) enum End {
    /// So many tasks run the digest; `url` where ECS publishes one of their ports.
    Proven {
        tasks: u32,
        url: Option<String>,
    },
    /// The rollout did not do what was asked.
    Failed {
        ending: Ending,
        failures: Vec<Failure>,
    },
    /// The rollout is complete, but what runs is not what was pushed.
    NotProven {
        reason: String,
    },
    /// ECS may not be asked any more.
    Blind {
        error: Error,
    },
    Interrupted,
}

/// Watches until the end. Emits counts when they change, failed tasks and ECS's own warnings once each.
pub(crate) async fn watch(clients: &Clients, watched: &Watched, events: &Events, cancel: &CancellationToken) -> End {
    let mut watch = Watch::new(clients, watched, events);
    tokio::select! {
        end = watch.until_the_end() => end,
        () = cancel.cancelled() => End::Interrupted,
    }
}

struct Watch<'a> {
    clients: &'a Clients,
    watched: &'a Watched,
    events: &'a Events,
    began: Instant,
    decision: Decision,
    /// Failed tasks of my deployment by id: ECS forgets them after about an hour, so they are kept here.
    failures: Vec<Failure>,
    told_failures: BTreeSet<String>,
    told_events: BTreeSet<String>,
    told_counts: Option<(RolloutCounts, String)>,
    proving: bool,
    /// The tasks by which it could have been called proven at the last look.
    proven_by: Option<BTreeSet<String>>,
}

impl<'a> Watch<'a> {
    fn new(clients: &'a Clients, watched: &'a Watched, events: &'a Events) -> Self {
        Self {
            clients,
            watched,
            events,
            began: Instant::now(),
            decision: Decision::new(&watched.deployment, watched.timeout, watched.fail_fast),
            failures: Vec::new(),
            told_failures: BTreeSet::new(),
            told_events: BTreeSet::new(),
            told_counts: None,
            proving: false,
            proven_by: None,
        }
    }

    async fn until_the_end(&mut self) -> End {
        let mut errors = 0_u32;
        loop {
            match self.look().await {
                Ok(Some(end)) => return end,
                Ok(None) => errors = 0,
                Err(error) if error.is_transient() => {
                    errors += 1;
                    if errors == 3 {
                        self.events.warn(format!("ECS does not answer; the watch goes on: {}", error.line()), None);
                    }
                    if self.decision.is_over(self.began.elapsed()) {
                        return self.failed(Ending::TimedOut);
                    }
                }
                Err(error) => return End::Blind { error },
            }
            tokio::time::sleep(self.pause(errors)).await;
        }
    }

    /// One round of reads and their judgement.
    async fn look(&mut self) -> Result<Option<End>> {
        let Watched { cluster, service, .. } = self.watched;
        let answer = ecs::describe_optional(self.clients, cluster, service).await?;
        if let Some(answer) = &answer {
            self.tell(answer);
            if self.may_have_failed(answer) {
                self.collect_failures().await?;
            }
        }
        match (self.decision.observe(answer.as_ref(), &self.failures, self.began.elapsed()), answer) {
            (Progress::Waiting, _) | (Progress::Completed, None) => Ok(None),
            (Progress::Ended(ending), _) => {
                // The last tasks to fail say the most.
                let _ = self.collect_failures().await;
                Ok(Some(self.failed(ending)))
            }
            (Progress::Completed, Some(answer)) => self.prove(&answer).await,
        }
    }

    async fn prove(&mut self, service: &Service) -> Result<Option<End>> {
        if !self.proving {
            self.proving = true;
            self.events.stage(Stage::Prove);
        }
        let watched = self.watched;
        let tasks = ecs::list_tasks(self.clients, &watched.cluster, &watched.service, Desired::Running).await?;
        match prove(&tasks, &watched.deployment, &watched.container, &watched.digests, service.desired) {
            Proof::Proven { tasks: count } if self.is_settled(&tasks).await? => {
                Ok(Some(End::Proven { tasks: count, url: url(&tasks, watched) }))
            }
            Proof::Refuted { reason } => Ok(Some(End::NotProven { reason })),
            Proof::Waiting { reason } if self.decision.is_over(self.began.elapsed()) => {
                Ok(Some(End::NotProven { reason: format!("ECS calls the rollout complete, but {reason}") }))
            }
            Proof::Proven { .. } | Proof::Waiting { .. } => Ok(None),
        }
    }

    /// Where tasks of my deployment have failed, those that run now must still be there at the next look: otherwise a
    /// task between its start and its crash would prove it.
    async fn is_settled(&mut self, tasks: &[Task]) -> Result<bool> {
        self.collect_failures().await?;
        let now: BTreeSet<String> = tasks.iter().map(|task| task.id.clone()).collect();
        let settled = self.failures.is_empty() || self.proven_by.as_ref() == Some(&now);
        self.proven_by = Some(now);
        Ok(settled)
    }

    fn failed(&mut self, ending: Ending) -> End {
        End::Failed { ending, failures: std::mem::take(&mut self.failures) }
    }

    /// Stopped tasks are read only when there can be one to explain.
    fn may_have_failed(&self, service: &Service) -> bool {
        service.deployment(&self.watched.deployment).is_none_or(|mine| mine.failed > 0 || mine.running < mine.desired)
    }

    async fn collect_failures(&mut self) -> Result<()> {
        let watched = self.watched;
        let stopped = ecs::list_tasks(self.clients, &watched.cluster, &watched.service, Desired::Stopped).await?;
        let mut ours: Vec<&Task> =
            stopped.iter().filter(|task| task.started_by.as_deref() == Some(&watched.deployment)).collect();
        ours.sort_by_key(|task| task.stopped_at);
        for failure in ours.into_iter().filter_map(|task| Failure::of(task, &watched.container)) {
            if self.told_failures.insert(failure.task.clone()) {
                self.events.emit(Kind::TaskStopped {
                    task: failure.task.clone(),
                    reason: failure.reason.clone(),
                    exit_code: failure.exit_code,
                });
                self.failures.push(failure);
            }
        }
        Ok(())
    }

    fn tell(&mut self, service: &Service) {
        let Some(mine) = service.deployment(&self.watched.deployment) else { return };
        let counts = RolloutCounts {
            running: mine.running,
            pending: mine.pending,
            desired: mine.desired,
            failed: mine.failed,
            old: service.deployments.iter().filter(|other| other.id != mine.id).map(|other| other.running).sum(),
        };
        let state = mine.rollout.map_or("UNKNOWN", crate::aws::ecs::RolloutState::as_str).to_owned();
        if self.told_counts.as_ref() != Some(&(counts.clone(), state.clone())) {
            self.told_counts = Some((counts.clone(), state.clone()));
            self.events.emit(Kind::Rollout { deployment: mine.id.clone(), counts, state });
        }
        let began = mine.created_at;
        for event in service.events.iter().rev().filter(|event| event.at >= began && is_worth_telling(&event.text)) {
            if self.told_events.insert(event.id.clone()) {
                self.events.emit(Kind::ServiceEvent { text: event.text.clone() });
            }
        }
    }

    /// Quick while a rollout is young, then gently: the rates are shared by the whole account. The jitter keeps the
    /// services of one run apart.
    fn pause(&self, errors: u32) -> Duration {
        let base = match self.began.elapsed().as_secs() {
            0..15 => Duration::from_millis(700),
            15..90 => Duration::from_secs(2),
            _ => Duration::from_secs(5),
        };
        let base = (base * 2_u32.saturating_pow(errors.min(4))).min(Duration::from_secs(20));
        base.mul_f64(0.85 + 0.3 * jitter())
    }
}

/// 0 to 1, good enough to spread polls.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    f64::from(u16::try_from(random & 0xffff).unwrap_or_default()) / f64::from(u16::MAX)
}

/// Of ECS's service events, those that tell of trouble.
fn is_worth_telling(text: &str) -> bool {
    ["fail", "unhealthy", "error", "throttle", "unable", "missing"].iter().any(|word| text.contains(word))
}

fn url(tasks: &[Task], watched: &Watched) -> Option<String> {
    let published: HashMap<&str, &String> = tasks
        .iter()
        .filter_map(|task| Some((task.id.as_str(), task.container(&watched.container)?.published.first()?)))
        .collect();
    published.into_iter().min().map(|(_, address)| format!("http://{address}/"))
}
