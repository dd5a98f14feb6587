//! Where a build takes its layers from when the engine has none of them: the repository's own images, and with
//! `cache: { repository: … }` an image that is kept there for that.
//!
//! An image is asked for only where the engine lacks it. With it, the engine very likely has the layers too, and a look at
//! the registry would cost every build two requests and a login for nothing.

use futures_util::future::join_all;

use super::Deploy;
use super::courier::Courier;
use crate::aws::{Clients, ecr};
use crate::config::cache::Cache as Kept;
use crate::config::specification::Service;
use crate::docker::{Engine, RegistryAuth};
use crate::event::Events;
use crate::plan::ServicePlan;
use crate::source::Build;

/// What a build is told of the registry.
#[derive(Default)]
pub(super) struct Cache {
    /// Images to take layers from.
    pub(super) from: Vec<String>,
    /// For these images, and for base images of the same registry.
    pub(super) logins: Vec<RegistryAuth>,
}

impl Cache {
    /// Without a login there is no cache, and no error either: the build goes on, and the push says what is wrong.
    pub(super) async fn of(
        clients: &Clients,
        engine: &Engine,
        service: &Service,
        plan: &ServicePlan,
        build: &Build,
    ) -> Self {
        let (host, _) = build.uri.split_once('/').unwrap_or_default();
        let from = match (&service.cache, build.without_cache) {
            (Kept::Off, _) | (_, true) => Vec::new(),
            (Kept::Inline, _) => images((clients, engine), service, plan, &build.uri).await,
            (Kept::Repository(name), _) => {
                let mut from = images((clients, engine), service, plan, &build.uri).await;
                if let Ok(Some(digest)) = ecr::digest_of(clients, name, &tag(service)).await {
                    let image = format!("{host}/{name}@{digest}");
                    if !engine.has(&image).await {
                        from.push(image);
                    }
                }
                from
            }
        };
        if from.is_empty() && !mentions(service, host).await {
            return Self::default();
        }
        match ecr::login(clients).await {
            Ok(login) => Self { from, logins: vec![login.into()] },
            Err(_) => Self::default(),
        }
    }
}

/// `latest`, where the engine lacks it, and with it what runs, if that is another image.
async fn images(
    (clients, engine): (&Clients, &Engine),
    service: &Service,
    plan: &ServicePlan,
    uri: &str,
) -> Vec<String> {
    let Some(latest) = &plan.latest_digest else { return Vec::new() };
    if engine.has(&format!("{uri}@{latest}")).await {
        return Vec::new();
    }
    let running = plan.running_digest.iter().filter(|running| *running != latest);
    let images = std::iter::once(latest).chain(running).map(async |digest| {
        // An index has no layers of its own, and not every BuildKit looks at what it leads to.
        let manifest = ecr::manifest(clients, &service.repository, digest).await.ok().flatten();
        let child = manifest.and_then(|manifest| manifest.child(service.platform.architecture()));
        // By digest: an engine may have an older image under the tag, and would take that.
        format!("{uri}@{}", child.as_ref().unwrap_or(digest))
    });
    join_all(images).await
}

/// Whether the build may take an image from this registry: then the engine needs a login for it.
async fn mentions(service: &Service, host: &str) -> bool {
    if host.is_empty() {
        return false;
    }
    let text = tokio::fs::read(&service.dockerfile).await.unwrap_or_default();
    String::from_utf8_lossy(&text).contains(host)
        || service.build_args.values().any(|value| value.expose().contains(host))
}

/// The tag in the repository of `cache: { repository: … }`.
fn tag(service: &Service) -> String {
    format!("{}-{}", service.name, service.platform.architecture())
}

/// Keeps the image there for other builds. It is deployed by then: what the registry has against it is a warning.
pub(super) async fn keep(deploy: &Deploy<'_>, engine: &Engine, service: &Service, image: &str, events: &Events) {
    let Kept::Repository(name) = &service.cache else { return };
    let push = async {
        let login = ecr::login(deploy.clients).await?;
        let mut courier = Courier::send_to(&login, engine, events).await?;
        courier.push(image, name, &tag(service), deploy.cancel).await
    };
    if let Err(error) = push.await {
        let hint = error.hints().first().cloned();
        events.warn(format!("it runs, but the cache repository did not take the image: {}", error.line()), hint);
    }
}
