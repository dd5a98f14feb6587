//! What one environment deploys, as a deploy would find it, and what may be read of it: its services with their
//! repositories, its zips.

use futures_util::future::join_all;

use super::{Check, State, missing_action, zips};
use crate::aws::ecs::list_service_deployments;
use crate::aws::{Clients, ecr};
use crate::config::specification::{Service, Specification};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::gates;
use crate::observe::{ObservedService, observe_services};

/// What a deploy writes.
pub(super) const WRITES: &str = "pushing an image, ecs:UpdateService, ecs:TagResource";

pub(super) async fn examine(clients: &Clients, specification: &Specification) -> Vec<Check> {
    let services = async {
        let seen = observe_services(clients, &specification.services).await;
        let all = specification.services.iter().zip(seen);
        join_all(all.map(|(service, seen)| examine_one(clients, service, seen))).await
    };
    let archives = specification.archives.iter().map(|archive| zips::examine(clients, archive));
    let (registry, services, archives) =
        tokio::join!(registry(clients, &specification.services), services, join_all(archives));
    registry.into_iter().chain(services.into_iter().flatten()).chain(archives.into_iter().flatten()).collect()
}

/// The login to it, and how it scans where a scan is a gate.
async fn registry(clients: &Clients, services: &[Service]) -> Vec<Check> {
    if services.is_empty() {
        return Vec::new();
    }
    let gated: Vec<&Service> = services.iter().filter(|service| is_gated(service)).collect();
    let scanning = async {
        match gated.is_empty() {
            true => None,
            false => Some(ecr::scan::registry(clients).await),
        }
    };
    let (login, scanning) = tokio::join!(ecr::login(clients), scanning);
    let mut checks = vec![match &login {
        Ok(login) => Check::works("registry", format!("a login to {}", login.host)),
        Err(error) => Check::of_error("registry", error),
    }];
    match scanning {
        None => {}
        Some(Err(error)) => checks.push(Check::of_error("scan", &error)),
        Some(Ok(scanning)) => {
            let uncovered: Vec<_> = gated.into_iter().filter_map(|service| gates::scan(service, &scanning)).collect();
            let kind =
                if scanning.enhanced { "enhanced, by Inspector" } else { "basic, asked for where it is not on push" };
            match uncovered.is_empty() {
                true => checks.push(Check::works("scan", format!("the registry's scanning is {kind}"))),
                false => checks.extend(uncovered.into_iter().map(|finding| {
                    Check::fails("scan", finding.exit_code, finding.text, finding.hint.unwrap_or_default())
                })),
            }
        }
    }
    checks
}

/// Whether a scan is a gate.
fn is_gated(service: &Service) -> bool {
    service.scan.as_ref().is_some_and(|scan| scan.fail_on.is_some())
}

async fn examine_one(clients: &Clients, service: &Service, seen: ObservedService) -> Vec<Check> {
    let records = list_service_deployments(clients, &service.cluster, &service.service, 1).await;
    let latest = seen.basis.as_ref().and_then(|basis| basis.latest.as_ref().ok()?.as_deref());
    let scan = match latest {
        Some(digest) if is_gated(service) => ecr::scan::findings(clients, &service.repository, digest).await.err(),
        _ => None,
    };
    let mut checks = vec![repository(service, &seen), ecs(service, &seen)];
    checks.extend(scan.map(|error| Check::of_error(&service.name, &error)));
    // Where the service is not there, neither is its record.
    if seen.service.is_ok()
        && let Err(error) = &records
    {
        checks.push(Check::of_error(&service.name, error));
    }
    let basis = seen.basis.as_ref();
    let more = [
        basis.and_then(|basis| basis.latest.as_ref().err()),
        basis.and_then(|basis| refused(basis.definition.as_ref())),
        refused(seen.tags.as_ref()),
        refused(seen.running.as_ref()),
        refused(seen.stopped.as_ref()),
    ];
    // What is not there is said once; each action that is missing is said.
    let is_told =
        |error: &&Error| (seen.repository().is_some() && seen.service.is_ok()) || missing_action(error).is_some();
    for error in more.into_iter().flatten().filter(is_told) {
        let check = Check::of_error(&service.name, error);
        if !checks.iter().any(|known| known.detail == check.detail) {
            checks.push(check);
        }
    }
    checks
}

fn refused<T>(read: Option<&Result<T>>) -> Option<&Error> {
    read?.as_ref().err()
}

fn repository(service: &Service, seen: &ObservedService) -> Check {
    let what = service.name.as_str();
    let Some(basis) = &seen.basis else { return Check::unknown(what, "the repository was not looked at") };
    let found = match &basis.repository {
        Ok(found) => found,
        Err(error) => return Check::of_error(what, error),
    };
    let findings = gates::standing(service, seen);
    if let Some(finding) = findings.into_iter().find(|finding| finding.exit_code == Exit::Registry) {
        return Check::fails(what, finding.exit_code, finding.text, finding.hint.unwrap_or_default());
    }
    let latest = match &basis.latest {
        Ok(Some(digest)) => format!("`latest` is {}", digest.chars().take(19).collect::<String>()),
        Ok(None) => "nothing is pushed as `latest` yet".to_owned(),
        Err(_) => "what `latest` is cannot be read".to_owned(),
    };
    let mutable =
        if found.tag_is_mutable("latest") { "it may be moved" } else { "it cannot be moved once it is there" };
    let check = Check::works(what, format!("repository {}: {latest}, {mutable}", found.name));
    match found.tag_is_mutable("latest") {
        true => check,
        // The first push works, the second does not.
        false => Check {
            state: State::Fails,
            exit_code: Exit::Registry,
            ..check.fix("make its tags mutable, or exclude `latest` (IMMUTABLE_WITH_EXCLUSION)")
        },
    }
}

/// The service, its controller, and the image of its task definition.
fn ecs(service: &Service, seen: &ObservedService) -> Check {
    let what = service.name.as_str();
    let found = match &seen.service {
        Ok(found) => found,
        Err(error) => return Check::of_error(what, error),
    };
    let findings: Vec<_> =
        gates::standing(service, seen).into_iter().filter(|finding| finding.exit_code != Exit::Registry).collect();
    if let Some(first) = findings.first() {
        let text: Vec<&str> = findings.iter().map(|finding| finding.text.as_str()).collect();
        let fixes: Vec<&str> = findings.iter().filter_map(|finding| finding.hint.as_deref()).collect();
        return Check::fails(what, first.exit_code, text.join("; "), fixes.join("; "));
    }
    let image = match seen.definition() {
        Some(_) => "its task definition takes `latest` of the repository",
        None => "its task definition cannot be read",
    };
    let running = format!("{} of {} tasks run", found.running, found.desired);
    Check::works(what, format!("service {}/{} is ACTIVE, {running}; {image}", service.cluster, service.service))
}
