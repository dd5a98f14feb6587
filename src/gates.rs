//! The gates: pure judgements on whether a deploy may go ahead. Each says what is in the way and what to do.
//! (The branch gate is with the choice of the environment, in `target`.)

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::ecr::scan::Registry;
use crate::aws::ecs::{
    Container, Controller, DeploymentStatus, RolloutState, Service, ServiceStatus, Tag, Task, TaskDefinition,
};
use crate::aws::identity::Identity;
use crate::changes::{Judgement, Order};
use crate::config::specification::{self, Environment};
use crate::exit::Exit;
use crate::observe::ObservedService;
use crate::plan::Finding;
use crate::revision::{Revision, short};
use crate::rollout::failure::Failure;

/// Uncommitted changes may go to an environment that nobody guards; never past an approval or an `after`.
pub(crate) fn dirty(environment: &Environment, revision: &Revision, allowed: bool) -> Option<Finding> {
    let guarded = environment.approval || environment.after.is_some();
    (revision.dirty && guarded && !allowed).then(|| {
        Finding::new(
            Exit::Gate,
            format!("the tree has uncommitted changes, and `{}` takes only what is committed", environment.name),
            "commit or stash them, or pass --allow-dirty",
        )
    })
}

/// `aws.account` of deploy.yaml against the account of the credentials.
pub(crate) fn account(environment: &Environment, identity: &Identity) -> Option<Finding> {
    let expected = environment.account.as_ref()?;
    (*expected != identity.account).then(|| {
        Finding::new(
            Exit::Gate,
            format!(
                "these credentials are for account {}, but `{}` belongs to account {expected}",
                identity.account, environment.name
            ),
            format!("they are those of {}: switch AWS_PROFILE or the pipeline's role", identity.arn),
        )
    })
}

/// Everything about one service that keeps a deploy from doing what is meant.
pub(crate) fn service(service: &specification::Service, seen: &ObservedService) -> Vec<Finding> {
    let mut findings = standing(service, seen);
    if let Some(id) = in_flight(service, seen) {
        let mut finding = Finding::new(
            Exit::Gate,
            format!("another rollout of `{}` is in flight: {id}", service.service),
            "wait until it has ended (shipit wait), then run this again; or pass --queue, which waits",
        );
        finding.service = Some(service.name.clone());
        findings.push(finding);
    }
    findings.extend(before_deploy(service, seen));
    findings
}

/// Its container has to be there; a rollback does without it.
fn before_deploy(service: &specification::Service, seen: &ObservedService) -> Option<Finding> {
    let name = service.before_deploy.as_ref()?.container.as_ref()?;
    let definition = seen.definition()?;
    if definition.containers.iter().any(|container| container.name == *name) {
        return None;
    }
    let text = format!("the task definition has no container `{name}`, which `before_deploy` names");
    let mut finding = Finding::new(Exit::Aws, text, format!("it has {}", list(definition)));
    finding.service = Some(service.name.clone());
    Some(finding)
}

/// Nobody can ask Inspector for a scan: an image that none of its rules covers never has a result.
pub(crate) fn scan(service: &specification::Service, registry: &Registry) -> Option<Finding> {
    if !registry.enhanced || registry.covers(&service.repository) {
        return None;
    }
    let mut finding = Finding::new(
        Exit::Gate,
        format!("`scan.fail_on` waits for a scan, but no rule of enhanced scanning covers `{}`", service.repository),
        "add the repository to the registry's scanning rules, or write `scan: { fail_on: off }`",
    );
    finding.service = Some(service.name.clone());
    Some(finding)
}

/// The same but for a rollout in flight: what keeps any forced deployment from doing what is meant.
pub(crate) fn standing(service: &specification::Service, seen: &ObservedService) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |exit, text: String, hint: String| {
        let mut finding = Finding::new(exit, text, hint);
        finding.service = Some(service.name.clone());
        findings.push(finding);
    };
    if let Some(repository) = seen.repository()
        && seen.latest().is_some()
        && !repository.tag_is_mutable("latest")
    {
        say(
            Exit::Registry,
            format!("repository `{}` does not let the tag `latest` be moved", repository.name),
            "make its tags mutable, or exclude `latest` (IMMUTABLE_WITH_EXCLUSION)".to_owned(),
        );
    }
    if let Ok(found) = &seen.service {
        for (exit, text, hint) in state(service, found) {
            say(exit, text, hint);
        }
        if let Some(definition) = seen.definition() {
            for (exit, text, hint) in task_definition(service, definition, seen) {
                say(exit, text, hint);
            }
        }
    }
    findings
}

type Objection = (Exit, String, String);

