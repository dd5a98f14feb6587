//! Where a build takes its layers from when the engine has none of them: the repository's own images.
//!
//! It is asked for only where the engine lacks the image that is `latest`. With it, the engine very likely has the layers
//! too, and a look at the registry would cost every build two requests and a login for nothing.

use crate::aws::{Clients, ecr};
use crate::config;
use crate::config::specification::Service;
use crate::docker::{Engine, RegistryAuth};
use crate::plan::ServicePlan;

/// What a build is told of the registry.
#[derive(Default)]
pub(super) struct Cache {
    /// Images to take layers from.
    pub(super) from: Vec<String>,
    pub(super) logins: Vec<RegistryAuth>,
}

impl Cache {
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// Without a login there is no cache, and no error either: the build goes on, and the push says what is wrong.
    pub(super) async fn of(clients: &Clients, engine: &Engine, service: &Service, plan: &ServicePlan) -> Self {
        let Ok(login) = ecr::login(clients).await else { return Self::none() };
        let uri = format!("{}/{}", login.host, service.repository);
        let mut from = Vec::new();
        if service.cache != config::cache::Cache::Off
            && let Some(latest) = &plan.latest_digest
            && !engine.has(&format!("{uri}@{latest}")).await
        {
            from.push(format!("{uri}:latest"));
            let running = plan.running_digest.iter().filter(|running| *running != latest);
            from.extend(running.map(|running| format!("{uri}@{running}")));
        }
        Self { from, logins: vec![login.into()] }
    }
}
