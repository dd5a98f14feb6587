//! Reading one service.

use super::batch::Tagged;
use super::snapshot::Service;
use crate::aws::Clients;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// # Errors
/// The service is not there, or may not be read ([`Exit::Aws`]).
pub(crate) async fn describe(clients: &Clients, cluster: &str, service: &str) -> Result<Service> {
    describe_optional(clients, cluster, service).await?.ok_or_else(|| missing(clients, cluster, service))
}

/// The same with its tags.
///
/// # Errors
/// The service is not there, or may not be read ([`Exit::Aws`]). Tags that may not be read are told apart.
pub(crate) async fn describe_with_tags(clients: &Clients, cluster: &str, service: &str) -> Result<Tagged> {
    let found = clients.services.describe(cluster, service, true).await?;
    found.ok_or_else(|| missing(clients, cluster, service))
}

/// `None` when ECS answers MISSING: no such service, or none any more.
///
/// Services that are asked for at the same time share a call.
pub(crate) async fn describe_optional(clients: &Clients, cluster: &str, service: &str) -> Result<Option<Service>> {
    Ok(clients.services.describe(cluster, service, false).await?.map(|found| found.service))
}

fn missing(clients: &Clients, cluster: &str, service: &str) -> Error {
    Error::new(Exit::Aws, format!("service `{service}` does not exist in cluster `{cluster}` in {}", clients.region))
        .hint("create the service first, or correct `service`, `cluster` and the region in deploy.yaml")
}
