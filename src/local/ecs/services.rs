//! `CreateService`, `DescribeServices`, `ListServices`, `UpdateService`, `DeleteService`.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::model::{Configuration, Controller, Rollback, Service, ServiceStatus};
use super::{cluster, describe, service, task_definition};
use crate::local::clock::Millis;
use crate::local::place::{Place, short_name};
use crate::local::state::Tags;
use crate::local::wire::context::Context;
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::input::Input;

/// A service without any deployment yet.
pub(crate) fn new(place: &Place, cluster: &str, name: &str, desired: u32, now: Millis) -> Service {
    Service {
        name: name.to_owned(),
        arn: place.arn("ecs", &format!("service/{cluster}/{name}")),
        cluster: cluster.to_owned(),
        status: ServiceStatus::Active,
        controller: Controller::Ecs,
        task_definition: String::new(),
        desired,
        configuration: Configuration::default(),
        created_at: now,
        tags: Tags::new(),
        deployments: Vec::new(),
        events: VecDeque::new(),
        tasks: Vec::new(),
        last_completed: None,
        next_ordinal: 0,
        history: Vec::new(),
        revisions: Vec::new(),
    }
}

pub(crate) fn create(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let name = request.required("serviceName")?;
    let now = context.now;
    let place = context.place.clone();
    let controller = controller(input)?;
    let definition = match request.text("taskDefinition") {
        Some(wanted) => task_definition::find(context.holdings(), wanted)?.arn.clone(),
        None if controller == Controller::External => String::new(),
        None => return Err(Fault::invalid_parameter("TaskDefinition can not be blank.")),
    };
    let cluster = cluster(context, input)?;
    if cluster.services.get(name).is_some_and(|service| service.status != ServiceStatus::Inactive) {
        return Err(Fault::invalid_parameter("Creation of service was not idempotent."));
    }
    let mut service = new(&place, &cluster.name, name, count(request)?.unwrap_or(0), now);
    service.controller = controller;
    service.tags = task_definition::tags_from(request.list("tags"));
    if let Some(configuration) = request.member("deploymentConfiguration") {
        configure(&mut service.configuration, Input(configuration));
    }
    super::begin(&mut service, &definition, now);
    let shown = describe::service(&service, &place, true);
    cluster.services.insert(name.to_owned(), service);
    Ok(json!({"service": shown}))
}

pub(crate) fn describe(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let names = request.texts("services");
    if names.is_empty() {
        return Err(Fault::invalid_parameter("Services cannot be empty."));
    }
    if names.len() > 10 {
        return Err(Fault::invalid_parameter("service names can have at most 10 items."));
    }
    let place = context.place.clone();
    let with_tags = request.has("include", "TAGS");
    let cluster = cluster(context, input)?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match cluster.services.get(short_name(name)) {
            Some(service) => found.push(describe::service(service, &place, with_tags)),
            None => failures.push(json!({
                "arn": place.arn("ecs", &format!("service/{}/{}", cluster.name, short_name(name))),
                "reason": "MISSING",
            })),
        }
    }
    Ok(json!({"services": found, "failures": failures}))
}

pub(crate) fn list(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let cluster = cluster(context, input)?;
    let arns: Vec<String> = cluster
        .services
        .values()
        .filter(|service| service.status == ServiceStatus::Active)
        .map(|service| service.arn.clone())
        .collect();
    let (page, next) = Input(input).page(&arns, 100)?;
    Ok(json!({"serviceArns": page, "nextToken": next}))
}

pub(crate) fn update(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let (now, place) = (context.now, context.place.clone());
    let force = request.flag("forceNewDeployment");
    // The cluster and the service are looked for first: that is what is told when several things are wrong.
    let controller = {
        let service = service(context, input, "service")?;
        if service.status != ServiceStatus::Active {
            return Err(Fault::client("ServiceNotActiveException", "Service was not ACTIVE."));
        }
        service.controller
    };
    refuse_other_controllers(controller, force, request)?;
    let definition = match request.text("taskDefinition") {
        Some(wanted) => Some(task_definition::find(context.holdings(), wanted)?.arn.clone()),
        None => None,
    };
    let service = service(context, input, "service")?;
    if let Some(desired) = count(request)? {
        service.desired = desired;
    }
    let mut changed = false;
    if let Some(configuration) = request.member("deploymentConfiguration") {
        configure(&mut service.configuration, Input(configuration));
    }
    if let Some(definition) = &definition {
        changed = *definition != service.task_definition;
    }
    if force || changed {
        let definition = definition.unwrap_or_else(|| service.task_definition.clone());
        super::begin(service, &definition, now);
    }
    Ok(json!({"service": describe::service(service, &place, true)}))
}

fn refuse_other_controllers(controller: Controller, force: bool, request: Input<'_>) -> Answered<()> {
    let rolls = force || request.text("taskDefinition").is_some();
    if !rolls {
        return Ok(());
    }
    match controller {
        Controller::Ecs => Ok(()),
        Controller::External => Err(Fault::invalid_parameter(
            "Cannot update this parameter on services with an EXTERNAL deployment controller. Use CreateTaskSet.",
        )),
        Controller::CodeDeploy => {
            let what = if force { "force a new deployment" } else { "update task definition" };
            Err(Fault::invalid_parameter(format!(
                "Cannot {what} on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new \
                 deployment."
            )))
        }
    }
}

pub(crate) fn delete(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let place = context.place.clone();
    let force = Input(input).flag("force");
    let service = service(context, input, "service")?;
    if service.desired > 0 && !force {
        return Err(Fault::invalid_parameter(
            "The service cannot be stopped while it is scaled above 0. Set its desired count to 0, or use force.",
        ));
    }
    service.status = ServiceStatus::Draining;
    service.desired = 0;
    Ok(json!({"service": describe::service(service, &place, true)}))
}

fn controller(input: &Value) -> Answered<Controller> {
    match input.pointer("/deploymentController/type").and_then(Value::as_str) {
        None | Some("ECS") => Ok(Controller::Ecs),
        Some("CODE_DEPLOY") => Ok(Controller::CodeDeploy),
        Some("EXTERNAL") => Ok(Controller::External),
        Some(_) => Err(Fault::invalid_parameter("Unsupported deployment controller type.")),
    }
}

fn count(request: Input<'_>) -> Answered<Option<u32>> {
    let Some(count) = request.number("desiredCount") else { return Ok(None) };
    u32::try_from(count)
        .ok()
        .filter(|count| *count <= 5000)
        .map(Some)
        .ok_or_else(|| Fault::invalid_parameter("desiredCount must be between 0 and 5000."))
}

fn configure(configuration: &mut Configuration, wanted: Input<'_>) {
    let percent = |member, kept| wanted.number(member).and_then(|percent| u32::try_from(percent).ok()).unwrap_or(kept);
    configuration.minimum_healthy_percent = percent("minimumHealthyPercent", configuration.minimum_healthy_percent);
    configuration.maximum_percent = percent("maximumPercent", configuration.maximum_percent);
    if let Some(breaker) = wanted.member("deploymentCircuitBreaker").map(Input) {
        configuration.breaker = breaker.flag("enable");
        configuration.rollback = if breaker.flag("rollback") { Rollback::SameId } else { Rollback::Off };
    }
    if let Some(early) = wanted.member("earlySuccessCriteria").map(Input) {
        configuration.early_success = early.flag("enable");
    }
}
