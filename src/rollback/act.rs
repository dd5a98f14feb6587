//! Carries a rollback out: hold → stop what is in flight → move `latest` → roll → prove → record. Services go side by
//! side, and one failing never stops another.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use tokio_util::sync::CancellationToken;

use super::{Plan, Step, Version};
use crate::archive::{self, ArchiveStep, By};
use crate::aws::ecs::{self, Desired, Tag};
use crate::aws::{Clients, ecr};
use crate::error::{Error, Result};
use crate::event::{Events, Kind, Stage};
use crate::exit::Exit;
use crate::record::{self, Previous, Record};
use crate::rollout::restore::restore_latest;
use crate::rollout::{Roll, Stop};
use crate::verdict::{Outcome, Verdict};

/// How long ECS may take to turn a stopped rollout round before it is replaced.
const STOPS_WITHIN: Duration = Duration::from_secs(30);
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// What every service's way back needs.
pub(crate) struct Act<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) plan: &'a Plan,
    pub(crate) timeout: Duration,
    pub(crate) fail_fast: bool,
    pub(crate) approved_by: Option<&'a str>,
    /// Whether a rollback that fails puts `latest` back on what runs.
    pub(crate) restore_latest: bool,
    pub(crate) events: &'a Events,
    pub(crate) cancel: &'a CancellationToken,
}

/// The verdicts of a plan that is not carried out.
pub(crate) fn planned(plan: &Plan) -> Vec<Outcome> {
    let outcome = |step: &Step| {
        let mut outcome = match (refusal(plan, &step.service), step.unchanged) {
            (Some(error), _) => Outcome::failed(&step.service, Verdict::Refused, &error),
            (None, true) => unchanged(step),
            (None, false) => Outcome::ended(&step.service, Verdict::Planned, Exit::Success),
        };
        outcome.digest.clone_from(&step.to.digest);
        outcome.revision.clone_from(&step.to.revision);
        outcome
    };
    let zip = |step: &ArchiveStep| {
        let outcome = match (refusal(plan, &step.service), step.unchanged) {
            (Some(error), _) => Outcome::failed(&step.service, Verdict::Refused, &error),
            (None, true) => live_already(step),
            (None, false) => Outcome::ended(&step.service, Verdict::Planned, Exit::Success),
        };
        of(outcome, &step.to)
    };
    let outcomes = plan.services.iter().map(outcome).chain(plan.archives.iter().map(zip)).collect();
    in_order(plan, outcomes)
}

/// In the order of deploy.yaml.
fn in_order(plan: &Plan, mut outcomes: Vec<Outcome>) -> Vec<Outcome> {
    outcomes.sort_by_key(|outcome| plan.names.iter().position(|name| *name == outcome.service));
    outcomes
}

fn of(outcome: Outcome, to: &Version) -> Outcome {
    Outcome { digest: to.digest.clone(), revision: to.revision.clone(), ..outcome }
}

fn live_already(step: &ArchiveStep) -> Outcome {
    let mut outcome = Outcome::ended(&step.service, Verdict::Unchanged, Exit::Success);
    outcome.reason = Some(format!("{} is live already", step.to));
    outcome
}

fn unchanged(step: &Step) -> Outcome {
    let mut outcome = Outcome::ended(&step.service, Verdict::Unchanged, Exit::Success);
    outcome.reason = Some(format!("{} runs already", step.to));
    outcome
}

fn refusal(plan: &Plan, service: &str) -> Option<Error> {
    let mut findings = plan.findings_for(service);
    let first = findings.next()?.to_error();
    let exit = findings.fold(first.exit(), |worst, finding| worst.worst(finding.exit_code));
    Some(first.with_exit(exit))
}

