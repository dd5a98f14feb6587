//! `ListServiceDeployments`, `DescribeServiceDeployments`, `DescribeServiceRevisions`, `StopServiceDeployment`: the only
//! part of ECS that still knows how a deployment ended once the deployment is gone.

use serde_json::{Value, json};

use super::model::{Ending, Rollout, Service, ServiceDeployment, Task, TaskStatus};
use super::{deployments, describe, service};
use crate::local::clock;
use crate::local::place::Place;
use crate::local::wire::context::Context;
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::input::Input;

pub(crate) fn list(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let statuses = request.texts("status");
    let bound = |name: &str| input.pointer(&format!("/createdAt/{name}")).and_then(Value::as_f64);
    let place = context.place.clone();
    let service = service(context, input, "service")?;
    let cluster = place.arn("ecs", &format!("cluster/{}", service.cluster));
    let listed: Vec<Value> = service
        .history
        .iter()
        .rev()
        .filter(|record| statuses.is_empty() || statuses.contains(&record.ending.as_str()))
        .filter(|record| {
            let at = clock::seconds(record.created_at).as_f64().unwrap_or_default();
            bound("after").is_none_or(|after| at >= after) && bound("before").is_none_or(|before| at <= before)
        })
        .map(|record| {
            let mut shown = common(record, service, &cluster);
            shown["targetServiceRevisionArn"] = json!(record.target_revision);
            shown
        })
        .collect();
    let (page, next) = request.page(&listed, 100)?;
    Ok(json!({"serviceDeployments": page, "nextToken": next}))
}

pub(crate) fn describe(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let arns = Input(input).texts("serviceDeploymentArns");
    if arns.is_empty() || arns.len() > 20 {
        return Err(Fault::invalid_parameter("serviceDeploymentArns must have between 1 and 20 entries."));
    }
    let place = context.place.clone();
    let services: Vec<&Service> =
        context.holdings().clusters.values().flat_map(|cluster| cluster.services.values()).collect();
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in arns {
        let hit = services.iter().find_map(|service| {
            service.history.iter().find(|record| record.arn == arn).map(|record| (service, record))
        });
        match hit {
            Some((service, record)) => found.push(whole(record, service, &place)),
            None => failures.push(json!({"arn": arn, "reason": "MISSING"})),
        }
    }
    Ok(json!({"serviceDeployments": found, "failures": failures}))
}

pub(crate) fn revisions(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let arns = Input(input).texts("serviceRevisionArns");
    if arns.is_empty() || arns.len() > 20 {
        return Err(Fault::invalid_parameter("serviceRevisionArns must have between 1 and 20 entries."));
    }
    let place = context.place.clone();
    let services: Vec<&Service> =
        context.holdings().clusters.values().flat_map(|cluster| cluster.services.values()).collect();
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in arns {
        let hit = services.iter().find_map(|service| {
            service.revisions.iter().find(|revision| revision.arn == arn).map(|revision| (service, revision))
        });
        let Some((service, revision)) = hit else {
            failures.push(json!({"arn": arn, "reason": "MISSING"}));
            continue;
        };
        let images: Vec<Value> = revision
            .images
            .iter()
            .map(|(container, image, digest)| {
                let mut shown = json!({"containerName": container, "image": image});
                if let Some(digest) = digest {
                    shown["imageDigest"] = json!(digest);
                }
                shown
            })
            .collect();
        found.push(json!({
            "serviceRevisionArn": revision.arn,
            "serviceArn": service.arn,
            "clusterArn": place.arn("ecs", &format!("cluster/{}", service.cluster)),
            "taskDefinition": revision.task_definition,
            "launchType": "FARGATE",
            "platformVersion": "1.4.0",
            "platformFamily": "Linux",
            "containerImages": images,
            "createdAt": clock::seconds(revision.created_at),
        }));
    }
    Ok(json!({"serviceRevisions": found, "failures": failures}))
}

