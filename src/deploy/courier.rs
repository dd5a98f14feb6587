//! How an image gets into the registry: the engine pushes it, or, where the engine cannot reach a registry on this
//! machine's loopback (Docker Desktop's runs in a virtual machine), it is exported once and sent from here. An image that
//! is there already only gets a further tag.

use tokio_util::sync::CancellationToken;

use crate::aws::Clients;
use crate::aws::ecr::{self, Login, Manifest};
use crate::docker::{Engine, RegistryAuth};
use crate::error::Result;
use crate::event::{Events, Kind};
use crate::interrupt::unless_cancelled;
use crate::registry::{Registry, Sent, is_loopback, push_export, tag_again};
use crate::rollout::NOTHING_ROLLED;

pub(super) struct Courier<'a> {
    events: &'a Events,
    /// `HOST[:PORT]` of the registry.
    host: String,
    way: Way<'a>,
}

enum Way<'a> {
    Engine(&'a Engine, RegistryAuth),
    /// With what was sent already: a further tag needs no second export.
    Export(&'a Engine, Box<Registry>, Option<Sent>),
    /// The registry has the image: it is told its further tags by `PutImage`, and no layer is sent.
    There(&'a Clients, &'a Manifest),
}

impl<'a> Courier<'a> {
    /// Finds the way, and says so when it is not the usual one.
    ///
    /// # Errors
    /// `Exit::Registry` when the engine does not answer, or when a registry on loopback does not let us in from here
    /// either.
    pub(super) async fn send_to(login: &Login, engine: &'a Engine, events: &'a Events) -> Result<Self> {
        let auth = RegistryAuth::from(login.clone());
        let host = auth.host.clone();
        if !is_loopback(&auth.host) || engine.can_reach(&auth.host, &auth).await? {
            return Ok(Self { events, host, way: Way::Engine(engine, auth) });
        }
        let registry = Registry::new(&auth.host, &auth.username, &auth.password);
        registry.log_in().await.map_err(|failure| failure.during(&registry, "log in to the registry"))?;
        events.note(format!("the engine does not reach {}: the image is exported and sent from here", auth.host));
        Ok(Self { events, host, way: Way::Export(engine, Box::new(registry), None) })
    }

    /// For an image that the repository has. `uri`: `HOST/NAME`.
    pub(super) fn of_image(clients: &'a Clients, uri: &str, manifest: &'a Manifest, events: &'a Events) -> Self {
        let host = uri.split('/').next().unwrap_or_default().to_owned();
        Self { events, host, way: Way::There(clients, manifest) }
    }

    /// Gets the image there under one more tag, and returns the digest that the registry has for it.
    pub(super) async fn push(
        &mut self,
        image: &str,
        repository: &str,
        tag: &str,
        cancel: &CancellationToken,
    ) -> Result<String> {
        let name = format!("{}/{repository}", self.host);
        let reference = format!("{name}:{tag}");
        if let Way::Engine(engine, _) | Way::Export(engine, ..) = &self.way {
            unless_cancelled(cancel, NOTHING_ROLLED, engine.tag(image, &name, tag)).await?;
        }
        let digest = match &mut self.way {
            Way::Engine(engine, auth) => engine.push(&reference, auth, self.events, cancel).await?.digest,
            Way::There(clients, manifest) => {
                unless_cancelled(cancel, NOTHING_ROLLED, ecr::put_tag(clients, repository, manifest, tag)).await?;
                manifest.digest.clone()
            }
            Way::Export(engine, registry, sent) => {
                let send = async {
                    if let Some(sent) = sent {
                        return tag_again(registry, repository, sent, tag).await;
                    }
                    let exported = engine.export(&reference).await?;
                    push_export(exported, registry, repository, tag, self.events).await
                };
                let now = unless_cancelled(cancel, NOTHING_ROLLED, send).await?;
                sent.insert(now).digest.clone()
            }
        };
        self.events.emit(Kind::TagPushed { reference, digest: digest.clone() });
        Ok(digest)
    }
}
