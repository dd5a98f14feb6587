//! One service's way: build → inspect → push → roll → watch and prove → record. It reads in that order.
//!
//! Whatever ends it early leaves a verdict, a cause and `latest` on the digest that runs.

use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Deploy, leak};
use crate::aws::ecr::{self, Login};
use crate::aws::ecs::{self, Tag};
use crate::config::specification::Service;
use crate::docker::{BuildRequest, RegistryAuth};
use crate::error::{Error, Result};
use crate::event::{Events, Kind, Stage};
use crate::exit::Exit;
use crate::plan::ServicePlan;
use crate::registry::{Destination, push_export};
use crate::rollout::decision::Ending;
use crate::rollout::failure::Failure;
use crate::rollout::restore::restore_latest;
use crate::rollout::{End, Watched, watch};
use crate::verdict::{Outcome, Verdict};

/// How long an interrupt waits for the answer to a call that cannot be taken back.
const LAST_ANSWER: Duration = Duration::from_millis(1200);

pub(super) struct Ship<'a> {
    deploy: &'a Deploy<'a>,
    service: &'a Service,
    plan: &'a ServicePlan,
    events: &'a Events,
    /// What has become true so far, for the outcome and for the way back.
    trail: Trail,
}

#[derive(Default)]
struct Trail {
    digest: Option<String>,
    latest_moved: bool,
    deployment: Option<String>,
    url: Option<String>,
}

/// Why it ended before the end.
struct Stop {
    verdict: Verdict,
    error: Error,
    /// Whether `latest` has to go back to what runs.
    restore: bool,
}

impl Stop {
    fn new(verdict: Verdict, error: Error) -> Self {
        let verdict = if error.exit() == Exit::Interrupted { Verdict::Interrupted } else { verdict };
        Self { verdict, error, restore: true }
    }

    /// The rollout goes on without us, or `latest` is somebody else's: it stays where it is.
    fn leaving_latest(mut self) -> Self {
        self.restore = false;
        self
    }
}

impl<'a> Ship<'a> {
    pub(super) fn new(deploy: &'a Deploy<'a>, service: &'a Service, plan: &'a ServicePlan, events: &'a Events) -> Self {
        Self { deploy, service, plan, events, trail: Trail::default() }
    }

