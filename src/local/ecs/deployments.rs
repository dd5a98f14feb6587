//! The turns in a deployment's life: begun, completed, failed, rolled back. Each keeps the deployments, the events and
//! the record of the service in step, in ECS's own words.

use std::collections::BTreeMap;

use super::model::{
    Completed, Configuration, Deployment, Ending, Revision, Rollback, Rollout, Service, ServiceDeployment,
};
use crate::local::clock::Millis;
use crate::local::ids;
use crate::local::options::Pace;

/// Starts a deployment of `task_definition`: it becomes PRIMARY, what was PRIMARY is replaced. Returns its id.
pub(crate) fn begin(service: &mut Service, task_definition: &str, now: Millis) -> String {
    let id = ids::deployment();
    for other in &mut service.deployments {
        other.primary = false;
        other.updated_at = now;
    }
    for record in service.history.iter_mut().filter(|record| record.finished_at.is_none()) {
        record.ending = Ending::Stopped;
        record.reason = Some("Service deployment was superseded by a newer one.".to_owned());
        record.finished_at = Some(now);
        record.updated_at = now;
    }
    let revision = new_revision(service, task_definition, now);
    let ordinal = service.next_ordinal;
    service.next_ordinal += 1;
    let deployment = Deployment {
        id: id.clone(),
        ordinal,
        primary: true,
        rollout: Rollout::InProgress,
        reason: format!("ECS deployment {id} in progress."),
        task_definition: task_definition.to_owned(),
        revision: revision.clone(),
        created_at: now,
        updated_at: now,
        failed_tasks: 0,
        started_tasks: 0,
        next_start_at: now,
        resolved: BTreeMap::new(),
        waiting: false,
        crash_loop_told: false,
    };
    service.deployments.insert(0, deployment);
    service.history.push(ServiceDeployment {
        arn: sub_arn(service, "service-deployment"),
        deployment: id.clone(),
        ending: Ending::InProgress,
        reason: None,
        created_at: now,
        updated_at: now,
        finished_at: None,
        source_revision: service.last_completed.as_ref().map(|completed| completed.revision.clone()),
        target_revision: revision,
        rollback: None,
        failures: 0,
        threshold: Configuration::threshold(service.desired),
        stage: None,
        pause: None,
    });
    task_definition.clone_into(&mut service.task_definition);
    id
}

fn new_revision(service: &mut Service, task_definition: &str, now: Millis) -> String {
    let arn = sub_arn(service, "service-revision");
    service.revisions.push(Revision {
        arn: arn.clone(),
        task_definition: task_definition.to_owned(),
        created_at: now,
        images: Vec::new(),
    });
    arn
}

/// `arn:…:service-deployment/CLUSTER/SERVICE/ID`, beside the service's own ARN.
fn sub_arn(service: &Service, kind: &str) -> String {
    let id = if kind == "service-revision" { ids::nineteen_digits() } else { ids::token()[..21].to_owned() };
    format!("{}/{id}", service.arn.replacen(":service/", &format!(":{kind}/"), 1))
}

/// One more task of this deployment did not come up.
pub(crate) fn count_failure(service: &mut Service, id: &str, now: Millis, pace: Pace) {
    let mut loops = false;
    if let Some(deployment) = service.deployment_mut(id) {
        deployment.failed_tasks += 1;
        deployment.updated_at = now;
        let wait = pace.retry.saturating_mul(1 << deployment.failed_tasks.saturating_sub(1).min(16));
        deployment.next_start_at = now + wait.min(pace.retry_at_most);
        loops = deployment.failed_tasks >= 3 && !deployment.crash_loop_told;
        deployment.crash_loop_told |= loops;
    }
    if let Some(record) = service.record_of(id) {
        record.failures += 1;
        record.updated_at = now;
    }
    if loops {
        service.say(
            now,
            "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section \
             of the Amazon ECS Developer Guide.",
        );
    }
}

