//! The services of a project: each Dockerfile that is one, with what a script or a Compose file says about it.

use super::compose::{ComposeService, join};
use super::dockerfile::{Dockerfile, is_variant};
use super::draft::ServiceDraft;
use super::evidence::{Note, Place, Sourced};
use super::lines::Build;
use super::rolls;
use super::scope::{ENV, Scope};
use super::script::{Role, Script};
use super::shell;
use super::spread::Spread;
use super::survey::{Survey, base_name};
use crate::config::grammar;

/// In the order of the Dockerfiles' paths, what a script deploys first.
pub(super) fn infer(survey: &Survey, environments: &[String], notes: &mut Vec<Note>) -> Vec<ServiceDraft> {
    let mut services: Vec<ServiceDraft> = Vec::new();
    let mut taken: Vec<&str> = Vec::new();
    for script in &survey.scripts {
        let Some(build) = script.build() else { continue };
        let Some(dockerfile) = dockerfile_of(survey, script, build, notes) else { continue };
        if taken.contains(&dockerfile.path.as_str()) {
            notes.push(Note::left_out(format!("{} builds {} too", script.path, dockerfile.path), &build.at));
            continue;
        }
        taken.push(&dockerfile.path);
        let service = of_script(survey, script, build, dockerfile, environments, notes);
        push(&mut services, service, notes);
    }
    for dockerfile in survey.dockerfiles.iter().filter(|dockerfile| !taken.contains(&dockerfile.path.as_str())) {
        let compose = survey.compose.iter().find(|service| service.dockerfile == dockerfile.path);
        let service = of_dockerfile(survey, dockerfile, compose, notes);
        push(&mut services, service, notes);
    }
    let mut unsaid = rolls::Unsaid::default();
    for service in &mut services {
        rolls::apply(survey, environments, service, &mut unsaid, notes);
    }
    unsaid.told(notes);
    services
}

/// Two services cannot have one name.
fn push(services: &mut Vec<ServiceDraft>, mut service: ServiceDraft, notes: &mut Vec<Note>) {
    let wanted = service.name.clone();
    let mut number = 2;
    while services.iter().any(|known| known.name == service.name) {
        service.name = format!("{wanted}-{number}");
        number += 1;
    }
    if service.name != wanted {
        if service.repository_guessed {
            service.repository = Spread::same(format!("{}-{ENV}", service.name));
        }
        notes.push(Note::guessed(format!("a second `{wanted}` is called `{}`", service.name)));
    }
    services.push(service);
}

/// The Dockerfile that a script builds: the one it names, or the only one there is.
fn dockerfile_of<'s>(
    survey: &'s Survey,
    script: &Script,
    build: &Sourced<Build>,
    notes: &mut Vec<Note>,
) -> Option<&'s Dockerfile> {
    let context = context_of(script, &build.value).unwrap_or_else(|| ".".to_owned());
    let named = build.value.dockerfile.as_deref().and_then(|path| script.scope.resolve(path));
    let wanted = named.and_then(|path| join("", &path)).or_else(|| join(&context, "Dockerfile"));
    if let Some(found) = survey.dockerfiles.iter().find(|one| Some(&one.path) == wanted.as_ref()) {
        return Some(found);
    }
    if let [only] = survey.dockerfiles.as_slice() {
        notes.push(Note::guessed(format!("{} builds {}, the only Dockerfile", script.path, only.path)));
        Some(only)
    } else {
        let wanted = wanted.unwrap_or_else(|| "a Dockerfile".to_owned());
        notes.push(Note::left_out(format!("{} builds {wanted}, which is not there", script.path), &build.at));
        None
    }
}

fn context_of(script: &Script, build: &Build) -> Option<String> {
    let written = script.scope.resolve(build.context.as_deref()?)?;
    join("", &written).map(|path| if path.is_empty() { ".".to_owned() } else { path })
}

