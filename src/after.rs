//! The `after` gate: a commit comes here only when it is live in the environment before this one, complete and proven,
//! and has been so for as long as `soak` says.
//!
//! What is read is kept (`Before`), because a promotion takes its images from there. Nothing is changed in that
//! environment.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{join, join_all};
use jiff::{SignedDuration, Timestamp};

use crate::archive;
use crate::aws::ecs::{self, Desired, RolloutState, Tag, Task};
use crate::aws::identity::{Identity, identity};
use crate::aws::{Clients, Settings, ecr};
use crate::changes::{Asked, Judge, by_release};
use crate::config::specification::{Service, Specification};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::gates;
use crate::observe::{ObservedService, what_runs};
use crate::plan::Finding;
use crate::revision::{Revision, short};
use crate::rollout::proof::{Proof, prove};

/// The environment before this one, as it was just before the plan.
#[derive(Debug)]
pub(crate) struct Before {
    /// What deploy.yaml says of it; secrets only as far as they are set.
    pub(crate) specification: Specification,
    pub(crate) clients: Clients,
    pub(crate) identity: Identity,
    pub(crate) at: Timestamp,
    /// In the order of the specification's services, then of its archives.
    pub(crate) releases: Vec<Release>,
}

/// What one service runs there, by shipit's own record and by ECS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) service: String,
    /// The revision that shipit recorded, if what runs is still what was recorded.
    pub(crate) revision: Option<String>,
    /// Its digest in the registry, under the same condition.
    pub(crate) digest: Option<String>,
    /// Why it is not live yet, in words.
    pub(crate) unproven: Option<String>,
    /// It is another commit, and nothing that concerns the service differs from the one that is deployed.
    pub(crate) same: bool,
    /// Since when it has been live: the later of the recorded proof and the begin of the deployment that runs.
    pub(crate) since: Option<Timestamp>,
}

/// Reads what the services of that environment run.
///
/// # Errors
/// It cannot be read ([`Exit::Aws`]), or the credentials lead to another account ([`Exit::Gate`]).
pub(crate) async fn read(specification: Specification, settings: &Settings) -> Result<Before> {
    let clients = Clients::connect(&specification.environment, settings).await?;
    // What another account runs under the same names would be taken for ours.
    let identity = identity(&clients).await?;
    if let Some(finding) = gates::account(&specification.environment, &identity) {
        return Err(finding.to_error());
    }
    let releases = async {
        let seen = what_runs(&clients, &specification.services).await;
        let all = specification.services.iter().zip(seen);
        join_all(all.map(|(service, seen)| of_what_runs(&clients, service, seen))).await
    };
    let archives = join_all(specification.archives.iter().map(|archive| archive::release(&clients, archive)));
    let (releases, archives) = join(releases, archives).await;
    let releases = releases.into_iter().chain(archives).collect::<Result<_>>()?;
    Ok(Before { specification, clients, identity, at: Timestamp::now(), releases })
}

impl Before {
    /// Finds out what runs an older commit there and is the same all the same: a commit that did not concern a service was
    /// not deployed there either, and must not keep it from going on. `judge` looks at that environment.
    ///
    /// # Errors
    /// git cannot be run.
    pub(crate) async fn compare(&mut self, judge: &Judge<'_>, revision: &str) -> Result<()> {
        let other = |release: &&mut Release| release.revision.as_ref().is_some_and(|runs| runs != revision);
        let mut others: Vec<&mut Release> = self.releases.iter_mut().filter(other).collect();
        let asked = others.iter().map(|release| {
            let base = by_release(release.revision.as_deref().unwrap_or_default());
            Asked { name: &release.service, base }
        });
        let asked: Vec<Asked<'_>> = asked.collect();
        let changes = judge.changes(&asked).await?;
        drop(asked);
        for (release, change) in others.iter_mut().zip(changes) {
            release.same = change.is_nothing();
        }
        Ok(())
    }

    pub(crate) fn release(&self, name: &str) -> Option<&Release> {
        self.releases.iter().find(|release| release.service == name)
    }

