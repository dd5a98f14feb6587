//! Tasks as containers of a Docker Engine: started, watched, drained and cleared away. Their ports are published on the
//! loopback of the engine's machine only.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HealthConfig, HostConfig, PortBinding};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::StreamExt as _;
use futures_util::future::{join_all, select_all};

use super::{Adopted, Stopper, image, log, probe};
use crate::local::ecs::model::Binding;
use crate::local::ecs::scheduler::StartOrder;
use crate::local::ecs::sightings::{End, Seen, Up};
use crate::local::ecs::task_definition::{ContainerDefinition, HealthCheck};
use crate::local::shared::Shared;

/// On every container of a stand-in: the id of its state.
pub(crate) const LABEL: &str = "shipit.local";

/// The engine's name of a task's container.
pub(super) fn container_name(task: &str, container: &str) -> String {
    format!("shipit-local-{task}-{container}")
}

/// Starts a task and looks after it to its end.
pub(super) async fn run(shared: &Shared, docker: &Docker, order: &StartOrder, stopper: &Stopper) {
    let names: Vec<String> =
        order.containers.iter().map(|(definition, _)| container_name(&order.task, &definition.name)).collect();
    let started = tokio::select! {
        started = start(shared, docker, order) => started,
        () = stopper.asked.cancelled() => {
            remove(docker, &names).await;
            return shared.saw(&order.task, Seen::Ended(Vec::new()));
        }
    };
    match started {
        Err(reason) => {
            keep_logs(shared, docker, &order.task, order.containers.iter().map(|(each, _)| each.name.as_str())).await;
            remove(docker, &names).await;
            let seen = if reason.contains("exec format error") {
                // What the kernel refuses to run has been started as far as ECS is concerned, and has ended.
                Seen::Ended(
                    order
                        .containers
                        .iter()
                        .map(|(each, _)| End { container: each.name.clone(), exit_code: Some(1), reason: None })
                        .collect(),
                )
            } else {
                Seen::NotStarted { reason }
            };
            shared.saw(&order.task, seen);
        }
        Ok(up) => {
            let bindings: Vec<Binding> = up.iter().flat_map(|up| up.bindings.clone()).collect();
            shared.saw(&order.task, Seen::Running(up));
            let containers: Vec<(String, bool)> =
                order.containers.iter().map(|(each, _)| (each.name.clone(), each.essential)).collect();
            watch(shared, docker, &order.task, &containers, &bindings, stopper).await;
        }
    }
}

/// Takes up a task of an earlier run of the stand-in.
pub(super) async fn resume(shared: &Shared, docker: &Docker, adopted: &Adopted, stopper: &Stopper) {
    let mut up = Vec::new();
    for (container, _) in &adopted.containers {
        let name = container_name(&adopted.task, container);
        let Ok(inspected) = docker.inspect_container(&name, None::<InspectContainerOptions>).await else { continue };
        up.push(as_up(container, &inspected));
    }
    if up.is_empty() {
        let end = |(container, _): &(String, bool)| End { container: container.clone(), exit_code: None, reason: None };
        return shared.saw(&adopted.task, Seen::Ended(adopted.containers.iter().map(end).collect()));
    }
    let bindings: Vec<Binding> = up.iter().flat_map(|up| up.bindings.clone()).collect();
    shared.saw(&adopted.task, Seen::Running(up));
    watch(shared, docker, &adopted.task, &adopted.containers, &bindings, stopper).await;
}

