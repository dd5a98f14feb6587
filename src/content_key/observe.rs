//! Finds the key of a service: reads the Dockerfile and the context, and asks the engine for the base images.

use std::collections::BTreeMap;

use tokio::task::spawn_blocking;

use super::context::{self, Hashed};
use super::dockerfile::{Scope, outside};
use super::record::Records;
use super::{Keyed, NoKey, base};
use crate::aws::{Clients, ecr};
use crate::config::specification::Service;
use crate::docker::{Engine, RegistryAuth};

/// What is asked besides the service.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'i> {
    pub(crate) engine: Option<&'i Engine>,
    pub(crate) clients: &'i Clients,
    /// `HOST/NAME` of the service's repository: images from that host are asked for with this run's login.
    pub(crate) uri: &'i str,
}

/// # Errors
/// Why there is no key. A build that cannot work for the same reason says so itself.
pub(crate) async fn observe(service: &Service, inputs: Inputs<'_>) -> Result<Keyed, NoKey> {
    let unreadable = |error: std::io::Error| {
        NoKey::new(format!("the Dockerfile {} cannot be read: {error}", service.dockerfile.display()))
    };
    let text = tokio::fs::read(&service.dockerfile).await.map_err(unreadable)?;
    let args: BTreeMap<&str, &str> =
        service.build_args.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let platform = service.platform.as_str();
    let engine = inputs.engine.map(|engine| format!("{}/{}", engine.facts().os, engine.facts().arch));
    let images = outside(&text, &Scope { args: &args, target: platform, engine: engine.as_deref() })?;
    let host = inputs.uri.split('/').next().unwrap_or_default();
    let logins = if images.iter().any(|image| image.name.starts_with(&format!("{host}/"))) {
        let login = ecr::login(inputs.clients).await.ok();
        login.map(RegistryAuth::from).into_iter().collect()
    } else {
        Vec::new()
    };
    let bases = base::identities(&images, platform, inputs.engine, &logins).await?;
    let context = read(service).await?;
    // The base images may have taken seconds; what is looked at after the build was looked at only now.
    if tokio::fs::read(&service.dockerfile).await.map_err(unreadable)? != text {
        return Err(NoKey::new("the Dockerfile changed while it was read"));
    }
    let records = Records {
        dockerfile: &text,
        target: service.target.as_deref(),
        platform,
        token: service.rebuild_token.as_deref(),
        args,
        secrets: service.build_secrets.keys().map(String::as_str).collect(),
        bases: &bases,
        context: &context,
    };
    Ok(records.key())
}

async fn read(service: &Service) -> Result<Hashed, NoKey> {
    let (context, dockerfile) = (service.context.clone(), service.dockerfile.clone());
    let read = spawn_blocking(move || context::hash(&context, &dockerfile)).await;
    read.unwrap_or_else(|_| Err(NoKey::new("the build context could not be read to its end")))
}
