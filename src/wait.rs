//! Takes up the watch of whatever rollout is the service's latest, and proves it as a deploy would. Moves nothing.

use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::aws::ecs::Tag;
use crate::aws::identity::Identity;
use crate::aws::{Clients, ecr};
use crate::config::specification::{Service, Specification};
use crate::error::{Error, Result};
use crate::event::{Events, Kind};
use crate::exit::Exit;
use crate::gates;
use crate::git::log;
use crate::observe::{ObservedService, observe_services};
use crate::record::{self, Previous, Record};
use crate::rollout::decision::rolls_back;
use crate::rollout::{Roll, Stop};
use crate::verdict::{Outcome, Verdict};

/// What every service's watch needs.
pub(crate) struct Wait<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) specification: &'a Specification,
    pub(crate) identity: &'a Identity,
    pub(crate) timeout: std::time::Duration,
    pub(crate) fail_fast: bool,
    pub(crate) events: &'a Events,
    pub(crate) cancel: &'a CancellationToken,
}

/// What one service is expected to run.
struct Expected {
    /// What `latest` is.
    digest: String,
    /// `latest`, and its manifest for the platform where it is an index.
    digests: Vec<String>,
    /// The commit that `latest` is tagged with, in full where this clone knows it.
    revision: Option<String>,
}

impl Wait<'_> {
    /// Watches every service, side by side; the verdicts come in the order of the specification.
    pub(crate) async fn run(&self) -> Vec<Outcome> {
        let services = &self.specification.services;
        let look = OnceCell::new();
        let all = services.iter().enumerate();
        let watches = all.map(async |(nth, service)| {
            // All of them share one look.
            let look = look.get_or_init(|| observe_services(self.clients, services)).map(|seen| Ok(&seen[nth]));
            self.one(service, look).await
        });
        join_all(watches).await
    }

    async fn one(&self, service: &Service, look: impl Future<Output = Result<&ObservedService>>) -> Outcome {
        let began = Instant::now();
        let events = self.events.of(&service.name);
        let mut outcome = Outcome::ended(&service.name, Verdict::Deployed, Exit::Success);
        if let Err(stop) = self.watch(service, look, &events, &mut outcome).await {
            let known = outcome;
            outcome = Outcome::failed(&service.name, stop.verdict, &stop.error);
            outcome.digest = known.digest;
            outcome.revision = known.revision;
            outcome.deployment = known.deployment;
        }
        outcome.seconds = began.elapsed().as_secs_f64();
        events.emit(Kind::ServiceFinished { outcome: outcome.clone() });
        outcome
    }

    async fn watch(
        &self,
        service: &Service,
        look: impl Future<Output = Result<&ObservedService>>,
        events: &Events,
        outcome: &mut Outcome,
    ) -> Result<(), Stop> {
        let refused = |error| Stop::new(Verdict::Refused, error);
        let roll = Roll {
            clients: self.clients,
            repository: &service.repository,
            cluster: &service.cluster,
            service: &service.service,
            container: "",
            events,
            cancel: self.cancel,
            timeout: self.timeout,
            fail_fast: self.fail_fast,
        };
        let seen = roll.unless_cancelled(look).await.map_err(refused)?;
        let found = seen.service.as_ref().map_err(|error| refused(error.clone()))?;
        // Whether `latest` may be moved is of no interest: nothing is.
        let in_the_way = gates::standing(service, seen).into_iter().find(|one| one.exit_code != Exit::Registry);
        if let Some(finding) = in_the_way {
            return Err(refused(finding.to_error()));
        }
        let primary = found.primary().ok_or_else(|| refused(never_rolled(service)))?;
        outcome.deployment = Some(primary.id.clone());
        if rolls_back(primary) {
            let error = Error::new(Exit::Rollout, format!("ECS rolled back to {}", primary.id))
                .cause(primary.reason.clone().unwrap_or_default())
                .hint("see why with shipit history and shipit status, then deploy the fix");
            return Err(Stop::new(Verdict::RolledBack, error));
        }
        let container = gates::container(service, seen).unwrap_or_default();
        let expected = roll.unless_cancelled(self.expected(service, seen)).await.map_err(refused)?;
        outcome.digest = Some(expected.digest.clone());
        outcome.revision.clone_from(&expected.revision);
        let roll = Roll { container: &container, ..roll };
        outcome.url = roll.watch_and_prove(&primary.id, None, expected.digests.clone()).await?;
        self.record(&found.arn, seen, &expected, events).await;
        Ok(())
    }

    async fn expected(&self, service: &Service, seen: &ObservedService) -> Result<Expected> {
        let latest = seen.basis.as_ref().map_or(Ok(None), |basis| basis.latest.clone());
        let digest = latest?.ok_or_else(|| never_rolled(service))?;
        let manifest = ecr::manifest(self.clients, &service.repository, &digest).await.ok().flatten();
        let child = manifest.and_then(|manifest| manifest.child(service.platform.architecture()));
        let image = ecr::image(self.clients, &service.repository, &digest).await.ok().flatten();
        let mut revision = image.and_then(|image| image.commits().next().map(str::to_owned));
        if let Some(short) = revision.as_deref().filter(|name| !name.ends_with("-dirty"))
            && let Some(commit) = log::commit(&self.specification.root, short).await
        {
            revision = Some(commit.revision);
        }
        let digests = std::iter::once(digest.clone()).chain(child).collect();
        Ok(Expected { digest, digests, revision })
    }

    /// The run that rolled it ended before it could write this down. What a rollback holds stays held.
    async fn record(&self, arn: &str, seen: &ObservedService, expected: &Expected, events: &Events) {
        let none = std::collections::BTreeMap::new();
        if seen.tag(Tag::Digest) == Some(&expected.digest) {
            return;
        }
        let revision = expected.revision.as_deref();
        let held = seen.tag(Tag::Held);
        let record = Record {
            revision,
            digest: &expected.digest,
            base: held.or(revision),
            held,
            previous: if held.is_some() {
                Previous::Unknown
            } else {
                Previous::of(seen.tag(Tag::Digest), &expected.digest)
            },
            by: Some(&self.identity.arn),
            approved_by: None,
        };
        record::record(self.clients, arn, &record, seen.recorded().unwrap_or(&none), events).await;
    }
}

fn never_rolled(service: &Service) -> Error {
    Error::new(Exit::Aws, format!("nothing was ever rolled out to service `{}`", service.service))
        .hint("deploy it first: shipit deploy")
}
