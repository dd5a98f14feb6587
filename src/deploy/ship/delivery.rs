//! How an image gets into the repository under its tags: built and pushed by one engine, or found there already. An engine
//! that is lost on the way is taken out, and its work begins again on another; what failed by itself fails.

use super::{Latest, Ship};
use crate::aws::ecr::{self, Manifest};
use crate::builders::{Builders, Place};
use crate::deploy::courier::Courier;
use crate::deploy::order::Ends;
use crate::deploy::shared_layers::SharedLayers;
use crate::deploy::{Together, known, scan};
use crate::docker::{Engine, Image};
use crate::error::{Error, Result};
use crate::event::{Kind, Stage};
use crate::exit::Exit;
use crate::leak;
use crate::rollout::Stop;
use crate::source::{Build, Reuse, Source};
use crate::verdict::Verdict;

/// A build that outlives no engine is very likely what takes them down, and is not given a third.
const MOST_LOST: usize = 2;

impl<'a> Ship<'a> {
    /// Returns the digests that prove the image.
    pub(super) async fn deliver(&mut self, together: &Together) -> Result<Vec<String>, Stop> {
        match &self.plan.source {
            Source::Build(build) => self.build_and_push(build, together).await,
            Source::Reuse(reuse) => self.reuse(reuse, together).await,
            Source::Promote(promotion) => self.promote(promotion, &together.ends).await,
        }
    }

    async fn reuse(&mut self, reuse: &'a Reuse, together: &Together) -> Result<Vec<String>, Stop> {
        together.ends.in_the_way(&self.plan.depends_on)?;
        self.events.stage(Stage::Inspect);
        self.check_known(&reuse.image).map_err(|error| Stop::new(Verdict::Refused, error))?;
        self.files_of(reuse).await?;
        self.events.stage(Stage::Push);
        let courier = Courier::of_image(self.deploy.clients, &reuse.uri, &reuse.manifest, self.events);
        self.put_tags(None, courier, &reuse.digest, None, &together.ends).await?;
        Ok(self.digests(Some(&reuse.manifest)))
    }

    /// What an image has to pass that was built before.
    fn check_known(&self, image: &Image) -> Result<()> {
        image.require_architecture(self.service.platform.architecture())?;
        leak::check_known(image, self.service, &self.deploy.specification.secrets)
    }

    async fn build_and_push(&mut self, build: &Build, together: &Together) -> Result<Vec<String>, Stop> {
        let builders = self.builders().map_err(|error| Stop::new(Verdict::Refused, error))?;
        let mut place = self.place(builders).await.map_err(|error| Stop::new(Verdict::BuildFailed, error))?;
        let mut lost = Vec::new();
        loop {
            together.ends.in_the_way(&self.plan.depends_on)?;
            let stop = match self.deliver_from(&mut place, build, together).await {
                Err(stop) if stop.error.is_engine_lost() && builders.are_several() => stop,
                done => return done,
            };
            let why = place.lose(&stop.error);
            lost.push(why.clone());
            let (verdict, exit) = (stop.verdict, stop.error.exit());
            if lost.len() == MOST_LOST {
                return Err(Stop::new(verdict, lost_too_often(exit, lost)));
            }
            // At once: the others may be busy for a while.
            if builders.can_build(self.service.platform) {
                self.events.warn(format!("builder {why}; its work begins again on another"), None);
            }
            let next = self.another(builders).await;
            place = next.map_err(|error| Stop::new(verdict, again(error, exit)))?;
        }
    }

