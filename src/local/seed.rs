//! What exists from the start: the repositories, clusters and services that deploy.yaml names, and what a script says
//! about them. Anything that exists already is left as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::clock::{self, Millis};
use super::ecs::model::{
    Configuration, Container, Controller, Ending, Health, Rollback, Rollout, Service, ServiceStatus, Task, TaskStatus,
};
use super::ecs::stages::Strategy;
use super::ecs::task_definition::ContainerDefinition;
use super::ecs::{self, task_definition};
use super::ids;
use super::options::{Options, SeedService};
use super::place::Place;
use super::runtime::{self, Adopted};
use super::s3::model::Bucket;
use super::script::{Script, ServiceScript};
use super::shared::{Shared, lock};
use super::state::{Holdings, Repository, State, Tags, TaskDefinition};
use super::wire::fault::Answered;

/// Seconds that a seeded container has to end by itself. ECS gives 30; nobody should wait that long on a laptop.
const STOP_TIMEOUT: u32 = 10;

/// # Errors
/// When a name in deploy.yaml is one that AWS would refuse.
pub(crate) fn sow(state: &mut State, options: &Options, now: Millis) -> Answered<()> {
    state.at(&Place::new(&options.account, &options.region));
    for service in &options.seed {
        sow_service(state, options, service, now)?;
    }
    for bucket in &options.buckets {
        let account = bucket.account.as_ref().unwrap_or(&options.account);
        let place = Place::new(account, bucket.region.as_ref().unwrap_or(&options.region));
        state.buckets.entry(bucket.name.clone()).or_insert_with(|| Bucket::new(&place, now));
    }
    Ok(())
}

fn sow_service(state: &mut State, options: &Options, seed: &SeedService, now: Millis) -> Answered<()> {
    let account = seed.account.as_ref().unwrap_or(&options.account);
    let place = Place::new(account, seed.region.as_ref().unwrap_or(&options.region));
    let host = state.host.clone();
    let holdings = state.at(&place);
    for name in std::iter::once(&seed.repository).chain(&seed.cache_repository) {
        if !holdings.repositories.contains_key(name) {
            holdings.repositories.insert(name.clone(), Repository::new(name, now));
        }
    }
    let cluster = holdings
        .clusters
        .entry(seed.cluster.clone())
        .or_insert_with(|| ecs::new_cluster(&place, &seed.cluster, Tags::new()));
    if cluster.services.contains_key(&seed.service) {
        return Ok(());
    }
    let family = format!("{}-{}", seed.cluster, seed.service);
    let ports: Vec<_> =
        seed.container_port.iter().map(|port| json!({"containerPort": port, "protocol": "tcp"})).collect();
    let input = json!({
        "family": family,
        "networkMode": "bridge",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "runtimePlatform": {"cpuArchitecture": seed.architecture, "operatingSystemFamily": "LINUX"},
        "containerDefinitions": [{
            "name": seed.container,
            "image": format!("{host}/{}:latest", seed.repository),
            "essential": true,
            "portMappings": ports,
            "stopTimeout": STOP_TIMEOUT,
            "versionConsistency": "enabled",
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": format!("/ecs/{family}"),
                "awslogs-region": place.region,
                "awslogs-stream-prefix": "ecs",
            }},
        }],
    });
    let definition = task_definition::register(holdings, &input, now)?.arn;
    let mut service = ecs::new_service(&place, &seed.cluster, &seed.service, seed.desired, now);
    service.configuration = Configuration { breaker: true, rollback: Rollback::SameId, ..Configuration::default() };
    ecs::begin(&mut service, &definition, now);
    rest(&mut service, now);
    if let Some(cluster) = holdings.clusters.get_mut(&seed.cluster) {
        cluster.services.insert(seed.service.clone(), service);
    }
    Ok(())
}

/// There is no image yet: the first deployment counts as done, and waits quietly for the one that brings an image.
fn rest(service: &mut Service, now: Millis) {
    for deployment in &mut service.deployments {
        deployment.rollout = Rollout::Completed;
        deployment.reason = format!("ECS deployment {} completed.", deployment.id);
        deployment.waiting = true;
    }
    for record in &mut service.history {
        record.ending = Ending::Successful;
        record.finished_at = Some(now);
    }
}

