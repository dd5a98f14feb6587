//! `UpdateService(forceNewDeployment=true)`: the one call that changes what runs, made once.
//!
//! It has no client token, so repeating it after a lost answer could start two deployments. The SDK's own retries are
//! therefore off. What was never accepted (throttling, no connection) is sent again here; a lost answer is settled by
//! looking which deployment is PRIMARY now.

use std::time::Duration;

use aws_sdk_ecs::config::retry::RetryConfig;
use aws_sdk_ecs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ecs::operation::update_service::UpdateServiceError;

use super::snapshot::Service;
use super::{convert, service};
use crate::aws::Clients;
use crate::aws::error::{aws, is_ambiguous};
use crate::aws::pace::Budget;
use crate::error::{Error, Result};
use crate::exit::Exit;

const ATTEMPTS: u32 = 6;

/// Looks for the deployment after a lost answer: long enough for ECS's eventual consistency.
const LOOKS: u32 = 6;
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub(crate) struct Started {
    /// The id of my deployment: the PRIMARY of the answer.
    pub(crate) deployment: String,
    /// The answer was lost, and the deployment was found by looking.
    pub(crate) recovered: bool,
}

/// Starts a deployment of the service as it is, so that ECS resolves the image's tag anew.
///
/// `previous` is the PRIMARY's id from just before.
pub(crate) async fn force_new_deployment(
    clients: &Clients,
    cluster: &str,
    name: &str,
    previous: Option<&str>,
) -> Result<Started> {
    let mut pause = Duration::from_millis(500);
    let mut attempt = 1;
    loop {
        let error = match send(clients, cluster, name).await {
            Ok(service) => return started(&service, false),
            Err(error) => error,
        };
        let throttled = error.code().is_some_and(|code| code.contains("Throttl"));
        let unsent = is_refused(&error);
        if !throttled && !unsent && is_ambiguous(&error) {
            if let Some(found) = look(clients, cluster, name, previous).await? {
                return Ok(found);
            }
            // ECS shows no trace of it after the looks: it was not accepted, and one more try is safe.
        } else if !throttled && !unsent {
            return Err(refused(&error));
        }
        if attempt >= ATTEMPTS {
            return Err(refused(&error));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(8));
        attempt += 1;
    }
}

async fn send(clients: &Clients, cluster: &str, name: &str) -> Result<Service, SdkError<UpdateServiceError>> {
    clients.pace.turn(Budget::ServiceModify).await;
    let once = aws_sdk_ecs::config::Config::builder().retry_config(RetryConfig::disabled());
    let answer = clients
        .ecs
        .update_service()
        .cluster(cluster)
        .service(name)
        .force_new_deployment(true)
        .customize()
        .config_override(once)
        .send()
        .await?;
    Ok(answer
        .service()
        .map_or_else(|| convert::service(&aws_sdk_ecs::types::Service::builder().build()), convert::service))
}

async fn look(clients: &Clients, cluster: &str, name: &str, previous: Option<&str>) -> Result<Option<Started>> {
    for _ in 0..LOOKS {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let now = service::describe(clients, cluster, name).await?;
        if now.primary().is_some_and(|primary| Some(primary.id.as_str()) != previous) {
            return started(&now, true).map(Some);
        }
    }
    Ok(None)
}

fn started(service: &Service, recovered: bool) -> Result<Started> {
    service.primary().map(|primary| Started { deployment: primary.id.clone(), recovered }).ok_or_else(|| {
        Error::new(Exit::Aws, "ecs:UpdateService answered without a PRIMARY deployment")
            .hint("look at the service in the ECS console: a rollout may have begun")
    })
}

fn refused(error: &SdkError<UpdateServiceError>) -> Error {
    aws("ecs:UpdateService", error)
}

/// Whether the connection was never made, so that nothing was sent.
fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        next = error.source();
    }
    false
}