/// The PRIMARY reached a steady state.
pub(crate) fn complete(service: &mut Service, now: Millis) {
    let Some(primary) = service.deployments.iter_mut().find(|deployment| deployment.primary) else { return };
    primary.rollout = Rollout::Completed;
    primary.reason = format!("ECS deployment {} completed.", primary.id);
    primary.updated_at = now;
    let id = primary.id.clone();
    service.last_completed = Some(Completed {
        deployment: id.clone(),
        ordinal: primary.ordinal,
        task_definition: primary.task_definition.clone(),
        revision: primary.revision.clone(),
        resolved: primary.resolved.clone(),
    });
    for record in &mut service.history {
        record.ending = match record.ending {
            Ending::RollbackInProgress => Ending::RollbackSuccessful,
            Ending::InProgress if record.deployment == id => Ending::Successful,
            _ => continue,
        };
        record.updated_at = now;
        record.finished_at = Some(now);
    }
    service.say(now, &format!("(deployment {id}) deployment completed."));
    service.say(now, "has reached a steady state.");
}

/// The circuit breaker tripped: FAILED, and back to the last completed deployment where that is configured and there
/// is one.
pub(crate) fn trip(service: &mut Service, now: Millis) {
    let Some(failed) = service.deployments.iter_mut().find(|deployment| deployment.primary) else { return };
    failed.rollout = Rollout::Failed;
    "ECS deployment circuit breaker: tasks failed to start.".clone_into(&mut failed.reason);
    failed.updated_at = now;
    let id = failed.id.clone();
    service.say(now, &format!("(deployment {id}) deployment failed: tasks failed to start."));
    if service.configuration.rollback != Rollback::Off && service.last_completed.is_some() {
        roll_back(service, &id, "Service deployment rolled back because of circuit breaker threshold breach.", now);
    } else if let Some(record) = service.record_of(&id) {
        record.ending = Ending::Stopped;
        record.reason = Some("Deployment circuit breaker threshold breached.".to_owned());
        record.finished_at = Some(now);
        record.updated_at = now;
    }
}

/// Makes the last completed deployment PRIMARY again, with the digests that it had. Returns whether there was one.
pub(crate) fn roll_back(service: &mut Service, from: &str, why: &str, now: Millis) -> bool {
    let Some(target) = service.last_completed.clone().filter(|target| target.deployment != from) else { return false };
    for deployment in &mut service.deployments {
        deployment.primary = false;
    }
    let kept = service.deployments.iter().position(|deployment| deployment.id == target.deployment);
    let new_id = service.configuration.rollback == Rollback::NewId;
    let mut back = match kept.filter(|_| !new_id) {
        Some(index) => service.deployments.remove(index),
        None => deployment_again(&target, new_id, now),
    };
    back.primary = true;
    back.rollout = Rollout::InProgress;
    back.reason = format!("ECS deployment circuit breaker: rolling back to deploymentId {}.", back.id);
    back.updated_at = now;
    back.failed_tasks = 0;
    back.next_start_at = now;
    let id = back.id.clone();
    service.deployments.insert(0, back);
    service.task_definition = target.task_definition;
    if let Some(record) = service.record_of(from) {
        record.ending = Ending::RollbackInProgress;
        record.reason = Some(why.to_owned());
        record.rollback = Some((why.to_owned(), target.revision));
        record.updated_at = now;
    }
    service.say(now, &format!("rolling back to deployment {id}."));
    true
}

fn deployment_again(target: &Completed, new_id: bool, now: Millis) -> Deployment {
    Deployment {
        id: if new_id { ids::deployment() } else { target.deployment.clone() },
        ordinal: target.ordinal,
        primary: true,
        rollout: Rollout::InProgress,
        reason: String::new(),
        task_definition: target.task_definition.clone(),
        revision: target.revision.clone(),
        created_at: now,
        updated_at: now,
        failed_tasks: 0,
        started_tasks: 0,
        next_start_at: now,
        resolved: target.resolved.clone(),
        waiting: false,
        crash_loop_told: false,
    }
}
