//! From what was found to what deploy.yaml is going to say. Pure: everything that is read is in the survey.

use super::draft::Draft;
use super::evidence::{Note, Sourced};
use super::live::Live;
use super::script::Role;
use super::survey::Survey;
use super::{environments, live, services};
use crate::config::grammar;

/// `live`: what runs, and the environment that it is, where the user names it.
pub(super) fn propose(survey: &Survey, live: Option<(&Live, Option<&str>)>) -> (Draft, Vec<Note>) {
    let mut notes = survey.notes.clone();
    let mut runs: Option<String> = None;
    let more = |known: &[String]| {
        let (live, named) = live?;
        runs = Some(named.map_or_else(|| live::environment_of(&live.cluster, known), str::to_owned));
        runs.clone()
    };
    let environments = environments::infer(survey, more, &mut notes);
    let mut draft = Draft { environments, ..Draft::default() };
    draft.services = services::infer(survey, &draft.names(), &mut notes);
    draft.bare = survey.scripts.iter().any(|script| script.bare && !script.secrets.is_empty());
    aws(survey, &mut draft, &mut notes);
    if let (Some((live, _)), Some(environment)) = (live, runs) {
        live::apply(&mut draft, live, &environment, &mut notes);
    }
    (draft, notes)
}

/// Region, account and the pipeline's role.
fn aws(survey: &Survey, draft: &mut Draft, notes: &mut Vec<Note>) {
    let said = || {
        let scripts = survey.scripts.iter().map(|script| &script.said);
        scripts.chain(survey.pipelines.iter().map(|pipeline| &pipeline.said))
    };
    let regions =
        distinct(said().flat_map(|said| &said.regions).filter(|region| grammar::region(&region.value).is_ok()));
    if let Some(region) = regions.first() {
        notes.push(Note::found(format!("region {}", region.value), &region.at));
        draft.region = Some(region.value.clone());
    } else {
        notes.push(Note::decide("no file says which region: set `aws.region`, or AWS_REGION wherever shipit runs"));
    }
    for other in regions.iter().skip(1) {
        notes.push(
            Note::decide(format!(
                "region {} is named too: if an environment is there, give it `aws: {{ region: … }}`",
                other.value
            ))
            .with_place(Some(&other.at)),
        );
    }
    let by_environment =
        survey.scripts.iter().flat_map(|script| &script.values).any(|value| value.role == Role::Account);
    let accounts =
        distinct(said().flat_map(|said| &said.accounts).filter(|account| grammar::account(&account.value).is_ok()));
    let variable = said().flat_map(|said| &said.account_variables).next();
    match accounts.as_slice() {
        [only] if !by_environment => {
            notes.push(Note::found(format!("account {}: any other is refused from now on", only.value), &only.at));
            draft.account = Some(only.value.clone());
        }
        [] => {
            let today = variable.map(|variable| format!("today it is ${}", variable.value));
            notes.push(
                Note::decide(match &today {
                    Some(today) => {
                        format!("write the account under `aws.account`, so that any other is refused; {today}")
                    }
                    None => "write the account under `aws.account`, so that any other is refused".to_owned(),
                })
                .with_place(variable.map(|variable| &variable.at)),
            );
            draft.account_hint = today;
        }
        several => {
            let all: Vec<&str> = several.iter().map(|account| account.value.as_str()).collect();
            notes.push(Note::decide(format!(
                "several accounts are named ({}): give each environment its own `aws: {{ account: … }}`",
                all.join(", ")
            )));
        }
    }
    let roles = distinct(said().flat_map(|said| &said.roles));
    if let [only] = roles.as_slice() {
        notes.push(Note::found(format!("the pipeline takes the role {}", only.value), &only.at));
        draft.role = Some(only.value.clone());
    }
}

fn distinct<'s>(all: impl Iterator<Item = &'s Sourced<String>>) -> Vec<&'s Sourced<String>> {
    let mut kept: Vec<&Sourced<String>> = Vec::new();
    for one in all {
        if !kept.iter().any(|known| known.value == one.value) {
            kept.push(one);
        }
    }
    kept
}
