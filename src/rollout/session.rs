//! One watch as a machine without I/O: it says what to ask ECS next, takes the answer, and ends with one verdict.
//!
//! `watch` asks and sleeps for it; the tests answer with whatever they like. A failed read never ends it, unless ECS
//! says that reading is not allowed (any more): the rollout goes on without us.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::decision::{Decision, Ending, Progress, Round};
use super::failure::Failure;
use super::proof::{Proof, prove};
use super::rhythm;
use super::strategy::record_of;
use super::tell::Teller;
use super::watch::Watched;
use crate::aws::ecs::{DeploymentRecord, Service, Task};
use crate::error::Error;
use crate::event::{Kind, Level, Stage};

/// Records are asked for from a little before my deployment on: clocks inside ECS may differ.
const BEFORE_MINE: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Service,
    /// The stopped tasks but those of these ids.
    Stopped {
        known: BTreeSet<String>,
    },
    /// The tasks that ECS means to run.
    Running,
    /// ECS's records of the deployments since then.
    Records {
        after: Option<Timestamp>,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// `None`: MISSING.
    Service(Option<Service>),
    Stopped(Vec<Task>),
    Running(Vec<Task>),
    Records(Vec<DeploymentRecord>),
    Refused(Error),
}

#[derive(Debug)]
pub(super) enum Step {
    Ask(Question),
    /// Sleep, then [`Session::wake`].
    Wait(Duration),
    End(Ended),
}

#[derive(Debug)]
pub(super) enum Ended {
    /// So many tasks run the digest, by this last answer.
    Proven {
        #[cfg_attr(not(test), expect(dead_code, reason = "the tests count"))]
        tasks: u32,
        running: Vec<Task>,
    },
    NotProven {
        reason: String,
    },
    Failed(Ending),
    Blind(Error),
}

#[derive(Debug)]
pub(super) struct Session<'a> {
    watched: &'a Watched,
    decision: Decision,
    teller: Teller,
    said: Vec<Kind>,
    /// Failed tasks of my deployment: ECS forgets them after about an hour, so they are kept here.
    pub(super) failures: Vec<Failure>,
    /// Stopped tasks of which all is known.
    known: BTreeSet<String>,
    service: Option<Service>,
    records: Vec<DeploymentRecord>,
    /// What is still to be asked in this round, and what was answered in it beside the service.
    queue: VecDeque<Question>,
    answered: Extras,
    ending: Option<Ending>,
    errors: u32,
    tasks_looked_at: Option<(Duration, Signs)>,
    /// What may not be read: it is not asked for again.
    refused: Extras,
    proving: bool,
    /// The last answer proves it; whether the tasks last is still to be seen.
    candidate: Option<(u32, Vec<Task>)>,
    /// The tasks by which it could have been called proven at the last look.
    proven_by: Option<BTreeSet<String>>,
}

/// What is read beside the service itself.
#[derive(Debug, Default)]
struct Extras {
    /// The stopped tasks.
    tasks: bool,
    records: bool,
}

/// What changes in a service's answer when a task of mine stops.
type Signs = (u32, u32, u32, Option<String>);

impl<'a> Session<'a> {
    pub(super) fn new(watched: &'a Watched) -> Self {
        Self {
            watched,
            decision: Decision::new(&watched.deployment, watched.timeout, watched.fail_fast)
                .after(watched.previous.as_deref()),
            teller: Teller::default(),
            said: Vec::new(),
            failures: Vec::new(),
            known: BTreeSet::new(),
            service: None,
            records: Vec::new(),
            queue: VecDeque::new(),
            answered: Extras::default(),
            ending: None,
            errors: 0,
            tasks_looked_at: None,
            refused: Extras::default(),
            proving: false,
            candidate: None,
            proven_by: None,
        }
    }

    /// The first question of a round.
    pub(super) fn wake(&mut self) -> Step {
        self.queue.clear();
        self.candidate = None;
        self.answered = Extras::default();
        Step::Ask(Question::Service)
    }

    /// Takes the answer to the last question in. `at` is the time since the rollout began, `crowd` the number of
    /// rollouts that are watched.
    pub(super) fn step(&mut self, asked: &Question, answer: Answer, at: Duration, crowd: usize) -> Step {
        match answer {
            Answer::Service(service) => {
                self.errors = 0;
                self.service = service;
                self.look_around(at, crowd);
            }
            Answer::Stopped(tasks) => self.take_stopped(&tasks),
            Answer::Records(records) => self.take_records(records),
            Answer::Running(tasks) => return self.take_running(tasks, at),
            Answer::Refused(error) => {
                if let Some(step) = self.refused(asked, error, at) {
                    return step;
                }
            }
        }
        self.go_on(at)
    }