/// What a rollback that is still in force means for this deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The very commit that was taken away.
    Same(Finding),
    /// Another one; deploying it ends the hold.
    Other(String),
}

/// After a rollback its commit is held (the tag `shipit:held`), so that it does not come back by accident.
pub(crate) fn held(service: &str, recorded: &BTreeMap<String, String>, revision: &Revision) -> Option<Hold> {
    let held = recorded.get(Tag::Held.key()).filter(|held| !held.is_empty())?;
    // Where the full hash was not known, its 12 digits were recorded.
    let same = revision.full() == *held || revision.short() == *held;
    if !same {
        let short = short(held);
        return Some(Hold::Other(format!(
            "{service}: {short} was rolled back here and is held; deploying {} ends the hold",
            revision.short()
        )));
    }
    let mut finding = Finding::new(
        Exit::Gate,
        format!("{} is held after a rollback of `{service}`", revision.short()),
        "deploy a commit that mends it; if this one is wanted all the same, pass --release-hold",
    );
    finding.service = Some(service.to_owned());
    Some(Hold::Same(finding))
}

/// A hold that this run leaves as it is.
pub(crate) fn stays_held(service: &str, recorded: &BTreeMap<String, String>) -> Option<String> {
    let held = recorded.get(Tag::Held.key())?;
    let runs = recorded.get(Tag::Revision.key()).map_or("what ran before", |revision| short(revision));
    Some(format!(
        "{service}: {} was rolled back here and is held, so {runs} stays; a change of its own ends the hold, and so does \
         `shipit deploy {service}` or --release-hold",
        short(held)
    ))
}

/// A hold that somebody ends on purpose, by the commit that it is on.
pub(crate) fn released(service: &str, revision: &Revision) -> String {
    format!("{service}: {} was rolled back here; deploying it again ends the hold", revision.short())
}

/// Older never over newer.
pub(crate) fn older(service: &str, order: &Order, revision: &Revision, allowed: bool) -> Option<Finding> {
    let Order::Older(running) = order else { return None };
    let finding = Finding::new(
        Exit::Gate,
        format!("{} is older than {}, which runs there", revision.short(), short(running)),
        "deploy the newer commit; to go back, `shipit rollback`, or pass --allow-older if you mean it",
    );
    (!allowed).then(|| Finding { service: Some(service.to_owned()), ..finding })
}

/// What runs was put there by hand, most likely to take a bad commit away: somebody has to choose before it comes back.
pub(crate) fn by_hand(environment: &Environment, service: &str, judgement: &Judgement) -> Option<Finding> {
    let what = judgement.by_hand.as_ref()?;
    let guarded = environment.approval || environment.after.is_some();
    let hint = format!("if it may be deployed over, name it: shipit deploy --env {} {service}", environment.name);
    let finding = Finding::new(Exit::Gate, what.clone(), hint);
    (guarded && !judgement.meant).then(|| Finding { service: Some(service.to_owned()), ..finding })
}

fn state(service: &specification::Service, found: &Service) -> Vec<Objection> {
    let name = &service.service;
    let mut objections = Vec::new();
    let status = match &found.status {
        ServiceStatus::Active => None,
        ServiceStatus::Draining => Some("DRAINING"),
        ServiceStatus::Inactive => Some("INACTIVE"),
        ServiceStatus::Other(other) => Some(other.as_str()),
    };
    if let Some(status) = status {
        let text = format!("service `{name}` is {status}, not ACTIVE");
        objections.push((Exit::Aws, text, "create it again, or correct `service` in deploy.yaml".to_owned()));
        return objections;
    }
    let other = match found.controller {
        Controller::Ecs => None,
        Controller::CodeDeploy => Some("CODE_DEPLOY"),
        Controller::External => Some("EXTERNAL"),
    };
    if let Some(controller) = other {
        let text =
            format!("service `{name}` has the {controller} deployment controller, which takes no forced deployment");
        objections.push((Exit::Aws, text, "shipit rolls services of the ECS deployment controller".to_owned()));
        return objections;
    }
    objections
}

/// The rollout in flight that a deploy must not trample. One that only fails is none: it will not end by itself, and
/// what is being deployed may be its cure.
pub(crate) fn in_flight(service: &specification::Service, seen: &ObservedService) -> Option<String> {
    let found = seen.service.as_ref().ok().filter(|found| takes_force(found))?;
    let id = moving(found)?;
    (!only_fails(found, seen, service)).then_some(id)
}

fn takes_force(found: &Service) -> bool {
    found.controller == Controller::Ecs && matches!(found.status, ServiceStatus::Active)
}