fn of_script(
    survey: &Survey,
    script: &Script,
    build: &Sourced<Build>,
    dockerfile: &Dockerfile,
    environments: &[String],
    notes: &mut Vec<Note>,
) -> ServiceDraft {
    let at = &build.at;
    let (repository, repository_at) = repository(script, environments);
    let name = name_of(survey, dockerfile, repository.as_ref().map(Spread::stem));
    notes.push(Note::found(format!("service `{name}` is built from {}", dockerfile.path), at));
    let context = context_of(script, &build.value)
        .filter(|context| survey.folder.join(context).is_dir())
        .unwrap_or_else(|| dockerfile.context(&survey.folder));
    let mut service = bare(&name, &context, dockerfile);
    if let Some(repository) = repository {
        for (environment, own) in &repository.own {
            notes.push(
                Note::found(format!("`{name}` goes to the repository `{own}` in {environment}"), at)
                    .with_place(place_of(script, environment).as_ref().or(repository_at.as_ref())),
            );
        }
        notes.push(
            Note::found(format!("`{name}` goes to the repository `{}`", repository.common), at)
                .with_place(repository_at.as_ref()),
        );
        service.repository = repository;
        service.repository_guessed = false;
    }
    if let Some(target) = build.value.target.as_deref().and_then(|target| script.scope.resolve(target)) {
        service.target = Some(target);
    }
    match build.value.platform.as_deref().and_then(|platform| script.scope.resolve(platform)).as_deref() {
        Some("linux/amd64") => notes.push(Note::found("linux/amd64, which is the default", at)),
        Some("linux/arm64") => {
            notes.push(Note::found("linux/arm64", at));
            service.platform = Some("linux/arm64".to_owned());
        }
        Some(other) => notes
            .push(Note::left_out(format!("the platform {other}: shipit builds for linux/amd64 or linux/arm64"), at)),
        None => {}
    }
    secrets(script, &mut service, notes);
    for (argument, value) in &build.value.args {
        build_arg(&mut service, argument, value.as_deref(), &script.scope, at, notes);
    }
    for mount in build.value.secrets.iter().chain(&dockerfile.mounts) {
        mount_secret(&mut service, mount, &Survey::place(dockerfile), notes);
    }
    paths(survey, script, &mut service, notes);
    service
}

fn secrets(script: &Script, service: &mut ServiceDraft, notes: &mut Vec<Note>) {
    for secret in script.secrets.iter().filter(|secret| grammar::secret(&secret.value).is_ok()) {
        service.secrets.push(secret.value.clone());
    }
    if let Some(first) = script.secrets.first() {
        let variables = if script.bare { "the bare names in every environment" } else { "DEV_… in dev" };
        let count = match script.secrets.len() {
            1 => "1 secret has".to_owned(),
            many => format!("{many} secrets have"),
        };
        notes.push(Note::found(format!("{count} to be set: {} ({variables})", service.secrets.join(", ")), &first.at));
    }
}

/// A build argument of the script in deploy.yaml's words.
fn build_arg(
    service: &mut ServiceDraft,
    name: &str,
    value: Option<&str>,
    scope: &Scope,
    at: &Place,
    notes: &mut Vec<Note>,
) {
    if grammar::build_arg(name).is_err() {
        notes.push(Note::left_out(
            format!("the build argument `{name}` has no name that can be told from the script"),
            at,
        ));
        return;
    }
    let value = value.map_or_else(|| format!("${name}"), str::to_owned);
    let mentioned = service.secrets.iter().filter(|secret| mentions(&value, secret)).max_by_key(|secret| secret.len());
    let written = if let Some(secret) = mentioned {
        notes.push(Note::found(format!("build argument {name} is the secret {secret}"), at));
        format!("${{{secret}}}")
    } else if is_commit(&value) {
        notes.push(Note::found(format!("build argument {name} is the commit"), at));
        "${commit}".to_owned()
    } else if let Some(known) = scope.resolve(&value) {
        notes.push(Note::found(format!("build argument {name}"), at));
        // What looks like `${…}` and is not the environment would be read as ours.
        known.replace("${", "$${").replace(&format!("${ENV}"), ENV)
    } else {
        let secret = shell::variable(&value).unwrap_or(name).to_owned();
        if grammar::secret(&secret).is_err() {
            notes.push(Note::left_out(format!("build argument {name}: its value cannot be told from the script"), at));
            return;
        }
        notes.push(
            Note::decide(format!(
                "build argument {name} takes a variable: it is the secret {secret}, set for each environment"
            ))
            .with_place(Some(at)),
        );
        if !service.secrets.contains(&secret) {
            service.secrets.push(secret.clone());
        }
        format!("${{{secret}}}")
    };
    service.build_args.retain(|(known, _)| known != name);
    service.build_args.push((name.to_owned(), written));
}

