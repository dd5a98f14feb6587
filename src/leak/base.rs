//! Which part of an image is the base image's: asked only when something was found, because it may cost a build.

use crate::docker::{BuildRequest, Engine, Image};
use crate::event::Events;
use tokio_util::sync::CancellationToken;

use super::Look;

/// The base image, told by its layers being the lowest ones of the image. `None`: there is none (`FROM scratch`), or it
/// could not be had; then every layer counts as this build's.
pub(super) async fn find(look: &Look<'_>) -> Option<Image> {
    let mut best = None;
    for name in look.bases {
        consider(&mut best, look.image, look.engine.inspect(name).await.ok());
        if let Some((tag, _)) = name.split_once('@') {
            consider(&mut best, look.image, look.engine.inspect(tag).await.ok());
        }
    }
    if best.is_none() {
        for name in look.bases {
            consider(&mut best, look.image, bare(look, name).await);
        }
    }
    best
}

/// Of several stages' bases the one with the most layers in common is that of the last stage.
fn consider(best: &mut Option<Image>, image: &Image, candidate: Option<Image>) {
    let Some(candidate) = candidate else { return };
    let fits = !candidate.layers.is_empty() && image.layers.starts_with(&candidate.layers);
    if fits && best.as_ref().is_none_or(|best| best.layers.len() < candidate.layers.len()) {
        *best = Some(candidate);
    }
}

/// BuildKit may have the base image while the engine knows no image of that name. A build of nothing but the base shows
/// its layers.
async fn bare(look: &Look<'_>, name: &str) -> Option<Image> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte));
    if !plain {
        return None;
    }
    let folder = tempfile::tempdir().ok()?;
    let dockerfile = folder.path().join("Dockerfile");
    std::fs::write(&dockerfile, format!("FROM {name}\n")).ok()?;
    // The label makes it an image of its own, so that taking it away takes no other one along.
    let labels = [("shipit.only".to_owned(), "base".to_owned())].into();
    let nothing = std::collections::BTreeMap::new();
    let request = BuildRequest {
        context: folder.path(),
        dockerfile: &dockerfile,
        target: None,
        platform: look.service.platform,
        build_args: &nothing,
        build_secrets: &nothing,
        labels: &labels,
        tags: &[],
        no_cache: false,
        inline_cache: false,
        cache_from: &[],
        registry_auth: &[],
    };
    let (unheard, _) = Events::channel();
    let image = built(look.engine, &request, &unheard).await?;
    let base = look.engine.inspect(&image).await.ok();
    // Where it stays, it is one more image without a name.
    let _ = look.engine.remove(&image).await;
    base
}

async fn built(engine: &Engine, request: &BuildRequest<'_>, events: &Events) -> Option<String> {
    engine.build(request, events, &CancellationToken::new()).await.ok().map(|built| built.image_id)
}