    pub(super) async fn run(mut self, builds: &Semaphore) -> Outcome {
        let ended = self.all_the_way(builds).await;
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

    async fn all_the_way(&mut self, builds: &Semaphore) -> Result<Verdict, Stop> {
        let image = self.build(builds).await.map_err(|error| Stop::new(Verdict::BuildFailed, error))?;
        self.inspect(&image).await.map_err(|error| Stop::new(Verdict::Refused, error))?;
        let digests = self.push(&image).await?;
        self.roll().await?;
        if self.deploy.options.no_wait {
            return Ok(Verdict::Started);
        }
        self.watch_and_prove(digests).await?;
        self.record().await;
        Ok(Verdict::Deployed)
    }

    async fn build(&self, builds: &Semaphore) -> Result<String> {
        let _turn = self.unless_cancelled(async { Ok(builds.acquire().await) }).await?;
        self.events.stage(Stage::Build);
        let began = std::time::Instant::now();
        let labels = [("org.opencontainers.image.revision".to_owned(), self.deploy.plan.revision.full())].into();
        let request = BuildRequest {
            context: &self.service.context,
            dockerfile: &self.service.dockerfile,
            target: self.service.target.as_deref(),
            platform: self.service.platform,
            build_args: &self.service.build_args,
            build_secrets: &self.service.build_secrets,
            labels: &labels,
            tags: &[],
            no_cache: false,
            registry_auth: &[],
        };
        let built = self.deploy.engine.build(&request, self.events, self.deploy.cancel).await?;
        let seconds = began.elapsed().as_secs_f64();
        self.events.emit(Kind::BuildFinished { image: built.image_id.clone(), seconds });
        Ok(built.image_id)
    }

    async fn inspect(&self, image: &str) -> Result<()> {
        self.events.stage(Stage::Inspect);
        let image = self.unless_cancelled(self.deploy.engine.inspect(image)).await?;
        image.require_architecture(self.service.platform.architecture())?;
        leak::check(&image, self.service, &self.deploy.specification.secrets)
    }

    /// Pushes the commit's tag, then `latest`, and asks the registry what `latest` is. Returns the digests that prove it.
    async fn push(&mut self, image: &str) -> Result<Vec<String>, Stop> {
        let failed = |error| Stop::new(Verdict::PushFailed, error);
        self.events.stage(Stage::Push);
        let login = self.unless_cancelled(ecr::login(self.deploy.clients)).await.map_err(failed)?;
        for tag in &self.plan.tags {
            if tag == "latest" {
                self.ask_again().await?;
            }
            let pushed = self.push_tag(image, &login, tag).await.map_err(failed)?;
            self.trail.latest_moved |= tag == "latest";
            self.trail.digest = Some(pushed);
        }
        let digest = self.trail.digest.clone().unwrap_or_default();
        self.confirm_latest(&digest).await?;
        let manifest =
            self.unless_cancelled(ecr::manifest(self.deploy.clients, &self.service.repository, &digest)).await;
        let child = manifest.ok().flatten().and_then(|manifest| manifest.child(self.service.platform.architecture()));
        Ok(std::iter::once(digest).chain(child).collect())
    }

    async fn push_tag(&self, image: &str, login: &Login, tag: &str) -> Result<String> {
        let repository = format!("{}/{}", login.host, self.service.repository);
        let reference = format!("{repository}:{tag}");
        let auth = RegistryAuth {
            host: login.host.clone(),
            username: login.username.clone(),
            password: login.password.clone(),
        };
        let engine = self.deploy.engine;
        self.unless_cancelled(engine.tag(image, &repository, tag)).await?;
        let digest = if self.engine_pushes(&auth).await? {
            engine.push(&reference, &auth, self.events, self.deploy.cancel).await?.digest
        } else {
            let destination = Destination {
                host: &login.host,
                repository: &self.service.repository,
                tag,
                username: &login.username,
                password: &login.password,
            };
            let exported = self.unless_cancelled(engine.export(&reference)).await?;
            self.unless_cancelled(push_export(exported, &destination, self.events)).await?
        };
        self.events.emit(Kind::TagPushed { reference, digest: digest.clone() });
        Ok(digest)
    }

    /// A registry on this machine's loopback may be out of an engine's reach: Docker Desktop's runs in a virtual
    /// machine. Then the image is exported and sent from here.
    async fn engine_pushes(&self, auth: &RegistryAuth) -> Result<bool> {
        if !is_loopback(&auth.host) || self.unless_cancelled(self.deploy.engine.can_reach(&auth.host, auth)).await? {
            return Ok(true);
        }
        self.events.note(format!("the engine does not reach {}: the image is exported and sent from here", auth.host));
        Ok(false)
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

    async fn confirm_latest(&self, digest: &str) -> Result<(), Stop> {
        let failed = |error| Stop::new(Verdict::PushFailed, error);
        let mut latest = None;
        // ECR may show a push a moment later.
        for pause in [0, 200, 500, 1000, 2000] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let asked = ecr::digest_of(self.deploy.clients, &self.service.repository, "latest");
            latest = self.unless_cancelled(asked).await.map_err(failed)?;
            if latest.as_deref() == Some(digest) {
                return Ok(());
            }
        }
        let latest = latest.unwrap_or_else(|| "nothing".to_owned());
        let error =
            Error::new(Exit::Registry, format!("`latest` was pushed as {digest}, but the registry says {latest}"))
                .hint("somebody else pushes to this repository at the same time; run it again when they are done");
        Err(Stop::new(Verdict::PushFailed, error).leaving_latest())
    }

    async fn roll(&mut self) -> Result<(), Stop> {
        if self.deploy.cancel.is_cancelled() {
            return Err(Stop::new(Verdict::Interrupted, interrupted()));
        }
        self.events.stage(Stage::Roll);
        let previous = self.plan.previous_deployment.as_deref();
        let call =
            ecs::force_new_deployment(self.deploy.clients, &self.service.cluster, &self.service.service, previous);
        let started = tokio::select! {
            started = call => started.map_err(|error| Stop::new(Verdict::Refused, error))?,
            () = self.no_answer_after_cancel() => {
                let error = Error::new(Exit::Interrupted, "interrupted before ECS answered: it may have begun the rollout")
                    .hint("look whether a rollout is under way before you deploy again");
                return Err(Stop::new(Verdict::Interrupted, error).leaving_latest());
            }
        };
        if started.recovered {
            self.events.warn("the answer to UpdateService was lost; the deployment that it started was found", None);
        }
        self.trail.deployment = Some(started.deployment.clone());
        self.events.emit(Kind::RolloutStarted { deployment: started.deployment });
        Ok(())
    }

    async fn watch_and_prove(&mut self, digests: Vec<String>) -> Result<(), Stop> {
        self.events.stage(Stage::Watch);
        let deployment = self.trail.deployment.clone().unwrap_or_default();
        let watched = Watched {
            cluster: self.service.cluster.clone(),
            service: self.service.service.clone(),
            container: self.plan.container.clone().unwrap_or_default(),
            deployment: deployment.clone(),
            digests,
            timeout: self.deploy.options.timeout,
            fail_fast: self.deploy.options.fail_fast,
        };
        match watch(self.deploy.clients, &watched, self.events, self.deploy.cancel).await {
            End::Proven { url, .. } => {
                self.trail.url = url;
                self.latest_is_still_mine().await
            }
            End::NotProven { reason } => Err(Stop::new(
                Verdict::NotProven,
                Error::new(Exit::NotProven, reason).hint("see what runs before you rely on it; then deploy again"),
            )
            .leaving_latest()),
            End::Blind { error } => {
                let error =
                    Error::new(Exit::Aws, format!("the rollout {deployment} goes on, but it cannot be watched"))
                        .cause(error.line())
                        .hint("it is neither proven nor failed: restore the credentials and look at the service");
                Err(Stop::new(Verdict::NotProven, error).leaving_latest())
            }
            End::Interrupted => {
                let error =
                    Error::new(Exit::Interrupted, format!("interrupted; the rollout {deployment} goes on in ECS"))
                        .hint("it was left as it is and is not proven: look at the service before you rely on it");
                Err(Stop::new(Verdict::Interrupted, error).leaving_latest())
            }
            End::Failed { ending, failures } => Err(failed_rollout(ending, &failures, &watched)),
        }
    }

    async fn latest_is_still_mine(&self) -> Result<(), Stop> {
        let asked = ecr::digest_of(self.deploy.clients, &self.service.repository, "latest");
        let latest = self
            .unless_cancelled(asked)
            .await
            .map_err(|error| Stop::new(Verdict::NotProven, error).leaving_latest())?;
        if latest == self.trail.digest {
            return Ok(());
        }
        let latest = latest.unwrap_or_else(|| "gone".to_owned());
        let error = Error::new(Exit::NotProven, format!("what was pushed runs, but `latest` is {latest} by now"))
            .hint("somebody pushed after this deploy: the next rollout of anybody will run that image");
        Err(Stop::new(Verdict::NotProven, error).leaving_latest())
    }

    /// Writes down what runs now. Best effort: the deploy is proven, and a missing permission does not undo that.
    async fn record(&self) {
        self.events.stage(Stage::Record);
        let Some(arn) = &self.plan.service_arn else { return };
        let mut tags = vec![
            (Tag::Revision, self.deploy.plan.revision.full()),
            (Tag::Base, self.deploy.plan.revision.full()),
            (Tag::Digest, self.trail.digest.clone().unwrap_or_default()),
            (Tag::DeployedAt, jiff::Timestamp::now().strftime("%FT%TZ").to_string()),
        ];
        tags.extend(self.deploy.plan.identity.clone().map(|arn| (Tag::DeployedBy, arn)));
        tags.extend(self.deploy.options.approved_by.clone().map(|name| (Tag::ApprovedBy, name)));
        if let Err(error) = ecs::write_tags(self.deploy.clients, arn, &tags).await {
            let hint = error.hints().first().cloned();
            self.events.warn(format!("deployed, but the service's tags could not be written: {}", error.line()), hint);
        }
    }

    /// Moves `latest` back to what runs; says what became of it, or nothing where nothing had to be done.
    async fn restore(&self) -> Option<String> {
        let (true, Some(pushed)) = (self.trail.latest_moved, &self.trail.digest) else { return None };
        if !self.deploy.specification.environment.restore_latest {
            return Some("`latest` stays on the new image (restore_latest: false)".to_owned());
        }
        let Some(before) = self.plan.running_digest.as_ref().or(self.plan.latest_digest.as_ref()) else {
            return Some("`latest` stays on the new image: nothing ran before it".to_owned());
        };
        if before == pushed {
            return None;
        }
        let repository = &self.service.repository;
        match restore_latest(self.deploy.clients, repository, pushed, before).await {
            Ok(true) => Some(format!("`latest` is back on {before}, which runs")),
            Ok(false) => Some("`latest` was moved by somebody else meanwhile and stays there".to_owned()),
            Err(error) => {
                let text = format!("`latest` could NOT be moved back and still is the new image: {}", error.line());
                self.events
                    .warn(text.clone(), Some(format!("put the tag back on {before} before anything scales out")));
                Some(text)
            }
        }
    }

    /// Ends a step that may be given up at any moment as soon as the run is interrupted.
    async fn unless_cancelled<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = step => done,
            () = self.deploy.cancel.cancelled() => Err(interrupted()),
        }
    }

    async fn no_answer_after_cancel(&self) {
        self.deploy.cancel.cancelled().await;
        tokio::time::sleep(LAST_ANSWER).await;
    }
}

