//! From a settled specification to its plan: everything is read that the plan depends on, in the order in which one read
//! makes the next one needless. What did not change is looked at no closer than it takes to know that; it needs no engine, no
//! image is looked for, and no context is hashed.
//!
//! It changes nothing and decides nothing: the judgements are in `changes`, `reuse` and `plan`.

use std::path::Path;
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use crate::after;
use crate::aws::{Clients, Settings, credentials};
use crate::builders::Builders;
use crate::changes::{Filter, Judge, candidates, dead_patterns, is_told_by_record};
use crate::config::specification::{Service, Specification};
use crate::config::{ResolveInput, SecretsMode};
use crate::error::Result;
use crate::event::Events;
use crate::gates;
use crate::observe::{Observed, ObservedService, look_closer, observe};
use crate::plan::{Finding, Plan, Request, plan};
use crate::queue;
use crate::resolve::Resolved;
use crate::reuse;
use crate::vars::Vars;

/// Reading files is bound by the disk and by memory; two readers keep both busy.
const CONTEXTS_AT_ONCE: usize = 3;

/// What has to be known of the run.
pub(crate) struct Preflight<'a> {
    pub(crate) resolved: &'a Resolved,
    /// The environment before this one, by [`before`].
    pub(crate) before: Option<&'a Specification>,
    pub(crate) clients: &'a Clients,
    pub(crate) settings: &'a Settings,
    /// The file that was read: the path of `--config`.
    pub(crate) config: &'a Path,
    pub(crate) filter: Filter<'a>,
    pub(crate) request: Request,
    /// How long a rollout may take: credentials have to live that long, and others are waited for no longer.
    pub(crate) timeout: Duration,
    /// Wait for a rollout in flight.
    pub(crate) queue: bool,
    pub(crate) vars: &'a Vars,
    pub(crate) events: &'a Events,
}