    /// Looks once more, just before anything is moved: a rollback there says that the commit is not good enough. `digest`:
    /// what is promoted is this very image.
    ///
    /// # Errors
    /// It no longer runs there as it did when the plan was made ([`Exit::Gate`]), or cannot be read.
    pub(crate) async fn still(&self, name: &str, digest: Option<&str>) -> Result<()> {
        let Some(then) = self.release(name) else { return Ok(()) };
        let now = if let Some(service) = self.service(name) {
            release(&self.clients, service).await?
        } else if let Some(archive) = self.specification.archives.iter().find(|archive| archive.name == name) {
            archive::release(&self.clients, archive).await?
        } else {
            return Ok(());
        };
        let (what, same) = match digest {
            Some(digest) => ("the image", now.digest.as_deref() == Some(digest)),
            None => ("the commit", now.revision == then.revision),
        };
        let why = match now.unproven {
            None if same => return Ok(()),
            Some(reason) if same => reason,
            _ => now
                .revision
                .map_or("something else runs there now".to_owned(), |runs| format!("{} runs there now", short(&runs))),
        };
        let environment = &self.specification.environment.name;
        Err(Error::new(Exit::Gate, format!("{what} no longer runs in `{environment}` as it did")).cause(why).hint(
            format!(
                "nothing was rolled, and what is live is as it was; look at it there: shipit status --env {environment}"
            ),
        ))
    }
}

/// Reads what one service runs.
pub(crate) async fn release(clients: &Clients, service: &Service) -> Result<Release> {
    let found = ecs::describe_with_tags(clients, &service.cluster, &service.service).await?;
    let tasks = ecs::list_tasks(clients, &service.cluster, &service.service, Desired::Running).await?;
    released(clients, service, &found.service, &found.tags?, &tasks).await
}

async fn of_what_runs(clients: &Clients, service: &Service, seen: ObservedService) -> Result<Release> {
    let found = seen.service?;
    let (tags, tasks) = (seen.tags.transpose()?.unwrap_or_default(), seen.running.transpose()?.unwrap_or_default());
    released(clients, service, &found, &tags, &tasks).await
}

async fn released(
    clients: &Clients,
    service: &Service,
    found: &ecs::Service,
    tags: &BTreeMap<String, String>,
    tasks: &[Task],
) -> Result<Release> {
    let tag = |tag: Tag| tags.get(tag.key()).map(String::as_str);
    let mut digests: Vec<String> = tag(Tag::Digest).map(str::to_owned).into_iter().collect();
    if !digests.is_empty() && container(service, tasks, &digests).is_none() {
        // Of an index, tasks may show their platform's manifest. Without permission to look, they show something else.
        let index = ecr::manifest(clients, &service.repository, &digests[0]).await.ok().flatten();
        digests.extend(index.and_then(|index| index.child(service.platform.architecture())));
    }
    let recorded = Recorded { revision: tag(Tag::Revision), deployed_at: tag(Tag::DeployedAt), digests: &digests };
    Ok(judge(service, found, &recorded, tasks))
}

/// The service's tags, and the digests under which tasks may show the recorded image.
struct Recorded<'a> {
    revision: Option<&'a str>,
    deployed_at: Option<&'a str>,
    digests: &'a [String],
}

fn judge(service: &Service, found: &ecs::Service, recorded: &Recorded<'_>, tasks: &[Task]) -> Release {
    let mut release = Release {
        service: service.name.clone(),
        revision: None,
        digest: None,
        unproven: None,
        same: false,
        since: None,
    };
    let Some(container) = container(service, tasks, recorded.digests) else { return release };
    release.revision = recorded.revision.map(str::to_owned);
    release.digest = recorded.digests.first().cloned();
    let Some(primary) = found.primary() else { return release };
    let complete = primary.rollout.is_none_or(|state| state == RolloutState::Completed);
    if found.deployments.len() != 1 || !complete {
        release.unproven = Some("its rollout there is not complete".to_owned());
        return release;
    }
    release.unproven = match prove(tasks, &primary.id, container, recorded.digests, found.desired) {
        Proof::Proven { .. } => None,
        Proof::Waiting { reason } | Proof::Refuted { reason } => Some(reason),
    };
    let proven = recorded.deployed_at.and_then(|at| at.parse::<Timestamp>().ok());
    release.since = proven.max(primary.created_at);
    release
}