    fn builders(&self) -> Result<&'a Builders> {
        let missing = || Error::new(Exit::Build, "there is no Docker Engine to build with");
        self.deploy.builders.ok_or_else(missing)
    }

    /// An engine that answers now: others may have gone with the one that is lost.
    async fn another(&self, builders: &'a Builders) -> Result<Place<'a>> {
        loop {
            let place = self.place(builders).await?;
            let engine = place.engine().clone();
            if self.unless_cancelled(async { Ok(engine.is_there().await) }).await? {
                return Ok(place);
            }
            place.lose(&Error::new(Exit::Build, "it does not answer any more"));
        }
    }

    async fn place(&self, builders: &'a Builders) -> Result<Place<'a>> {
        let place = builders.place(&self.service.name, self.service.platform, self.deploy.options.jobs);
        self.unless_cancelled(place).await
    }

    async fn deliver_from(
        &mut self,
        place: &mut Place<'a>,
        build: &Build,
        together: &Together,
    ) -> Result<Vec<String>, Stop> {
        let engine = place.engine().clone();
        let label = engine.facts().label();
        self.events.stage(Stage::Build);
        let one_of_several = self.deploy.builders.is_some_and(Builders::are_several);
        self.events.emit(Kind::BuildPlaced { builder: label.clone(), one_of_several });
        self.trail.builder = Some(label);
        let built = engine.while_there(self.build(&engine, build)).await;
        let built = built.map_err(|error| Stop::new(Verdict::BuildFailed, error))?;
        place.free();
        // The key holds the base images of the engine where the service is at home; this one may have others.
        if build.keyed.is_some() && !place.is_home_of(&self.service.name, self.service.platform) {
            self.trail.key_is_void = true;
            self.events
                .note("built on another engine than usual: the next run does not take this image in place of a build");
        }
        let image = match self.inspect(&engine, &built).await {
            Ok(image) => image,
            Err(error) => {
                let error = lost_or(error, &engine).await;
                let verdict = if error.is_engine_lost() { Verdict::BuildFailed } else { Verdict::Refused };
                return Err(Stop::new(verdict, error));
            }
        };
        let digests = self.push(&engine, &image, build, together).await?;
        self.trail.made = Some((engine, image.id));
        Ok(digests)
    }

    /// Pushes under every tag. Returns the digests that prove it.
    async fn push(
        &mut self,
        engine: &Engine,
        image: &Image,
        plan: &Build,
        together: &Together,
    ) -> Result<Vec<String>, Stop> {
        let failed = |error| Stop::new(Verdict::PushFailed, error);
        let clients = self.deploy.clients;
        self.events.stage(Stage::Push);
        let login = self.unless_cancelled(ecr::login(clients)).await.map_err(failed)?;
        let courier = self.unless_cancelled(Courier::send_to(&login, engine, self.events)).await.map_err(failed)?;
        let shared = together.layers.as_ref().map(|shared| (shared, image.layers.as_slice()));
        self.put_tags(Some(engine), courier, &image.id, shared, &together.ends).await?;
        let digest = self.trail.digest.clone().unwrap_or_default();
        let manifest = self.unless_cancelled(ecr::manifest(clients, &self.service.repository, &digest)).await;
        let manifest = manifest.ok().flatten();
        let keyed = plan.keyed.as_ref().filter(|_| !self.trail.key_is_void);
        if let (Some(keyed), Some(manifest)) = (keyed, &manifest) {
            known::make(self.deploy, self.service, keyed, manifest, self.events).await;
        }
        Ok(self.digests(manifest.as_ref()))
    }

    /// The commit's tag, then `latest`; then the registry is asked what `latest` is. `shared`: the layers that others of this
    /// run may send as well. The turn for them is taken right before the first push and no earlier: what has to be true
    /// before `latest` may be that one of those others is deployed.
    async fn put_tags(
        &mut self,
        engine: Option<&Engine>,
        mut courier: Courier<'_>,
        image: &str,
        mut shared: Option<(&SharedLayers, &[String])>,
        ends: &Ends,
    ) -> Result<(), Stop> {
        let failed = |error| Stop::new(Verdict::PushFailed, error);
        for tag in &scan::tags(&self.plan.tags, self.plan.scan.is_some(), image) {
            if tag == "latest" {
                self.before_latest(ends, None).await?;
            }
            if let Some(digest) = self.there_for_scan(tag).await.map_err(failed)? {
                self.trail.digest = Some(digest);
                continue;
            }
            let turn = async {
                match shared.take() {
                    Some((shared, layers)) => Ok(shared.turn(self.deploy.clients, layers).await),
                    None => Ok(None),
                }
            };
            let turn = self.unless_cancelled(turn).await.map_err(failed)?;
            let pushed = self.push_tag(engine, &mut courier, image, tag).await;
            let before = self.trail.digest.replace(pushed.map_err(failed)?);
            scan::same(self.plan.scan.is_some(), before.as_deref(), self.trail.digest.as_deref()).map_err(failed)?;
            if let Some(turn) = turn {
                turn.arrived();
            }
        }
        self.latest_is_pushed().await
    }

    /// What has to be true before the first thing that others see. `promoted`: the digest that is taken from elsewhere.
    pub(super) async fn before_latest(&mut self, ends: &Ends, promoted: Option<&str>) -> Result<(), Stop> {
        self.scan().await?;
        self.after_those_before(ends).await?;
        self.ask_again(promoted).await?;
        self.alone().await?;
        self.trail.latest = Latest::Pushing;
        Ok(())
    }

    /// Asks the registry what `latest` is.
    pub(super) async fn latest_is_pushed(&mut self) -> Result<(), Stop> {
        self.trail.latest = Latest::Pushed;
        let digest = self.trail.digest.clone().unwrap_or_default();
        self.rolling().confirm_latest(&digest).await
    }

    /// Pushes one tag. Once the image is in the registry under the commit's tag, `latest` needs no engine.
    async fn push_tag(
        &self,
        engine: Option<&Engine>,
        courier: &mut Courier<'_>,
        image: &str,
        tag: &str,
    ) -> Result<String> {
        let pushed = courier.push(image, &self.service.repository, tag, self.deploy.cancel);
        let Some(engine) = engine else { return pushed.await };
        let pushed = match engine.while_there(pushed).await {
            Err(error) => Err(lost_or(error, engine).await),
            pushed => pushed,
        };
        match (pushed, &self.trail.digest) {
            (Err(lost), Some(digest)) if lost.is_engine_lost() && self.trail.latest == Latest::Pushing => {
                let repository = &self.service.repository;
                let text = format!("{}; the image is in the registry already, which moves `{tag}` itself", lost.line());
                self.events.warn(text, None);
                let moved = async {
                    let manifest = ecr::manifest(self.deploy.clients, repository, digest).await?.ok_or(lost)?;
                    ecr::put_tag(self.deploy.clients, repository, &manifest, tag).await
                };
                self.unless_cancelled(moved).await?;
                Ok(digest.clone())
            }
            (pushed, _) => pushed,
        }
    }

    /// Those that a task may say it runs: the image's, and its child's where it is an index.
    pub(super) fn digests(&self, manifest: Option<&Manifest>) -> Vec<String> {
        let child = manifest.and_then(|manifest| manifest.child(self.service.platform.architecture()));
        self.trail.digest.clone().into_iter().chain(child).collect()
    }
}

/// An export that breaks off looks like many things; that its engine is gone tells which it was.
async fn lost_or(error: Error, engine: &Engine) -> Error {
    let may_be = matches!(error.exit(), Exit::Build | Exit::Registry) && !error.is_engine_lost();
    if may_be && !engine.is_there().await { error.engine_lost() } else { error }
}

fn lost_too_often(exit: Exit, lost: Vec<String>) -> Error {
    let error = Error::new(exit, format!("{MOST_LOST} builders were lost while they worked on this"));
    lost.into_iter().fold(error, Error::cause).hint(
        "a build that needs more memory than an engine has takes it down: give the builders more, or the build less to do",
    )
}

/// The exit code stays that of what was under way.
fn again(error: Error, exit: Exit) -> Error {
    if error.exit() == Exit::Interrupted { error } else { error.with_exit(exit) }
}
