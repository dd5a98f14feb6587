//! The reads behind `status`, environment by environment: each has its own region, account and role, and one that
//! cannot be read never hides the others.

use std::path::Path;

use futures_util::future::{join, join_all};

use super::{ServiceStatus, judge};
use crate::archive;
use crate::aws::identity::identity;
use crate::aws::{Clients, Settings, ecr};
use crate::config::specification::{Archive, Service, Specification};
use crate::error::Result;
use crate::gates;
use crate::git::log;
use crate::observe::{ObservedService, observe_services};

/// Every service of one environment, in the order of the file.
pub(crate) async fn read(specification: &Specification, settings: &Settings) -> Vec<ServiceStatus> {
    let environment = &specification.environment;
    match connect(specification, settings).await {
        Ok(clients) => {
            let services = async {
                let seen = observe_services(&clients, &specification.services).await;
                let all = specification.services.iter().zip(&seen);
                join_all(all.map(|(one, seen)| service(&clients, specification, one, seen))).await
            };
            let archives = join_all(specification.archives.iter().map(|one| zip(&clients, specification, one)));
            let (services, archives) = join(services, archives).await;
            let mut rows = [services, archives].concat();
            rows.sort_by_key(|row| specification.names.iter().position(|name| *name == row.service));
            rows
        }
        Err(error) => specification.names.iter().map(|name| ServiceStatus::unread(environment, name, &error)).collect(),
    }
}

async fn connect(specification: &Specification, settings: &Settings) -> Result<Clients> {
    let clients = Clients::connect(&specification.environment, settings).await?;
    // What another account runs under the same names would be taken for ours.
    let identity = identity(&clients).await?;
    match gates::account(&specification.environment, &identity) {
        Some(finding) => Err(finding.to_error()),
        None => Ok(clients),
    }
}

async fn zip(clients: &Clients, specification: &Specification, archive: &Archive) -> ServiceStatus {
    let mut status = archive::status(clients, &specification.environment, archive).await;
    told_by_git(&mut status, &specification.root).await;
    status
}

async fn service(
    clients: &Clients,
    specification: &Specification,
    service: &Service,
    seen: &ObservedService,
) -> ServiceStatus {
    let mut status = judge(&specification.environment, service, seen, None);
    if status.latest_runs == Some(false)
        && let Some(child) = child_of_latest(clients, service, status.latest_digest.as_deref()).await
    {
        status = judge(&specification.environment, service, seen, Some(&child));
    }
    if let Some(digest) = status.digest.as_deref().filter(|_| status.revision.is_none()) {
        let image = ecr::image(clients, &service.repository, digest).await.ok().flatten();
        status.revision = image.and_then(|image| image.commits().next().map(str::to_owned));
    }
    told_by_git(&mut status, &specification.root).await;
    status
}

async fn child_of_latest(clients: &Clients, service: &Service, latest: Option<&str>) -> Option<String> {
    let manifest = ecr::manifest(clients, &service.repository, latest?).await.ok()??;
    manifest.child(service.platform.architecture())
}

/// Adds what this clone knows of the commit; another machine's clone may know more.
async fn told_by_git(status: &mut ServiceStatus, folder: &Path) {
    let Some(revision) = status.revision.clone() else { return };
    if let Some(commit) = log::commit(folder, &revision).await {
        status.subject = Some(commit.subject);
        status.author = Some(commit.author);
    }
    status.behind = log::behind(folder, &revision, &status.branch).await;
}
