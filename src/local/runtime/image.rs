//! Gives the engine a task's image: the one it has already, by pull from the stand-in's own registry, or, where the
//! engine cannot reach this loopback (it runs in a VM, or elsewhere), by loading it from the blobs.

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use serde_json::Value;

use super::archive;
use crate::local::clock;
use crate::local::ecs::Resolved;
use crate::local::ecs::scheduler::StartOrder;
use crate::local::ecs::sightings::Seen;
use crate::local::place::Place;
use crate::local::registry::auth;
use crate::local::shared::Shared;
use crate::local::wire::input::Input;

/// Returns the name or id under which the engine has the image.
///
/// # Errors
/// A stop reason as ECS words it.
pub(super) async fn provide(
    shared: &Shared,
    docker: &Docker,
    order: &StartOrder,
    reference: &str,
    resolved: &Resolved,
) -> Result<String, String> {
    let platform = order.platform;
    match resolved {
        Resolved::Foreign => {
            if docker.inspect_image(reference).await.is_err() {
                pull(docker, reference, platform, None)
                    .await
                    .map_err(|error| format!("CannotPullContainerError: {error}"))?;
            }
            Ok(reference.to_owned())
        }
        Resolved::Own { repository, digest } => own(shared, docker, order, repository, digest).await,
    }
}

async fn own(
    shared: &Shared,
    docker: &Docker,
    order: &StartOrder,
    repository: &str,
    digest: &str,
) -> Result<String, String> {
    let (place, platform) = (&order.place, order.platform);
    let name = format!("{}/{repository}", shared.host);
    let manifest = single(shared, place, repository, digest, platform).ok_or_else(|| {
        format!(
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): image Manifest does not contain \
             descriptor matching platform '{platform}'"
        )
    })?;
    let config = manifest.pointer("/config/digest").and_then(Value::as_str).unwrap_or_default().to_owned();
    // An engine names an image by its config, one with the containerd image store by its manifest.
    for id in [config.as_str(), digest] {
        if docker.inspect_image(id).await.is_ok() {
            return Ok(id.to_owned());
        }
    }
    let pinned = format!("{name}@{digest}");
    let (username, password) = match &shared.elsewhere {
        Some(elsewhere) => elsewhere.login(),
        None => ("AWS".to_owned(), auth::issue(&shared.tokens, place, clock::now()).password),
    };
    let credentials = DockerCredentials {
        username: Some(username),
        password: Some(password),
        serveraddress: Some(shared.host.clone()),
        ..DockerCredentials::default()
    };
    match pull(docker, &pinned, platform, Some(credentials)).await {
        Ok(()) => Ok(pinned),
        Err(refusal) if shared.elsewhere.is_some() => Err(format!("CannotPullContainerError: {refusal}")),
        Err(refusal) => {
            let loaded = archive::load(shared, docker, repository, digest, &manifest).await.map_err(|error| {
                format!("CannotPullContainerError: {refusal}; loading it from the blobs failed too: {error}")
            })?;
            let note = format!("loaded the image from the blobs, because the engine could not pull it: {refusal}");
            shared.saw(&order.task, Seen::Note(note));
            Ok(loaded)
        }
    }
}

/// The manifest itself, or the child of an index that fits the platform.
fn single(shared: &Shared, place: &Place, repository: &str, digest: &str, platform: &str) -> Option<Value> {
    let get = |digest: &str| -> Option<Value> {
        let text = shared.read(|state| {
            let repository = state.holdings.get(&place.key())?.repositories.get(repository)?;
            repository.images.get(digest).map(|image| image.manifest.clone())
        })?;
        serde_json::from_str(&text).ok()
    };
    let manifest = get(digest)?;
    let Some(children) = manifest.get("manifests").and_then(Value::as_array) else { return Some(manifest) };
    let (os, architecture) = platform.split_once('/')?;
    let fits = |child: &&Value| {
        let of = |member| child.pointer(&format!("/platform/{member}")).and_then(Value::as_str);
        of("os") == Some(os) && of("architecture") == Some(architecture)
    };
    get(Input(children.iter().find(fits)?).text("digest")?)
}

async fn pull(
    docker: &Docker,
    reference: &str,
    platform: &str,
    credentials: Option<DockerCredentials>,
) -> Result<(), String> {
    let options = CreateImageOptionsBuilder::default().from_image(reference).platform(platform).build();
    let mut progress = docker.create_image(Some(options), None, credentials);
    while let Some(step) = progress.next().await {
        let step = step.map_err(|error| error.to_string())?;
        if let Some(message) = step.error_detail.and_then(|detail| detail.message) {
            return Err(message);
        }
    }
    Ok(())
}