/// The container that runs the image: the one that is named, or the one that shows a digest of it.
fn container<'t>(service: &Service, tasks: &'t [Task], digests: &[String]) -> Option<&'t str> {
    let shows = |container: &&ecs::Container| {
        service.container.as_ref().is_none_or(|name| *name == container.name)
            && container.digest.as_ref().is_some_and(|digest| digests.contains(digest))
    };
    tasks.iter().flat_map(|task| &task.containers).find(shows).map(|container| container.name.as_str())
}

/// The commit has to run there, proven, in every service that is deployed, and for at least `soak`.
pub(crate) fn gate(before: &Before, soak: Duration, revision: &Revision) -> Vec<Finding> {
    let gate = Gate { environment: &before.specification.environment.name, now: before.at, soak, revision };
    before.releases.iter().filter_map(|release| gate.refusal(release)).collect()
}

/// What is asked of every service there.
struct Gate<'a> {
    environment: &'a str,
    now: Timestamp,
    soak: Duration,
    revision: &'a Revision,
}

impl Gate<'_> {
    fn refusal(&self, release: &Release) -> Option<Finding> {
        let Self { environment, revision, .. } = *self;
        let what = match &release.revision {
            Some(running) if release.same || *running == revision.full() => release.unproven.clone(),
            Some(running) => Some(format!("{} runs there", short(running))),
            None => Some("what runs there is no deploy of shipit's, or not the recorded one".to_owned()),
        };
        let mut finding = match what {
            Some(what) => Finding::new(
                Exit::Gate,
                format!("{} does not run in `{environment}` yet: {what}", revision.short()),
                format!("deploy it there first: shipit deploy --env {environment}"),
            ),
            None => self.too_soon(release)?,
        };
        finding.service = Some(release.service.clone());
        Some(finding)
    }

    fn too_soon(&self, release: &Release) -> Option<Finding> {
        let Self { environment, now, soak, revision } = *self;
        if soak.is_zero() {
            return None;
        }
        let asked = humantime::format_duration(soak);
        // An older commit that is the same in all that concerns the service is what really soaks.
        let short = release.revision.as_deref().map_or_else(|| revision.short(), |runs| short(runs).to_owned());
        let Some(since) = release.since else {
            return Some(Finding::new(
                Exit::Gate,
                format!("{short} runs in `{environment}`, but since when cannot be told, and `soak` asks for {asked}"),
                format!("deploy it there once more: shipit deploy --env {environment}"),
            ));
        };
        let soak = SignedDuration::try_from(soak).unwrap_or(SignedDuration::MAX);
        // A clock that is behind ECS's own makes it younger than nothing.
        let age = now.duration_since(since).max(SignedDuration::ZERO);
        let left = soak.saturating_sub(age);
        (left > SignedDuration::ZERO).then(|| {
            let until = since.checked_add(soak).map(|until| format!(" (from {} on)", until.strftime("%F %T UTC")));
            Finding::new(
                Exit::Gate,
                format!("{short} has run in `{environment}` for {}, and `soak` asks for {asked}", seconds(age)),
                format!("run this again in {}{}", seconds(rounded_up(left)), until.unwrap_or_default()),
            )
        })
    }
}

/// To whole seconds, so that waiting as long as is said is enough.
fn rounded_up(span: SignedDuration) -> SignedDuration {
    let more = i64::from(span.subsec_nanos() > 0);
    SignedDuration::from_secs(span.as_secs().saturating_add(more))
}

fn seconds(span: SignedDuration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(u64::try_from(span.as_secs()).unwrap_or(0)))
}

#[cfg(test)]
#[path = "after_tests.rs"]
mod tests;
