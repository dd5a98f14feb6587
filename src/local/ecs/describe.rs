//! Services, deployments and tasks as ECS writes them.

use serde_json::{Map, Value, json};

use super::model::{Configuration, Container, Deployment, OneOff, Rollback, Service, Task, TaskStatus};
use super::stages::Strategy;
use super::task_definition::tags_shown;
use crate::local::clock::{self, Millis};
use crate::local::place::Place;

pub(crate) fn service(service: &Service, place: &Place, with_tags: bool) -> Value {
    let count = |status| service.tasks.iter().filter(|task| task.status == status).count();
    let ecs = service.controller == super::model::Controller::Ecs;
    let current = service.history.iter().rev().find(|record| record.finished_at.is_none()).map(|record| &record.arn);
    let deployments: Vec<Value> =
        if ecs { service.deployments.iter().map(|each| deployment(service, each)).collect() } else { Vec::new() };
    let revisions: Vec<Value> = service
        .deployments
        .iter()
        .map(|deployment| {
            let running = service.tasks_of(&deployment.id).filter(|task| task.status == TaskStatus::Running).count();
            let pending = service.tasks_of(&deployment.id).filter(|task| task.status == TaskStatus::Pending).count();
            json!({
                "arn": deployment.revision, "requestedTaskCount": requested(service, deployment),
                "runningTaskCount": running, "pendingTaskCount": pending,
            })
        })
        .collect();
    let mut shown = json!({
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": place.arn("ecs", &format!("cluster/{}", service.cluster)),
        "loadBalancers": [],
        "serviceRegistries": [],
        "status": service.status.as_str(),
        "desiredCount": service.desired,
        "runningCount": count(TaskStatus::Running),
        "pendingCount": count(TaskStatus::Pending),
        "launchType": "FARGATE",
        "platformVersion": "LATEST",
        "platformFamily": "Linux",
        "taskDefinition": service.task_definition,
        "deploymentConfiguration": configuration(&service.configuration),
        "deployments": deployments,
        "events": service.events.iter().map(|event| json!({
            "id": event.id, "createdAt": clock::seconds(event.at), "message": event.text,
        })).collect::<Vec<_>>(),
        "createdAt": clock::seconds(service.created_at),
        "currentServiceRevisions": revisions,
        "placementConstraints": [],
        "placementStrategy": [],
        "healthCheckGracePeriodSeconds": 0,
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": service.controller.as_str()},
        "createdBy": format!("arn:aws:iam::{}:user/local", place.account),
        "enableECSManagedTags": false,
        "propagateTags": "NONE",
        "enableExecuteCommand": false,
        "availabilityZoneRebalancing": "DISABLED",
    });
    if let Some(arn) = current {
        shown["currentServiceDeployment"] = json!(arn);
    }
    if !ecs {
        shown["taskSets"] = json!([]);
    }
    if with_tags {
        shown["tags"] = tags_shown(&service.tags);
    }
    shown
}

