//! The environments of a project, their branches, and which of them a person stands before.

use super::draft::EnvironmentDraft;
use super::evidence::{Note, Sourced};
use super::helper::Name;
use super::pipeline::Step;
use super::survey::Survey;
use crate::config::grammar;

/// From the scripts and the pipelines; where they name none, from the branches.
/// `more`: one that has to be there, because it runs.
pub(super) fn infer(
    survey: &Survey,
    more: impl FnOnce(&[String]) -> Option<String>,
    notes: &mut Vec<Note>,
) -> Vec<EnvironmentDraft> {
    let mut names = named(survey);
    for name in &names {
        notes.push(Note::found(format!("environment `{}`", name.value), &name.at));
    }
    // The order of a script need not be that of promotion; its usual names tell.
    names.sort_by_key(|name| rank(&name.value));
    let mut known: Vec<String> = names.iter().map(|name| name.value.clone()).collect();
    let mut environments = if known.is_empty() { by_branches(survey, notes) } else { Vec::new() };
    let there: Vec<String> = environments.iter().map(|one| one.name.clone()).chain(known.iter().cloned()).collect();
    known.extend(more(&there).filter(|name| grammar::name(name).is_ok() && !there.contains(name)));
    for name in known.iter().map(String::as_str) {
        let branch = branch_of(survey, name, &known, notes);
        let deployment = deployment_of(survey, name, &known);
        environments.push(EnvironmentDraft { name: name.to_owned(), branch, after: None, approval: false, deployment });
    }
    environments.sort_by_key(|environment| rank(&environment.name));
    order(survey, &mut environments, &known, notes);
    environments
}

/// What stands in files, each name once.
fn named(survey: &Survey) -> Vec<Sourced<String>> {
    let mut names: Vec<Sourced<String>> = Vec::new();
    let mut add = |name: &Sourced<String>| {
        if grammar::name(&name.value).is_ok() && !names.iter().any(|known| known.value == name.value) {
            names.push(name.clone());
        }
    };
    survey.scripts.iter().flat_map(|script| &script.environments).for_each(&mut add);
    if survey.scripts.iter().any(|script| !script.environments.is_empty()) {
        return names;
    }
    for step in survey.pipelines.iter().flat_map(|pipeline| &pipeline.steps) {
        if step.deploys || !step.calls.is_empty() {
            step.deployment.iter().for_each(&mut add);
        }
    }
    for helper in &survey.helpers {
        if let Name::Table(table) = &helper.cluster {
            for (name, _) in table {
                add(&Sourced::new(name.clone(), helper.at.clone()));
            }
        }
    }
    names
}

/// The environment that a step deploys to, by what it passes to a script, or by its `deployment:`.
pub(super) fn of_step(step: &Step, known: &[String]) -> Option<String> {
    let passed = step.calls.iter().flat_map(|call| &call.arguments).find(|argument| known.contains(argument));
    passed.cloned().or_else(|| {
        let deployment = step.deployment.as_ref()?.value.to_lowercase();
        let same = |name: &&String| **name == deployment;
        let alike = |name: &&String| deployment.starts_with(name.as_str()) || name.starts_with(&deployment);
        known.iter().find(same).or_else(|| known.iter().find(alike)).cloned()
    })
}

fn branch_of(survey: &Survey, name: &str, known: &[String], notes: &mut Vec<Note>) -> String {
    let steps = survey.pipelines.iter().flat_map(|pipeline| &pipeline.steps);
    for step in steps.filter(|step| of_step(step, known).as_deref() == Some(name)) {
        if let Some(branch) = &step.branch
            && grammar::branch(&branch.value).is_ok()
        {
            notes.push(Note::found(format!("`{}` goes to `{name}`", branch.value), &branch.at));
            return branch.value.clone();
        }
    }
    let (branch, exists) = usual_branch(survey, name);
    let there = match exists {
        true => String::new(),
        false => "; there is no such branch yet".to_owned(),
    };
    notes.push(Note::guessed(format!("`{branch}` goes to `{name}`, as is usual{there}")));
    branch
}

/// What the pipeline calls the environment, where that is not its name.
fn deployment_of(survey: &Survey, name: &str, known: &[String]) -> Option<String> {
    let mut steps = survey.pipelines.iter().flat_map(|pipeline| &pipeline.steps);
    let step = steps.find(|step| step.deployment.is_some() && of_step(step, known).as_deref() == Some(name))?;
    let deployment = step.deployment.as_ref().map(|deployment| deployment.value.clone())?;
    (deployment != name && !known.contains(&deployment)).then_some(deployment)
}

