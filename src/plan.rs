//! The plan: what a deploy will do, decided from the specification and what was observed. Pure: no clock, no I/O.
//! `--dry-run` prints the very value that `deploy` runs.

mod finding;

use std::collections::BTreeMap;

use serde::Serialize;

pub(crate) use finding::Finding;

use crate::after;
use crate::archive::{self, ArchivePlan, ObservedArchive};
use crate::changes::{Change, Judgement, Order};
use crate::config::specification::{self, Archive, Specification};
use crate::error::Error;
use crate::gates::{self, Hold};
use crate::observe::{Observed, ObservedService};
use crate::promotion;
use crate::reuse;
use crate::revision::Revision;
use crate::scan::Severity;
use crate::source::Source;

/// What would be done, and what is in the way. Holds no secret's value.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) environment: String,
    pub(crate) branch: Option<String>,
    pub(crate) revision: Revision,
    pub(crate) account: Option<String>,
    pub(crate) region: String,
    /// The identity's ARN.
    pub(crate) identity: Option<String>,
    /// The Docker Engine in words, or all of them.
    pub(crate) engine: Option<String>,
    /// A person has to say yes before it starts.
    pub(crate) approval: bool,
    /// The containers.
    pub(crate) services: Vec<ServicePlan>,
    /// The zips.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) archives: Vec<ArchivePlan>,
    /// The keys of both, in the order of deploy.yaml.
    #[serde(skip)]
    pub(crate) names: Vec<String>,
    /// What is in the way: of the service it names, or of all.
    pub(crate) findings: Vec<Finding>,
    /// Worth knowing, and in nobody's way.
    pub(crate) warnings: Vec<String>,
    /// What could not be checked, in words.
    pub(crate) unchecked: Vec<String>,
}

/// One service's part. The fields are what `deploy` works with.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServicePlan {
    /// The key in deploy.yaml.
    pub(crate) service: String,
    /// ECR repository name.
    pub(crate) repository: String,
    pub(crate) platform: String,
    /// Whether it is deployed at all, and why.
    pub(crate) change: Change,
    /// How its image comes to be.
    pub(crate) source: Source,
    /// Names of the secrets that have to be set, each with a value now.
    pub(crate) secrets: Vec<String>,
    /// Names only.
    pub(crate) build_args: Vec<String>,
    /// Names only.
    pub(crate) build_secrets: Vec<String>,
    /// The tags to push, in the order of pushing: `latest` is the last.
    pub(crate) tags: Vec<String>,
    /// What runs on the new image before the rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before_deploy: Option<Vec<String>>,
    /// The gate that the pushed image has to pass before `latest` is moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scan: Option<ScanGate>,
    /// Services of this run that are rolled out before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) depends_on: Vec<String>,
    pub(crate) cluster: String,
    pub(crate) ecs_service: String,
    pub(crate) service_arn: Option<String>,
    /// The container that runs the image.
    pub(crate) container: Option<String>,
    pub(crate) desired: Option<u32>,
    /// The PRIMARY deployment before this one.
    pub(crate) previous_deployment: Option<String>,
    /// The digest that runs now: what `latest` goes back to when the rollout fails.
    pub(crate) running_digest: Option<String>,
    /// The revision that shipit recorded for what runs now.
    pub(crate) running_revision: Option<String>,
    /// What `latest` is now.
    pub(crate) latest_digest: Option<String>,
    /// The service's tags as they are now.
    #[serde(skip)]
    pub(crate) recorded: BTreeMap<String, String>,
}

/// What ECR's scan has to come to, and how long it is waited for.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ScanGate {
    pub(crate) fail_on: Severity,
    /// Seconds.
    pub(crate) timeout: u64,
    /// Whether ECR scans this repository without being asked; absent where that could not be read.
    pub(crate) on_push: Option<bool>,
}

/// What the command line and git add to the specification.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub(crate) struct Request {
    pub(crate) revision: Revision,
    pub(crate) branch: Option<String>,
    pub(crate) allow_dirty: bool,
    /// Deploy what a rollback took away.
    pub(crate) release_hold: bool,
    /// Deploy a commit that is older than what runs.
    pub(crate) allow_older: bool,
    /// A dry run can do without an engine, and says so.
    pub(crate) dry_run: bool,
}

impl Plan {
    /// The services that this one waits for.
    pub(crate) fn depends_on(&self, name: &str) -> &[String] {
        let service = self.services.iter().find(|one| one.service == name).map(|one| &one.depends_on);
        let archive = || self.archives.iter().find(|one| one.service == name).map(|one| &one.depends_on);
        service.or_else(archive).map_or(&[], Vec::as_slice)
    }

    /// The findings that keep this service from being deployed.
    pub(crate) fn findings_for<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().filter(move |finding| finding.service.as_deref().is_none_or(|named| named == service))
    }
}

