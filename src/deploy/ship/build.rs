//! The image, made and looked into by one engine. What the engine does is `docker`'s; what must not be in an image is
//! `leak`'s.

use std::collections::BTreeMap;

use super::Ship;
use crate::config;
use crate::deploy::cache::Cache;
use crate::deploy::{Deploy, known};
use crate::docker::{BuildRequest, Built, Engine, Image};
use crate::error::Result;
use crate::event::{Kind, Stage};
use crate::leak::{self, Look};
use crate::reuse::REVISION_LABEL;
use crate::source::Build;

impl Ship<'_> {
    pub(super) async fn build(&mut self, engine: &Engine, plan: &Build) -> Result<Built> {
        let began = std::time::Instant::now();
        let mut labels = BTreeMap::from([(REVISION_LABEL.to_owned(), self.deploy.plan.revision.full())]);
        if let Some(keyed) = &plan.keyed {
            labels.extend(keyed.labels());
        }
        let Deploy { specification, .. } = *self.deploy;
        if let Some(secrets) = leak::Layers::of(&[(self.service, &specification.secrets)])? {
            labels.extend([secrets.label(&specification.environment.name)]);
        }
        let cache = Cache::of(self.deploy.clients, engine, self.service, self.plan, plan);
        let cache = self.unless_cancelled(async { Ok(cache.await) }).await?;
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

    pub(super) async fn inspect(&mut self, engine: &Engine, built: &Built) -> Result<Image> {
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
        let whole = self.unless_cancelled(leaks.check(&look)).await?;
        // Its label says that it was looked through, and is believed where an image is used again.
        self.trail.key_is_void |= !whole;
        Ok(image)
    }
}
