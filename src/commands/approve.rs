//! Asks the person that an environment wants to be asked, for the commands that change what runs; in CI, has the manual
//! step proven.

use super::{Context, written};
use crate::approval::{self, Approval, Approved};
use crate::ci::file::Verb;
use crate::ci::proof::{Claim, ManualStep, Told, prove};
use crate::ci::{self, Ci, committed, traces};
use crate::config::Manifest;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::exit::Exit;
use crate::git::Repository;

/// What the question depends on.
pub(super) struct Asked<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) environment: &'a str,
    pub(super) verb: Verb,
    /// `--approve`.
    pub(super) flag: bool,
    pub(super) ci: Option<&'a Ci>,
    /// Whose credentials are used: who answers on the terminal.
    pub(super) identity: Option<&'a str>,
}

impl Asked<'_> {
    fn required(&self) -> bool {
        self.manifest.environments.get(self.environment).is_some_and(|environment| environment.approval.is_some())
    }
}

/// Who approved it; `None` where nobody has to. `shown`: what would be done, in lines, for who is asked.
///
/// # Errors
/// Nobody said yes, or that a person did is not proven ([`Exit::Gate`]).
pub(super) async fn approved(
    asked: &Asked<'_>,
    shown: impl AsyncFnOnce() -> Vec<String>,
    context: &Context,
    events: &Events,
) -> Result<Option<Approved>> {
    let Asked { environment, .. } = asked;
    match approval::approval(environment, asked.required(), asked.flag, asked.ci, context.console.can_ask())? {
        Approval::NotNeeded => Ok(None),
        Approval::Prove => {
            let Some(ci) = asked.ci else { return Ok(None) };
            let step = proven(asked, ci, context).await?;
            let how = format!("step `{}` of {} is manual", step.name, step.place);
            let by = ci.actor.clone().unwrap_or_else(|| format!("a manual step of {}", ci.provider));
            events.note(format!("approved by {by}: {how}"));
            Ok(Some(Approved { by, how, took_time: false }))
        }
        Approval::Ask => {
            let above = crate::vars::above();
            if let Some(trace) = traces::trace(&above).or_else(|| traces::other(&context.vars, &above)) {
                return Err(approval::hidden(environment, &trace));
            }
            events.asked(shown().await).await;
            ask(asked, context).await.map(Some)
        }
    }
}

async fn ask(asked: &Asked<'_>, context: &Context) -> Result<Approved> {
    let environment = asked.environment;
    let action = match asked.verb {
        Verb::Rollback => "roll back in",
        Verb::Run => "run this in",
        Verb::Deploy | Verb::Other => "deploy to",
    };
    let question = format!("Type the name of the environment to {action} {environment}: ");
    let answer = context.console.ask(&question).await?;
    if !approval::is_yes(&answer, environment) {
        return Err(Error::new(Exit::Gate, format!("not approved: `{environment}` was not typed"))
            .hint("nothing was built or changed"));
    }
    let by = asked.identity.unwrap_or("a person on a terminal").to_owned();
    Ok(Approved { by, how: "typed on a terminal".to_owned(), took_time: true })
}

/// The manual step behind this run, by the pipeline files of the commit that is checked out.
async fn proven(asked: &Asked<'_>, ci: &Ci, context: &Context) -> Result<ManualStep> {
    let environment = asked.environment;
    let refused = |text: String, hint: String| {
        Error::new(Exit::Gate, format!("`{environment}` needs a person's approval, and none is proven"))
            .cause(text)
            .hint(hint)
    };
    let as_it_is = || "leave the pipeline's variables as they are".to_owned();
    if let [one, other, ..] = ci::providers(&context.vars).as_slice() {
        return Err(refused(format!("the variables are those of {one} and of {other}"), as_it_is()));
    }
    if let Some(name) = traces::forged(&context.vars, &crate::vars::above()) {
        return Err(refused(format!("{name} is not what the pipeline has set"), as_it_is()));
    }
    let Some(run_for) = &ci.commit else {
        return Err(refused("the pipeline does not say which commit it runs for".to_owned(), as_it_is()));
    };
    let Some(repository) = Repository::discover(&asked.manifest.root).await? else {
        let hint = "let the step clone the repository: the pipeline file of the commit is the proof";
        return Err(refused("there is no git repository here".to_owned(), hint.to_owned()));
    };
    let head = repository.head().await?.revision;
    if !head.starts_with(run_for.as_str()) {
        let text = format!("{} is checked out, but this run is for {run_for}", crate::revision::short(&head));
        return Err(refused(text, "deploy the commit that the pipeline was started for".to_owned()));
    }
    let told = Told::of(ci, &context.vars);
    let files = committed::files(repository.top(), &head, ci.provider, told.path(), written::read).await;
    let files =
        files.map_err(|error| refused(error.line(), "mend the file, and look with `shipit check`".to_owned()))?;
    let others: Vec<&str> =
        asked.manifest.environments.keys().map(String::as_str).filter(|name| *name != environment).collect();
    let this = asked.manifest.environments.get(environment);
    let claim = Claim {
        environment,
        verb: asked.verb,
        by_branch: this.is_some_and(|this| this.after.is_none()),
        branch: this.map_or("", |this| &this.branch),
        others: &others,
    };
    prove(&files, &claim, &told).map_err(|unproven| refused(unproven.text, unproven.hint))
}