    /// What there is to say since the last time.
    pub(super) fn said(&mut self) -> Vec<Kind> {
        std::mem::take(&mut self.said)
    }

    /// ECS's warnings since my deployment began.
    pub(super) fn trouble(&self) -> &[String] {
        &self.teller.trouble
    }

    /// ECS's record of my deployment, where it was asked for.
    pub(super) fn record(&self) -> Option<&DeploymentRecord> {
        record_of(&self.records, self.began())
    }

    fn began(&self) -> Option<Timestamp> {
        self.decision.seen().and_then(|mine| mine.created_at)
    }

    /// Tells what is new in the service's answer, and decides what else this round needs.
    fn look_around(&mut self, at: Duration, crowd: usize) {
        let Some(service) = &self.service else { return };
        self.said.extend(self.teller.service(service, &self.watched.deployment));
        let staged = service.is_staged();
        let mine = service.deployment(&self.watched.deployment);
        let gone = mine.is_none() && self.decision.seen().is_some();
        let began = mine.and_then(|mine| mine.created_at).or(self.began());
        let newest = service.events.first().map(|event| event.id.clone());
        let signs = mine.map_or((0, 0, 0, newest.clone()), |mine| (mine.failed, mine.running, mine.pending, newest));
        let short = mine.is_none_or(|mine| mine.failed > 0 || mine.running < mine.desired);
        if !self.refused.tasks && short && self.is_time_for_tasks(&signs, at, crowd) {
            self.tasks_looked_at = Some((at, signs));
            self.queue.push_back(Question::Stopped { known: self.known.clone() });
        }
        if !self.refused.records && (staged || gone) && began.is_some() {
            self.queue.push_back(records_since(began));
        }
    }

    /// Stopped tasks are looked for when something hints at one, and now and then.
    fn is_time_for_tasks(&self, signs: &Signs, at: Duration, crowd: usize) -> bool {
        let Some((last, before)) = &self.tasks_looked_at else { return true };
        let worse = signs.0 > before.0 || signs.1 < before.1 || signs.2 < before.2 && signs.1 == before.1;
        worse || at.saturating_sub(*last) >= rhythm::between_task_looks(at, crowd)
    }

    /// Asks what is left of this round, and judges when all is answered.
    fn go_on(&mut self, at: Duration) -> Step {
        if let Some(next) = self.queue.pop_front() {
            return Step::Ask(next);
        }
        if let Some(ending) = self.ending.take() {
            return Step::End(Ended::Failed(ending));
        }
        if let Some((count, running)) = self.candidate.take() {
            return self.settle(count, running, at);
        }
        let round = Round { service: self.service.as_ref(), failures: &self.failures, records: &self.records };
        match self.decision.observe(round, at) {
            Progress::Waiting => self.wait(at),
            Progress::Completed => {
                if !std::mem::replace(&mut self.proving, true) {
                    self.said.push(Kind::Stage { stage: Stage::Prove });
                }
                Step::Ask(Question::Running)
            }
            Progress::Ended(ending) => self.last_words(ending, at),
        }
    }

    /// The last tasks to fail say the most, and ECS's record says why it went back.
    fn last_words(&mut self, ending: Ending, at: Duration) -> Step {
        if !self.refused.tasks && !self.answered.tasks && !matches!(ending, Ending::Superseded { .. }) {
            self.queue.push_back(Question::Stopped { known: self.known.clone() });
        }
        let began = self.began();
        let told = matches!(ending, Ending::Failed { .. } | Ending::RolledBack { .. } | Ending::Stopped { .. });
        if !self.refused.records && !self.answered.records && told && began.is_some() {
            self.queue.push_back(records_since(began));
        }
        self.ending = Some(ending);
        self.go_on(at)
    }

    fn take_stopped(&mut self, tasks: &[Task]) {
        self.answered.tasks = true;
        let is_mine = |task: &&Task| task.started_by.as_deref() == Some(&self.watched.deployment);
        let mut mine: Vec<&Task> = tasks.iter().filter(is_mine).collect();
        mine.sort_by_key(|task| task.stopped_at);
        let others = tasks.iter().filter(|task| !is_mine(task)).map(|task| task.id.clone());
        let mut known: Vec<String> = others.collect();
        for task in mine {
            if self.known.contains(&task.id) {
                continue;
            }
            let failure = Failure::of(task, &self.watched.container);
            if failure.is_some() || task.last_status == "STOPPED" {
                known.push(task.id.clone());
            }
            if let Some(failure) = failure
                && self.known.insert(task.id.clone())
            {
                self.said.push(Kind::TaskStopped {
                    task: failure.task.clone(),
                    reason: failure.reason.clone(),
                    exit_code: failure.exit_code,
                });
                self.failures.push(failure);
            }
        }
        self.known.extend(known);
    }

