//! The repositories and services of one environment, as a deploy would find them, and what may be read of them.

use futures_util::future::{join, join_all};

use super::{Check, State};
use crate::aws::ecs::list_service_deployments;
use crate::aws::{Clients, ecr};
use crate::config::specification::{Service, Specification};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::gates;
use crate::observe::{ObservedService, observe_services};

/// What a deploy writes. AWS has no way of asking whether it would be allowed.
const WRITES: &str = "pushing an image, ecs:UpdateService and ecs:TagResource";

pub(super) async fn examine(clients: &Clients, specification: &Specification) -> Vec<Check> {
    let services = async {
        let seen = observe_services(clients, &specification.services).await;
        let all = specification.services.iter().zip(seen);
        join_all(all.map(|(service, seen)| examine_one(clients, service, seen))).await
    };
    let (login, services) = join(ecr::login(clients), services).await;
    let mut checks = vec![match &login {
        Ok(login) => Check::works("registry", format!("a login to {}", login.host)),
        Err(error) => Check::of_error("registry", error),
    }];
    let read: Vec<Check> = services.into_iter().flatten().collect();
    let refused: Vec<&str> = read.iter().filter_map(|check| check.missing_action.as_deref()).collect();
    let policy = "`shipit doctor --iam-policy` prints the whole policy that is needed";
    let permissions = match refused.as_slice() {
        [] => {
            Check::unknown("permissions", format!("every read is allowed; {WRITES} cannot be tried without doing it"))
                .fix(policy)
        }
        _ => Check::fails("permissions", Exit::Aws, format!("not allowed: {}", distinct(&refused).join(", ")), policy),
    };
    checks.extend(read);
    checks.push(permissions);
    checks
}

fn distinct<'w>(words: &[&'w str]) -> Vec<&'w str> {
    let mut kept: Vec<&str> = words.to_vec();
    kept.sort_unstable();
    kept.dedup();
    kept
}

async fn examine_one(clients: &Clients, service: &Service, seen: ObservedService) -> Vec<Check> {
    let records = list_service_deployments(clients, &service.cluster, &service.service, 1).await;
    let mut checks = vec![repository(service, &seen), ecs(service, &seen)];
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
    for error in more.into_iter().flatten().filter(|_| seen.repository().is_some() && seen.service.is_ok()) {
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