async fn start(shared: &Shared, docker: &Docker, order: &StartOrder) -> Result<Vec<Up>, String> {
    let mut up = Vec::new();
    for (definition, resolved) in &order.containers {
        let image = image::provide(shared, docker, order, &definition.image, resolved).await?;
        let ports = ports_of(docker, definition, &image).await;
        let name = container_name(&order.task, &definition.name);
        // One with this name can only be the rest of an earlier attempt at the very same task.
        remove(docker, std::slice::from_ref(&name)).await;
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let state = shared.read(|state| state.id.clone());
        docker
            .create_container(Some(options), description(definition, &image, &ports, order, &state))
            .await
            .map_err(|error| format!("CannotCreateContainerError: {}", message(&error)))?;
        docker
            .start_container(&name, None::<StartContainerOptions>)
            .await
            .map_err(|error| format!("CannotStartContainerError: {}", message(&error)))?;
        let inspected = docker
            .inspect_container(&name, None::<InspectContainerOptions>)
            .await
            .map_err(|error| format!("CannotInspectContainerError: {}", message(&error)))?;
        up.push(as_up(&definition.name, &inspected));
    }
    Ok(up)
}

/// The ports that the task definition names, else those that the image exposes.
async fn ports_of(docker: &Docker, definition: &ContainerDefinition, image: &str) -> Vec<u16> {
    if !definition.ports.is_empty() {
        return definition.ports.clone();
    }
    let exposed = docker.inspect_image(image).await.ok().and_then(|image| image.config?.exposed_ports);
    let tcp = |port: &String| port.strip_suffix("/tcp").unwrap_or(port).parse().ok();
    exposed.unwrap_or_default().iter().filter_map(tcp).collect()
}

