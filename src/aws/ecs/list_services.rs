//! The services of a cluster by name, for `shipit init --from-ecs`.

use crate::aws::Clients;
use crate::aws::error::aws;
use crate::aws::pace::Budget;
use crate::error::Result;

/// Every service of the cluster, in the order of the alphabet.
pub(crate) async fn list(clients: &Clients, cluster: &str) -> Result<Vec<String>> {
    clients.pace.turn(Budget::ServiceRead).await;
    let mut pages = clients.ecs.list_services().cluster(cluster).into_paginator().items().send();
    let mut names = Vec::new();
    while let Some(arn) = pages.next().await {
        let arn = arn.map_err(|error| aws("ecs:ListServices", &error))?;
        names.extend(arn.rsplit('/').next().map(str::to_owned));
    }
    names.sort();
    Ok(names)
}
