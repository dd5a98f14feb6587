//! From a moved `latest` to a proven rollout: the part of the way that deploy and rollback share.
//!
//! It does not know how `latest` came to its digest, and it does not put it back: `Stop::restore` says whether to.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::stop::Stop;
use super::{Watched, outcome, watch};
use crate::aws::{Clients, ecr, ecs};
use crate::error::{Error, Result};
use crate::event::{Events, Kind, Stage};
use crate::exit::Exit;
use crate::interrupt::{interrupted, unless_cancelled};
use crate::verdict::Verdict;

/// What is true of an interrupt before UpdateService.
pub(crate) const NOTHING_ROLLED: &str = "interrupted; nothing was rolled";

/// How long an interrupt waits for the answer to a call that cannot be taken back.
const LAST_ANSWER: Duration = Duration::from_millis(1200);

/// Which service is rolled, and who wants to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roll<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) repository: &'a str,
    pub(crate) cluster: &'a str,
    /// ECS service name.
    pub(crate) service: &'a str,
    pub(crate) container: &'a str,
    pub(crate) events: &'a Events,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) timeout: Duration,
    pub(crate) fail_fast: bool,
}

impl Roll<'_> {
    /// Asks the registry until it says that `latest` is this digest.
    pub(crate) async fn confirm_latest(&self, digest: &str) -> Result<(), Stop> {
        let failed = |error| Stop::new(Verdict::PushFailed, error);
        let mut latest = None;
        // ECR may show a push a moment later.
        for pause in [0, 200, 500, 1000, 2000] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let asked = ecr::digest_of(self.clients, self.repository, "latest");
            latest = self.unless_cancelled(asked).await.map_err(failed)?;
            if latest.as_deref() == Some(digest) {
                return Ok(());
            }
        }
        let latest = latest.unwrap_or_else(|| "nothing".to_owned());
        let error = Error::new(Exit::Registry, format!("`latest` was put on {digest}, but the registry says {latest}"))
            .hint("somebody else pushes to this repository at the same time; run it again when they are done");
        Err(Stop::new(Verdict::PushFailed, error).leaving_latest())
    }

    /// Forces a new deployment and returns its id. `previous` is the PRIMARY's id from just before.
    pub(crate) async fn start(&self, previous: Option<&str>) -> Result<String, Stop> {
        if self.cancel.is_cancelled() {
            return Err(Stop::new(Verdict::Interrupted, interrupted(NOTHING_ROLLED)));
        }
        self.events.stage(Stage::Roll);
        let call = ecs::force_new_deployment(self.clients, self.cluster, self.service, previous);
        let started = tokio::select! {
            started = call => started.map_err(|error| Stop::new(Verdict::Refused, error))?,
            () = self.no_answer_after_cancel() => {
                let error = Error::new(Exit::Interrupted, "interrupted before ECS answered: it may have begun the rollout")
                    .hint("look whether a rollout is under way before you deploy again: shipit status");
                return Err(Stop::new(Verdict::Interrupted, error).leaving_latest());
            }
        };
        if started.recovered {
            self.events.warn("the answer to UpdateService was lost; the deployment that it started was found", None);
        }
        self.events.emit(Kind::RolloutStarted { deployment: started.deployment.clone() });
        Ok(started.deployment)
    }

    /// Watches a deployment until it is proven to run one of these digests. Returns where the service answers, where
    /// ECS publishes a port of its tasks.
    pub(crate) async fn watch_and_prove(
        &self,
        deployment: &str,
        previous: Option<&str>,
        digests: Vec<String>,
    ) -> Result<Option<String>, Stop> {
        self.events.stage(Stage::Watch);
        let watched = Watched {
            cluster: self.cluster.to_owned(),
            service: self.service.to_owned(),
            container: self.container.to_owned(),
            deployment: deployment.to_owned(),
            previous: previous.map(str::to_owned),
            digests,
            timeout: self.timeout,
            fail_fast: self.fail_fast,
        };
        let end = watch(self.clients, &watched, self.events, self.cancel).await;
        outcome(end, &watched)
    }

    /// What runs is proven; whether the next task of anybody would run the same.
    pub(crate) async fn latest_is_still(&self, digest: &str) -> Result<(), Stop> {
        let asked = ecr::digest_of(self.clients, self.repository, "latest");
        let said =
            "interrupted after the rollout was proven: only `latest` was not asked once more, and nothing is recorded";
        let latest = unless_cancelled(self.cancel, said, asked)
            .await
            .map_err(|error| Stop::new(Verdict::NotProven, error).leaving_latest())?;
        if latest.as_deref() == Some(digest) {
            return Ok(());
        }
        let latest = latest.unwrap_or_else(|| "gone".to_owned());
        let error = Error::new(Exit::NotProven, format!("what was asked for runs, but `latest` is {latest} by now"))
            .hint("somebody pushed meanwhile: the next rollout of anybody will run that image");
        Err(Stop::new(Verdict::NotProven, error).leaving_latest())
    }

    /// Ends a step that may be given up at any moment as soon as the run is interrupted.
    pub(crate) async fn unless_cancelled<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        unless_cancelled(self.cancel, NOTHING_ROLLED, step).await
    }

    async fn no_answer_after_cancel(&self) {
        self.cancel.cancelled().await;
        tokio::time::sleep(LAST_ANSWER).await;
    }
}
