//! Service deployments and revisions: the one part of ECS that still knows how a deployment ended once it is gone.
//! ECS keeps them for 90 days, and knows none from before October 2024.

use std::collections::BTreeMap;

use aws_sdk_ecs::types::StopServiceDeploymentStopType;
use jiff::Timestamp;

use super::convert::time;
use crate::aws::Clients;
use crate::aws::error::aws;
use crate::aws::pace::Budget;
use crate::error::Result;

/// DescribeServiceRevisions takes this many at most.
const DESCRIBE_LIMIT: usize = 20;

/// One deployment of a service, running or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceDeployment {
    pub(crate) arn: String,
    /// ECS's word: `SUCCESSFUL`, `IN_PROGRESS`, `ROLLBACK_SUCCESSFUL`, …
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    /// ARN of the service revision that it was to bring.
    pub(crate) revision: Option<String>,
}

impl ServiceDeployment {
    pub(crate) fn is_successful(&self) -> bool {
        self.status == "SUCCESSFUL"
    }

    /// Whether it can still be stopped.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self.status.as_str(), "PENDING" | "IN_PROGRESS")
    }

    /// Whether ECS has still work to do for it, a rollback included.
    pub(crate) fn is_open(&self) -> bool {
        self.is_under_way()
            || matches!(self.status.as_str(), "STOP_REQUESTED" | "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS")
    }
}

/// The service's deployments, newest first, `limit` at most.
pub(crate) async fn list(
    clients: &Clients,
    cluster: &str,
    service: &str,
    limit: usize,
) -> Result<Vec<ServiceDeployment>> {
    let mut found = Vec::new();
    let mut next = None;
    loop {
        clients.pace.turn(Budget::ServiceDeployments).await;
        let answer = clients
            .ecs
            .list_service_deployments()
            .cluster(cluster)
            .service(service)
            .set_next_token(next)
            .send()
            .await
            .map_err(|error| aws("ecs:ListServiceDeployments", &error))?;
        found.extend(answer.service_deployments().iter().map(|brief| ServiceDeployment {
            arn: brief.service_deployment_arn().unwrap_or_default().to_owned(),
            status: brief.status().map_or("UNKNOWN", |status| status.as_str()).to_owned(),
            reason: brief.status_reason().map(str::to_owned),
            created_at: time(brief.created_at()),
            finished_at: time(brief.finished_at()),
            revision: brief.target_service_revision_arn().map(str::to_owned),
        }));
        next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        if next.is_none() || found.len() >= limit {
            break;
        }
    }
    found.sort_by_key(|deployment| std::cmp::Reverse(deployment.created_at));
    found.truncate(limit);
    Ok(found)
}

/// By service revision ARN: the digest that ECS resolved for that container. One that ECS does not know is left out.
pub(crate) async fn digests(
    clients: &Clients,
    revisions: &[String],
    container: &str,
) -> Result<BTreeMap<String, String>> {
    let mut digests = BTreeMap::new();
    for some in revisions.chunks(DESCRIBE_LIMIT) {
        let answer = clients
            .ecs
            .describe_service_revisions()
            .set_service_revision_arns(Some(some.to_vec()))
            .send()
            .await
            .map_err(|error| aws("ecs:DescribeServiceRevisions", &error))?;
        for revision in answer.service_revisions() {
            let image = revision.container_images().iter().find(|image| image.container_name() == Some(container));
            if let (Some(arn), Some(digest)) =
                (revision.service_revision_arn(), image.and_then(|image| image.image_digest()))
            {
                digests.insert(arn.to_owned(), digest.to_owned());
            }
        }
    }
    Ok(digests)
}

/// Asks ECS to undo a deployment that is under way, whether or not a rollback was configured.
pub(crate) async fn stop(clients: &Clients, deployment: &str) -> Result<()> {
    clients
        .ecs
        .stop_service_deployment()
        .service_deployment_arn(deployment)
        .stop_type(StopServiceDeploymentStopType::Rollback)
        .send()
        .await
        .map_err(|error| aws("ecs:StopServiceDeployment", &error))?;
    Ok(())
}
