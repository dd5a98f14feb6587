//! What a state directory holds, and starting over: `shipit local status` and `shipit local reset`.

use std::path::Path;

use bollard::Docker;
use serde::Serialize;

use super::ecs::model::TaskStatus;
use super::runtime::containers;
use super::store::{self, Running, Store};
use crate::error::{Error, Result};
use crate::exit::Exit;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Status {
    /// The process that serves it, if one does.
    pub(crate) running: Option<Running>,
    pub(crate) services: Vec<ServiceStatus>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServiceStatus {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) cluster: String,
    pub(crate) service: String,
    pub(crate) desired: u32,
    pub(crate) running: usize,
    /// Manifest digest of the running tasks.
    pub(crate) digest: Option<String>,
    /// Where the tasks answer.
    pub(crate) urls: Vec<String>,
}

/// What is in the state directory; `None` when nothing ever was.
///
/// # Errors
/// `Exit::Usage` when the state is not one that this version can read.
pub(crate) fn status(state_dir: &Path) -> Result<Option<Status>> {
    let Some(state) = store::read_state(state_dir)? else { return Ok(None) };
    let mut services = Vec::new();
    for holdings in state.holdings.values() {
        for service in holdings.clusters.values().flat_map(|cluster| cluster.services.values()) {
            let running: Vec<_> = service.tasks.iter().filter(|task| task.status == TaskStatus::Running).collect();
            let containers = || running.iter().flat_map(|task| &task.containers);
            services.push(ServiceStatus {
                account: holdings.place.account.clone(),
                region: holdings.place.region.clone(),
                cluster: service.cluster.clone(),
                service: service.name.clone(),
                desired: service.desired,
                running: running.len(),
                digest: containers().find_map(|container| container.digest.clone()),
                urls: containers()
                    .flat_map(|container| &container.bindings)
                    .map(|binding| format!("http://127.0.0.1:{}", binding.host_port))
                    .collect(),
            });
        }
    }
    Ok(Some(Status { running: store::running(state_dir), services }))
}

/// Removes the containers and everything that was kept. Returns how many containers there were.
///
/// # Errors
/// `Exit::Usage` while a stand-in serves this state; `Exit::Fault` when the engine or the disk refuses.
pub(crate) async fn reset(state_dir: &Path, docker: Option<&Docker>) -> Result<usize> {
    if !state_dir.join("lock").exists() {
        return Ok(0);
    }
    let store = Store::open(state_dir)?;
    // A state that cannot be read is one more reason to start over.
    let state = store::read_state(state_dir).ok().flatten();
    let mut removed = 0;
    if let (Some(docker), Some(state)) = (docker, &state) {
        removed = containers::remove_all(docker, &state.id).await.map_err(|error| {
            Error::new(Exit::Fault, "the containers of the stand-in cannot be removed").because(&error)
        })?;
        for name in state.holdings.values().flat_map(|holdings| holdings.repositories.keys()) {
            for host in state.former_hosts.iter().chain([&state.host]) {
                containers::forget_images(docker, host, name).await;
            }
        }
    }
    for name in ["state.json", "server.json"] {
        let _ = std::fs::remove_file(state_dir.join(name));
    }
    for name in ["blobs", "uploads", "logs", "objects"] {
        let folder = state_dir.join(name);
        std::fs::remove_dir_all(&folder).map_err(|error| {
            Error::new(Exit::Fault, format!("{} cannot be removed", folder.display())).because(&error)
        })?;
    }
    drop(store);
    Ok(removed)
}