/// Whether the value names that secret: `$DB_HOST`, `${!env^^}_DB_HOST`, `$DEV_DB_HOST`.
fn mentions(value: &str, secret: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
    value.contains('$')
        && value.match_indices(secret).any(|(at, _)| {
            let (before, after) = (&value[..at], &value[at + secret.len()..]);
            edge(before.chars().next_back()) && edge(after.chars().next()) && !after.starts_with('_')
        })
}

fn is_commit(value: &str) -> bool {
    let known = ["rev-parse", "BITBUCKET_COMMIT", "GITHUB_SHA", "CI_COMMIT_SHA", "CI_COMMIT_SHORT_SHA", "github.sha"];
    known.iter().any(|word| value.contains(word))
}

fn mount_secret(service: &mut ServiceDraft, id: &str, at: &Place, notes: &mut Vec<Note>) {
    if grammar::secret(id).is_err() || service.build_secrets.iter().any(|known| known == id) {
        return;
    }
    notes.push(Note::found(format!("`{}` mounts the secret {id} while it is built", service.name), at));
    if !service.secrets.iter().any(|known| known == id) {
        service.secrets.push(id.to_owned());
    }
    service.build_secrets.push(id.to_owned());
}

/// The patterns of the steps that call the script.
fn paths(survey: &Survey, script: &Script, service: &mut ServiceDraft, notes: &mut Vec<Note>) {
    let calls = |step: &super::pipeline::Step| step.calls.iter().any(|call| call.name == base_name(&script.path));
    for pipeline in &survey.pipelines {
        let Some(step) = pipeline.steps.iter().find(|step| calls(step) && !step.paths.is_empty()) else { continue };
        service.paths =
            step.paths.iter().filter(|path| !path.trim().is_empty() && !path.contains("${")).cloned().collect();
        let at = Place::at(&pipeline.path, step.line);
        notes.push(Note::found(format!("`{}` concerns {}", service.name, service.paths.join(", ")), &at));
        return;
    }
}

/// By the arms of the script, or by one line for all environments.
fn repository(script: &Script, environments: &[String]) -> (Option<Spread>, Option<Place>) {
    let arms: Vec<&super::script::PerEnvironment> = script
        .values
        .iter()
        .filter(|value| value.role == Role::Repository && environments.contains(&value.environment))
        .collect();
    let mut values: Vec<(String, String)> = Vec::new();
    for value in &arms {
        let name = plain(&value.value);
        // The first of an arm: a second one usually is made of it.
        if grammar::repository(&name).is_ok() && !values.iter().any(|(known, _)| *known == value.environment) {
            values.push((value.environment.clone(), name));
        }
    }
    if let Some(spread) = Spread::of(&values) {
        return (Some(spread), arms.first().map(|value| value.at.clone()));
    }
    let named = script.said.repositories.iter().map(|found| (found.value.as_str(), &found.at));
    let tags = script.said.builds.iter().flat_map(|build| build.value.tags.iter().map(|tag| (tag.as_str(), &build.at)));
    for (written, at) in named.chain(tags) {
        let Some(resolved) = script.scope.resolve(written) else { continue };
        let name = plain(&resolved);
        if grammar::repository(&name.replace(ENV, "x")).is_ok() {
            return (Some(Spread::same(name)), Some(at.clone()));
        }
    }
    (None, None)
}

fn place_of(script: &Script, environment: &str) -> Option<Place> {
    let arm =
        |value: &&super::script::PerEnvironment| value.role == Role::Repository && value.environment == environment;
    script.values.iter().find(arm).map(|value| value.at.clone())
}

/// The repository without the registry in front of it and the tag behind it.
fn plain(value: &str) -> String {
    let behind = value.split_once(".amazonaws.com/").map_or(value, |(_, rest)| rest);
    // The colon of `${env:-dev}` is gone by now: only that of a tag is left.
    behind.split(['@', ':']).next().unwrap_or_default().to_owned()
}