/// Whether `HOST[:PORT]` names this machine's loopback.
fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn interrupted() -> Error {
    Error::new(Exit::Interrupted, "interrupted; nothing was rolled")
}

/// The verdict on a rollout that did not do what was asked, with the failures' causes and one hint.
fn failed_rollout(ending: Ending, failures: &[Failure], watched: &Watched) -> Stop {
    let (verdict, error, restore) = match ending {
        Ending::CrashLoop { failures } => {
            let text = format!("the tasks of {} fail again and again ({failures} times alike)", watched.deployment);
            (Verdict::RolloutFailed, Error::new(Exit::Rollout, text), true)
        }
        Ending::Failed { reason } => (Verdict::RolloutFailed, Error::new(Exit::Rollout, reason), true),
        Ending::RolledBack { to, reason } => {
            let to = to.map_or_else(String::new, |id| format!(" to {id}"));
            (Verdict::RolledBack, Error::new(Exit::Rollout, format!("ECS rolled back{to}")).cause(reason), true)
        }
        Ending::ServiceGone { status } => {
            let text = format!("service `{}` is {status}", watched.service);
            (Verdict::RolloutFailed, Error::new(Exit::Rollout, text), true)
        }
        Ending::Superseded { by } => {
            let text = format!("another deployment took the place of this one: {by}");
            let error = Error::new(Exit::NotProven, text).hint("somebody else deployed this service at the same time");
            (Verdict::Superseded, error, false)
        }
        Ending::TimedOut => {
            let minutes = watched.timeout.as_secs_f64() / 60.0;
            let text = format!("after {minutes:.0} min the rollout {} is still under way", watched.deployment);
            let error = Error::new(Exit::TimedOut, text)
                .hint("it goes on in ECS: look at the service, or give it more --timeout");
            (Verdict::TimedOut, error, false)
        }
    };
    let mut error = error;
    if let Some(last) = failures.last() {
        error = error.cause(last.in_words());
        if let Some(hint) = last.hint() {
            error = error.hint(hint);
        }
    }
    let stop = Stop::new(verdict, error);
    if restore { stop } else { stop.leaving_latest() }
}
