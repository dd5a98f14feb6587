//! Which cluster and which ECS service a project's service has, by the lines that force a deployment today.

use super::draft::ServiceDraft;
use super::environments::of_step;
use super::evidence::{Note, Place};
use super::helper::Name;
use super::scope::ENV;
use super::script::Role;
use super::spread::Spread;
use super::survey::{Survey, base_name};
use crate::config::grammar;

/// What is known of one of the two, environment by environment.
#[derive(Default)]
struct Known {
    values: Vec<(String, String)>,
    at: Option<Place>,
}

impl Known {
    fn add(&mut self, environment: &str, value: &str, at: &Place) {
        let value = value.replace(ENV, environment);
        if grammar::ecs_name(&value).is_ok() && !self.values.iter().any(|(known, _)| known == environment) {
            self.values.push((environment.to_owned(), value));
            self.at.get_or_insert_with(|| at.clone());
        }
    }
}

/// The services of which nothing says what they are called: by name.
#[derive(Debug, Default)]
pub(super) struct Unsaid {
    repositories: Vec<String>,
    clusters: Vec<String>,
    services: Vec<String>,
}

/// As many are told one by one.
const FEW: usize = 3;

impl Unsaid {
    /// A line for each, or one for many: sixty lines of defaults would hide what is left to decide.
    pub(super) fn told(&self, notes: &mut Vec<Note>) {
        let mut tell = |names: &[String], one: fn(&str) -> String, many: String| match names.len() {
            0..=FEW => notes.extend(names.iter().map(|name| Note::guessed(one(name)))),
            count => notes.push(Note::guessed(format!("{count} services {many}: {}", names.join(", ")))),
        };
        tell(
            &self.repositories,
            |name| format!("`{name}` goes to the repository `{name}-{ENV}`"),
            format!("go to repositories of their own names, `NAME-{ENV}`"),
        );
        tell(
            &self.clusters,
            |name| format!("`{name}` runs in the cluster `{ENV}`, the default"),
            format!("run in the cluster `{ENV}`, the default"),
        );
        tell(
            &self.services,
            |name| format!("`{name}` is the ECS service `{name}`, the default"),
            "are the ECS services of their own names, the default".to_owned(),
        );
    }
}

/// Sets cluster and service where something says what they are.
pub(super) fn apply(
    survey: &Survey,
    environments: &[String],
    service: &mut ServiceDraft,
    unsaid: &mut Unsaid,
    notes: &mut Vec<Note>,
) {
    if service.repository_guessed {
        unsaid.repositories.push(service.name.clone());
    }
    let (mut cluster, mut ecs_service) = (Known::default(), Known::default());
    by_scripts(survey, environments, &mut cluster, &mut ecs_service);
    by_pipelines(survey, environments, &mut cluster, &mut ecs_service);
    by_helpers(survey, environments, &mut cluster, &mut ecs_service);
    // What is said of one service is not said of all of them; a cluster is usually shared.
    let of_this = survey.scripts.len() <= 1 && !service.repository_guessed || survey.dockerfiles.len() <= 1;
    if let Some(spread) = Spread::of(&cluster.values) {
        if spread.common != ENV || !spread.own.is_empty() {
            notes.push(told(&format!("`{}` runs in the cluster", service.name), &spread, cluster.at.as_ref()));
            service.cluster = Some(spread);
        }
    } else {
        unsaid.clusters.push(service.name.clone());
    }
    let spread = Spread::of(&ecs_service.values);
    let named = spread.as_ref().is_some_and(|spread| spread.stem() == service.name);
    match spread.filter(|_| of_this || named) {
        Some(spread) => {
            if spread.common != service.name || !spread.own.is_empty() {
                notes.push(told(&format!("`{}` is the ECS service", service.name), &spread, ecs_service.at.as_ref()));
                service.service = Some(spread);
            }
        }
        None => unsaid.services.push(service.name.clone()),
    }
}

fn told(what: &str, spread: &Spread, at: Option<&Place>) -> Note {
    let own: String = spread.own.iter().map(|(environment, value)| format!(", `{value}` in {environment}")).collect();
    Note::found(format!("{what} `{}`{own}", spread.common), &Place::of("")).with_place(at)
}

fn by_scripts(survey: &Survey, environments: &[String], cluster: &mut Known, service: &mut Known) {
    for script in &survey.scripts {
        for value in &script.values {
            match value.role {
                Role::Cluster => cluster.add(&value.environment, &value.value, &value.at),
                Role::Service => service.add(&value.environment, &value.value, &value.at),
                _ => {}
            }
        }
        for roll in &script.said.rolls {
            for (written, known) in [(&roll.value.cluster, &mut *cluster), (&roll.value.service, &mut *service)] {
                let Some(resolved) = written.as_deref().and_then(|word| script.scope.resolve(word)) else { continue };
                for environment in environments {
                    known.add(environment, &resolved, &roll.at);
                }
            }
        }
    }
}

fn by_pipelines(survey: &Survey, environments: &[String], cluster: &mut Known, service: &mut Known) {
    for pipeline in &survey.pipelines {
        for roll in &pipeline.said.rolls {
            let line = roll.at.line.unwrap_or_default();
            let Some(step) = pipeline.steps.iter().rev().find(|step| step.line <= line) else { continue };
            let Some(environment) = of_step(step, environments) else { continue };
            for (written, known) in [(&roll.value.cluster, &mut *cluster), (&roll.value.service, &mut *service)] {
                if let Some(name) = written {
                    known.add(&environment, name, &roll.at);
                }
            }
        }
    }
}

fn by_helpers(survey: &Survey, environments: &[String], cluster: &mut Known, service: &mut Known) {
    for helper in &survey.helpers {
        for (name, known) in [(&helper.cluster, &mut *cluster), (&helper.service, &mut *service)] {
            match name {
                Name::Text(text) => {
                    for environment in environments {
                        known.add(environment, text, &helper.at);
                    }
                }
                Name::Table(table) => {
                    for (environment, value) in
                        table.iter().filter(|(environment, _)| environments.contains(environment))
                    {
                        known.add(environment, value, &helper.at);
                    }
                }
                Name::Argument(nth) => by_arguments(survey, environments, base_name(&helper.path), *nth, known),
                Name::Unknown => {}
            }
        }
    }
}

/// What scripts and pipelines pass to the helper.
fn by_arguments(survey: &Survey, environments: &[String], helper: &str, nth: usize, known: &mut Known) {
    for step in survey.pipelines.iter().flat_map(|pipeline| &pipeline.steps) {
        let Some(environment) = of_step(step, environments) else { continue };
        for call in step.calls.iter().filter(|call| call.name == helper) {
            if let Some(argument) = nth.checked_sub(1).and_then(|at| call.arguments.get(at)) {
                known.add(&environment, argument, &call.at);
            }
        }
    }
    for script in &survey.scripts {
        for run in &script.said.helpers {
            let is_it = run.value.first().is_some_and(|path| base_name(path) == helper);
            let argument = run.value.get(nth).filter(|_| is_it).and_then(|word| script.scope.resolve(word));
            if let Some(argument) = argument {
                for environment in environments {
                    known.add(environment, &argument, &run.at);
                }
            }
        }
    }
}
