//! The way back: `latest` is put on an image that ran before, byte for byte, rolled and proven like a deploy, and the
//! revision that it takes away is held. `plan` decides, `act` carries out.

mod act;
mod observe;
mod plan;
mod target;

use crate::aws::identity::Identity;
use crate::config::specification::{Service, Specification};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::gates;
use crate::plan::Finding;

pub(crate) use act::{Act, planned};
pub(crate) use observe::{Observed, ObservedService, observe};
pub(crate) use plan::{Plan, Step, Version};
pub(crate) use target::To;

/// Decides. Pure.
pub(crate) fn plan(specification: &Specification, observed: &Observed) -> Plan {
    let environment = &specification.environment;
    let mut findings = Vec::new();
    let mut warnings = Vec::new();
    match &observed.identity {
        Ok(identity) => findings.extend(gates::account(environment, identity)),
        Err(error) => findings.push(Finding::from(error)),
    }
    let identity = observed.identity.as_ref().ok();
    let services = specification.services.iter().zip(&observed.services);
    let services = services
        .map(|(service, seen)| {
            if identity.is_some() {
                findings.extend(in_the_way(service, seen));
            }
            let step = step(service, seen);
            warnings.extend(warnings_of(service, seen, &step));
            step
        })
        .collect();
    if identity.is_some() {
        findings.extend(observed.archives.iter().flat_map(|(_, findings)| findings.clone()));
    }
    Plan {
        environment: environment.name.clone(),
        archives: observed.archives.iter().map(|(step, _)| step.clone()).collect(),
        names: specification.names.clone(),
        region: observed.region.clone(),
        account: identity.map(|identity: &Identity| identity.account.clone()),
        identity: identity.map(|identity| identity.arn.clone()),
        approval: environment.approval,
        services,
        findings,
        warnings,
    }
}

fn in_the_way(service: &Service, seen: &ObservedService) -> Vec<Finding> {
    let name = &service.name;
    let now = &seen.now;
    let basis = now.basis.as_ref();
    let reads = [
        basis.and_then(|basis| basis.repository.as_ref().err()),
        now.service.as_ref().err(),
        basis.and_then(|basis| basis.latest.as_ref().err()),
        basis.and_then(|basis| basis.definition.as_ref()?.as_ref().err()),
    ];
    let mut findings: Vec<Finding> = reads.into_iter().flatten().map(|error| Finding::of(name, error)).collect();
    findings.extend(gates::standing(service, now));
    if findings.is_empty()
        && let Err(error) = target_of(seen)
    {
        findings.push(Finding::of(name, &error));
    }
    findings
}

/// The target, if it is there and is not the one that is being rolled out at this moment.
fn target_of(seen: &ObservedService) -> Result<()> {
    let target = seen.target.as_ref().map_err(Clone::clone)?;
    if let (Some(id), true) = (in_flight(seen), seen.from.digest == target.version.digest) {
        return Err(Error::new(Exit::Gate, format!("{} is being rolled out already: {id}", target.version))
            .hint("take up its watch: shipit wait"));
    }
    Ok(())
}

fn in_flight(seen: &ObservedService) -> Option<String> {
    gates::moving(seen.now.service.as_ref().ok()?)
}

fn step(service: &Service, seen: &ObservedService) -> Step {
    let found = seen.now.service.as_ref().ok();
    let target = seen.target.as_ref().ok();
    let latest_digest = seen.now.latest().map(str::to_owned);
    let to = target.map(|target| target.version.clone()).unwrap_or_default();
    let runs = to.digest.is_some() && to.digest == seen.from.digest && in_flight(seen).is_none();
    Step {
        service: service.name.clone(),
        repository: service.repository.clone(),
        cluster: service.cluster.clone(),
        ecs_service: service.service.clone(),
        service_arn: found.map(|found| found.arn.clone()),
        container: gates::container(service, &seen.now),
        desired: found.map(|found| found.desired),
        previous_deployment: found.and_then(|found| found.primary()).map(|primary| primary.id.clone()),
        in_flight: in_flight(seen),
        unchanged: runs && latest_digest == to.digest,
        latest_digest,
        recorded: seen.now.recorded().cloned().unwrap_or_default(),
        proof: target.map(|target| target.digests.clone()).unwrap_or_default(),
        from: seen.from.clone(),
        to,
    }
}

fn warnings_of(service: &Service, seen: &ObservedService, step: &Step) -> Vec<String> {
    let name = &service.name;
    let mut warnings: Vec<String> = seen.notes.iter().map(|note| format!("not all is known: {note}")).collect();
    if step.from.revision.is_none() && !step.unchanged {
        warnings.push(format!("{name}: what is taken away has no known commit, so it cannot be held"));
    }
    if step.to.revision.is_none() && step.to.digest.is_some() {
        warnings.push(format!("{name}: the image that comes back has no known commit"));
    }
    if step.desired == Some(0) {
        warnings.push(format!("{name}: the desired count is 0, so nothing will run and nothing can be proven"));
    }
    warnings
}
