//! The reads behind a rollback: what runs, what was there before, and whether the registry still has it.

use std::path::Path;

use futures_util::future::join_all;

use super::Version;
use super::target::{Now, To, choose};
use crate::archive::{self, ArchiveStep};
use crate::aws::ecs::Tag;
use crate::aws::identity::{Identity, identity};
use crate::aws::{Clients, ecr};
use crate::config::specification::{Service, Specification};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::gates;
use crate::git::log;
use crate::history::{self, Sources};
use crate::observe::{self, observe_services};
use crate::plan::Finding;

/// How many deployments back a rollback looks.
const DEPTH: usize = 100;

/// The world as it was just before the plan.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) identity: Result<Identity>,
    pub(crate) region: String,
    /// In the order of the specification's services.
    pub(crate) services: Vec<ObservedService>,
    /// In the order of the specification's archives, each with what is in its way.
    pub(crate) archives: Vec<(ArchiveStep, Vec<Finding>)>,
}

#[derive(Debug)]
pub(crate) struct ObservedService {
    pub(crate) now: observe::ObservedService,
    /// What is to be taken away.
    pub(crate) from: Version,
    pub(crate) target: Result<Target>,
    /// What could not be read of its past, in words.
    pub(crate) notes: Vec<String>,
}

/// An image that the registry has.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) version: Version,
    /// Its digest, and that of its platform's manifest where it is an index.
    pub(crate) digests: Vec<String>,
}

/// Reads for all services of the specification, side by side.
pub(crate) async fn observe(clients: &Clients, specification: &Specification, to: &To) -> Observed {
    let folder = &specification.root;
    let services = async {
        let now = observe_services(clients, &specification.services).await;
        let all = specification.services.iter().zip(now);
        join_all(all.map(|(service, now)| one(clients, service, now, folder, to))).await
    };
    let archives = specification.archives.iter().map(|one| archive::look_back(clients, one, folder, to));
    let (identity, services, archives) = tokio::join!(identity(clients), services, join_all(archives));
    Observed { identity, region: clients.region.clone(), services, archives }
}

async fn one(
    clients: &Clients,
    service: &Service,
    now: observe::ObservedService,
    folder: &Path,
    to: &To,
) -> ObservedService {
    let mut notes = Vec::new();
    let sources = history::sources(clients, service, &now, DEPTH, &mut notes).await;
    let digest = taken_away(service, &now);
    let recorded = now.recorded_revision(digest.as_deref()).map(str::to_owned);
    let tagged = || sources.as_ref().ok()?.commit_of(digest.as_deref()?).map(str::to_owned);
    let from = version(folder, recorded.or_else(tagged), digest.clone()).await;
    let target = match &sources {
        Ok(sources) => {
            let known = Now {
                from: digest,
                recorded: now.tag(Tag::Digest).map(str::to_owned),
                previous: now.tag(Tag::Previous).map(str::to_owned),
                held: now.tag(Tag::Held).is_some(),
            };
            target(clients, service, folder, &known, sources, to).await
        }
        Err(error) => Err(error.clone()),
    };
    ObservedService { now, from, target, notes }
}

/// The digest of the PRIMARY's tasks: what runs, or what is being rolled out. Where no task tells, what `latest` is.
fn taken_away(service: &Service, now: &observe::ObservedService) -> Option<String> {
    let primary = now.service.as_ref().ok()?.primary()?;
    let container = gates::container(service, now)?;
    let mut digests = now.digests(&container, |task| task.started_by.as_deref() == Some(&primary.id));
    if digests.len() == 1 { digests.pop() } else { now.latest().map(str::to_owned) }
}

async fn target(
    clients: &Clients,
    service: &Service,
    folder: &Path,
    now: &Now,
    past: &Sources,
    to: &To,
) -> Result<Target> {
    let digest = choose(to, now, past)?;
    let manifest = ecr::manifest(clients, &service.repository, &digest).await?.ok_or_else(|| {
        Error::new(Exit::Gate, format!("{digest} is no longer in repository `{}`", service.repository))
            .hint("its lifecycle policy may have taken it; name another with --to, see shipit history")
    })?;
    let commit = past.images.iter().find(|image| image.digest == digest).and_then(|image| {
        // Of several commits with the same image, the one that was asked for.
        let asked = image.commits().find(|commit| matches!(to, To::Named(name) if name.contains(commit)));
        asked.or_else(|| image.commits().next()).map(str::to_owned)
    });
    let child = manifest.child(service.platform.architecture());
    let digests = std::iter::once(digest.clone()).chain(child).collect();
    Ok(Target { version: version(folder, commit, Some(digest)).await, digests })
}

/// With the full commit and its subject, where this clone knows them.
async fn version(folder: &Path, revision: Option<String>, digest: Option<String>) -> Version {
    let Some(short) = revision else { return Version { digest, ..Version::default() } };
    match log::commit(folder, &short).await {
        Some(commit) => {
            let revision = if short.ends_with("-dirty") { short } else { commit.revision };
            Version { digest, revision: Some(revision), subject: Some(commit.subject) }
        }
        None => Version { digest, revision: Some(short), subject: None },
    }
}