pub(crate) fn configuration(configuration: &Configuration) -> Value {
    let mut shown = json!({
        "deploymentCircuitBreaker": {"enable": configuration.breaker, "rollback": configuration.rollback != Rollback::Off},
        "maximumPercent": configuration.maximum_percent,
        "minimumHealthyPercent": configuration.minimum_healthy_percent,
        "strategy": configuration.strategy.as_str(),
        "bakeTimeInMinutes": configuration.bake_minutes,
    });
    match configuration.strategy {
        Strategy::Rolling | Strategy::BlueGreen => {}
        Strategy::Linear => shown["linearConfiguration"] = json!({"stepPercent": 50.0, "stepBakeTimeInMinutes": 1}),
        Strategy::Canary => shown["canaryConfiguration"] = json!({"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 1}),
    }
    if configuration.early_success {
        shown["earlySuccessCriteria"] = json!({"enable": true, "sourceServiceRevisionCleanup": "DEFERRED"});
    }
    shown
}

/// How many tasks a deployment is meant to have: an old one, as many as it still has.
fn requested(service: &Service, deployment: &Deployment) -> usize {
    if deployment.primary {
        return service.desired as usize;
    }
    service.tasks_of(&deployment.id).filter(|task| task.wanted && task.exists()).count()
}

fn deployment(service: &Service, deployment: &Deployment) -> Value {
    let count = |status| service.tasks_of(&deployment.id).filter(|task| task.status == status).count();
    json!({
        "id": deployment.id,
        "status": if deployment.primary { "PRIMARY" } else { "ACTIVE" },
        "taskDefinition": deployment.task_definition,
        "desiredCount": requested(service, deployment),
        "pendingCount": count(TaskStatus::Pending),
        "runningCount": count(TaskStatus::Running),
        "failedTasks": deployment.failed_tasks,
        "createdAt": clock::seconds(deployment.created_at),
        "updatedAt": clock::seconds(deployment.updated_at),
        "launchType": "FARGATE",
        "platformVersion": "1.4.0",
        "platformFamily": "Linux",
        "rolloutState": deployment.rollout.as_str(),
        "rolloutStateReason": deployment.reason,
    })
}

/// A service's task.
pub(crate) fn task(task: &Task, service: &Service, place: &Place) -> Value {
    described(task, &service.cluster, &format!("service:{}", service.name), place)
}

/// A task that belongs to no service.
pub(crate) fn one_off(one_off: &OneOff, cluster: &str, place: &Place) -> Value {
    let mut shown = described(&one_off.task, cluster, &one_off.group, place);
    if let Some(members) = shown.as_object_mut() {
        if one_off.task.deployment.is_empty() {
            members.remove("startedBy");
        }
        if one_off.overrides.is_object() {
            members.insert("overrides".to_owned(), one_off.overrides.clone());
        }
    }
    shown
}

fn described(task: &Task, cluster: &str, group: &str, place: &Place) -> Value {
    let mut shown = json!({
        "attachments": [],
        "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
        "availabilityZone": format!("{}a", place.region),
        "clusterArn": place.arn("ecs", &format!("cluster/{cluster}")),
        "connectivity": "CONNECTED",
        "containers": task.containers.iter().map(|each| container(each, task, place)).collect::<Vec<_>>(),
        "createdAt": clock::seconds(task.created_at),
        "desiredStatus": if task.wanted { "RUNNING" } else { "STOPPED" },
        "enableExecuteCommand": false,
        "group": group,
        "healthStatus": task.health.as_str(),
        "lastStatus": task.status.as_str(),
        "launchType": "FARGATE",
        "platformFamily": "Linux",
        "platformVersion": "1.4.0",
        "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": []},
        "startedBy": task.deployment,
        "tags": [],
        "taskArn": task.arn,
        "taskDefinitionArn": task.definition,
        "version": 1,
    });
    let members = shown.as_object_mut();
    if let Some(members) = members {
        add_time(members, "pullStartedAt", Some(task.created_at));
        add_time(members, "startedAt", task.started_at);
        add_time(members, "pullStoppedAt", task.started_at);
        add_time(members, "stoppingAt", task.stopping_at);
        add_time(members, "stoppedAt", task.stopped_at);
        add_time(members, "executionStoppedAt", task.stopped_at);
        add_text(members, "stopCode", task.stop_code.as_deref());
        add_text(members, "stoppedReason", task.stopped_reason.as_deref().filter(|_| !task.wanted));
    }
    shown
}

fn container(container: &Container, task: &Task, place: &Place) -> Value {
    let status = match task.status {
        TaskStatus::Deactivating => TaskStatus::Running,
        other => other,
    };
    let mut shown = json!({
        "containerArn": place.arn("ecs", &format!("container/{}/{}", task.id, container.name)),
        "taskArn": task.arn,
        "name": container.name,
        "image": container.image,
        "lastStatus": status.as_str(),
        "healthStatus": task.health.as_str(),
        "networkInterfaces": [],
        "networkBindings": container.bindings.iter().map(|binding| json!({
            "bindIP": "127.0.0.1", "containerPort": binding.container_port, "hostPort": binding.host_port,
            "protocol": "tcp",
        })).collect::<Vec<_>>(),
    });
    if let Some(members) = shown.as_object_mut() {
        let shows_digest = task.started_at.is_some();
        add_text(members, "imageDigest", container.digest.as_deref().filter(|_| shows_digest));
        add_text(members, "runtimeId", container.runtime_id.as_deref());
        add_text(members, "reason", container.reason.as_deref());
        if let Some(code) = container.exit_code {
            members.insert("exitCode".to_owned(), json!(code));
        }
    }
    shown
}

fn add_time(members: &mut Map<String, Value>, name: &str, at: Option<Millis>) {
    if let Some(at) = at {
        members.insert(name.to_owned(), clock::seconds(at));
    }
}

fn add_text(members: &mut Map<String, Value>, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        members.insert(name.to_owned(), json!(text));
    }
}