/// The PRIMARY deployment, while its rollout is under way.
pub(crate) fn moving(found: &Service) -> Option<String> {
    let primary = found.primary()?;
    let draining = found.deployments.iter().any(|other| other.status == DeploymentStatus::Active && other.running > 0);
    let moving = match primary.rollout {
        Some(RolloutState::InProgress) => true,
        Some(RolloutState::Completed | RolloutState::Failed) => false,
        None => draining || primary.running != primary.desired,
    };
    moving.then(|| primary.id.clone())
}

/// By ECS's own count: it comes to no end by itself.
pub(crate) fn fails(found: &Service) -> bool {
    found.primary().is_some_and(|primary| primary.running < primary.desired && primary.failed >= 2)
}

pub(crate) fn only_fails(found: &Service, seen: &ObservedService, service: &specification::Service) -> bool {
    if fails(found) {
        return true;
    }
    let Some(primary) = found.primary() else { return false };
    let stopped = seen.stopped.as_ref().and_then(|read| read.as_ref().ok());
    primary.running < primary.desired && stopped.is_some_and(|stopped| dies(found, stopped, service))
}

/// Tasks of the PRIMARY deployment ended by themselves, and more than once.
pub(crate) fn dies(found: &Service, stopped: &[Task], service: &specification::Service) -> bool {
    let Some(primary) = found.primary() else { return false };
    let container = service.container.as_deref().unwrap_or(&service.name);
    let ours = stopped.iter().filter(|task| task.started_by.as_deref() == Some(&primary.id));
    ours.filter(|task| Failure::of(task, container).is_some()).count() >= 2
}

fn task_definition(
    service: &specification::Service,
    definition: &TaskDefinition,
    seen: &ObservedService,
) -> Vec<Objection> {
    let mut objections = Vec::new();
    if definition.os != "LINUX" || definition.architecture != service.platform.ecs_architecture() {
        objections.push((
            Exit::Gate,
            format!(
                "the task definition runs on {}/{}, but the image is built for {}",
                definition.os, definition.architecture, service.platform
            ),
            "set `platform` in deploy.yaml, or the task definition's runtimePlatform".to_owned(),
        ));
    }
    let Some(repository) = seen.repository() else { return objections };
    let wanted = format!("{}:latest", repository.uri);
    let named = service.container.as_ref();
    let container = match named {
        Some(name) => definition.containers.iter().find(|container| container.name == *name),
        None => definition.containers.iter().find(|container| is_of(&container.image, &repository.uri)),
    };
    match (container, named) {
        (None, Some(name)) => objections.push((
            Exit::Aws,
            format!("the task definition has no container `{name}`"),
            format!("it has {}", list(definition)),
        )),
        (None, None) => objections.push((
            Exit::Aws,
            format!("no container of the task definition has an image of {}", repository.uri),
            format!("it has {}; a forced deployment picks up {wanted} only", list(definition)),
        )),
        (Some(container), _) if container.image != wanted && container.image != repository.uri => {
            objections.push((
                Exit::Aws,
                format!(
                    "container `{}` runs {}, so a new {wanted} would never be picked up",
                    container.name, container.image
                ),
                format!("register a task definition whose image is {wanted}"),
            ));
        }
        _ => {}
    }
    objections
}

/// The container that runs the image: the one that deploy.yaml names, or the one whose image is the repository's.
pub(crate) fn container(service: &specification::Service, seen: &ObservedService) -> Option<String> {
    let Some(definition) = seen.definition() else {
        let tasks = seen.running.as_ref()?.as_ref().ok()?;
        return container_of_tasks(service.container.as_deref(), &service.repository, tasks);
    };
    if let Some(name) = &service.container {
        return definition.containers.iter().find(|container| container.name == *name).map(|found| found.name.clone());
    }
    let uri = &seen.repository()?.uri;
    definition.containers.iter().find(|container| is_of(&container.image, uri)).map(|found| found.name.clone())
}

/// The same by what the tasks show, where nobody has read the task definition. Of several nobody can tell which it is.
fn container_of_tasks(named: Option<&str>, repository: &str, tasks: &[Task]) -> Option<String> {
    let is_it = |container: &&Container| match named {
        Some(name) => container.name == name,
        None => repository_of(&container.image) == Some(repository),
    };
    let shown = tasks.iter().flat_map(|task| &task.containers).filter(is_it);
    let names: BTreeSet<&str> = shown.map(|container| container.name.as_str()).collect();
    if names.len() == 1 { names.first().map(|name| (*name).to_owned()) } else { None }
}

/// `NAME` of `HOST/NAME:TAG`, `HOST/NAME@DIGEST` or both.
fn repository_of(image: &str) -> Option<&str> {
    let (_, path) = image.split_once('/')?;
    path.split([':', '@']).next()
}