/// Decides. `findings` brings those that are known already (the branch gate).
pub(crate) fn plan(
    specification: &Specification,
    observed: &Observed,
    request: &Request,
    findings: Vec<Finding>,
) -> Plan {
    let environment = &specification.environment;
    let mut draft =
        Draft { environment, findings: Vec::new(), warnings: observed.notes.clone(), unchecked: Vec::new() };
    // Where nothing is to be done, nothing stands in its way.
    let services = specification.services.iter().map(|service| &service.name).zip(&observed.judgements);
    let archives = specification.archives.iter().map(|archive| &archive.name).zip(&observed.archive_judgements);
    let judged: Vec<(&String, &Judgement)> = services.chain(archives).collect();
    let is_unchanged =
        |name: &str| judged.iter().any(|(known, judgement)| *known == name && judgement.change.is_nothing());
    let any = judged.iter().any(|(_, judgement)| !judgement.change.is_nothing());
    let services = || specification.services.iter().zip(&observed.services);
    let before = observed.before.as_ref().and_then(|read| read.as_ref().ok());
    let source = |service: &specification::Service, seen| {
        promotion::source(environment, service, before).unwrap_or_else(|| reused_or_built(service, seen))
    };
    let sources: Vec<Source> = services().map(|(service, seen)| source(service, seen)).collect();
    if any {
        draft.findings = findings;
        draft.dirty(request);
        if let Err(error) = &observed.engines {
            let wanted = services().zip(&sources).filter(|((service, _), _)| !is_unchanged(&service.name));
            let wanted: Vec<(&str, &Source)> =
                wanted.map(|((service, _), source)| (service.name.as_str(), source)).collect();
            draft.no_engine(error, &wanted, !specification.archives.is_empty(), request.dry_run);
        }
    }
    match &observed.identity {
        Ok(identity) => draft.findings.extend(gates::account(environment, identity)),
        Err(error) => draft.findings.push(Finding::from(error)),
    }
    let of_changed = |finding: &Finding| !finding.service.as_deref().is_some_and(is_unchanged);
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
    let services = services().zip(&observed.judgements).zip(sources);
    let services = services
        .map(|(((service, seen), judgement), source)| {
            draft.service(service, (seen, judgement), source, (observed, request))
        })
        .collect();
    let services = in_order(services, specification);
    let archives = specification.archives.iter().zip(observed.archives.iter().zip(&observed.archive_judgements));
    let archives = archives.map(|(archive, seen)| draft.archive(archive, seen, specification, observed, request));
    let archives = archives.collect();
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

/// Notes who waits for whom, as far as both are part of the run.
fn in_order(mut services: Vec<ServicePlan>, specification: &Specification) -> Vec<ServicePlan> {
    let names = &specification.names;
    for (plan, service) in services.iter_mut().zip(&specification.services) {
        plan.depends_on = service.depends_on.iter().filter(|name| names.contains(name)).cloned().collect();
    }
    services
}

struct Draft<'s> {
    environment: &'s specification::Environment,
    findings: Vec<Finding>,
    warnings: Vec<String>,
    unchecked: Vec<String>,
}

fn reused_or_built(service: &specification::Service, seen: &ObservedService) -> Source {
    let uri = seen.repository.as_ref().map_or("", |repository| &repository.uri);
    reuse::decide(service, uri, seen.image.as_ref())
}

