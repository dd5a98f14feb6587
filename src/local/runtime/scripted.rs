//! Tasks that follow the script: no process, only the observations that a process would have led to.

use std::sync::Arc;

use super::{Stopper, log, staged};
use crate::local::clock;
use crate::local::ecs::scheduler::StartOrder;
use crate::local::ecs::sightings::{End, Seen, Up};
use crate::local::ecs::{self};
use crate::local::place::Place;
use crate::local::script::{DeploymentScript, TaskScript};
use crate::local::shared::{Shared, lock};

/// Lives one task from its order to its end.
pub(super) async fn run(shared: &Arc<Shared>, order: &StartOrder, stopper: &Stopper) {
    let deployment = if order.one_off { DeploymentScript::default() } else { script_of(shared, order) };
    if order.number == 0
        && let Some(after) = deployment.superseded_after_ms
    {
        supersede(shared, order, after);
    }
    if order.number == 0 && !order.one_off {
        staged::begin(shared, order, deployment.stages.clone());
    }
    let script = if order.one_off { one_off(shared, order) } else { deployment.task(order.number) };
    if wait(shared, script.pending_ms, stopper).await {
        return shared.saw(&order.task, Seen::Ended(Vec::new()));
    }
    write_log(shared, order, &script);
    if let Some(reason) = script.fail_to_start {
        return shared.saw(&order.task, Seen::NotStarted { reason });
    }
    shared.saw(&order.task, Seen::Running(up(order, &deployment)));
    let exit = script.exit.clone();
    let ending = async {
        match &exit {
            Some(exit) => tokio::time::sleep(shared.scripted(exit.after_ms)).await,
            None => std::future::pending().await,
        }
    };
    let living = async {
        if !wait(shared, script.healthy_after_ms, stopper).await {
            match &script.unhealthy {
                Some(reason) => {
                    shared.saw(&order.task, Seen::Unhealthy(Some(reason.clone()).filter(|reason| !reason.is_empty())));
                }
                // One that exits at once was never healthy.
                None if exit.as_ref().is_some_and(|exit| exit.after_ms <= script.healthy_after_ms) => {}
                None => shared.saw(&order.task, Seen::Ready { checked: true }),
            }
        }
        stopper.asked.cancelled().await;
        tokio::time::sleep(shared.scripted(script.drain_ms)).await;
    };
    let (code, reason) = tokio::select! {
        () = ending => exit.as_ref().map_or((0, None), |exit| (exit.code, exit.reason.clone())),
        () = living => (143, None),
    };
    shared.saw(&order.task, Seen::Ended(ends(order, i64::from(code), reason.as_deref())));
}

fn script_of(shared: &Shared, order: &StartOrder) -> DeploymentScript {
    let injected = lock(&shared.injected);
    let service = injected.script().services.get(&format!("{}/{}", order.cluster, order.service));
    let mut deployment = service.map(|service| service.deployment(order.ordinal)).unwrap_or_default();
    if order.ordinal == 0 {
        deployment.digest = service.and_then(|service| service.running.clone());
    }
    deployment
}

fn one_off(shared: &Shared, order: &StartOrder) -> TaskScript {
    let injected = lock(&shared.injected);
    let service = injected.script().services.get(&format!("{}/{}", order.cluster, order.service));
    service.cloned().unwrap_or_default().run_task(order.number)
}

/// Waits in scripted time; true when the task is to stop before that.
async fn wait(shared: &Shared, milliseconds: u64, stopper: &Stopper) -> bool {
    tokio::select! {
        () = stopper.asked.cancelled() => true,
        () = tokio::time::sleep(shared.scripted(milliseconds)) => false,
    }
}

fn up(order: &StartOrder, deployment: &DeploymentScript) -> Vec<Up> {
    let container = |(definition, _): &(ecs::task_definition::ContainerDefinition, ecs::Resolved)| Up {
        container: definition.name.clone(),
        runtime_id: Some(format!("{}-0", order.task)),
        digest: deployment.digest.clone(),
        bindings: Vec::new(),
    };
    order.containers.iter().map(container).collect()
}

fn ends(order: &StartOrder, code: i64, reason: Option<&str>) -> Vec<End> {
    let end = |(definition, _): &(ecs::task_definition::ContainerDefinition, ecs::Resolved)| End {
        container: definition.name.clone(),
        exit_code: Some(code),
        reason: reason.map(str::to_owned),
    };
    order.containers.iter().map(end).collect()
}

fn write_log(shared: &Shared, order: &StartOrder, script: &TaskScript) {
    if let Some((container, _)) = order.containers.first().filter(|_| !script.log.is_empty()) {
        let now = clock::now();
        let lines: Vec<_> = script.log.iter().map(|text| (now, text.clone())).collect();
        log::keep(&shared.store, &order.task, &container.name, &lines);
    }
}

/// Forces another deployment after a while, as another person would.
fn supersede(shared: &Arc<Shared>, order: &StartOrder, after: i64) {
    let (shared, place) = (Arc::clone(shared), order.place.clone());
    let (cluster, service) = (order.cluster.clone(), order.service.clone());
    tokio::spawn(async move {
        tokio::time::sleep(shared.scripted(u64::try_from(after).unwrap_or(0))).await;
        shared.write(|state| force(state, &place, &cluster, &service));
    });
}

fn force(state: &mut crate::local::state::State, place: &Place, cluster: &str, service: &str) {
    let cluster = state.at(place).clusters.get_mut(cluster);
    if let Some(service) = cluster.and_then(|cluster| cluster.services.get_mut(service)) {
        let definition = service.task_definition.clone();
        ecs::begin(service, &definition, clock::now());
    }
}
