//! The last look before anything is moved that others see: is the service still as it was when the plan was made? With
//! `--queue` a rollout that began meanwhile is waited for, and the plan's judgements are made anew on what runs then.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::Ship;
use crate::aws::ecs::{self, Tag};
use crate::changes::Order;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::gates;
use crate::observe::{ObservedService, observe_service};
use crate::plan::{Finding, ServicePlan};
use crate::queue::{self, Queue};
use crate::rollout::Stop;
use crate::source::Source;
use crate::verdict::Verdict;

/// What the service is like just before this deployment.
#[derive(Clone)]
pub(super) struct Standing {
    /// The PRIMARY deployment.
    pub(super) deployment: Option<String>,
    pub(super) running_digest: Option<String>,
    pub(super) latest_digest: Option<String>,
    /// The service's tags.
    pub(super) recorded: BTreeMap<String, String>,
}

impl Standing {
    pub(super) fn of(plan: &ServicePlan) -> Self {
        Self {
            deployment: plan.previous_deployment.clone(),
            running_digest: plan.running_digest.clone(),
            latest_digest: plan.latest_digest.clone(),
            recorded: plan.recorded.clone(),
        }
    }

    fn seen(seen: &ObservedService, container: &str) -> Result<Self> {
        let primary = seen.service.clone()?.primary().map(|primary| primary.id.clone());
        Ok(Self {
            deployment: primary,
            running_digest: seen.running_digest(container),
            latest_digest: seen.latest.clone()?,
            recorded: seen.tags.clone().transpose()?.unwrap_or_default(),
        })
    }

    fn held(&self) -> Option<&String> {
        self.recorded.get(Tag::Held.key()).filter(|held| !held.is_empty())
    }
}

impl Ship<'_> {
    pub(super) async fn ask_again(&mut self) -> Result<(), Stop> {
        let refused = |error| Stop::new(Verdict::Refused, error);
        loop {
            let found = ecs::describe(self.deploy.clients, &self.service.cluster, &self.service.service);
            let found = self.unless_cancelled(found).await.map_err(refused)?;
            let now = found.primary().map(|primary| &primary.id);
            if now == self.standing.deployment.as_ref() {
                return Ok(());
            }
            let Some(queue) = self.deploy.queue else {
                let other = now.map_or("it has none now", |id| id.as_str());
                let text = format!("another rollout began while this one was built: {other}");
                let hint = "nothing was changed in ECS and `latest` is as it was; run it again when that rollout has \
                            ended, or wait for it with --queue";
                return Err(refused(Error::new(Exit::Gate, text).hint(hint)));
            };
            self.standing = self.unless_cancelled(self.after_that(queue)).await.map_err(refused)?;
        }
    }

    /// The environment before this one may have gone another way since the plan was made.
    pub(super) async fn still_before(&self) -> Result<(), Stop> {
        let Some(before) = self.deploy.before else { return Ok(()) };
        let what = if matches!(self.plan.source, Source::Promote(_)) { "image" } else { "commit" };
        let still = self.unless_cancelled(before.still_runs(&self.service.name, what)).await;
        still.map_err(|error| Stop::new(Verdict::Refused, error))
    }

    /// Waits until the other rollout has ended, and judges what runs then.
    async fn after_that(&self, queue: &Queue<'_>) -> Result<Standing> {
        let until = Instant::now() + queue.patience;
        queue::wait(self.deploy.clients, self.service, until, self.events).await?;
        let seen = observe_service(self.deploy.clients, self.service, None).await;
        let now = Standing::seen(&seen, self.plan.container.as_deref().unwrap_or_default())?;
        let in_the_way = gates::service(self.service, &seen);
        let order = match &queue.judge {
            Some(judge) => judge.order(seen.recorded_revision(now.running_digest.as_deref())).await?,
            None => Order::Onward,
        };
        let (name, revision) = (&self.service.name, &self.deploy.plan.revision);
        let older = gates::older(name, &order, revision, queue.allow_older);
        let held = now.held().filter(|held| Some(*held) != self.standing.held()).map(|held| {
            let text = format!("{name} was rolled back from {held} while this one was built");
            Finding::new(Exit::Gate, text, "see why, then run it again: shipit status")
        });
        match in_the_way.into_iter().chain(older).chain(held).next() {
            Some(finding) => Err(finding.to_error()),
            None => Ok(now),
        }
    }
}
