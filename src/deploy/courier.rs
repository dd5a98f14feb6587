//! How an image gets into the registry: the engine pushes it, or, where the engine cannot reach a registry on this
//! machine's loopback (Docker Desktop's runs in a virtual machine), it is exported once and sent from here.

use tokio_util::sync::CancellationToken;

use crate::aws::ecr::Login;
use crate::docker::{Engine, RegistryAuth};
use crate::error::Result;
use crate::event::{Events, Kind};
use crate::interrupt::unless_cancelled;
use crate::registry::{Registry, Sent, is_loopback, push_export, tag_again};
use crate::rollout::NOTHING_ROLLED;

pub(super) struct Courier<'a> {
    engine: &'a Engine,
    events: &'a Events,
    auth: RegistryAuth,
    way: Way,
}

enum Way {
    Engine,
    /// With what was sent already: a further tag needs no second export.
    Export(Box<Registry>, Option<Sent>),
}

impl<'a> Courier<'a> {
    /// Finds the way, and says so when it is not the usual one.
    ///
    /// # Errors
    /// `Exit::Registry` when the engine does not answer, or when a registry on loopback does not let us in from here
    /// either.
    pub(super) async fn send_to(login: &Login, engine: &'a Engine, events: &'a Events) -> Result<Self> {
        let auth = RegistryAuth {
            host: login.host.clone(),
            username: login.username.clone(),
            password: login.password.clone(),
        };
        if !is_loopback(&auth.host) || engine.can_reach(&auth.host, &auth).await? {
            return Ok(Self { engine, events, auth, way: Way::Engine });
        }
        let registry = Registry::new(&auth.host, &auth.username, &auth.password);
        registry.log_in().await.map_err(|failure| failure.during(&registry, "log in to the registry"))?;
        events.note(format!("the engine does not reach {}: the image is exported and sent from here", auth.host));
        Ok(Self { engine, events, auth, way: Way::Export(Box::new(registry), None) })
    }

    /// Gets the image there under one more tag, and returns the digest that the registry has for it.
    pub(super) async fn push(
        &mut self,
        image: &str,
        repository: &str,
        tag: &str,
        cancel: &CancellationToken,
    ) -> Result<String> {
        let name = format!("{}/{repository}", self.auth.host);
        let reference = format!("{name}:{tag}");
        unless_cancelled(cancel, NOTHING_ROLLED, self.engine.tag(image, &name, tag)).await?;
        let digest = match &mut self.way {
            Way::Engine => self.engine.push(&reference, &self.auth, self.events, cancel).await?.digest,
            Way::Export(registry, sent) => {
                let send = async {
                    if let Some(sent) = sent {
                        return tag_again(registry, repository, sent, tag).await;
                    }
                    let exported = self.engine.export(&reference).await?;
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