fn description(
    definition: &ContainerDefinition,
    image: &str,
    ports: &[u16],
    order: &StartOrder,
    state: &str,
) -> ContainerCreateBody {
    let memory = definition.memory.map(|mebibytes| mebibytes * 1024 * 1024);
    let on_loopback = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(String::new()) };
    let bindings = ports.iter().map(|port| (format!("{port}/tcp"), Some(vec![on_loopback.clone()]))).collect();
    let labels = [
        (LABEL, state),
        ("shipit.local.task", &order.task),
        ("shipit.local.container", &definition.name),
        ("shipit.local.service", &format!("{}/{}", order.cluster, order.service)),
    ];
    let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: some(&definition.command),
        entrypoint: some(&definition.entry_point),
        env: Some(definition.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        exposed_ports: Some(ports.iter().map(|port| format!("{port}/tcp")).collect()),
        healthcheck: definition.health_check.as_ref().map(health_config),
        labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
        host_config: Some(HostConfig {
            port_bindings: Some(bindings),
            memory,
            memory_swap: memory,
            init: Some(definition.init),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn health_config(check: &HealthCheck) -> HealthConfig {
    let nanoseconds = |seconds: u32| Some(i64::from(seconds) * 1_000_000_000);
    HealthConfig {
        test: Some(check.command.clone()),
        interval: nanoseconds(check.interval),
        timeout: nanoseconds(check.timeout),
        retries: Some(i64::from(check.retries)),
        start_period: nanoseconds(check.start_period),
        start_interval: None,
    }
}

fn as_up(container: &str, inspected: &ContainerInspectResponse) -> Up {
    let published = inspected.network_settings.as_ref().and_then(|network| network.ports.clone()).unwrap_or_default();
    let mut bindings: Vec<Binding> = published
        .iter()
        .filter_map(|(port, hosts)| {
            let container_port = port.strip_suffix("/tcp")?.parse().ok()?;
            let host_port = hosts.as_ref()?.iter().find_map(|host| host.host_port.as_ref()?.parse().ok())?;
            Some(Binding { container_port, host_port })
        })
        .collect();
    bindings.sort_by_key(|binding| binding.container_port);
    Up { container: container.to_owned(), runtime_id: inspected.id.clone(), digest: None, bindings }
}

/// Looks after running containers: reports their health, ends the task when an essential one ends or when it is asked
/// to, keeps the logs and clears away.
async fn watch(
    shared: &Shared,
    docker: &Docker,
    task: &str,
    containers: &[(String, bool)],
    bindings: &[Binding],
    stopper: &Stopper,
) {
    let names: Vec<String> = containers.iter().map(|(container, _)| container_name(task, container)).collect();
    let essential: Vec<&String> =
        names.iter().zip(containers).filter(|(_, (_, essential))| *essential).map(|(name, _)| name).collect();
    let any_ends = async {
        if essential.is_empty() {
            return std::future::pending().await;
        }
        select_all(essential.iter().map(|name| Box::pin(wait(docker, name)))).await;
    };
    let health = probe::watch(docker, &names, bindings, |seen| shared.saw(task, seen));
    let grace = tokio::select! {
        () = any_ends => 30,
        () = health => 30,
        () = stopper.asked.cancelled() => stopper.grace(),
    };
    let options = StopContainerOptionsBuilder::default().t(i32::try_from(grace).unwrap_or(30)).build();
    join_all(names.iter().map(|name| docker.stop_container(name, Some(options.clone())))).await;
    let mut ends = Vec::new();
    for ((container, _), name) in containers.iter().zip(&names) {
        ends.push(ending(docker, container, name).await);
    }
    keep_logs(shared, docker, task, containers.iter().map(|(container, _)| container.as_str())).await;
    remove(docker, &names).await;
    shared.saw(task, Seen::Ended(ends));
}

/// Returns when the container does not run any more. The engine being away for a moment is not the container's end.
async fn wait(docker: &Docker, name: &str) {
    loop {
        // A wait ends with the container, but also with the connection: what the engine says afterwards counts.
        let _ = docker.wait_container(name, None::<WaitContainerOptions>).next().await;
        match docker.inspect_container(name, None::<InspectContainerOptions>).await {
            Ok(inspected) => {
                if inspected.state.and_then(|state| state.running) != Some(true) {
                    return;
                }
            }
            Err(bollard::errors::Error::DockerResponseServerError { .. }) => return,
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn ending(docker: &Docker, container: &str, name: &str) -> End {
    let state = docker
        .inspect_container(name, None::<InspectContainerOptions>)
        .await
        .ok()
        .and_then(|inspected| inspected.state)
        .unwrap_or_default();
    let out_of_memory = state.oom_killed == Some(true);
    End {
        container: container.to_owned(),
        exit_code: state.exit_code,
        reason: out_of_memory.then(|| "OutOfMemoryError: Container killed due to memory usage".to_owned()),
    }
}

async fn keep_logs(shared: &Shared, docker: &Docker, task: &str, containers: impl Iterator<Item = &str>) {
    for container in containers {
        let lines = log::of_container(docker, &container_name(task, container)).await;
        log::keep(&shared.store, task, container, &lines);
    }
}

async fn remove(docker: &Docker, names: &[String]) {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    for name in names {
        let _ = docker.remove_container(name, Some(options.clone())).await;
    }
}

/// Removes every container of a state. Returns how many there were.
///
/// # Errors
/// What the engine says.
pub(crate) async fn remove_all(docker: &Docker, state: &str) -> Result<usize, bollard::errors::Error> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{LABEL}={state}")])]);
    let options =
        bollard::query_parameters::ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let ids: Vec<String> =
        docker.list_containers(Some(options)).await?.into_iter().filter_map(|container| container.id).collect();
    remove(docker, &ids).await;
    Ok(ids.len())
}

/// The engine's own words.
fn message(error: &bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => {
            format!("Error response from daemon: {message}")
        }
        other => other.to_string(),
    }
}

/// Takes the names away that the stand-in gave to images of a repository; what nothing else names, the engine deletes.
pub(crate) async fn forget_images(docker: &Docker, host: &str, repository: &str) {
    let filters = HashMap::from([(
        "reference".to_owned(),
        vec![format!("{host}/{repository}"), format!("shipit-local/{repository}")],
    )]);
    let options = bollard::query_parameters::ListImagesOptionsBuilder::default().filters(&filters).build();
    let images = docker.list_images(Some(options)).await.unwrap_or_default();
    for image in images {
        for name in image.repo_tags.iter().chain(&image.repo_digests) {
            let ours = name.starts_with(&format!("{host}/{repository}"))
                || name.starts_with(&format!("shipit-local/{repository}"));
            if ours {
                let _ = docker.remove_image(name, None::<bollard::query_parameters::RemoveImageOptions>, None).await;
            }
        }
    }
}
