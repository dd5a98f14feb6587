//! The loop that moves every service on: what the runtime saw goes in, orders come out, and the state is saved.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::clock;
use super::ecs::Catalog;
use super::ecs::model::{Service, ServiceStatus};
use super::ecs::one_off;
use super::ecs::scheduler::{self, Order};
use super::ecs::sightings::{self, Sighting};
use super::options::Pace;
use super::runtime;
use super::script;
use super::seed;
use super::shared::Shared;
use super::state::{Holdings, State};

const TICK: Duration = Duration::from_millis(50);

/// Runs until `stop`. The script at `script`, if there is one, is read again whenever its file changes.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut seen: mpsc::UnboundedReceiver<Sighting>,
    script: Option<(PathBuf, Option<SystemTime>)>,
    stop: CancellationToken,
) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut script = script;
    loop {
        let mut sightings = Vec::new();
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = shared.wake.notified() => {}
            received = seen.recv_many(&mut sightings, 64) => if received == 0 { return },
        }
        if let Some((path, read_at)) = &mut script {
            reread(&shared, path, read_at);
        }
        let pace = shared.pace();
        let orders = shared.write_if(|state| step(state, &sightings, pace));
        for order in orders {
            runtime::carry_out(&shared, order);
        }
        // A full disk is reported by whoever needs the state next; the stand-in goes on from memory.
        let _ = shared.save();
    }
}

/// Returns the orders, and whether anything changed: most ticks find nothing to do.
fn step(state: &mut State, sightings: &[Sighting], pace: Pace) -> (Vec<Order>, bool) {
    let now = clock::now();
    let mut orders = Vec::new();
    let mut changed = !sightings.is_empty();
    let State { host, holdings, .. } = state;
    for Holdings { place, repositories, clusters, task_definitions, .. } in holdings.values_mut() {
        let catalog = Catalog { host, place, repositories, definitions: task_definitions };
        for cluster in clusters.values_mut() {
            changed |= one_off::advance(cluster, sightings, now, pace);
        }
        for service in clusters.values_mut().flat_map(|cluster| cluster.services.values_mut()) {
            let before = mark(service);
            for sighting in sightings {
                sightings::apply(service, sighting, now, pace);
            }
            orders.extend(scheduler::advance(service, catalog, now, pace));
            changed |= before != mark(service);
        }
    }
    (orders, changed)
}

/// Differs after every step that changed something: each adds an event, a task or a deployment, or takes one away.
fn mark(service: &Service) -> (ServiceStatus, usize, usize, Option<String>) {
    let last_said = service.events.front().map(|event| event.id.clone());
    (service.status, service.tasks.len(), service.deployments.len(), last_said)
}

fn reread(shared: &Arc<Shared>, path: &PathBuf, read_at: &mut Option<SystemTime>) {
    let changed_at = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    if changed_at.is_none() || changed_at == *read_at {
        return;
    }
    *read_at = changed_at;
    // A file that is half written is read again when it is whole.
    if let Some(script) = std::fs::read(path).ok().and_then(|bytes| script::parse(&bytes).ok()) {
        seed::apply_script(shared, script);
    }
}
