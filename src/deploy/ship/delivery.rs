//! How an image gets from the files to the registry: built, looked into and pushed by one engine. An engine that is lost
//! on the way is taken out, and its work begins again on another; what failed by itself fails.

use super::{Latest, Ship};
use crate::aws::ecr;
use crate::builders::{Builders, Place};
use crate::config::specification::Platform;
use crate::deploy::Together;
use crate::deploy::courier::Courier;
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::{Kind, Stage};
use crate::exit::Exit;
use crate::rollout::Stop;
use crate::source::Build;
use crate::verdict::Verdict;

/// A build that outlives no engine is very likely what takes them down, and is not given a third.
const MOST_LOST: usize = 2;

impl<'a> Ship<'a> {
    /// Returns the digests that prove the image.
    pub(super) async fn deliver(&mut self, build: &Build, together: &Together) -> Result<Vec<String>, Stop> {
        let builders = self.deploy.builders.ok_or_else(no_engine)?;
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
        let platform: Platform = self.service.platform;
        let place = builders.place(&self.service.name, platform, self.deploy.options.jobs);
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
        self.events.emit(Kind::BuildPlaced { builder: label.clone(), one_of_several: place.is_one_of_several() });
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
        self.push(&engine, &image, build, together).await
    }

    /// Pushes one tag. Once the image is in the registry under the commit's tag, `latest` needs no engine.
    pub(super) async fn push_tag(&self, courier: &mut Courier<'_>, image: &str, tag: &str) -> Result<String> {
        let engine = courier.engine();
        let pushed = courier.push(image, &self.service.repository, tag, self.deploy.cancel);
        let pushed = match engine {
            None => pushed.await,
            Some(engine) => match engine.while_there(pushed).await {
                Err(error) => Err(lost_or(error, engine).await),
                pushed => pushed,
            },
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
}

/// An export that breaks off looks like many things; that its engine is gone tells which it was.
async fn lost_or(error: Error, engine: &Engine) -> Error {
    let may_be = matches!(error.exit(), Exit::Build | Exit::Registry) && !error.is_engine_lost();
    if may_be && !engine.is_there().await { error.engine_lost() } else { error }
}

/// The plan has told why; a build that was not planned is none that could be made.
fn no_engine() -> Stop {
    Stop::new(Verdict::Refused, Error::new(Exit::Build, "there is no Docker Engine to build with"))
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
