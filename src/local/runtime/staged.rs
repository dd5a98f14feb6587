//! Walks a blue/green, linear or canary deployment through the stages of its script, in scripted time.

use std::sync::Arc;
use std::time::Duration;

use crate::local::clock::{self, Millis};
use crate::local::ecs::model::Service;
use crate::local::ecs::scheduler::StartOrder;
use crate::local::ecs::stages::{self, Action, Pause, Strategy};
use crate::local::place::Place;
use crate::local::script::{PauseScript, StageScript};
use crate::local::shared::Shared;

/// How often it is looked whether the tasks are up, or whether somebody answered a hook.
const LOOK: Duration = Duration::from_millis(20);

/// Begins the walk of the deployment that this order's task belongs to. A rolling one has no stages.
pub(super) fn begin(shared: &Arc<Shared>, order: &StartOrder, stages: Vec<StageScript>) {
    let place = Whereabouts {
        shared: Arc::clone(shared),
        place: order.place.clone(),
        cluster: order.cluster.clone(),
        service: order.service.clone(),
    };
    let deployment = place.change(|service, _| {
        let task = service.tasks.iter().find(|task| task.id == order.task)?;
        (service.configuration.strategy != Strategy::Rolling).then(|| task.deployment.clone())
    });
    if let Some(deployment) = deployment {
        tokio::spawn(async move { walk(&place, &deployment, &stages).await });
    }
}

struct Whereabouts {
    shared: Arc<Shared>,
    place: Place,
    cluster: String,
    service: String,
}

impl Whereabouts {
    /// Changes the service; `None` where it is gone, or where the change says that there is nothing more to do.
    fn change<T>(&self, change: impl FnOnce(&mut Service, Millis) -> Option<T>) -> Option<T> {
        self.shared.write(|state| {
            let cluster = state.at(&self.place).clusters.get_mut(&self.cluster)?;
            change(cluster.services.get_mut(&self.service)?, clock::now())
        })
    }
}

/// `None` when the deployment ended before its stages did: somebody or something took its place.
async fn walk(place: &Whereabouts, deployment: &str, stages: &[StageScript]) -> Option<()> {
    enter(place, deployment, "SCALE_UP")?;
    while !place.change(|service, _| {
        stages::under_way(service, deployment)?;
        Some(stages::is_scaled_up(service, deployment))
    })? {
        tokio::time::sleep(LOOK).await;
    }
    for stage in stages {
        enter(place, deployment, &stage.name)?;
        tokio::time::sleep(place.shared.scripted(stage.lasts_ms)).await;
        if let Some(pause) = &stage.pause
            && hold(place, deployment, pause).await? == Action::Rollback
        {
            let why = format!("Lifecycle hook {} at {} asked for a rollback.", pause.hook, stage.name);
            return end(place, deployment, |service, now| stages::fail(service, deployment, &why, now));
        }
        if let Some(why) = &stage.fails {
            return end(place, deployment, |service, now| stages::fail(service, deployment, why, now));
        }
        if let Some(why) = &stage.stopped {
            return end(place, deployment, |service, now| stages::halt(service, deployment, why, now));
        }
    }
    enter(place, deployment, stages::LAST)
}

fn end(place: &Whereabouts, deployment: &str, turn: impl FnOnce(&mut Service, Millis)) -> Option<()> {
    place.change(|service, now| {
        stages::under_way(service, deployment)?;
        turn(service, now);
        Some(())
    })
}

fn enter(place: &Whereabouts, deployment: &str, stage: &str) -> Option<()> {
    place.change(|service, now| {
        let record = stages::under_way(service, deployment)?;
        record.stage = Some(stage.to_owned());
        record.updated_at = now;
        Some(())
    })
}

/// Waits at a hook for a person or for its time.
async fn hold(place: &Whereabouts, deployment: &str, script: &PauseScript) -> Option<Action> {
    let waits = i64::try_from(place.shared.scripted(script.timeout_ms).as_millis()).unwrap_or(i64::MAX / 2);
    place.change(|service, now| {
        let otherwise = if script.then_continue { Action::Continue } else { Action::Rollback };
        stages::under_way(service, deployment)?.pause =
            Some(Pause { hook: script.hook.clone(), expires_at: now + waits, otherwise, answer: None });
        Some(())
    })?;
    loop {
        tokio::time::sleep(LOOK).await;
        let decision = place.change(|service, now| {
            let record = stages::under_way(service, deployment)?;
            let decision = record.pause.as_ref()?.decision(now);
            if decision.is_some() {
                record.pause = None;
            }
            Some(decision)
        })?;
        if let Some(action) = decision {
            return Some(action);
        }
    }
}