pub(crate) fn stop(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let arn = request.required("serviceDeploymentArn")?;
    if request.text("stopType").is_some_and(|kind| kind != "ROLLBACK") {
        return Err(Fault::invalid_parameter("stopType must be ROLLBACK."));
    }
    let now = context.now;
    let service = context
        .holdings()
        .clusters
        .values_mut()
        .flat_map(|cluster| cluster.services.values_mut())
        .find(|service| service.history.iter().any(|record| record.arn == arn))
        .ok_or_else(|| Fault::client("ServiceDeploymentNotFoundException", "Service deployment not found."))?;
    let open = service.history.iter().find(|record| record.arn == arn && record.ending == Ending::InProgress);
    let Some(deployment) = open.map(|record| record.deployment.clone()) else {
        return Err(Fault::client("ConflictException", "The service deployment is not in progress."));
    };
    if let Some(stopped) = service.deployment_mut(&deployment) {
        stopped.rollout = Rollout::Failed;
        "ECS deployment stopped by the user.".clone_into(&mut stopped.reason);
    }
    if !deployments::roll_back(service, &deployment, "Service deployment was stopped by the user.", now)
        && let Some(record) = service.record_of(&deployment)
    {
        record.ending = Ending::Stopped;
        record.finished_at = Some(now);
    }
    Ok(json!({"serviceDeploymentArn": arn}))
}

fn common(record: &ServiceDeployment, service: &Service, cluster: &str) -> Value {
    let mut shown = json!({
        "serviceDeploymentArn": record.arn,
        "serviceArn": service.arn,
        "clusterArn": cluster,
        "createdAt": clock::seconds(record.created_at),
        "startedAt": clock::seconds(record.created_at),
        "status": record.ending.as_str(),
    });
    if let Some(reason) = &record.reason {
        shown["statusReason"] = json!(reason);
    }
    if let Some(at) = record.finished_at {
        shown["finishedAt"] = clock::seconds(at);
    }
    shown
}

fn whole(record: &ServiceDeployment, service: &Service, place: &Place) -> Value {
    let cluster = place.arn("ecs", &format!("cluster/{}", service.cluster));
    let summary = |arn: &str, requested: u32| {
        let of_revision = |task: &&Task| {
            service.deployments.iter().any(|deployment| deployment.id == task.deployment && deployment.revision == arn)
        };
        let count = |status| service.tasks.iter().filter(of_revision).filter(|task| task.status == status).count();
        json!({
            "arn": arn, "requestedTaskCount": requested,
            "runningTaskCount": count(TaskStatus::Running), "pendingTaskCount": count(TaskStatus::Pending),
        })
    };
    let mut shown = common(record, service, &cluster);
    shown["updatedAt"] = clock::seconds(record.updated_at);
    shown["deploymentConfiguration"] = describe::configuration(&service.configuration);
    shown["targetServiceRevision"] = summary(&record.target_revision, service.desired);
    let sources: Vec<Value> = record.source_revision.iter().map(|arn| summary(arn, 0)).collect();
    shown["sourceServiceRevisions"] = json!(sources);
    if let Some(stage) = &record.stage {
        shown["lifecycleStage"] = json!(stage);
    }
    if let Some(pause) = &record.pause {
        shown["lifecycleHookDetails"] = json!([pause.shown()]);
    }
    if let Some((reason, revision)) = &record.rollback {
        shown["rollback"] = json!({
            "reason": reason, "startedAt": clock::seconds(record.updated_at), "serviceRevisionArn": revision,
        });
    }
    if service.configuration.breaker {
        let status = match record.ending {
            _ if record.failures >= record.threshold => "TRIGGERED",
            Ending::InProgress => "MONITORING",
            _ => "MONITORING_COMPLETE",
        };
        shown["deploymentCircuitBreaker"] =
            json!({"status": status, "failureCount": record.failures, "threshold": record.threshold});
    }
    shown
}