impl Act<'_> {
    /// Takes every service its way back and returns the verdicts in the order of the plan.
    pub(crate) async fn run(&self) -> Vec<Outcome> {
        let services = join_all(self.plan.services.iter().map(|step| self.one(step)));
        let archives = join_all(self.plan.archives.iter().map(|step| self.zip(step)));
        let (services, archives) = join(services, archives).await;
        in_order(self.plan, [services, archives].concat())
    }

    async fn zip(&self, step: &ArchiveStep) -> Outcome {
        let began = Instant::now();
        let events = self.events.of(&step.service);
        let by = By { identity: self.plan.identity.as_deref(), approved_by: self.approved_by };
        let outcome = match (refusal(self.plan, &step.service), step.unchanged) {
            (Some(error), _) => Outcome::failed(&step.service, Verdict::Refused, &error),
            (None, true) => live_already(step),
            (None, false) => {
                events.stage(Stage::Push);
                match archive::bring_back(self.clients, step, by, self.cancel.is_cancelled()).await {
                    Ok(()) => Outcome::ended(&step.service, Verdict::Deployed, Exit::Success),
                    Err(stop) => Outcome::failed(&step.service, stop.verdict, &stop.error),
                }
            }
        };
        let outcome = Outcome { seconds: began.elapsed().as_secs_f64(), ..of(outcome, &step.to) };
        events.emit(Kind::ServiceFinished { outcome: outcome.clone() });
        outcome
    }

    async fn one(&self, step: &Step) -> Outcome {
        let began = Instant::now();
        let events = self.events.of(&step.service);
        let mut outcome = match (refusal(self.plan, &step.service), step.unchanged) {
            (Some(error), _) => Outcome::failed(&step.service, Verdict::Refused, &error),
            (None, true) => unchanged(step),
            (None, false) => Way { act: self, step, events: &events, latest_moved: false }.run().await,
        };
        outcome.digest.clone_from(&step.to.digest);
        outcome.revision.clone_from(&step.to.revision);
        outcome.seconds = began.elapsed().as_secs_f64();
        events.emit(Kind::ServiceFinished { outcome: outcome.clone() });
        outcome
    }
}

/// One service's way back.
struct Way<'a> {
    act: &'a Act<'a>,
    step: &'a Step,
    events: &'a Events,
    latest_moved: bool,
}

impl<'a> Way<'a> {
    async fn run(mut self) -> Outcome {
        let mut outcome = Outcome::ended(&self.step.service, Verdict::Deployed, Exit::Success);
        if let Err(stop) = self.all_the_way(&mut outcome).await {
            let deployment = outcome.deployment.take();
            outcome = Outcome::failed(&self.step.service, stop.verdict, &stop.error);
            outcome.deployment = deployment;
            if stop.restore
                && let Some(said) = self.restore().await
            {
                outcome.hint = Some(outcome.hint.map_or_else(|| said.clone(), |hint| format!("{hint}; {said}")));
            }
        }
        outcome
    }

    async fn all_the_way(&mut self, outcome: &mut Outcome) -> Result<(), Stop> {
        let roll = self.rolling();
        let previous = self.stop_in_flight(&roll).await?;
        // From here on the bad revision is held, even if nobody is there any more to record the end.
        self.hold().await;
        self.move_latest(&roll).await?;
        let deployment = roll.start(previous.as_deref()).await?;
        outcome.deployment = Some(deployment.clone());
        outcome.url = roll.watch_and_prove(&deployment, previous.as_deref(), self.step.proof.clone()).await?;
        roll.latest_is_still(self.digest()).await?;
        self.record().await;
        Ok(())
    }

    /// Stops the rollout in flight, where ECS lets itself be asked to; otherwise it is replaced by the new one. Returns
    /// the PRIMARY deployment from then on.
    async fn stop_in_flight(&self, roll: &Roll<'_>) -> Result<Option<String>, Stop> {
        let Some(id) = &self.step.in_flight else { return Ok(self.step.previous_deployment.clone()) };
        let stopped = roll.unless_cancelled(async { Ok(self.ask_to_stop().await) }).await;
        match stopped.map_err(|error| Stop::new(Verdict::Refused, error))? {
            Ok(true) => self.events.note(format!("the rollout {id} is stopped")),
            Ok(false) => self.events.note(format!("the rollout {id} is replaced: ECS has nothing to stop")),
            Err(error) => {
                let hint = error.hints().first().cloned();
                self.events.warn(format!("the rollout {id} is replaced, not stopped: {}", error.line()), hint);
            }
        }
        let found = ecs::describe(self.act.clients, &self.step.cluster, &self.step.ecs_service);
        let found = roll.unless_cancelled(found).await.map_err(|error| Stop::new(Verdict::Refused, error))?;
        Ok(found.primary().map(|primary| primary.id.clone()))
    }

