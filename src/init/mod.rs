//! `shipit init`: deploy.yaml and the CI file, from what a project says about itself.
//!
//! The way: `survey` reads the folder, `propose` decides, `yaml` and `ci` write it down as text. Nothing is run, and what
//! is not understood is said. It does not judge the pipeline that is there: that is `shipit check`.

mod ci;
mod compose;
mod diff;
mod dockerfile;
mod draft;
mod environments;
mod evidence;
mod helper;
mod lines;
mod live;
mod pipeline;
mod propose;
mod rolls;
mod scope;
mod script;
mod services;
mod shell;
mod spread;
mod survey;
mod yaml;

use std::path::Path;

pub(crate) use diff::{Change, diff};
pub(crate) use evidence::{Basis, Note};
pub(crate) use live::{Live, read as read_live};
pub(crate) use survey::Survey;

use crate::ci::Provider;
use crate::config;
use crate::error::{Error, Result};
use crate::exit::Exit;
use draft::Draft;

/// What would be written, and why.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) notes: Vec<Note>,
    /// deploy.yaml first.
    pub(crate) files: Vec<Proposed>,
    /// What is left to a person, in order.
    pub(crate) to_do: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Proposed {
    /// From the project's folder.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Whether the user asked for this very file.
    pub(crate) asked_for: bool,
}

/// `live`: what runs in ECS, and the environment that it is, where the user names it. `asked`: the CI that the command
/// line names.
///
/// # Errors
/// There is no Dockerfile to deploy ([`Exit::Usage`]).
pub(crate) fn propose(
    survey: &Survey,
    live: Option<(&Live, Option<&str>)>,
    manifest: &str,
    asked: Option<Provider>,
) -> Result<Proposal> {
    let (draft, mut notes) = propose::propose(survey, live);
    if draft.services.is_empty() {
        return Err(Error::new(Exit::Usage, "there is no Dockerfile here that could be deployed")
            .hint("run it in the project's folder, or write a Dockerfile first"));
    }
    let text = yaml::render(&draft);
    loads(&text, &survey.folder)?;
    let mut files = vec![Proposed { path: manifest.to_owned(), text, asked_for: true }];
    let provider = asked.or_else(|| provider(survey, &mut notes));
    let mut to_do = Vec::new();
    if let Some(provider) = provider {
        pipeline_notes(survey, provider, &mut notes);
        let (path, text) = (ci::path(provider).to_owned(), ci::render(provider, &draft));
        files.push(Proposed { path, text, asked_for: asked.is_some() });
        to_do = ci::to_do(provider, &draft);
    } else {
        notes.push(Note::decide("no CI is known: `shipit init --ci bitbucket`, `github` or `gitlab` writes its file"));
    }
    to_do.splice(0..0, first_steps(&draft));
    Ok(Proposal { notes, files, to_do })
}

/// The region to look at what runs: the one of the deploy.yaml that is there, or of the other files.
pub(crate) fn region(survey: &Survey, manifest: &Path) -> Option<String> {
    let written = config::load(manifest).ok().and_then(|manifest| manifest.aws?.region);
    written.or_else(|| propose::propose(survey, None).0.region)
}

/// What is written has to be what `shipit check` takes. That it is not is our fault.
fn loads(text: &str, folder: &Path) -> Result<()> {
    config::load_text(text, folder).map(|_| ()).map_err(|error| {
        Error::new(Exit::Fault, "the deploy.yaml that was made has a fault, so it was not written")
            .cause(error.message())
            .hint("report this with the files that it was made from, and write deploy.yaml by hand: `shipit schema` describes it")
    })
}

/// By the files that are there, then by the remote.
fn provider(survey: &Survey, notes: &mut Vec<Note>) -> Option<Provider> {
    let deploys =
        |pipeline: &&pipeline::Pipeline| pipeline.steps.iter().any(|step| step.deploys || !step.calls.is_empty());
    let found = survey.pipelines.iter().find(deploys).or_else(|| survey.pipelines.first());
    if let Some(found) = found {
        return Some(found.provider);
    }
    let host = survey.remote.as_deref()?;
    let provider = match host {
        _ if host.contains("bitbucket") => Provider::Bitbucket,
        _ if host.contains("github") => Provider::GitHub,
        _ if host.contains("gitlab") => Provider::GitLab,
        _ => return None,
    };
    notes.push(Note::guessed(format!("{provider}, because the remote is at {host}")));
    Some(provider)
}

/// What becomes of the pipeline that is there.
fn pipeline_notes(survey: &Survey, provider: Provider, notes: &mut Vec<Note>) {
    for pipeline in survey.pipelines.iter().filter(|pipeline| pipeline.provider == provider) {
        let deploys: Vec<&pipeline::Step> =
            pipeline.steps.iter().filter(|step| step.deploys || !step.calls.is_empty()).collect();
        if let Some(step) = deploys.first().filter(|_| !pipeline.runs_shipit) {
            let steps = if deploys.len() == 1 { "1 step".to_owned() } else { format!("{} steps", deploys.len()) };
            notes.push(
                Note::decide(format!("{steps} of it deploy today: take them out when shipit has their place"))
                    .with_place(Some(&evidence::Place::at(&pipeline.path, step.line))),
            );
        }
    }
}

fn first_steps(draft: &Draft) -> Vec<String> {
    let Some(first) = draft.environments.first() else { return Vec::new() };
    let name = &first.name;
    let variables = draft.variables(name);
    let mut steps = Vec::new();
    if !variables.is_empty() {
        steps.push(format!("set {} for `{name}`, and their like for the others", variables.join(", ")));
    }
    steps.push("shipit check".to_owned());
    steps.push(format!("shipit deploy --env {name} --local      # the whole way on this machine, without AWS"));
    steps.push(format!("shipit doctor --env {name}              # what works with AWS, and the IAM policy it takes"));
    steps
}
