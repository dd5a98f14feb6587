//! One service's way: build → inspect → push → before_deploy → roll → watch and prove → record. It reads in that order.
//!
//! Whatever ends it early leaves a verdict, a cause and `latest` on the digest that runs.

use std::collections::BTreeMap;

use super::cache::Cache;
use super::courier::Courier;
use super::order::Ends;
use super::shared_layers::Turn;
use super::{Deploy, Together, before, known};
use crate::aws::ecr::{self, Manifest};
use crate::aws::ecs;
use crate::config;
use crate::config::specification::{BeforeDeploy, Service};
use crate::docker::{BuildRequest, Built, Engine, Image};
use crate::error::{Error, Result};
use crate::event::{Events, Kind, Stage};
use crate::exit::Exit;
use crate::interrupt::{interrupted, unless_cancelled};
use crate::leak::{self, Look};
use crate::one_off::OneOff;
use crate::plan::ServicePlan;
use crate::record::{self, Previous, Record};
use crate::reuse::REVISION_LABEL;
use crate::rollout::restore::restore_latest;
use crate::rollout::{NOTHING_ROLLED, Roll, Stop};
use crate::source::{Build, Source};
use crate::verdict::{Outcome, Verdict};

pub(super) struct Ship<'a> {
    deploy: &'a Deploy<'a>,
    service: &'a Service,
    plan: &'a ServicePlan,
    events: &'a Events,
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
    digest: Option<String>,
    latest: Latest,
    deployment: Option<String>,
    url: Option<String>,
    /// The files changed during the build: its key is not that of the image.
    key_is_void: bool,
}

impl<'a> Ship<'a> {
    pub(super) fn new(deploy: &'a Deploy<'a>, service: &'a Service, plan: &'a ServicePlan, events: &'a Events) -> Self {
        Self { deploy, service, plan, events, trail: Trail::default() }
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
        outcome.digest = self.trail.digest;
        outcome.deployment = self.trail.deployment;
        outcome.url = self.trail.url;
        outcome
    }

    async fn all_the_way(&mut self, together: &Together) -> Result<Verdict, Stop> {
        let digests = match &self.plan.source {
            Source::Build(build) => {
                let engine = self.engine().map_err(|error| Stop::new(Verdict::Refused, error))?;
                let turn = self.unless_cancelled(async { Ok(together.builds.acquire().await) }).await;
                let turn = turn.map_err(|error| Stop::new(Verdict::BuildFailed, error))?;
                together.ends.in_the_way(&self.plan.depends_on)?;
                let built = self.build(engine, build).await;
                let built = built.map_err(|error| Stop::new(Verdict::BuildFailed, error))?;
                drop(turn);
                let image = self.inspect(engine, &built).await.map_err(|error| Stop::new(Verdict::Refused, error))?;
                self.push(engine, &image, build, together).await?
            }
            Source::Reuse(reuse) => {
                together.ends.in_the_way(&self.plan.depends_on)?;
                self.events.stage(Stage::Inspect);
                self.check_known(&reuse.image).map_err(|error| Stop::new(Verdict::Refused, error))?;
                self.events.stage(Stage::Push);
                let courier = Courier::of_image(self.deploy.clients, &reuse.uri, &reuse.manifest, self.events);
                self.put_tags(courier, &reuse.digest, None, &together.ends).await?;
                self.digests(Some(&reuse.manifest))
            }
        };
        self.before_deploy(&digests).await?;
        let verdict = self.roll_and_prove(digests).await?;
        if verdict == Verdict::Deployed {
            self.record().await;
        }
        Ok(verdict)
    }

