//! The reads behind `history`. A refused one takes away a part of the picture, never all of it.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::future::{join, join_all};

use super::{Entry, History, Sources};
use crate::archive;
use crate::aws::ecs::{self, Tag};
use crate::aws::{Clients, ecr};
use crate::config::specification::{Service, Specification};
use crate::error::{Error, Result};
use crate::gates;
use crate::git::log;
use crate::observe::{ObservedService, observe_services};

/// The last `limit` entries of all services together, newest first.
///
/// # Errors
/// Nothing at all could be read of a service.
pub(crate) async fn read(clients: &Clients, specification: &Specification, limit: usize) -> Result<History> {
    let environment = &specification.environment.name;
    let seen = observe_services(clients, &specification.services).await;
    let read = specification.services.iter().zip(&seen).map(async |(service, seen)| {
        let mut notes = Vec::new();
        let sources = sources(clients, service, seen, limit, &mut notes).await?;
        Ok::<_, Error>((super::join(environment, &service.name, &sources), notes))
    });
    let archives = specification.archives.iter().map(|one| archive::history(clients, environment, one));
    let (read, archives) = join(join_all(read), join_all(archives)).await;
    let mut history = History::default();
    for one in read.into_iter().chain(archives) {
        let (entries, notes) = one?;
        history.entries.extend(entries);
        history.notes.extend(notes);
    }
    history.entries.sort_by_key(|entry| std::cmp::Reverse(entry.when));
    history.entries.truncate(limit);
    join_all(history.entries.iter_mut().map(|entry| told_by_git(entry, &specification.root))).await;
    Ok(history)
}

/// What ECR and ECS know of one service's past, and in words what they may not tell.
pub(crate) async fn sources(
    clients: &Clients,
    service: &Service,
    seen: &ObservedService,
    limit: usize,
    notes: &mut Vec<String>,
) -> Result<Sources> {
    let mut leave_out = |error: &Error| notes.push(format!("{}: {}", service.name, error.line()));
    let container = gates::container(service, seen);
    let (images, deployments) = join(
        ecr::images(clients, &service.repository),
        ecs::list_service_deployments(clients, &service.cluster, &service.service, limit),
    )
    .await;
    if let (Err(error), Err(_)) = (&images, &deployments) {
        return Err(error.clone());
    }
    let images = images.inspect_err(&mut leave_out).unwrap_or_default();
    let deployments = deployments.inspect_err(&mut leave_out).unwrap_or_default();
    let mut revisions: Vec<String> = deployments.iter().filter_map(|one| one.revision.clone()).collect();
    revisions.sort();
    revisions.dedup();
    let digests = match &container {
        Some(container) => ecs::revision_digests(clients, &revisions, container).await,
        None => Ok(BTreeMap::default()),
    };
    Ok(Sources {
        images,
        deployments,
        digests: digests.inspect_err(&mut leave_out).unwrap_or_default(),
        running: container.and_then(|container| seen.running_digest(&container)),
        recorded: seen.tag(Tag::Digest).map(str::to_owned),
        deployed_by: seen.tag(Tag::DeployedBy).map(str::to_owned),
        approved_by: seen.tag(Tag::ApprovedBy).map(str::to_owned),
    })
}

async fn told_by_git(entry: &mut Entry, folder: &Path) {
    let Some(revision) = entry.revision.as_deref() else { return };
    if let Some(commit) = log::commit(folder, revision).await {
        if !revision.ends_with("-dirty") {
            entry.revision = Some(commit.revision);
        }
        entry.subject = Some(commit.subject);
        entry.author = Some(commit.author);
    }
}
