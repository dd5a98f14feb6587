//! `--queue`: a rollout in flight is waited for, and what runs after it is looked at anew. Without it such a rollout is in
//! the way.

use std::time::Duration;

use tokio::time::Instant;

use crate::aws::{Clients, ecs};
use crate::changes::Judge;
use crate::config::specification::Service;
use crate::error::Result;
use crate::event::Events;
use crate::gates;

/// Between two looks. All services share the calls.
const PAUSE: Duration = Duration::from_secs(2);

/// For a deploy that waits its turn.
pub(crate) struct Queue<'a> {
    /// Tells whether the commit still comes after what runs; absent where there is no git to ask.
    pub(crate) judge: Option<Judge<'a>>,
    pub(crate) allow_older: bool,
    /// How long one rollout of somebody else is waited for.
    pub(crate) patience: Duration,
}

/// Returns when nothing is rolled out to the service any more, or nothing but what only fails, or at `until`.
pub(crate) async fn wait(clients: &Clients, service: &Service, until: Instant, events: &Events) -> Result<()> {
    let mut told = None;
    loop {
        let found = ecs::describe(clients, &service.cluster, &service.service).await?;
        let Some(rollout) = gates::moving(&found).filter(|_| !gates::fails(&found)) else { return Ok(()) };
        if Instant::now() >= until {
            return Ok(());
        }
        if told.as_ref() != Some(&rollout) {
            events.note(format!("waits until the rollout {rollout} has ended"));
            told = Some(rollout);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
