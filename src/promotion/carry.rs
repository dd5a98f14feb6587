//! The way of a promoted image: out of the registry of the environment before, with that environment's credentials, into
//! this one's.

use std::sync::Arc;

use crate::after::Before;
use crate::aws::{Clients, ecr};
use crate::docker::{self, ImageConfig};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::exit::Exit;
use crate::plan::Plan;
use crate::registry::{Copy, Image, Proxies, Registry};
use crate::source::Promotion;

/// From one repository to another.
pub(crate) struct Route {
    from: Arc<Registry>,
    from_repository: String,
    to: Registry,
    to_repository: String,
    same_registry: bool,
}

impl Route {
    /// Logs in at both ends.
    ///
    /// # Errors
    /// `Exit::Aws` when either login is refused.
    pub(crate) async fn open(
        (before, promotion): (&Before, &Promotion),
        (clients, plan, repository): (&Clients, &Plan, &str),
        proxies: &Proxies,
    ) -> Result<Self> {
        let (theirs, ours) = tokio::try_join!(ecr::login(&before.clients), ecr::login(clients))?;
        let from = Registry::at(&theirs.host, &theirs.username, &theirs.password, proxies)?;
        let to = Registry::at(&ours.host, &ours.username, &ours.password, proxies)?;
        // A stand-in is one host for every account and region; what keeps registries apart in AWS is these two.
        let same_registry = theirs.host == ours.host
            && plan.account.as_ref() == Some(&before.identity.account)
            && plan.region == before.clients.region;
        Ok(Self {
            from: Arc::new(from),
            from_repository: promotion.repository.clone(),
            to,
            to_repository: repository.to_owned(),
            same_registry,
        })
    }

    /// Reads the manifests of the image, and what its config says of it.
    ///
    /// # Errors
    /// `Exit::Registry` when it is gone or is not what its digest says; `Exit::Gate` when it has nothing for this
    /// architecture.
    pub(crate) async fn look(&self, digest: &str, architecture: &str) -> Result<(Image, docker::Image)> {
        let image = Image::read(&self.from, &self.from_repository, digest).await?;
        let config = image.config(&self.from, &self.from_repository, architecture).await?;
        let described = ImageConfig::parse(digest, &config).map_err(|error| {
            Error::new(Exit::Registry, format!("the config of the image {digest} is not understood")).because(&error)
        })?;
        Ok((image, described.image))
    }

    pub(crate) fn copy<'a>(&'a self, events: &'a Events) -> Copy<'a> {
        Copy {
            from: &self.from,
            from_repository: &self.from_repository,
            to: &self.to,
            to_repository: &self.to_repository,
            same_registry: self.same_registry,
            events,
        }
    }

    /// `HOST/REPOSITORY:TAG`.
    pub(crate) fn reference(&self, tag: &str) -> String {
        format!("{}/{}:{tag}", self.to.host(), self.to_repository)
    }
}