    fn take_records(&mut self, records: Vec<DeploymentRecord>) {
        self.records = records;
        self.answered.records = true;
        let began = self.service.as_ref().and_then(|service| service.deployment(&self.watched.deployment));
        let began = began.and_then(|mine| mine.created_at).or(self.began());
        if self.ending.is_none()
            && let Some(record) = record_of(&self.records, began)
        {
            self.said.extend(self.teller.record(record, self.watched.timeout));
        }
    }

    fn take_running(&mut self, tasks: Vec<Task>, at: Duration) -> Step {
        let watched = self.watched;
        let desired = self.service.as_ref().map_or(0, |service| service.desired);
        match prove(&tasks, &watched.deployment, &watched.container, &watched.digests, desired) {
            Proof::Proven { tasks: count } => {
                if !self.refused.tasks && !self.answered.tasks {
                    self.queue.push_back(Question::Stopped { known: self.known.clone() });
                }
                self.candidate = Some((count, tasks));
                self.go_on(at)
            }
            Proof::Refuted { reason } => Step::End(Ended::NotProven { reason }),
            Proof::Waiting { reason } if self.decision.is_over(at) => {
                Step::End(Ended::NotProven { reason: format!("ECS calls the rollout complete, but {reason}") })
            }
            Proof::Waiting { .. } => self.wait(at),
        }
    }

    /// Where tasks of my deployment have failed, those that run now must still be there at the next look: otherwise a
    /// task between its start and its crash would prove it.
    fn settle(&mut self, count: u32, running: Vec<Task>, at: Duration) -> Step {
        let now: BTreeSet<String> = running.iter().map(|task| task.id.clone()).collect();
        let last = self.proven_by.replace(now);
        if self.failures.is_empty() || last == self.proven_by {
            return Step::End(Ended::Proven { tasks: count, running });
        }
        if self.decision.is_over(at) {
            let reason = "ECS calls the rollout complete, but its tasks come and go".to_owned();
            return Step::End(Ended::NotProven { reason });
        }
        self.wait(at)
    }

    /// `None`: the round goes on without this answer.
    fn refused(&mut self, asked: &Question, error: Error, at: Duration) -> Option<Step> {
        // It is decided already; this was only to say or to know more.
        if self.ending.is_some() || self.candidate.is_some() {
            return None;
        }
        if error.is_transient() {
            return Some(self.unanswered(asked, &error, at));
        }
        let staged = self.service.as_ref().is_some_and(Service::is_staged);
        match asked {
            Question::Stopped { .. } => {
                self.refused.tasks = true;
                self.degrade("why tasks stop cannot be read", &error);
                None
            }
            Question::Records { .. } if !staged => {
                self.refused.records = true;
                None
            }
            Question::Service | Question::Running | Question::Records { .. } => Some(Step::End(Ended::Blind(error))),
        }
    }

    fn unanswered(&mut self, asked: &Question, error: &Error, at: Duration) -> Step {
        self.errors = self.errors.saturating_add(1);
        if self.errors == 3 {
            let text = format!("ECS does not answer; the watch goes on: {}", error.line());
            self.said.push(Kind::Notice { level: Level::Warning, text, hint: None });
        }
        match asked {
            _ if !self.decision.is_over(at) => Step::Wait(rhythm::between_rounds(at, self.errors)),
            Question::Running => {
                let reason = format!("ECS calls the rollout complete, but its tasks cannot be read: {}", error.line());
                Step::End(Ended::NotProven { reason })
            }
            _ => Step::End(Ended::Failed(Ending::TimedOut)),
        }
    }

    fn degrade(&mut self, what: &str, error: &Error) {
        let text = format!("{what}: {}", error.line());
        let hint = error.hints().first().cloned();
        self.said.extend(self.teller.once(text, Level::Note, hint));
    }

    fn wait(&self, at: Duration) -> Step {
        Step::Wait(rhythm::between_rounds(at, self.errors))
    }
}

fn records_since(began: Option<Timestamp>) -> Question {
    Question::Records { after: began.and_then(|began| began.checked_sub(BEFORE_MINE).ok()) }
}

#[cfg(test)]
mod tests;