fn of_dockerfile(
    survey: &Survey,
    dockerfile: &Dockerfile,
    compose: Option<&ComposeService>,
    notes: &mut Vec<Note>,
) -> ServiceDraft {
    let name = name_of(survey, dockerfile, compose.map(|service| service.name.as_str()));
    let context = compose.map_or_else(|| dockerfile.context(&survey.folder), |service| service.context.clone());
    let mut service = bare(&name, &context, dockerfile);
    service.target = compose.and_then(|service| service.target.clone());
    match compose {
        Some(compose) => {
            notes.push(Note::found(format!("service `{name}` is built from {}", dockerfile.path), &compose.at));
        }
        None => notes.push(Note::found(format!("service `{name}`"), &Survey::place(dockerfile))),
    }
    for mount in &dockerfile.mounts {
        mount_secret(&mut service, mount, &Survey::place(dockerfile), notes);
    }
    service
}

/// With every default, and a repository that follows the name.
fn bare(name: &str, context: &str, dockerfile: &Dockerfile) -> ServiceDraft {
    ServiceDraft {
        name: name.to_owned(),
        context: context.to_owned(),
        dockerfile: relative(context, &dockerfile.path),
        target: None,
        platform: None,
        secrets: Vec::new(),
        build_args: Vec::new(),
        build_secrets: Vec::new(),
        paths: Vec::new(),
        repository: Spread::same(format!("{name}-{ENV}")),
        repository_guessed: true,
        cluster: None,
        service: None,
        container: None,
    }
}

/// The path as seen from the context.
fn relative(context: &str, path: &str) -> String {
    let context = context.trim_matches('/');
    if context.is_empty() || context == "." {
        return path.to_owned();
    }
    match path.strip_prefix(context).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) => rest.to_owned(),
        None => format!("{}{path}", "../".repeat(context.split('/').count())),
    }
}

/// A name that environments, repositories and ECS all take: what is suggested, the Dockerfile's own, or its folder's.
fn name_of(survey: &Survey, dockerfile: &Dockerfile, suggested: Option<&str>) -> String {
    let file = base_name(&dockerfile.path);
    let of_file = file.strip_prefix("Dockerfile.").or_else(|| file.strip_suffix(".Dockerfile"));
    // `Dockerfile.prod` says how it is built, and not what.
    let of_file = of_file.filter(|_| !is_variant(file));
    let generic = ["docker", "build", "deploy", "src", "app"];
    let folder = dockerfile.folder().split('/').rev().find(|part| !part.is_empty() && !generic.contains(part));
    let project = survey.folder.file_name().and_then(|name| name.to_str());
    let candidates = [suggested, of_file, folder, project, Some("app")];
    candidates.into_iter().flatten().map(tidy).find(|name| name.len() >= 2).unwrap_or_else(|| "app".to_owned())
}

/// Lower-case letters and digits, joined by single `-`.
fn tidy(name: &str) -> String {
    let lower = name.to_lowercase();
    let parts = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::{mentions, plain, relative, tidy};

    #[test]
    fn names_and_paths() {
        assert_eq!(
            (tidy("My_App.v2"), tidy(".tmpAb1"), tidy("é")),
            ("my-app-v2".into(), "tmpab1".into(), String::new())
        );
        assert_eq!(
            (relative(".", "a/Dockerfile"), relative("a", "a/Dockerfile")),
            ("a/Dockerfile".into(), "Dockerfile".into())
        );
        assert_eq!(relative("a/b", "docker/x"), "../../docker/x");
        assert_eq!(plain("1.dkr.ecr.eu-west-1.amazonaws.com/team/api:latest"), "team/api");
    }

    #[test]
    fn a_secret_is_recognised_in_what_a_script_makes_of_it() {
        for (value, expected) in [
            ("${!env^^}_DB_HOST", true),
            ("$DB_HOST", true),
            ("${DEV_DB_HOST}", true),
            ("$DB_HOST_2", false),
            ("DB_HOST", false),
            ("$XDB_HOST", false),
        ] {
            assert_eq!(mentions(value, "DB_HOST"), expected, "{value}");
        }
    }
}
