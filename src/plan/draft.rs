//! Makes the plan: what is to be done for each service, and everything that is in the way. Pure; what can be judged by
//! itself is in `gates`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Plan, Request, ScanGate, ServicePlan};
use crate::after;
use crate::archive::{self, ArchivePlan, ObservedArchive};
use crate::changes::{Judgement, Order};
use crate::config::specification::{self, Archive, Specification};
use crate::error::Error;
use crate::gates::{self, Hold};
use crate::observe::{Observed, ObservedService};
use crate::promotion;
use crate::reuse;
use crate::source::Source;

/// Decides. `findings` brings those that are known already (the branch gate).
pub(crate) fn plan(
    specification: &Specification,
    observed: &Observed,
    request: &Request,
    findings: Vec<Finding>,
) -> Plan {
    let environment = &specification.environment;
    let mut draft = Draft {
        specification,
        observed,
        request,
        findings: Vec::new(),
        warnings: observed.notes.clone(),
        unchecked: Vec::new(),
    };
    let services = || specification.services.iter().zip(&observed.services);
    let archives = || specification.archives.iter().zip(&observed.archives);
    // Where nothing is to be done, nothing stands in its way.
    let judged = services().map(|(service, seen)| (&service.name, &seen.judgement));
    let judged = judged.chain(archives().map(|(archive, seen)| (&archive.name, &seen.judgement)));
    let unchanged: BTreeSet<&str> =
        judged.filter(|(_, judgement)| judgement.change.is_nothing()).map(|(name, _)| name.as_str()).collect();
    let any = unchanged.len() < specification.names.len();
    let before = observed.before.as_ref().and_then(|read| read.as_ref().ok());
    let source = |service: &specification::Service, seen| {
        promotion::source(environment, service, before).unwrap_or_else(|| reused_or_built(service, seen))
    };
    let sources: Vec<Source> = services().map(|(service, seen)| source(service, seen)).collect();
    if any {
        draft.findings = findings;
        draft.dirty();
        if let Err(error) = &observed.engines {
            let wanted = services().zip(&sources).map(|((service, _), source)| (service.name.as_str(), source));
            let builds = wanted.filter(|(name, source)| !unchanged.contains(name) && source.needs_engine());
            let builds: Vec<&str> = builds.map(|(name, _)| name).collect();
            let all = builds.len() + unchanged.len() == specification.names.len();
            draft.no_engine(error, &builds, all, request.dry_run);
        }
    }
    match &observed.identity {
        Ok(identity) => draft.findings.extend(gates::account(environment, identity)),
        Err(error) => draft.findings.push(Finding::from(error)),
    }
    let of_changed = |finding: &Finding| !finding.service.as_deref().is_some_and(|name| unchanged.contains(name));
    match &observed.before {
        Some(Ok(before)) if any => {
            let missing = after::gate(before, environment.soak, &request.revision);
            draft.findings.extend(missing.into_iter().filter(of_changed));
            if environment.promote {
                let unfit = promotion::gate(specification, before);
                draft.findings.extend(unfit.into_iter().filter(of_changed));
            }
        }
        Some(Err(error)) if any => draft.findings.push(Finding::from(error)),
        _ => {}
    }
    let services = services().zip(sources);
    let services = services.map(|((service, seen), source)| draft.service(service, seen, source));
    let services = services.collect();
    let archives = archives().map(|(archive, seen)| draft.archive(archive, seen)).collect();
    Plan {
        environment: environment.name.clone(),
        branch: request.branch.clone(),
        revision: request.revision.clone(),
        account: observed.identity.as_ref().ok().map(|identity| identity.account.clone()),
        region: observed.region.clone(),
        identity: observed.identity.as_ref().ok().map(|identity| identity.arn.clone()),
        engine: observed
            .engines
            .as_ref()
            .ok()
            .map(|engines| engines.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        approval: environment.approval && any,
        services,
        archives,
        names: specification.names.clone(),
        findings: draft.findings,
        warnings: draft.warnings,
        unchecked: draft.unchecked,
    }
}

struct Draft<'s> {
    specification: &'s Specification,
    observed: &'s Observed,
    request: &'s Request,
    findings: Vec<Finding>,
    warnings: Vec<String>,
    unchecked: Vec<String>,
}

fn reused_or_built(service: &specification::Service, seen: &ObservedService) -> Source {
    let uri = seen.repository().map_or("", |repository| &repository.uri);
    reuse::decide(service, uri, seen.image.as_ref())
}

