//! One service's way: build → inspect → push → before_deploy → roll → watch and prove → record. It reads in that order.
//!
//! Whatever ends it early leaves a verdict, a cause and `latest` on the digest that runs.

mod build;
mod delivery;
mod files;
mod promote;
mod scanned;
mod turn;

use self::turn::Standing;
use super::order::Ends;
use super::{Deploy, Together, before, cache};
use crate::aws::ecr;
use crate::config::specification::{BeforeDeploy, Service};
use crate::docker::Engine;
use crate::error::Result;
use crate::event::{Events, Kind, Stage};
use crate::exit::Exit;
use crate::interrupt::unless_cancelled;
use crate::one_off::OneOff;
use crate::plan::ServicePlan;
use crate::record::{self, Previous, Record};
use crate::rollout::restore::restore_latest;
use crate::rollout::{NOTHING_ROLLED, Roll, Stop};
use crate::scan::Report;
use crate::verdict::{Outcome, Verdict};

pub(super) struct Ship<'a> {
    deploy: &'a Deploy<'a>,
    service: &'a Service,
    plan: &'a ServicePlan,
    events: &'a Events,
    /// What it was like when the plan was made, or, with `--queue`, after what came in between.
    standing: Standing,
    /// What has become true so far, for the outcome and for the way back.
    trail: Trail,
}

/// What has become of the repository's `latest`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Latest {
    #[default]
    Untouched,
    /// Its push has begun: the registry may have it, although nobody has said so yet.
    Pushing,
    Pushed,
}

#[derive(Default)]
struct Trail {
    /// Which engine builds, or built.
    builder: Option<String>,
    digest: Option<String>,
    latest: Latest,
    deployment: Option<String>,
    url: Option<String>,
    /// The image that was built for it, and where.
    made: Option<(Engine, String)>,
    /// The files changed during the build: its key is not that of the image.
    key_is_void: bool,
    scan: Option<Report>,
}

impl<'a> Ship<'a> {
    pub(super) fn new(deploy: &'a Deploy<'a>, service: &'a Service, plan: &'a ServicePlan, events: &'a Events) -> Self {
        Self { deploy, service, plan, events, standing: Standing::of(plan), trail: Trail::default() }
    }

    pub(super) async fn run(mut self, together: &Together) -> Outcome {
        let ended = self.all_the_way(together).await;
        let mut outcome = match ended {
            Ok(verdict) => Outcome::ended(&self.service.name, verdict, Exit::Success),
            Err(stop) => {
                let mut outcome = Outcome::failed(&self.service.name, stop.verdict, &stop.error);
                if stop.restore
                    && let Some(said) = self.restore().await
                {
                    outcome.hint = Some(match outcome.hint {
                        Some(hint) => format!("{hint}; {said}"),
                        None => said,
                    });
                }
                outcome
            }
        };
        outcome.builder = self.trail.builder;
        outcome.digest = self.trail.digest;
        outcome.deployment = self.trail.deployment;
        outcome.url = self.trail.url;
        outcome.scan = self.trail.scan.map(Box::new);
        outcome
    }

    async fn all_the_way(&mut self, together: &Together) -> Result<Verdict, Stop> {
        let digests = self.deliver(together).await?;
        self.before_deploy(&digests).await?;
        let verdict = self.roll_and_prove(digests).await?;
        self.look_at_scan().await;
        if verdict == Verdict::Deployed {
            self.record().await;
            if let Some((engine, image)) = &self.trail.made {
                cache::keep(self.deploy, engine, self.service, image, self.events).await;
            }
        }
        Ok(verdict)
    }

    /// Waits for the services that this one depends on.
    async fn after_those_before(&self, ends: &Ends) -> Result<(), Stop> {
        ends.turn(&self.plan.depends_on, self.events, self.deploy.cancel, NOTHING_ROLLED).await
    }

    /// While `latest` is still as it was: no other task of this service may be at work when mine is to run.
    async fn alone(&self) -> Result<(), Stop> {
        let Some(task) = &self.service.before_deploy else { return Ok(()) };
        self.one_off(task, &[]).alone().await.map_err(|error| Stop::new(Verdict::Refused, error))
    }

    /// Runs what has to be done before the new image serves anybody.
    async fn before_deploy(&self, digests: &[String]) -> Result<(), Stop> {
        let Some(task) = &self.service.before_deploy else { return Ok(()) };
        self.events.stage(Stage::BeforeDeploy);
        let failed = |error| Stop::new(Verdict::RolloutFailed, error);
        let said = |task: &str, line| self.events.emit(Kind::TaskLog { task: task.to_owned(), line });
        let run = self.one_off(task, digests).run(said).await;
        let ended = run.map_err(|error| failed(error.cause("nothing was rolled")))?;
        before::verdict(ended, task.timeout).map_err(failed)?;
        self.ask_before_roll().await
    }