impl Preflight<'_> {
    /// The plan, and the environment before this one, where it asks for one and it could be read. `engines` connects to
    /// them: it is asked only where something has to be built.
    ///
    /// # Errors
    /// git cannot be run, or `--base` names no commit. What AWS refuses is a finding of the plan.
    pub(crate) async fn plan<'e>(
        &self,
        findings: Vec<Finding>,
        engines: impl AsyncFnOnce() -> &'e Result<Builders>,
    ) -> Result<(Plan, Option<after::Before>)> {
        let specification = &self.resolved.specification;
        let until = Instant::now() + self.timeout;
        let mut observed = self.observed().await?;
        while self.queue && Instant::now() < until && self.wait_for_others(&observed, until).await? {
            observed = self.observed().await?;
        }
        let builds = observed.services.iter().any(|seen| !seen.judgement.change.is_nothing());
        if builds && !specification.environment.promote {
            let builders = engines().await;
            observed.engines = builders.as_ref().map(Builders::facts).map_err(Clone::clone);
            self.look_for_images(builders.as_ref().ok(), &mut observed).await;
        }
        let mut plan = plan(specification, &observed, &self.request, findings);
        if plan.identity.is_some() {
            plan.warnings.extend(credentials::warnings(self.clients, self.timeout).await);
        }
        Ok((plan, observed.before.and_then(Result::ok)))
    }

    async fn observed(&self) -> Result<Observed> {
        let Resolved { specification, revision, repository, .. } = self.resolved;
        let before = async {
            match self.before {
                Some(before) => Some(after::read(before.clone(), self.settings).await),
                None => None,
            }
        };
        let notes = async {
            match repository {
                Some(repository) => dead_patterns(repository, &revision.commit, specification).await,
                None => Ok(Vec::new()),
            }
        };
        let commit = revision.full();
        let (mut observed, before, notes) = tokio::join!(observe(self.clients, specification, &commit), before, notes);
        observed.before = before;
        observed.notes = notes?;
        // The filter needs more of those whose record does not tell the base, the plan of those that it lets through.
        self.look_closer(&mut observed, |service, seen| !is_told_by_record(service, seen)).await;
        self.judge(&mut observed).await?;
        self.look_closer(&mut observed, |_, seen| !seen.judgement.change.is_nothing()).await;
        Ok(observed)
    }

    async fn look_closer(&self, observed: &mut Observed, wanted: impl Fn(&Service, &ObservedService) -> bool) {
        let Resolved { specification, revision, .. } = self.resolved;
        let tag = revision.tag();
        look_closer(self.clients, &specification.services, &mut observed.services, Some(&tag), wanted).await;
    }

    /// Waits until every rollout in flight has ended that is in the way. Whether there was one.
    async fn wait_for_others(&self, observed: &Observed, until: Instant) -> Result<bool> {
        let services = self.resolved.specification.services.iter().zip(&observed.services);
        let in_the_way = services
            .filter(|(service, seen)| !seen.judgement.change.is_nothing() && gates::in_flight(service, seen).is_some());
        let waits = in_the_way.map(|(service, _)| async {
            queue::wait(self.clients, service, until, &self.events.of(&service.name)).await
        });
        let waited: Vec<()> = try_join_all(waits).await?;
        Ok(!waited.is_empty())
    }

    /// Who can tell what changed; `None` where there is no git to ask.
    ///
    /// # Errors
    /// git cannot be run.
    pub(crate) async fn judge_of_changes(&self) -> Result<Option<Judge<'_>>> {
        let Resolved { specification, revision, repository, manifest, branch, .. } = self.resolved;
        let Some(repository) = repository else { return Ok(None) };
        let uncommitted = if revision.dirty { repository.uncommitted_files().await? } else { Vec::new() };
        Ok(Some(Judge {
            repository,
            config: self.config,
            manifest,
            environment: &specification.environment.name,
            branch: branch.as_deref(),
            head: &revision.commit,
            uncommitted,
            every_file: false,
            vars: self.vars,
            events: self.events,
        }))
    }

    /// What changed, and how the commit stands to what runs.
    async fn judge(&self, observed: &mut Observed) -> Result<()> {
        let Resolved { specification, revision, .. } = self.resolved;
        let judge = self.judge_of_changes().await?;
        let candidates = candidates(self.clients, specification, &observed.services, &observed.archives).await;
        let judgements = self.filter.judge(judge.as_ref(), &candidates).await?;
        let services = observed.services.iter_mut().map(|seen| &mut seen.judgement);
        let archives = observed.archives.iter_mut().map(|seen| &mut seen.judgement);
        for (place, judgement) in services.chain(archives).zip(judgements) {
            *place = judgement;
        }
        if let (Some(Ok(before)), Some(judge)) = (&mut observed.before, &judge) {
            let name = before.specification.environment.name.clone();
            before.compare(&Judge { environment: &name, ..judge.clone() }, &revision.full()).await?;
        }
        Ok(())
    }

    /// For each service that is to be built: is there an image of the same inputs already? The contexts are read a few at
    /// a time.
    async fn look_for_images(&self, builders: Option<&Builders>, observed: &mut Observed) {
        let services = self.resolved.specification.services.iter().zip(&observed.services);
        let looks = services.map(|(service, seen)| async move {
            if seen.judgement.change.is_nothing() {
                return None;
            }
            // Without its repository there is nothing to look into, and a finding says so.
            let repository = seen.repository()?;
            let latest = seen.latest();
            let engine = builders.and_then(|builders| builders.home(&service.name, service.platform));
            let (clients, rebuild) = (self.clients, self.filter.rebuild);
            let look = reuse::Look { clients, engine, uri: &repository.uri, latest, rebuild };
            Some(reuse::observe(service, look).await)
        });
        let images: Vec<_> = stream::iter(looks).buffered(CONTEXTS_AT_ONCE).collect().await;
        for (seen, image) in observed.services.iter_mut().zip(images) {
            seen.image = image;
        }
    }
}

/// The environment before this one, as deploy.yaml has it, with its secrets as far as they are set.
///
/// # Errors
/// As for any environment ([`crate::exit::Exit::Usage`]).
pub(crate) fn before(resolved: &Resolved, vars: &Vars) -> Result<Option<Specification>> {
    let Some(name) = &resolved.specification.environment.after else { return Ok(None) };
    let input = ResolveInput {
        environment: name,
        branch: resolved.branch.as_deref(),
        commit: Some(&resolved.revision.full()),
        services: &resolved.specification.names,
        vars,
        secrets: SecretsMode::Optional,
    };
    resolved.manifest.resolve(&input).map(Some)
}
