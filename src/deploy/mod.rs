//! Acts: carries a plan out. The services go side by side, and one failing never stops another.
//!
//! Nothing is decided here that `plan`, `gates` or `rollout` can decide, and nothing is printed.

mod before;
mod cache;
mod courier;
mod deliver;
mod known;
mod order;
mod scan;
mod shared_layers;
mod ship;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use tokio_util::sync::CancellationToken;

use self::order::Ends;
use self::shared_layers::SharedLayers;
use crate::after::Before;
use crate::archive::ArchivePlan;
use crate::aws::Clients;
use crate::builders::Builders;
use crate::config::specification::{Archive, Service, Specification};
use crate::error::Error;
use crate::event::{Events, Kind};
use crate::exit::Exit;
use crate::leak;
use crate::plan::{Entry, Plan, ServicePlan};
use crate::queue::Queue;
use crate::registry::Proxies;
use crate::source::Source;
use crate::verdict::{Outcome, Verdict};

/// What the command line says about the way, not about the goal.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How long to wait for a rollout.
    pub(crate) timeout: Duration,
    /// End at a crash loop, and do not wait for ECS to give up.
    pub(crate) fail_fast: bool,
    /// End once ECS has accepted the deployment.
    pub(crate) no_wait: bool,
    /// Builds at a time on one engine, where deploy.yaml does not say.
    pub(crate) jobs: usize,
    /// Who approved it, for the record.
    pub(crate) approved_by: Option<String>,
    pub(crate) proxies: Proxies,
}

/// What every service's way needs.
pub(crate) struct Deploy<'a> {
    pub(crate) clients: &'a Clients,
    /// Absent where nothing has to be built.
    pub(crate) builders: Option<&'a Builders>,
    /// The environment before this one, where there is one.
    pub(crate) before: Option<&'a Before>,
    pub(crate) specification: &'a Specification,
    pub(crate) plan: &'a Plan,
    pub(crate) options: &'a Options,
    pub(crate) events: &'a Events,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) leaks: &'a leak::Gate,
    /// Absent: a rollout that began since the plan was made is in the way.
    pub(crate) queue: Option<&'a Queue<'a>>,
}

/// What the services of one run have to do with each other.
struct Together {
    ends: Ends,
    /// Absent where at most one image is pushed.
    layers: Option<SharedLayers>,
}

impl Deploy<'_> {
    /// Takes every service its way and returns the verdicts in the order of the plan.
    pub(crate) async fn run(&self) -> Vec<Outcome> {
        let builds =
            |service: &&ServicePlan| !service.change.is_nothing() && matches!(service.source, Source::Build(_));
        let several = self.plan.services.iter().filter(builds).count() > 1;
        let together = Together {
            ends: Ends::of(self.specification.names.iter().map(String::as_str)),
            layers: several.then(SharedLayers::default),
        };
        let services = self.specification.services.iter().zip(&self.plan.services);
        let services = join_all(services.map(|(service, plan)| self.one(service, plan, &together)));
        let archives = self.specification.archives.iter().zip(&self.plan.archives);
        let archives = join_all(archives.map(|(archive, plan)| self.deliver(archive, plan, &together)));
        let (services, archives) = join(services, archives).await;
        in_order(&self.plan.names, [services, archives].concat())
    }

    async fn deliver(&self, archive: &Archive, plan: &ArchivePlan, together: &Together) -> Outcome {
        let began = Instant::now();
        let events = self.events.of(&archive.name);
        let outcome = match refusal(self.plan, &archive.name) {
            Some(error) => Outcome::failed(&archive.name, Verdict::Refused, &error),
            None if plan.change.is_nothing() => unchanged(&plan.entry()),
            None => deliver::Deliver { deploy: self, archive, plan, events: &events }.run(&together.ends).await,
        };
        self.ended(outcome, began, together, &events)
    }

    async fn one(&self, service: &Service, plan: &ServicePlan, together: &Together) -> Outcome {
        let began = Instant::now();
        let events = self.events.of(&service.name);
        let outcome = match refusal(self.plan, &service.name) {
            Some(error) => Outcome::failed(&service.name, Verdict::Refused, &error),
            None if plan.change.is_nothing() => unchanged(&plan.entry()),
            None => ship::Ship::new(self, service, plan, &events).run(together).await,
        };
        self.ended(outcome, began, together, &events)
    }

    /// What is unchanged says what runs; everything else, what was to run.
    fn ended(&self, mut outcome: Outcome, began: Instant, together: &Together, events: &Events) -> Outcome {
        if outcome.since.is_none() {
            outcome.revision = Some(self.plan.revision.full());
        }
        outcome.seconds = began.elapsed().as_secs_f64();
        together.ends.tell(&outcome);
        events.emit(Kind::ServiceFinished { outcome: outcome.clone() });
        outcome
    }
}

/// In the order of the file, whatever they are.
fn in_order(names: &[String], mut outcomes: Vec<Outcome>) -> Vec<Outcome> {
    outcomes.sort_by_key(|outcome| names.iter().position(|name| *name == outcome.service));
    outcomes
}

/// Of a service that nothing concerns: what runs goes on running.
fn unchanged(entry: &Entry<'_>) -> Outcome {
    Outcome {
        digest: entry.running_digest.map(str::to_owned),
        revision: entry.running_revision.map(str::to_owned),
        since: entry.change.base.clone(),
        reason: Some(entry.change.reason.clone()),
        ..Outcome::ended(entry.name, Verdict::Unchanged, Exit::Success)
    }
}

/// All that is in the way of one service, as one error with the worst exit code.
pub(crate) fn refusal(plan: &Plan, service: &str) -> Option<Error> {
    let mut findings = plan.findings_for(service);
    let mut error = findings.next()?.to_error();
    let mut exit = error.exit();
    let mut others = 0;
    for finding in findings {
        exit = exit.worst(finding.exit_code);
        others += 1;
    }
    if others > 0 {
        error = error.cause(format!("and {others} more in the way"));
    }
    Some(error.with_exit(exit))
}

/// The verdicts of a plan that is not carried out.
pub(crate) fn planned(plan: &Plan) -> Vec<Outcome> {
    let refused: BTreeMap<&str, Error> =
        plan.entries().filter_map(|entry| Some((entry.name, refusal(plan, entry.name)?))).collect();
    let depends_on =
        |name: &str| plan.entries().find(|entry| entry.name == name).map_or(&[][..], |entry| entry.depends_on);
    let outcomes = plan.entries().map(|entry| {
        let held_back = || order::held_back(depends_on, entry.name, |other| refused.contains_key(other));
        let outcome = if let Some(error) = refused.get(entry.name) {
            Outcome::failed(entry.name, Verdict::Refused, error)
        } else if entry.change.is_nothing() {
            return unchanged(&entry);
        } else if let Some((other, error)) = held_back().and_then(|other| refused.get_key_value(other)) {
            Outcome::failed(entry.name, Verdict::Skipped, &order::because_of(other, Verdict::Refused, error.exit()))
        } else {
            Outcome::ended(entry.name, Verdict::Planned, Exit::Success)
        };
        Outcome { revision: Some(plan.revision.full()), ..outcome }
    });
    outcomes.collect()
}

/// The verdicts where all that would have gone ahead is refused.
pub(crate) fn refused(plan: &Plan, error: &Error) -> Vec<Outcome> {
    let end = |outcome: Outcome| match outcome.verdict {
        Verdict::Planned => Outcome::failed(&outcome.service, Verdict::Refused, error),
        _ => outcome,
    };
    planned(plan).into_iter().map(end).collect()
}