    fn engine(&self) -> Result<&'a Engine> {
        let missing = || Error::new(Exit::Build, "there is no Docker Engine to build with");
        self.deploy.engine.ok_or_else(missing)
    }

    async fn build(&mut self, engine: &Engine, plan: &Build) -> Result<Built> {
        self.events.stage(Stage::Build);
        let began = std::time::Instant::now();
        let mut labels = BTreeMap::from([(REVISION_LABEL.to_owned(), self.deploy.plan.revision.full())]);
        if let Some(keyed) = &plan.keyed {
            labels.extend(keyed.labels());
        }
        let cache = if plan.without_cache {
            Cache::none()
        } else {
            self.unless_cancelled(async { Ok(Cache::of(self.deploy.clients, engine, self.service, self.plan).await) })
                .await?
        };
        let request = BuildRequest {
            context: &self.service.context,
            dockerfile: &self.service.dockerfile,
            target: self.service.target.as_deref(),
            platform: self.service.platform,
            build_args: &self.service.build_args,
            build_secrets: &self.service.build_secrets,
            labels: &labels,
            tags: &[],
            no_cache: plan.without_cache,
            inline_cache: self.service.cache != config::cache::Cache::Off,
            cache_from: &cache.from,
            registry_auth: &cache.logins,
        };
        let built = engine.build(&request, self.events, self.deploy.cancel).await?;
        let seconds = began.elapsed().as_secs_f64();
        self.events.emit(Kind::BuildFinished { image: built.image_id.clone(), seconds });
        if let Some(keyed) = &plan.keyed {
            self.trail.key_is_void = !known::holds(self.service, keyed, self.events).await;
        }
        Ok(built)
    }

    async fn inspect(&self, engine: &Engine, built: &Built) -> Result<Image> {
        self.events.stage(Stage::Inspect);
        let Deploy { specification, leaks, .. } = *self.deploy;
        let image = self.unless_cancelled(engine.inspect(&built.image_id)).await?;
        image.require_architecture(self.service.platform.architecture())?;
        let look = Look {
            engine,
            image: &image,
            bases: &built.bases,
            service: self.service,
            secrets: &specification.secrets,
            events: self.events,
        };
        self.unless_cancelled(leaks.check(&look)).await?;
        Ok(image)
    }

    fn check_known(&self, image: &Image) -> Result<()> {
        image.require_architecture(self.service.platform.architecture())?;
        leak::check_known(image, self.service, &self.deploy.specification.secrets)
    }

    /// Pushes under every tag. Returns the digests that prove it.
    async fn push(
        &mut self,
        engine: &'a Engine,
        image: &Image,
        plan: &Build,
        together: &Together,
    ) -> Result<Vec<String>, Stop> {
        let failed = |error| Stop::new(Verdict::PushFailed, error);
        self.events.stage(Stage::Push);
        let login = self.unless_cancelled(ecr::login(self.deploy.clients)).await.map_err(failed)?;
        let courier = Courier::send_to(&login, engine, self.events);
        let courier = self.unless_cancelled(courier).await.map_err(failed)?;
        let turn = async { Ok(together.layers.turn(self.deploy.clients, &image.layers).await) };
        let turn = match self.deploy.plan.services.len() {
            1 => None,
            _ => self.unless_cancelled(turn).await.map_err(failed)?,
        };
        self.put_tags(courier, &image.id, turn, &together.ends).await?;
        let digest = self.trail.digest.clone().unwrap_or_default();
        let manifest =
            self.unless_cancelled(ecr::manifest(self.deploy.clients, &self.service.repository, &digest)).await;
        let manifest = manifest.ok().flatten();
        let keyed = plan.keyed.as_ref().filter(|_| !self.trail.key_is_void);
        if let (Some(keyed), Some(manifest)) = (keyed, &manifest) {
            let known = known::make(self.deploy.clients, self.service, keyed, manifest, self.events);
            self.unless_cancelled(async {
                known.await;
                Ok(())
            })
            .await
            .map_err(failed)?;
        }
        Ok(self.digests(manifest.as_ref()))
    }

    /// The commit's tag, then `latest`; then the registry is asked what `latest` is.
    async fn put_tags(
        &mut self,
        mut courier: Courier<'a>,
        image: &str,
        mut turn: Option<Turn<'_>>,
        ends: &Ends,
    ) -> Result<(), Stop> {
        let failed = |error| Stop::new(Verdict::PushFailed, error);
        for tag in &self.plan.tags {
            if tag == "latest" {
                self.after_those_before(ends).await?;
                self.ask_again().await?;
                self.alone().await?;
                self.trail.latest = Latest::Pushing;
            }
            let pushed = courier.push(image, &self.service.repository, tag, self.deploy.cancel);
            self.trail.digest = Some(pushed.await.map_err(failed)?);
            if let Some(turn) = turn.take() {
                turn.arrived();
            }
        }
        self.trail.latest = Latest::Pushed;
        let digest = self.trail.digest.clone().unwrap_or_default();
        self.rolling().confirm_latest(&digest).await
    }

    /// Those that a task may say it runs: the image's, and its child's where it is an index.
    fn digests(&self, manifest: Option<&Manifest>) -> Vec<String> {
        let child = manifest.and_then(|manifest| manifest.child(self.service.platform.architecture()));
        self.trail.digest.clone().into_iter().chain(child).collect()
    }

    /// Waits for the services that this one depends on.
    async fn after_those_before(&self, ends: &Ends) -> Result<(), Stop> {
        let awaited = ends.awaited(&self.plan.depends_on);
        if !awaited.is_empty() {
            let are = if awaited.len() == 1 { "is" } else { "are" };
            self.events.note(format!("waits until {} {are} deployed", awaited.join(" and ")));
        }
        tokio::select! {
            biased;
            () = self.deploy.cancel.cancelled() => Err(Stop::new(Verdict::Interrupted, interrupted(NOTHING_ROLLED))),
            ended = ends.wait(&self.plan.depends_on) => ended,
        }
    }

    /// Before anything that others see is moved: is the service still as it was when the plan was made?
    async fn ask_again(&self) -> Result<(), Stop> {
        let found = ecs::describe(self.deploy.clients, &self.service.cluster, &self.service.service);
        let found = self.unless_cancelled(found).await.map_err(|error| Stop::new(Verdict::Refused, error))?;
        let now = found.primary().map(|primary| &primary.id);
        if now == self.plan.previous_deployment.as_ref() {
            return Ok(());
        }
        let other = now.map_or("it has none now", |id| id.as_str());
        let error = Error::new(Exit::Gate, format!("another rollout began while this one was built: {other}"))
            .hint("nothing was changed in ECS and `latest` is as it was; run it again when that rollout has ended");
        Err(Stop::new(Verdict::Refused, error))
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
        before::verdict(ended, task.timeout).map_err(failed)
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
        let previous = self.plan.previous_deployment.as_deref();
        let deployment = roll.start(previous).await?;
        self.trail.deployment = Some(deployment.clone());
        if self.deploy.options.no_wait {
            return Ok(Verdict::Started);
        }
        self.trail.url = roll.watch_and_prove(&deployment, previous, digests).await?;
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
            previous: Previous::of(self.plan.running_digest.as_deref(), digest),
            by: plan.identity.as_deref(),
            approved_by: options.approved_by.as_deref(),
        };
        record::record(clients, arn, &record, &self.plan.recorded, self.events).await;
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
        let Some(before) = self.plan.running_digest.as_ref().or(self.plan.latest_digest.as_ref()) else {
            return Some("`latest` stays on the new image: nothing ran before it".to_owned());
        };
        if *before == pushed {
            return None;
        }
        let repository = &self.service.repository;
        let runs = if self.plan.running_digest.is_some() { "which runs" } else { "as it was before" };
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
            None => Some(now) != self.plan.latest_digest.as_ref(),
        }))
    }

    async fn unless_cancelled<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        unless_cancelled(self.deploy.cancel, NOTHING_ROLLED, step).await
    }
}
