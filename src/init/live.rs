//! What runs in an ECS cluster: its services, their containers and repositories. Read only; the Dockerfiles here are
//! matched with it by repository or by name.

use futures_util::future::join_all;

use super::draft::{Draft, ServiceDraft};
use super::evidence::{Basis, Note};
use super::scope::ENV;
use super::spread::Spread;
use crate::aws::identity::identity;
use crate::aws::{Clients, Settings, ecs};
use crate::config::{self, ResolveInput, SecretsMode, grammar};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::vars::Vars;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    pub(super) cluster: String,
    pub(super) account: String,
    pub(super) region: String,
    pub(super) services: Vec<LiveService>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LiveService {
    pub(super) name: String,
    /// The containers whose image is in ECR.
    pub(super) containers: Vec<LiveContainer>,
    /// Why shipit cannot roll it, where it cannot.
    pub(super) objection: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LiveContainer {
    pub(super) name: String,
    pub(super) repository: String,
    pub(super) tag: String,
}

/// Asks ECS for everything in the cluster. `region`: where nothing else says it, the SDK's chain does.
///
/// # Errors
/// AWS cannot be reached or refuses, or the cluster is empty ([`Exit::Aws`]).
pub(crate) async fn read(cluster: &str, region: Option<&str>, vars: &Vars) -> Result<Live> {
    grammar::ecs_name(cluster).map_err(|wrong| Error::new(Exit::Usage, format!("`--from-ecs {cluster}` {wrong}")))?;
    let clients = connect(region, vars).await?;
    let identity = identity(&clients).await?;
    let names = ecs::list_services(&clients, cluster).await?;
    if names.is_empty() {
        return Err(Error::new(Exit::Aws, format!("the cluster `{cluster}` has no service in {}", clients.region))
            .hint("check the cluster's name and the region"));
    }
    let read = names.iter().map(|name| service(&clients, cluster, name));
    let services = join_all(read).await.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(Live { cluster: cluster.to_owned(), account: identity.account, region: clients.region.clone(), services })
}

/// The clients of an environment that is not written anywhere yet.
async fn connect(region: Option<&str>, vars: &Vars) -> Result<Clients> {
    let aws = region.map_or(String::new(), |region| format!("aws: {{ region: {region} }}\n"));
    let text =
        format!("version: 1\n{aws}environments: {{ x: {{ branch: x }} }}\nservices: {{ x: {{ repository: xx }} }}\n");
    let manifest = config::load_text(&text, std::path::Path::new("."))?;
    let input = ResolveInput {
        environment: "x",
        branch: None,
        commit: None,
        services: &[],
        vars,
        secrets: SecretsMode::Optional,
    };
    let environment = manifest.resolve(&input)?.environment;
    // Its only error is that nobody names a region, and its hint speaks of a file that is not there yet.
    Clients::connect(&environment, &Settings::of(vars)).await.map_err(|error| {
        Error::new(error.exit(), error.message())
            .hint("set AWS_REGION, or name a profile that has a region with AWS_PROFILE")
    })
}

async fn service(clients: &Clients, cluster: &str, name: &str) -> Result<LiveService> {
    let found = ecs::describe(clients, cluster, name).await?;
    let definition = match found.task_definition.is_empty() {
        true => None,
        false => Some(ecs::describe_task_definition(clients, &found.task_definition).await?),
    };
    let containers = definition.iter().flat_map(|definition| &definition.containers);
    let objection = match (found.controller, &found.status) {
        (ecs::Controller::CodeDeploy, _) => Some("it has the CODE_DEPLOY controller"),
        (ecs::Controller::External, _) => Some("it has the EXTERNAL controller"),
        (_, ecs::ServiceStatus::Active) => None,
        _ => Some("it is not ACTIVE"),
    };
    Ok(LiveService {
        name: name.to_owned(),
        containers: containers.filter_map(|container| image(&container.name, &container.image)).collect(),
        objection,
    })
}

/// `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG`. The stand-in's registry has another host; a path without a dot in its
/// first part is no registry.
fn image(container: &str, image: &str) -> Option<LiveContainer> {
    let (host, path) = image.split_once('/')?;
    if !(host.contains(".dkr.ecr.") || host.starts_with("127.0.0.1:") || host.starts_with("localhost:")) {
        return None;
    }
    let path = path.split('@').next().unwrap_or(path);
    let (repository, tag) = path.split_once(':').unwrap_or((path, "latest"));
    grammar::repository(repository).ok()?;
    Some(LiveContainer { name: container.to_owned(), repository: repository.to_owned(), tag: tag.to_owned() })
}

/// The environment that a cluster of that name is.
pub(super) fn environment_of(cluster: &str, known: &[String]) -> String {
    let parts: Vec<String> = cluster.split(['-', '_']).map(str::to_lowercase).collect();
    let said = known.iter().find(|name| parts.contains(&name.to_lowercase()));
    let usual = ["dev", "beta", "staging", "sandbox", "prod", "production", "test", "qa"];
    said.cloned().unwrap_or_else(|| {
        let usual = usual.iter().find(|name| parts.iter().any(|part| part == *name));
        usual.map_or_else(|| cluster.to_owned(), |name| (*name).to_owned())
    })
}

/// Takes over what runs, for that environment. What a file says of the others stays.
pub(super) fn apply(draft: &mut Draft, live: &Live, environment: &str, notes: &mut Vec<Note>) {
    let at = format!("ECS cluster {}", live.cluster);
    let found = |what: String| Note { basis: Basis::Found, what, place: Some(at.clone()) };
    notes.push(found(format!("the cluster is `{environment}`, in account {} and {}", live.account, live.region)));
    draft.region.get_or_insert_with(|| live.region.clone());
    match &draft.account {
        None => {
            draft.account = Some(live.account.clone());
            notes.retain(|note| {
                !(note.basis == Basis::Decide
                    && (note.what.contains("aws.account") || note.what.contains("aws.region")))
            });
        }
        Some(account) if *account != live.account => notes.push(Note::decide(format!(
            "the files say account {account}, but the cluster is in {}: correct `aws.account`",
            live.account
        ))),
        Some(_) => {}
    }
    let mut taken: Vec<String> = Vec::new();
    for service in &live.services {
        let left_out = |why: &str| Note {
            basis: Basis::LeftOut,
            what: format!("the ECS service `{}`: {why}", service.name),
            place: Some(at.clone()),
        };
        if let Some(objection) = service.objection {
            notes.push(left_out(objection));
            continue;
        }
        let only = live.services.len() == 1 && draft.services.len() == 1;
        let Some(position) =
            position(draft, service, environment, only).filter(|at| !taken.contains(&draft.services[*at].name))
        else {
            notes.push(left_out("no Dockerfile here is called like it or like its repository"));
            continue;
        };
        let draft = &mut draft.services[position];
        taken.push(draft.name.clone());
        notes.retain(|note| !(note.basis == Basis::Guessed && note.what.starts_with(&format!("`{}` ", draft.name))));
        take(draft, service, &live.cluster, environment, notes, &found);
    }
}

/// The draft that a service belongs to: by a repository, by its name, or because there is no other.
fn position(draft: &Draft, service: &LiveService, environment: &str, only: bool) -> Option<usize> {
    let in_environment = |spread: &Spread| {
        let own = spread.own.iter().find(|(name, _)| name == environment).map(|(_, value)| value.clone());
        own.unwrap_or_else(|| spread.common.replace(ENV, environment))
    };
    let by_repository = |one: &ServiceDraft| {
        service.containers.iter().any(|container| container.repository == in_environment(&one.repository))
    };
    let alike = |one: &ServiceDraft| {
        let stems =
            service.containers.iter().map(|container| container.repository.as_str()).chain([service.name.as_str()]);
        stems.into_iter().any(|name| {
            Spread::of(&[(environment.to_owned(), name.to_owned())]).is_some_and(|spread| spread.stem() == one.name)
        })
    };
    draft.services.iter().position(by_repository).or_else(|| draft.services.iter().position(alike)).or(if only {
        Some(0)
    } else {
        None
    })
}

fn take(
    draft: &mut ServiceDraft,
    service: &LiveService,
    cluster: &str,
    environment: &str,
    notes: &mut Vec<Note>,
    found: &dyn Fn(String) -> Note,
) {
    let name = draft.name.clone();
    notes.push(found(format!("`{name}` is the ECS service `{}`", service.name)));
    let differs = |spread: &mut Option<Spread>, default: &str, value: &str| {
        // Where nothing else is known, the other environments are taken to be called likewise.
        let like_this = || Spread::of(&[(environment.to_owned(), value.to_owned())]);
        let mut known = spread.take().or_else(like_this).unwrap_or_else(|| Spread::same(value));
        known.set(environment, value);
        *spread = (known != Spread::same(default)).then_some(known);
    };
    differs(&mut draft.cluster, ENV, cluster);
    differs(&mut draft.service, &name, &service.name);
    let fits = |container: &&LiveContainer| {
        draft.repository.own.iter().any(|(_, own)| *own == container.repository)
            || draft.repository.common.replace(ENV, environment) == container.repository
    };
    let container = service.containers.iter().find(fits).or_else(|| service.containers.first());
    let Some(container) = container else {
        notes.push(Note::decide(format!(
            "no container of `{}` has an image in ECR: shipit rolls `REPOSITORY:latest`",
            service.name
        )));
        return;
    };
    if draft.repository_guessed {
        draft.repository = Spread::of(&[(environment.to_owned(), container.repository.clone())])
            .unwrap_or_else(|| Spread::same(&container.repository));
        draft.repository_guessed = false;
    } else {
        draft.repository.set(environment, &container.repository);
    }
    notes.push(found(format!("`{name}` goes to the repository `{}` in {environment}", container.repository)));
    if container.tag != "latest" {
        notes.push(Note::decide(format!(
            "the task definition of `{}` takes the tag `{}`: register one with {}:latest, which shipit moves",
            service.name, container.tag, container.repository
        )));
    }
    if service.containers.len() > 1 {
        draft.container = Some(container.name.clone());
        notes.push(found(format!("`{name}` is its container `{}`", container.name)));
    }
}

#[cfg(test)]
mod tests {
    use super::{environment_of, image};

    #[test]
    fn images_of_ecr_and_no_others() {
        let found = image("app", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/api:v1").unwrap();
        assert_eq!((found.repository.as_str(), found.tag.as_str()), ("team/api", "v1"));
        let digest = image("app", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/api@sha256:00").unwrap();
        assert_eq!((digest.repository.as_str(), digest.tag.as_str()), ("api", "latest"));
        assert_eq!(image("x", "public.ecr.aws/docker/library/nginx:1"), None);
        assert_eq!(image("x", "nginx"), None);
    }

    #[test]
    fn a_cluster_says_its_environment() {
        let known = ["sandbox".to_owned(), "live".to_owned()];
        for (cluster, expected) in
            [("acme-sandbox", "sandbox"), ("Live", "live"), ("prod-cluster", "prod"), ("acme", "acme")]
        {
            assert_eq!(environment_of(cluster, &known), expected);
        }
    }
}