/// Takes up a script: its faults from now on, its services at once.
pub(crate) fn apply_script(shared: &Arc<Shared>, script: Script) {
    let services = script.services.clone();
    let speed = Millis::from(script.speed.unwrap_or(1).max(1));
    lock(&shared.injected).replace(script);
    let now = clock::now();
    let mut adopted = Vec::new();
    shared.write(|state| {
        for Holdings { place, clusters, task_definitions, .. } in state.holdings.values_mut() {
            for cluster in clusters.values_mut() {
                let name = cluster.name.clone();
                cluster.services.retain(|service, _| {
                    let script = services.get(&format!("{name}/{service}"));
                    script.and_then(|script| script.status.as_deref()) != Some("MISSING")
                });
                for service in cluster.services.values_mut() {
                    if let Some(script) = services.get(&format!("{name}/{}", service.name)) {
                        if let Some(word) = &script.version_consistency {
                            set_version_consistency(task_definitions, &service.task_definition, word);
                        }
                        let definition = task_definition::find_in(task_definitions, place, &service.task_definition);
                        let containers = definition.map(TaskDefinition::containers).unwrap_or_default();
                        apply(service, script, speed);
                        if let Some(digest) = script.running.as_ref().filter(|_| service.tasks.is_empty()) {
                            adopted.extend(run_from_the_start(service, digest, &containers, place, now));
                        }
                    }
                }
            }
        }
    });
    for task in adopted {
        runtime::adopt(shared, task);
    }
}

fn apply(service: &mut Service, script: &ServiceScript, speed: Millis) {
    match script.status.as_deref() {
        Some("DRAINING") => service.status = ServiceStatus::Draining,
        Some("INACTIVE") => service.status = ServiceStatus::Inactive,
        _ => {}
    }
    match script.controller.as_deref() {
        Some("CODE_DEPLOY") => service.controller = Controller::CodeDeploy,
        Some("EXTERNAL") => service.controller = Controller::External,
        Some(_) => service.controller = Controller::Ecs,
        None => {}
    }
    let configuration = &mut service.configuration;
    if let Some(breaker) = script.breaker {
        configuration.breaker = breaker.enable;
        configuration.rollback = match (breaker.rollback, breaker.new_id) {
            (false, _) => Rollback::Off,
            (true, false) => Rollback::SameId,
            (true, true) => Rollback::NewId,
        };
    }
    let strategy = script.strategy.as_deref().and_then(Strategy::named);
    configuration.strategy = strategy.unwrap_or(configuration.strategy);
    configuration.bake_minutes = script.bake_minutes.unwrap_or(configuration.bake_minutes);
    configuration.early_success = script.early_success.unwrap_or(configuration.early_success);
    if let Some(after) = script.clean_up_after_ms {
        configuration.clean_up_after = after / speed;
    }
    configuration.minimum_healthy_percent =
        script.minimum_healthy_percent.unwrap_or(configuration.minimum_healthy_percent);
    configuration.maximum_percent = script.maximum_percent.unwrap_or(configuration.maximum_percent);
    service.desired = script.desired.unwrap_or(service.desired);
}

fn set_version_consistency(definitions: &mut BTreeMap<String, Vec<TaskDefinition>>, arn: &str, word: &str) {
    let Some(definition) = definitions.values_mut().flatten().find(|known| known.arn == arn) else { return };
    let containers = definition.document.get_mut("containerDefinitions").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        container["versionConsistency"] = json!(word);
    }
}

/// Tasks that ran before anybody looked.
fn run_from_the_start(
    service: &mut Service,
    digest: &str,
    containers: &[ContainerDefinition],
    place: &Place,
    now: Millis,
) -> Vec<Adopted> {
    let mut adopted = Vec::new();
    let Some(primary) = service.deployments.iter_mut().find(|deployment| deployment.primary) else { return adopted };
    primary.waiting = false;
    primary.resolved = containers.iter().map(|each| (each.name.clone(), digest.to_owned())).collect();
    for _ in 0..service.desired {
        let id = ids::task();
        adopted.push(Adopted {
            task: id.clone(),
            containers: containers.iter().map(|each| (each.name.clone(), each.essential)).collect(),
        });
        let container = |each: &ContainerDefinition| Container {
            name: each.name.clone(),
            image: each.image.clone(),
            digest: Some(digest.to_owned()),
            ..Container::default()
        };
        service.tasks.push(Task {
            arn: place.arn("ecs", &format!("task/{}/{id}", service.cluster)),
            id,
            deployment: primary.id.clone(),
            definition: primary.task_definition.clone(),
            status: TaskStatus::Running,
            wanted: true,
            health: Health::Healthy,
            ready: true,
            created_at: now,
            started_at: Some(now),
            stopping_at: None,
            stopped_at: None,
            stop_code: None,
            stopped_reason: None,
            containers: containers.iter().map(container).collect(),
        });
    }
    ecs::settle(service, now);
    adopted
}
