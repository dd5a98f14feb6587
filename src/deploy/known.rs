//! After the push: the key's tag, by which a later run finds the image. Best effort: the deploy does not depend on it.
//! And before it, right after the build: is the key still that of the files?

use tokio::task::spawn_blocking;

use super::Deploy;
use crate::aws::Clients;
use crate::aws::ecr::{self, Manifest};
use crate::config::specification::Service;
use crate::content_key::{Keyed, LABEL, Snapshot};
use crate::event::Events;

/// Whether the files are still those that the key was made of; if not, that is said.
pub(super) async fn holds(service: &Service, keyed: &Keyed, events: &Events) -> bool {
    let (context, dockerfile) = (service.context.clone(), service.dockerfile.clone());
    let now = spawn_blocking(move || Snapshot::take(&context, &dockerfile)).await.ok().flatten();
    let holds = now.as_ref() == Some(&keyed.snapshot);
    if !holds {
        let text = "files changed while the image was built, so it will not be used again for the same inputs";
        events.warn(text, None);
    }
    holds
}

/// Puts the key's tag on the image, unless the run is interrupted: whoever comes next is told so.
pub(super) async fn make(deploy: &Deploy<'_>, service: &Service, keyed: &Keyed, manifest: &Manifest, events: &Events) {
    deploy.cancel.run_until_cancelled(put(deploy.clients, service, keyed, manifest, events)).await;
}

async fn put(clients: &Clients, service: &Service, keyed: &Keyed, manifest: &Manifest, events: &Events) {
    let tag = keyed.key.tag();
    let Err(error) = ecr::put_tag(clients, &service.repository, manifest, &tag).await else { return };
    if !is_known(clients, service, keyed, &tag).await {
        let hint = error.hints().first().cloned();
        events.warn(format!("{tag} could not be put on the image, so that it is built again: {}", error.line()), hint);
    }
}

/// Where tags cannot be moved, another build of the same inputs may have been first: its image is as good.
async fn is_known(clients: &Clients, service: &Service, keyed: &Keyed, tag: &str) -> bool {
    let Ok(Some(manifest)) = ecr::tagged(clients, &service.repository, tag).await else { return false };
    let architecture = service.platform.architecture();
    let config = ecr::config(clients, &service.repository, &manifest, architecture).await;
    config.is_ok_and(|config| config.image.labels.get(LABEL).is_some_and(|label| label == keyed.key.as_str()))
}