    fn one_off<'t>(&'t self, task: &'t BeforeDeploy, digests: &'t [String]) -> OneOff<'t> {
        let container = task.container.as_deref().or(self.plan.container.as_deref());
        OneOff {
            clients: self.deploy.clients,
            cluster: &self.service.cluster,
            service: &self.service.service,
            container: container.unwrap_or_default(),
            command: &task.command,
            timeout: task.timeout,
            // A container of another repository has a digest of its own.
            digests: if container == self.plan.container.as_deref() { digests } else { &[] },
            events: self.events,
            cancel: self.deploy.cancel,
        }
    }

    async fn roll_and_prove(&mut self, digests: Vec<String>) -> Result<Verdict, Stop> {
        let roll = self.rolling();
        let previous = self.standing.deployment.clone();
        let deployment = roll.start(previous.as_deref()).await?;
        self.trail.deployment = Some(deployment.clone());
        if self.deploy.options.no_wait {
            return Ok(Verdict::Started);
        }
        self.trail.url = roll.watch_and_prove(&deployment, previous.as_deref(), digests).await?;
        roll.latest_is_still(self.trail.digest.as_deref().unwrap_or_default()).await?;
        Ok(Verdict::Deployed)
    }

    fn rolling(&self) -> Roll<'a> {
        let Deploy { clients, cancel, options, .. } = *self.deploy;
        Roll {
            clients,
            repository: &self.service.repository,
            cluster: &self.service.cluster,
            service: &self.service.service,
            container: self.plan.container.as_deref().unwrap_or_default(),
            events: self.events,
            cancel,
            timeout: options.timeout,
            fail_fast: options.fail_fast,
        }
    }

    async fn record(&self) {
        let Some(arn) = &self.plan.service_arn else { return };
        let Deploy { clients, plan, options, .. } = *self.deploy;
        let revision = plan.revision.full();
        let digest = self.trail.digest.as_deref().unwrap_or_default();
        let record = Record {
            revision: Some(&revision),
            digest,
            base: Some(&revision),
            held: None,
            previous: Previous::of(self.standing.running_digest.as_deref(), digest),
            by: plan.identity.as_deref(),
            approved_by: options.approved_by.as_deref(),
        };
        record::record(clients, arn, &record, &self.standing.recorded, self.events).await;
    }

    /// Moves `latest` back to what runs; says what became of it, or nothing where nothing had to be done.
    async fn restore(&self) -> Option<String> {
        let pushed = match self.trail.latest {
            Latest::Untouched => return None,
            Latest::Pushed => self.trail.digest.clone()?,
            Latest::Pushing => match self.arrived().await {
                Ok(arrived) => arrived?,
                Err(error) => return Some(format!("`latest` may be the new image already: {}", error.line())),
            },
        };
        if !self.deploy.specification.environment.restore_latest {
            return Some("`latest` stays on the new image (restore_latest: false)".to_owned());
        }
        let Some(before) = self.standing.running_digest.as_ref().or(self.standing.latest_digest.as_ref()) else {
            return Some("`latest` stays on the new image: nothing ran before it".to_owned());
        };
        if *before == pushed {
            return None;
        }
        let repository = &self.service.repository;
        let runs = if self.standing.running_digest.is_some() { "which runs" } else { "as it was before" };
        match restore_latest(self.deploy.clients, repository, &pushed, before).await {
            Ok(true) => Some(format!("`latest` is back on {before}, {runs}")),
            Ok(false) => Some("`latest` was moved by somebody else meanwhile and stays there".to_owned()),
            Err(error) => {
                let text = format!("`latest` could NOT be moved back and still is the new image: {}", error.line());
                self.events
                    .warn(text.clone(), Some(format!("put the tag back on {before} before anything scales out")));
                Some(text)
            }
        }
    }

    /// What the interrupted push has made of `latest`; `None` where it has not got there.
    async fn arrived(&self) -> Result<Option<String>> {
        let now = ecr::digest_of(self.deploy.clients, &self.service.repository, "latest").await?;
        Ok(now.filter(|now| match &self.trail.digest {
            // The commit's own tag went first, so the digest is known.
            Some(pushed) => now == pushed,
            // It was there already and could not be moved: then only a change tells.
            None => Some(now) != self.standing.latest_digest.as_ref(),
        }))
    }

    async fn unless_cancelled<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        unless_cancelled(self.deploy.cancel, NOTHING_ROLLED, step).await
    }
}
