//! The way back: `latest` is put on an image that ran before, byte for byte, rolled and proven like a deploy, and the
//! revision that it takes away is held. `plan` decides, `act` carries out.

mod act;
mod observe;
mod target;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::archive::ArchiveStep;
use crate::aws::identity::Identity;
use crate::config::specification::{Service, Specification};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::gates;
use crate::plan::Finding;

pub(crate) use act::{Act, planned};
pub(crate) use observe::{Observed, ObservedService, observe};
pub(crate) use target::To;

/// What would be done, and what is in the way.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) environment: String,
    pub(crate) region: String,
    pub(crate) account: Option<String>,
    /// The identity's ARN.
    pub(crate) identity: Option<String>,
    /// A person has to say yes before it starts.
    pub(crate) approval: bool,
    pub(crate) services: Vec<Step>,
    /// The zips.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) archives: Vec<ArchiveStep>,
    /// The keys of both, in the order of deploy.yaml.
    #[serde(skip)]
    pub(crate) names: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) warnings: Vec<String>,
}

/// One service's part.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Step {
    /// The key in deploy.yaml.
    pub(crate) service: String,
    /// ECR repository name.
    pub(crate) repository: String,
    pub(crate) cluster: String,
    pub(crate) ecs_service: String,
    pub(crate) service_arn: Option<String>,
    pub(crate) container: Option<String>,
    pub(crate) desired: Option<u32>,
    /// What is taken away.
    pub(crate) from: Version,
    /// What comes back.
    pub(crate) to: Version,
    /// The PRIMARY deployment before.
    pub(crate) previous_deployment: Option<String>,
    /// The rollout in flight that is stopped first.
    pub(crate) in_flight: Option<String>,
    pub(crate) latest_digest: Option<String>,
    /// It is there already: nothing is to be done.
    pub(crate) unchanged: bool,
    /// The service's tags as they are now.
    #[serde(skip)]
    pub(crate) recorded: BTreeMap<String, String>,
    /// The digests that prove it.
    #[serde(skip)]
    pub(crate) proof: Vec<String>,
}

/// One of the two ends of the way back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Version {
    pub(crate) digest: Option<String>,
    /// The commit, full where it is known in full.
    pub(crate) revision: Option<String>,
    pub(crate) subject: Option<String>,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.revision, &self.digest) {
            (Some(revision), _) => write!(f, "{}", revision.get(..12).unwrap_or(revision))?,
            (None, Some(digest)) => write!(f, "{}", digest.get(..19).unwrap_or(digest))?,
            (None, None) => write!(f, "what runs now")?,
        }
        match &self.subject {
            Some(subject) => write!(f, " ({subject})"),
            None => Ok(()),
        }
    }
}

impl Plan {
    /// The findings that keep this service from being rolled back.
    pub(crate) fn findings_for<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().filter(move |finding| finding.service.as_deref().is_none_or(|named| named == service))
    }

    /// The plan in sentences, for people.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let step = |step: &Step| {
            let Step { service, from, to, .. } = step;
            if step.unchanged {
                return format!("{service}: {to} runs already");
            }
            let first = match &step.in_flight {
                Some(id) => format!("the rollout {id} is stopped, then "),
                None => String::new(),
            };
            let held = match &from.revision {
                Some(revision) => format!("; {} is held", revision.get(..12).unwrap_or(revision)),
                None => String::new(),
            };
            format!("{service}: from {from} back to {to}: {first}`latest` is moved, rolled and proven{held}")
        };
        let going = self.services.iter().filter(|step| self.findings_for(&step.service).next().is_none());
        let zip = |step: &ArchiveStep| {
            let ArchiveStep { service, from, to, latest_key, .. } = step;
            match (&from.revision, step.unchanged) {
                (_, true) => format!("{service}: {to} is live already"),
                (Some(held), _) => format!(
                    "{service}: from {from} back to {to}: its zip is copied over {latest_key}; {} is held",
                    held.get(..12).unwrap_or(held)
                ),
                (None, _) => format!("{service}: back to {to}: its zip is copied over {latest_key}"),
            }
        };
        let zips = self.archives.iter().filter(|step| self.findings_for(&step.service).next().is_none());
        going.map(step).chain(zips.map(zip)).collect()
    }
}

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