    async fn ask_to_stop(&self) -> Result<bool> {
        let Step { cluster, ecs_service, .. } = self.step;
        let clients = self.act.clients;
        let listed = ecs::list_service_deployments(clients, cluster, ecs_service, 10).await?;
        let Some(open) = listed.into_iter().find(ecs::ServiceDeployment::is_under_way) else { return Ok(false) };
        ecs::stop_service_deployment(clients, &open.arn).await?;
        let began = Instant::now();
        while began.elapsed() < STOPS_WITHIN {
            let listed = ecs::list_service_deployments(clients, cluster, ecs_service, 10).await?;
            if !listed.iter().any(|one| one.arn == open.arn && one.is_open()) {
                break;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(true)
    }

    async fn move_latest(&mut self, roll: &Roll<'_>) -> Result<(), Stop> {
        let failed = |error| Stop::new(Verdict::PushFailed, error);
        self.events.stage(Stage::Push);
        let repository = &self.step.repository;
        let manifest = ecr::manifest(self.act.clients, repository, self.digest());
        let manifest = roll.unless_cancelled(manifest).await.map_err(failed)?.ok_or_else(|| {
            failed(Error::new(Exit::Registry, format!("{} is no longer in repository `{repository}`", self.digest())))
        })?;
        // An answer that is lost may have moved it all the same.
        self.latest_moved = true;
        let put = ecr::put_tag(self.act.clients, repository, &manifest, "latest");
        roll.unless_cancelled(put).await.map_err(|error| failed(error.with_exit(Exit::Registry)))?;
        roll.confirm_latest(self.digest()).await?;
        self.events
            .emit(Kind::TagPushed { reference: format!("{repository}:latest"), digest: self.digest().to_owned() });
        Ok(())
    }

    /// Best effort, like the record.
    async fn hold(&self) {
        let (Some(arn), Some(revision)) = (&self.step.service_arn, &self.step.from.revision) else { return };
        let tags = [(Tag::Held, revision.clone()), (Tag::Base, revision.clone())];
        if let Err(error) = ecs::write_tags(self.act.clients, arn, &tags).await {
            let hint = error.hints().first().cloned();
            self.events.warn(format!("{revision} could not be held: {}", error.line()), hint);
        }
    }

    /// What was held before, and nothing else.
    async fn release(&self) {
        let (Some(arn), Some(_)) = (&self.step.service_arn, &self.step.from.revision) else { return };
        let before = |tag: Tag| self.step.recorded.get(tag.key()).cloned();
        let (mut write, mut remove) = (Vec::new(), Vec::new());
        for tag in [Tag::Held, Tag::Base] {
            match before(tag) {
                Some(value) => write.push((tag, value)),
                None => remove.push(tag),
            }
        }
        if !write.is_empty() {
            let _ = ecs::write_tags(self.act.clients, arn, &write).await;
        }
        if !remove.is_empty() {
            let _ = ecs::remove_tags(self.act.clients, arn, &remove).await;
        }
    }

    async fn record(&self) {
        let Some(arn) = &self.step.service_arn else { return };
        let record = Record {
            revision: self.step.to.revision.as_deref(),
            digest: self.digest(),
            base: self.step.from.revision.as_deref().or(self.step.to.revision.as_deref()),
            held: self.step.from.revision.as_deref(),
            previous: Previous::Unknown,
            by: self.act.plan.identity.as_deref(),
            approved_by: self.act.approved_by,
        };
        record::record(self.act.clients, arn, &record, &self.step.recorded, self.events).await;
    }

    /// `latest` goes back to what runs, and nothing is held; says what became of it, or nothing where nothing was moved.
    async fn restore(&self) -> Option<String> {
        self.release().await;
        if !self.latest_moved {
            return None;
        }
        if !self.act.restore_latest {
            return Some("`latest` stays where the rollback put it (restore_latest: false)".to_owned());
        }
        let Some(running) = self.running().await else {
            return Some("`latest` stays where the rollback put it: no other image runs".to_owned());
        };
        if running == self.digest() {
            return None;
        }
        match restore_latest(self.act.clients, &self.step.repository, self.digest(), &running).await {
            Ok(true) => Some(format!("`latest` is back on {running}, which runs")),
            Ok(false) => Some("`latest` was moved by somebody else meanwhile and stays there".to_owned()),
            Err(error) => {
                let text = format!("`latest` could NOT be moved back: {}", error.line());
                self.events.warn(text.clone(), Some(format!("put the tag on {running} before anything scales out")));
                Some(text)
            }
        }
    }

    /// The one digest that tasks run at this moment.
    async fn running(&self) -> Option<String> {
        let Step { cluster, ecs_service, container, .. } = self.step;
        let tasks = ecs::list_tasks(self.act.clients, cluster, ecs_service, Desired::Running).await.ok()?;
        let running = tasks.iter().filter(|task| task.last_status == "RUNNING");
        let mut digests: Vec<&String> =
            running.filter_map(|task| task.container(container.as_deref()?)?.digest.as_ref()).collect();
        digests.sort();
        digests.dedup();
        match digests.as_slice() {
            [only] => Some((*only).clone()),
            _ => None,
        }
    }

    fn digest(&self) -> &'a str {
        self.step.to.digest.as_deref().unwrap_or_default()
    }

    fn rolling(&self) -> Roll<'a> {
        let Act { clients, timeout, fail_fast, cancel, .. } = *self.act;
        Roll {
            clients,
            repository: &self.step.repository,
            cluster: &self.step.cluster,
            service: &self.step.ecs_service,
            container: self.step.container.as_deref().unwrap_or_default(),
            events: self.events,
            cancel,
            timeout,
            fail_fast,
        }
    }
}