/// What is worth a word but in nobody's way.
pub(crate) fn service_warnings(service: &specification::Service, seen: &ObservedService) -> Vec<String> {
    let mut warnings = Vec::new();
    let name = &service.name;
    if let Ok(found) = &seen.service {
        if found.desired == 0 {
            warnings.push(format!("{name}: the desired count is 0, so nothing will run and nothing can be proven"));
        }
        if let Some(primary) = found.primary()
            && primary.rollout == Some(RolloutState::InProgress)
            && only_fails(found, seen, service)
        {
            warnings.push(format!("{name}: the rollout {} only fails and will be replaced", primary.id));
        }
    }
    if let Some(definition) = seen.definition()
        && let Some(container) = container(service, seen)
        && definition.containers.iter().any(|found| found.name == container && !found.version_consistency)
    {
        warnings.push(format!(
            "{name}: versionConsistency is disabled, so tasks of one deployment may run different digests"
        ));
    }
    warnings
}

/// Whether an image reference is of that repository, whatever its tag or digest.
fn is_of(image: &str, uri: &str) -> bool {
    image.strip_prefix(uri).is_some_and(|rest| rest.is_empty() || rest.starts_with(':') || rest.starts_with('@'))
}

fn list(definition: &TaskDefinition) -> String {
    let all = definition.containers.iter().map(|container| format!("`{}` ({})", container.name, container.image));
    all.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{Hold, container_of_tasks, held, repository_of};
    use crate::aws::ecs::{Container, Tag, Task};
    use crate::exit::Exit;
    use crate::revision::Revision;
    use std::collections::BTreeMap;

    #[test]
    fn tasks_show_their_container_where_only_one_can_be_meant() {
        let task = |containers: &[(&str, &str)]| {
            let container = |(name, image): &(&str, &str)| Container {
                name: (*name).to_owned(),
                image: (*image).to_owned(),
                ..Container::default()
            };
            Task { containers: containers.iter().map(container).collect(), ..Task::default() }
        };
        let plain = task(&[("api", "r/api-dev:latest"), ("proxy", "r/proxy:1")]);
        let twins = task(&[("api", "r/api-dev:latest"), ("worker", "r/api-dev@sha256:0")]);
        let found = |named, tasks: &[Task]| container_of_tasks(named, "api-dev", tasks);
        assert_eq!(found(None, &[plain.clone(), plain.clone()]).as_deref(), Some("api"));
        assert_eq!(found(Some("proxy"), std::slice::from_ref(&plain)).as_deref(), Some("proxy"));
        assert_eq!(found(Some("other"), std::slice::from_ref(&plain)), None);
        // Which of two runs `latest` is for the task definition to say.
        assert_eq!(found(None, &[plain, twins.clone()]), None);
        assert_eq!(found(Some("worker"), &[twins]).as_deref(), Some("worker"));
        assert_eq!(found(None, &[]), None);
    }

    #[test]
    fn an_image_names_its_repository() {
        let host = "123456789012.dkr.ecr.ap-south-1.amazonaws.com";
        for (image, repository) in [
            (format!("{host}/api-dev:latest"), Some("api-dev")),
            (format!("{host}/team/api"), Some("team/api")),
            (format!("{host}/api@sha256:0"), Some("api")),
            ("127.0.0.1:5000/api:latest@sha256:0".to_owned(), Some("api")),
            ("api:latest".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(repository_of(&image), repository, "{image}");
        }
    }

    #[test]
    fn a_hold_is_on_one_commit_and_ends_with_the_next() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let revision = Revision { commit: commit.to_owned(), dirty: false, subject: None, author: None };
        let judged = |tag: &str| {
            let tags = BTreeMap::from([(Tag::Held.key().to_owned(), tag.to_owned())]);
            held("api", &tags, &revision)
        };
        for same in [commit, &commit[..12]] {
            match judged(same) {
                Some(Hold::Same(finding)) => {
                    assert_eq!((finding.exit_code, finding.service.as_deref()), (Exit::Gate, Some("api")));
                    assert!(finding.hint.expect("a hint").contains("--release-hold"));
                }
                other => panic!("{same}: {other:?}"),
            }
        }
        for other in ["fedcba9876543210fedcba9876543210fedcba98", &format!("{commit}-dirty")] {
            assert!(matches!(judged(other), Some(Hold::Other(text)) if text.contains("ends the hold")), "{other}");
        }
        assert_eq!(judged(""), None);
        assert_eq!(held("api", &BTreeMap::new(), &revision), None, "without tags nothing is held");
    }
}