/// The branch that usually leads to an environment of that name, and whether it is there.
fn usual_branch(survey: &Survey, name: &str) -> (String, bool) {
    let usual: &[&str] = match rank(name) {
        DEV => &["develop", "dev", "development"],
        TEST => &["test", "qa", "develop"],
        BETA => &["beta"],
        STAGING => &["staging", "stage", "release"],
        PROD => &["production", "prod"],
        _ => &[],
    };
    let own = std::iter::once(name).chain(usual.iter().copied());
    let has =
        |branch: &str| survey.branches.iter().any(|known| known == branch) || survey.current.as_deref() == Some(branch);
    if let Some(branch) = own.clone().find(|branch| has(branch)) {
        return (branch.to_owned(), true);
    }
    let trunk = trunk(survey);
    // Where the trunk is the only branch of its kind, everything comes from it.
    let others = ["develop", "dev", "beta", "staging"].iter().any(|branch| has(branch));
    let trunk_based = matches!(rank(name), PROD | SANDBOX) || !others && trunk.is_some();
    match (trunk_based, trunk, usual.first()) {
        (true, Some(trunk), _) => (trunk, true),
        (false, _, Some(usual)) => ((*usual).to_owned(), false),
        (_, trunk, _) => (trunk.unwrap_or_else(|| "main".to_owned()), false),
    }
}

/// The branch that everything ends in.
fn trunk(survey: &Survey) -> Option<String> {
    let all = || survey.branches.iter().chain(&survey.current);
    let usual = ["main", "master", "trunk"].iter().find(|name| all().any(|branch| branch == *name));
    // A branch of another kind, or one that somebody works on, is no trunk. The name goes into conditions of a CI file,
    // so one with anything unusual in it is not taken over either.
    let plain = |name: &String| {
        rank(name) == OTHER && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let only = match survey.branches.as_slice() {
        [] => survey.current.as_ref(),
        [only] => Some(only),
        _ => None,
    };
    usual.map(|name| (*name).to_owned()).or_else(|| only.filter(|name| plain(name)).cloned())
}

/// Where nothing names an environment: the usual ones of the branches that are there.
fn by_branches(survey: &Survey, notes: &mut Vec<Note>) -> Vec<EnvironmentDraft> {
    let has = |branch: &str| survey.branches.iter().chain(&survey.current).any(|known| known == branch);
    let environment = |name: &str, branch: &str| EnvironmentDraft {
        name: name.to_owned(),
        branch: branch.to_owned(),
        ..EnvironmentDraft::default()
    };
    let usual = [("dev", "develop"), ("dev", "dev"), ("beta", "beta"), ("staging", "staging")];
    let mut found: Vec<EnvironmentDraft> = Vec::new();
    for (name, branch) in usual {
        if has(branch) && !found.iter().any(|known| known.name == name) {
            found.push(environment(name, branch));
        }
    }
    let trunk = trunk(survey).unwrap_or_else(|| "main".to_owned());
    found.push(environment(if found.is_empty() { "dev" } else { "sandbox" }, &trunk));
    found.push(environment("prod", &trunk));
    for EnvironmentDraft { name, branch, .. } in &found {
        notes.push(Note::guessed(format!("`{branch}` goes to `{name}`, as is usual")));
    }
    found
}

/// Two environments of one branch come after each other, and a person stands before the last.
fn order(survey: &Survey, environments: &mut [EnvironmentDraft], known: &[String], notes: &mut Vec<Note>) {
    for at in 0..environments.len() {
        let before = environments[..at].iter().rev().find(|other| other.branch == environments[at].branch);
        environments[at].after = before.map(|other| other.name.clone());
        let name = environments[at].name.clone();
        let steps =
            survey.pipelines.iter().flat_map(|pipeline| pipeline.steps.iter().map(move |step| (pipeline, step)));
        let manual = steps
            .filter(|(_, step)| step.manual && of_step(step, known).as_deref() == Some(name.as_str()))
            .map(|(pipeline, step)| super::evidence::Place::at(&pipeline.path, step.line))
            .next();
        environments[at].approval = manual.is_some() || rank(&name) == PROD;
        match (&manual, environments[at].approval) {
            (Some(place), _) => notes.push(Note::found(format!("`{name}` waits for a person"), place)),
            (None, true) => notes.push(Note::guessed(format!("`{name}` waits for a person, each time"))),
            (None, false) => {}
        }
        if let Some(after) = &environments[at].after {
            notes.push(Note::guessed(format!(
                "`{name}` takes only a commit that runs in `{after}`: they share a branch"
            )));
        }
    }
}

const DEV: u8 = 0;
const TEST: u8 = 1;
const BETA: u8 = 2;
const STAGING: u8 = 3;
const OTHER: u8 = 4;
const SANDBOX: u8 = 5;
const PROD: u8 = 6;

/// How far down the way of promotion an environment of that name usually is.
fn rank(name: &str) -> u8 {
    match name.to_lowercase().as_str() {
        "dev" | "develop" | "development" => DEV,
        "test" | "testing" | "qa" | "int" | "integration" => TEST,
        "beta" | "alpha" => BETA,
        "staging" | "stage" | "stg" | "uat" => STAGING,
        "sandbox" | "preprod" | "pre-prod" => SANDBOX,
        "prod" | "production" | "prd" | "live" => PROD,
        _ => OTHER,
    }
}
