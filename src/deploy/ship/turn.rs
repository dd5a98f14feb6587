//! The last look before anything is moved that others see: is the service still as it was when the plan was made, is
//! nothing held since, and is the commit still good enough where it ran before? With `--queue` a rollout that began
//! meanwhile is waited for, and the plan's judgements are made anew on what runs then.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::Ship;
use crate::aws::ecs::{self, Tag, Tagged};
use crate::changes::{Judgement, Order, running};
use crate::deploy::Deploy;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::gates;
use crate::observe::{ObservedService, observe_service};
use crate::plan::ServicePlan;
use crate::queue::{self, Queue};
use crate::revision::short;
use crate::rollout::Stop;
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
            latest_digest: seen.basis.as_ref().map_or(Ok(None), |basis| basis.latest.clone())?,
            recorded: seen.tags.clone().transpose()?.unwrap_or_default(),
        })
    }

    /// The hold in these tags, unless this one knows of it.
    fn new_hold<'t>(&self, tags: &'t BTreeMap<String, String>) -> Option<&'t str> {
        let held = tags.get(Tag::Held.key()).filter(|held| !held.is_empty())?;
        (self.recorded.get(Tag::Held.key()) != Some(held)).then_some(held)
    }
}

impl Ship<'_> {
    /// Asked just before `latest` is moved. `promoted`: the digest that has to run in the environment before.
    pub(super) async fn ask_again(&mut self, promoted: Option<&str>) -> Result<(), Stop> {
        let refused = |error| Stop::new(Verdict::Refused, error);
        while let Some(other) = self.unless_cancelled(self.meanwhile()).await.map_err(refused)? {
            let Some(queue) = self.deploy.queue else {
                let text = format!("another rollout began while this one was built: {other}");
                let hint = "nothing was changed in ECS and `latest` is as it was; run it again when that rollout has \
                            ended, or wait for it with --queue";
                return Err(refused(Error::new(Exit::Gate, text).hint(hint)));
            };
            self.standing = self.unless_cancelled(self.after_that(queue)).await.map_err(refused)?;
        }
        if let Some(before) = self.deploy.before {
            // A build, a scan or another's rollout may have taken minutes.
            self.unless_cancelled(before.still(&self.service.name, promoted)).await.map_err(refused)?;
        }
        Ok(())
    }

    /// Asked once more where something took its time between `latest` and the rollout.
    pub(super) async fn ask_before_roll(&self) -> Result<(), Stop> {
        let refused = |error| Stop::new(Verdict::Refused, error);
        match self.unless_cancelled(self.meanwhile()).await.map_err(refused)? {
            None => Ok(()),
            Some(other) => {
                let text = format!("another rollout began before this one could: {other}");
                let error = Error::new(Exit::Gate, text).hint("run it again when that rollout has ended");
                // It took the image that `latest` is, or has moved it.
                Err(refused(error).leaving_latest())
            }
        }
    }

    /// The rollout of somebody else that there is since, if there is one.
    ///
    /// # Errors
    /// A rollback has begun, whose hold is its first step; or the service cannot be read.
    async fn meanwhile(&self) -> Result<Option<String>> {
        let found = ecs::describe_with_tags(self.deploy.clients, &self.service.cluster, &self.service.service);
        let Tagged { service: found, tags } = found.await?;
        let tags = match tags {
            // Where the plan could not read them either, nothing is known of holds.
            Err(_) if self.standing.recorded.is_empty() => BTreeMap::new(),
            tags => tags?,
        };
        let now = found.primary().map(|primary| &primary.id);
        // Another rollout is the larger news: with `--queue` the hold is looked at after it.
        if now != self.standing.deployment.as_ref() {
            return Ok(Some(now.map_or("it has none now", |id| id.as_str()).to_owned()));
        }
        match self.standing.new_hold(&tags) {
            Some(held) => Err(self.was_rolled_back(held)),
            None => Ok(None),
        }
    }

    fn was_rolled_back(&self, held: &str) -> Error {
        let text = format!("{} was rolled back from {} while this one was built", self.service.name, short(held));
        Error::new(Exit::Gate, text).hint("see why, then run it again: shipit status")
    }

    /// Waits until the other rollout has ended, and judges what runs then.
    async fn after_that(&self, queue: &Queue<'_>) -> Result<Standing> {
        let Deploy { clients, specification, plan, .. } = *self.deploy;
        let until = Instant::now() + queue.patience;
        queue::wait(clients, self.service, until, self.events).await?;
        let seen = observe_service(clients, self.service).await;
        let now = Standing::seen(&seen, self.plan.container.as_deref().unwrap_or_default())?;
        if let Some(held) = self.standing.new_hold(&now.recorded) {
            return Err(self.was_rolled_back(held));
        }
        let mut judgement = Judgement::default();
        if let Some(judge) = &queue.judge {
            let running = running(clients, self.service, &seen).await;
            judgement.order = judge.order(running.revision.as_deref()).await?;
            judgement.by_hand = judge.by_hand(&running).await?;
        }
        let name = &self.service.name;
        let mut in_the_way = gates::service(self.service, &seen);
        in_the_way.extend(gates::older(name, &judgement.order, &plan.revision, queue.allow_older));
        in_the_way.extend(gates::by_hand(&specification.environment, name, &judgement));
        if let Some(finding) = in_the_way.first() {
            return Err(finding.to_error());
        }
        let unknown = match judgement.order {
            Order::Unknown(why) => Some(why),
            _ => None,
        };
        for warning in unknown.into_iter().chain(judgement.by_hand) {
            self.events.warn(warning, None);
        }
        Ok(now)
    }
}