impl Draft<'_> {
    fn archive(
        &mut self,
        archive: &Archive,
        (seen, judgement): (&ObservedArchive, &Judgement),
        specification: &Specification,
        observed: &Observed,
        request: &Request,
    ) -> ArchivePlan {
        let (change, commit) = (&judgement.change, request.revision.full());
        let (mut plan, findings) = archive::plan(archive, seen, &specification.root, &commit, change);
        let released = request.release_hold || judgement.meant;
        match gates::held(&archive.name, Some(&plan.label.recorded()), &request.revision) {
            Some(Hold::Same(finding)) if !released => self.findings.push(finding),
            Some(Hold::Same(_)) if !change.is_nothing() => {
                self.warnings.push(gates::released(&archive.name, &request.revision));
            }
            Some(Hold::Other(warning)) if !change.is_nothing() => self.warnings.push(warning),
            Some(_) => self.warnings.extend(gates::stays_held(&archive.name, &plan.label.recorded())),
            None => {}
        }
        if !change.is_nothing() {
            // Credentials that do not work fail every read alike: that is one finding, not ten.
            if observed.identity.is_ok() {
                self.findings.extend(findings);
            }
            self.order(&archive.name, judgement, request);
        }
        plan.depends_on =
            archive.depends_on.iter().filter(|name| specification.names.contains(name)).cloned().collect();
        plan
    }

    /// In the way of every service alike.
    fn dirty(&mut self, request: &Request) {
        self.findings.extend(gates::dirty(self.environment, &request.revision, request.allow_dirty));
        if request.revision.dirty && self.findings.is_empty() {
            self.warnings
                .push("the tree has uncommitted changes: what is delivered will hold more than the commit".to_owned());
        }
    }

    /// In the way of what has to be built, and of nothing else.
    fn no_engine(&mut self, error: &Error, services: &[(&str, &Source)], others: bool, dry_run: bool) {
        let builds = services.iter().filter(|(_, source)| source.needs_engine()).map(|(name, _)| *name);
        let builds: Vec<&str> = builds.collect();
        if builds.is_empty() {
        } else if dry_run {
            self.unchecked.push(format!("the build: no Docker Engine ({})", error.message()));
        } else if builds.len() == services.len() && !others {
            self.findings.push(Finding::from(error));
        } else {
            self.findings.extend(builds.into_iter().map(|name| Finding::of(name, error)));
        }
    }

    fn service(
        &mut self,
        service: &specification::Service,
        (seen, judgement): (&ObservedService, &Judgement),
        source: Source,
        (observed, request): (&Observed, &Request),
    ) -> ServicePlan {
        let unchanged = judgement.change.is_nothing();
        let released = request.release_hold || judgement.meant;
        match gates::held(&service.name, seen.recorded(), &request.revision) {
            Some(Hold::Same(finding)) if !released => self.findings.push(finding),
            Some(_) if unchanged => {
                let recorded = seen.recorded().cloned().unwrap_or_default();
                self.warnings.extend(gates::stays_held(&service.name, &recorded));
            }
            Some(Hold::Same(_)) => self.warnings.push(gates::released(&service.name, &request.revision)),
            Some(Hold::Other(warning)) => self.warnings.push(warning),
            None => {}
        }
        let (tags, scan) = if unchanged {
            (Vec::new(), None)
        } else {
            self.in_the_way(service, (seen, judgement), &source, (observed, request));
            (self.tags(service, seen, &request.revision), self.scan(service, seen))
        };
        let container = gates::container(service, seen);
        let found = seen.service.as_ref().ok();
        let running_digest = container.as_deref().and_then(|container| seen.running_digest(container));
        ServicePlan {
            service: service.name.clone(),
            repository: service.repository.clone(),
            platform: service.platform.to_string(),
            change: judgement.change.clone(),
            source,
            secrets: service.secrets.clone(),
            build_args: service.build_args.keys().cloned().collect(),
            build_secrets: service.build_secrets.keys().cloned().collect(),
            tags,
            before_deploy: service.before_deploy.as_ref().map(|task| task.command.clone()),
            scan,
            depends_on: Vec::new(),
            cluster: service.cluster.clone(),
            ecs_service: service.service.clone(),
            service_arn: found.map(|found| found.arn.clone()),
            desired: found.map(|found| found.desired),
            previous_deployment: found.and_then(|found| found.primary()).map(|primary| primary.id.clone()),
            running_revision: seen.recorded_revision(running_digest.as_deref()).map(str::to_owned),
            running_digest,
            latest_digest: seen.latest.as_ref().ok().cloned().flatten(),
            recorded: seen.recorded().cloned().unwrap_or_default(),
            container,
        }
    }

    /// All that keeps a service that is to be deployed from it, and what is worth a word.
    fn in_the_way(
        &mut self,
        service: &specification::Service,
        (seen, judgement): (&ObservedService, &Judgement),
        source: &Source,
        (observed, request): (&Observed, &Request),
    ) {
        // Credentials that do not work fail every read alike: that is one finding, not ten.
        if observed.identity.is_ok() {
            self.reads(service, seen, judgement);
        }
        self.findings.extend(gates::service(service, seen));
        self.warnings.extend(gates::service_warnings(service, seen));
        self.order(&service.name, judgement, request);
        match (gates::by_hand(self.environment, &service.name, judgement), &judgement.by_hand) {
            (Some(finding), _) => self.findings.push(finding),
            (None, Some(what)) => self.warnings.push(format!("{}: {what}", service.name)),
            (None, None) => {}
        }
        if let Ok(engines) = &observed.engines
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
    fn order(&mut self, name: &str, judgement: &Judgement, request: &Request) {
        self.findings.extend(gates::older(name, &judgement.order, &request.revision, request.allow_older));
        if let Order::Unknown(why) = &judgement.order {
            self.warnings.push(format!("{name}: {why}"));
        }
    }

    /// The gate, and what is known of it beforehand.
    fn scan(&mut self, service: &specification::Service, seen: &ObservedService) -> Option<ScanGate> {
        let policy = service.scan.as_ref()?;
        let fail_on = policy.fail_on?;
        let by_itself = seen.repository.as_ref().is_ok_and(|repository| repository.scan_on_push);
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
    fn reads(&mut self, service: &specification::Service, seen: &ObservedService, judgement: &Judgement) {
        let name = &service.name;
        let mut needed = vec![seen.repository.as_ref().err(), seen.service.as_ref().err()];
        if seen.repository.is_ok() {
            needed.extend([seen.latest.as_ref().err(), seen.commit_tag.as_ref().err()]);
        }
        needed.push(seen.definition.as_ref().and_then(|read| read.as_ref().err()));
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
    fn tags(&mut self, service: &specification::Service, seen: &ObservedService, revision: &Revision) -> Vec<String> {
        let tag = revision.tag();
        let exists = matches!(&seen.commit_tag, Ok(Some(_)));
        let movable = seen.repository.as_ref().is_ok_and(|repository| repository.tag_is_mutable(&tag));
        if exists && !movable {
            self.warnings.push(format!("{}: {tag} is in the repository already and stays as it is", service.name));
            return vec!["latest".to_owned()];
        }
        vec![tag, "latest".to_owned()]
    }
}