impl Draft<'_> {
    fn archive(&mut self, archive: &Archive, seen: &ObservedArchive) -> ArchivePlan {
        let (change, commit) = (&seen.judgement.change, self.request.revision.full());
        let (mut plan, findings) = archive::plan(archive, seen, &self.specification.root, &commit);
        self.hold(&archive.name, &plan.label.recorded(), &seen.judgement);
        if !change.is_nothing() {
            // Credentials that do not work fail every read alike: that is one finding, not ten.
            if self.observed.identity.is_ok() {
                self.findings.extend(findings);
            }
            self.order(&archive.name, &seen.judgement);
        }
        plan.depends_on = self.in_this_run(&archive.depends_on);
        plan
    }

    /// Those of the run that somebody waits for.
    fn in_this_run(&self, depends_on: &[String]) -> Vec<String> {
        depends_on.iter().filter(|name| self.specification.names.contains(name)).cloned().collect()
    }

    /// What a rollback took away stays away until somebody means it, or something new comes.
    fn hold(&mut self, name: &str, recorded: &BTreeMap<String, String>, judgement: &Judgement) {
        let (revision, unchanged) = (&self.request.revision, judgement.change.is_nothing());
        let released = self.request.release_hold || judgement.meant;
        match gates::held(name, recorded, revision) {
            Some(Hold::Same(finding)) if !released => self.findings.push(finding),
            Some(_) if unchanged => self.warnings.extend(gates::stays_held(name, recorded)),
            Some(Hold::Same(_)) => self.warnings.push(gates::released(name, revision)),
            Some(Hold::Other(warning)) => self.warnings.push(warning),
            None => {}
        }
    }

    /// In the way of every service alike.
    fn dirty(&mut self) {
        let Request { revision, allow_dirty, .. } = self.request;
        self.findings.extend(gates::dirty(&self.specification.environment, revision, *allow_dirty));
        if revision.dirty && self.findings.is_empty() {
            self.warnings
                .push("the tree has uncommitted changes: what is delivered will hold more than the commit".to_owned());
        }
    }

    /// In the way of what has to be built, and of nothing else. `all`: nothing else is to be done.
    fn no_engine(&mut self, error: &Error, builds: &[&str], all: bool, dry_run: bool) {
        if builds.is_empty() {
        } else if dry_run {
            self.unchecked.push(format!("the build: no Docker Engine ({})", error.message()));
        } else if all {
            self.findings.push(Finding::from(error));
        } else {
            self.findings.extend(builds.iter().map(|name| Finding::of(name, error)));
        }
    }

    fn service(&mut self, service: &specification::Service, seen: &ObservedService, source: Source) -> ServicePlan {
        let recorded = seen.recorded().cloned().unwrap_or_default();
        self.hold(&service.name, &recorded, &seen.judgement);
        let (tags, scan) = if seen.judgement.change.is_nothing() {
            (Vec::new(), None)
        } else {
            self.in_the_way(service, seen, &source);
            (self.tags(service, seen), self.scan(service, seen))
        };
        let container = gates::container(service, seen);
        let found = seen.service.as_ref().ok();
        let running_digest = container.as_deref().and_then(|container| seen.running_digest(container));
        ServicePlan {
            service: service.name.clone(),
            repository: service.repository.clone(),
            platform: service.platform.to_string(),
            change: seen.judgement.change.clone(),
            source,
            secrets: service.secrets.clone(),
            build_args: service.build_args.keys().cloned().collect(),
            build_secrets: service.build_secrets.keys().cloned().collect(),
            tags,
            before_deploy: service.before_deploy.as_ref().map(|task| task.command.clone()),
            scan,
            depends_on: self.in_this_run(&service.depends_on),
            cluster: service.cluster.clone(),
            ecs_service: service.service.clone(),
            service_arn: found.map(|found| found.arn.clone()),
            desired: found.map(|found| found.desired),
            previous_deployment: found.and_then(|found| found.primary()).map(|primary| primary.id.clone()),
            running_revision: seen.recorded_revision(running_digest.as_deref()).map(str::to_owned),
            running_digest,
            latest_digest: seen.latest().map(str::to_owned),
            recorded,
            container,
        }
    }

    /// All that keeps a service that is to be deployed from it, and what is worth a word.
    fn in_the_way(&mut self, service: &specification::Service, seen: &ObservedService, source: &Source) {
        let judgement = &seen.judgement;
        // Credentials that do not work fail every read alike: that is one finding, not ten.
        if self.observed.identity.is_ok() {
            self.reads(service, seen);
        }
        self.findings.extend(gates::service(service, seen));
        self.warnings.extend(gates::service_warnings(service, seen));
        self.order(&service.name, judgement);
        match (gates::by_hand(&self.specification.environment, &service.name, judgement), &judgement.by_hand) {
            (Some(finding), _) => self.findings.push(finding),
            (None, Some(what)) => self.warnings.push(format!("{}: {what}", service.name)),
            (None, None) => {}
        }
        if let Ok(engines) = &self.observed.engines
            && source.needs_engine()
            && let Some(engine) = engines.first()
            && engines.iter().all(|engine| engine.arch != service.platform.architecture())
        {
            let found = if engines.len() > 1 {
                "no builder is of that architecture".to_owned()
            } else {
                format!("the engine is {}/{}", engine.os, engine.arch)
            };
            self.warnings.push(format!(
                "{}: {found}, so {} is built by emulation, which is slower",
                service.name, service.platform
            ));
        }
    }

    /// Older never goes over newer.
    fn order(&mut self, name: &str, judgement: &Judgement) {
        let Request { revision, allow_older, .. } = self.request;
        self.findings.extend(gates::older(name, &judgement.order, revision, *allow_older));
        if let Order::Unknown(why) = &judgement.order {
            self.warnings.push(format!("{name}: {why}"));
        }
    }

    /// The gate, and what is known of it beforehand.
    fn scan(&mut self, service: &specification::Service, seen: &ObservedService) -> Option<ScanGate> {
        let policy = service.scan.as_ref()?;
        let fail_on = policy.fail_on?;
        let by_itself = seen.repository().is_some_and(|repository| repository.scan_on_push);
        let on_push = match &seen.scanning {
            Some(Ok(registry)) => {
                self.findings.extend(gates::scan(service, registry));
                Some(registry.covers(&service.repository) || (by_itself && !registry.enhanced))
            }
            Some(Err(error)) => {
                self.unchecked.push(format!("{}: how the registry is scanned ({})", service.name, error.line()));
                None
            }
            None => None,
        };
        Some(ScanGate { fail_on, timeout: policy.timeout.as_secs(), on_push })
    }

    /// Refused reads: those that a deploy cannot do without are findings, the others are said.
    fn reads(&mut self, service: &specification::Service, seen: &ObservedService) {
        let (name, judgement) = (&service.name, &seen.judgement);
        let basis = seen.basis.as_ref();
        let mut needed = vec![basis.and_then(|basis| basis.repository.as_ref().err()), seen.service.as_ref().err()];
        if let Some(basis) = basis.filter(|basis| basis.repository.is_ok()) {
            needed.extend([basis.latest.as_ref().err(), basis.commit_tag.as_ref().err()]);
        }
        needed.push(basis.and_then(|basis| basis.definition.as_ref()?.as_ref().err()));
        needed.push(seen.running.as_ref().and_then(|read| read.as_ref().err()));
        let mut findings: Vec<Finding> = needed.into_iter().flatten().map(|error| Finding::of(name, error)).collect();
        // What the base is read from: often one of those above.
        let base = judgement.error.iter().map(|error| Finding::of(name, error));
        findings.extend(base.filter(|finding| !findings.contains(finding)).collect::<Vec<_>>());
        self.findings.extend(findings);
        if let (Some(Err(error)), None) = (&seen.tags, &judgement.error) {
            self.unchecked.push(format!("{name}: which revision runs now ({})", error.line()));
        }
    }

    /// The commit's tag comes first, unless the repository holds it already and does not let it be moved.
    fn tags(&mut self, service: &specification::Service, seen: &ObservedService) -> Vec<String> {
        let tag = self.request.revision.tag();
        let exists = seen.basis.as_ref().is_some_and(|basis| matches!(basis.commit_tag, Ok(Some(_))));
        let movable = seen.repository().is_some_and(|repository| repository.tag_is_mutable(&tag));
        if exists && !movable {
            self.warnings.push(format!("{}: {tag} is in the repository already and stays as it is", service.name));
            return vec!["latest".to_owned()];
        }
        vec![tag, "latest".to_owned()]
    }
}
