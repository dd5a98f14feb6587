//! In place of build and push: the image that runs in the environment before is looked into, copied and tagged.

use super::Ship;
use crate::after::Before;
use crate::aws::ecr;
use crate::deploy::order::Ends;
use crate::deploy::scan;
use crate::error::Error;
use crate::event::{Kind, Stage};
use crate::exit::Exit;
use crate::leak;
use crate::promotion::Route;
use crate::registry::{Copy, Image};
use crate::rollout::Stop;
use crate::source::Promotion;
use crate::verdict::Verdict;

impl Ship<'_> {
    /// Returns the digests that prove it.
    pub(super) async fn promote(&mut self, promotion: &Promotion, ends: &Ends) -> Result<Vec<String>, Stop> {
        ends.in_the_way(&self.plan.depends_on)?;
        let refused = |error| Stop::new(Verdict::Refused, error);
        let failed = |error| Stop::new(Verdict::PushFailed, error);
        self.events.stage(Stage::Inspect);
        let (Some(before), Some(digest)) = (self.deploy.before, &promotion.digest) else {
            return Err(refused(Error::new(Exit::Gate, format!("nothing is known of `{}`", promotion.from))));
        };
        let (clients, plan, options) = (self.deploy.clients, self.deploy.plan, self.deploy.options);
        let route = Route::open((before, promotion), (clients, plan, &self.service.repository), &options.proxies);
        let route = self.unless_cancelled(route).await.map_err(failed)?;
        let image = self.look(&route, before, digest).await?;
        let copy = route.copy(self.events);
        self.files(&copy, &image, before).await?;
        self.events.stage(Stage::Push);
        self.unless_cancelled(copy.parts(&image)).await.map_err(failed)?;
        for tag in &scan::tags(&self.plan.tags, self.plan.scan.is_some(), digest) {
            if tag == "latest" {
                self.before_latest(ends, Some(digest)).await?;
            }
            if let Some(digest) = self.there_for_scan(tag).await.map_err(failed)? {
                self.trail.digest = Some(digest);
                continue;
            }
            let digest = self.unless_cancelled(copy.tag(&image, tag)).await.map_err(failed)?;
            self.events.emit(Kind::TagPushed { reference: route.reference(tag), digest });
            self.trail.digest = Some(image.digest().to_owned());
        }
        self.latest_is_pushed().await?;
        let clients = self.deploy.clients;
        let manifest = self.unless_cancelled(ecr::manifest(clients, &self.service.repository, digest)).await;
        Ok(self.digests(manifest.ok().flatten().as_ref()))
    }

    /// What holds for an image that was built here holds for one that comes from elsewhere.
    async fn look(&self, route: &Route, before: &Before, digest: &str) -> Result<Image, Stop> {
        let architecture = self.service.platform.architecture();
        let (image, described) = self.unless_cancelled(route.look(digest, architecture)).await.map_err(|error| {
            let verdict = if error.exit() == Exit::Gate { Verdict::Refused } else { Verdict::PushFailed };
            Stop::new(verdict, error)
        })?;
        let refused = |error| Stop::new(Verdict::Refused, error);
        described.require_architecture(architecture).map_err(refused)?;
        let ours = leak::check_known(&described, self.service, &self.deploy.specification.secrets);
        let leaked = ours.and_then(|()| match before.service(&self.service.name) {
            Some(theirs) => leak::check_known(&described, theirs, &before.specification.secrets),
            None => Ok(()),
        });
        leaked.map_err(|error| leaky(&error, before))?;
        Ok(image)
    }

    /// The files of what would be copied, for secrets that nobody looked for where it was built: those of this environment.
    /// Layers that are here already were looked through when they came.
    async fn files(&self, copy: &Copy<'_>, image: &Image, before: &Before) -> Result<(), Stop> {
        let ours = (self.service, &self.deploy.specification.secrets);
        let theirs = before.service(&self.service.name).map(|theirs| (theirs, &before.specification.secrets));
        let sides: Vec<_> = [Some(ours), theirs].into_iter().flatten().collect();
        let looked = async {
            let Some(secrets) = leak::Layers::of(&sides)? else { return Ok(()) };
            let missing = copy.missing(image).await?;
            self.look_through(&secrets, missing, image.layers().count(), |part| copy.read(part)).await
        };
        self.unless_cancelled(looked).await.map_err(|error| match error.exit() {
            Exit::Gate => leaky(&error, before),
            _ => Stop::new(Verdict::PushFailed, error),
        })
    }
}

/// What helps is another than where a build can be had here.
fn leaky(error: &Error, before: &Before) -> Stop {
    let name = &before.specification.environment.name;
    let hint = format!("take it by `RUN --mount=type=secret` and `build_secrets`, and deploy that to `{name}`");
    Stop::new(Verdict::Refused, Error::new(error.exit(), error.line()).hint(hint))
}
