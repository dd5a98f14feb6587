//! Asks the person that an environment wants to be asked, for the commands that change what runs.

use super::Context;
use crate::approval::{self, Approval};
use crate::ci::Ci;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::exit::Exit;

/// What the question depends on.
pub(super) struct Asked<'a> {
    pub(super) environment: &'a str,
    /// What is to be done, as a verb.
    pub(super) action: &'a str,
    pub(super) required: bool,
    /// `--approve`.
    pub(super) flag: bool,
    pub(super) ci: Option<&'a Ci>,
    /// Whose credentials are used: who answers on the terminal.
    pub(super) identity: Option<&'a str>,
}

/// Who approved it; `None` where nobody has to.
///
/// # Errors
/// Nobody said yes ([`Exit::Gate`]).
pub(super) async fn approved(asked: &Asked<'_>, context: &Context, events: &Events) -> Result<Option<String>> {
    let Asked { environment, action, .. } = asked;
    match approval::approval(environment, asked.required, asked.flag, asked.ci, context.console.can_ask())? {
        Approval::NotNeeded => Ok(None),
        Approval::Given { by } => Ok(Some(by)),
        Approval::Ask => {
            events.flushed().await;
            let preposition = if *action == "deploy" { "to" } else { "in" };
            let question = format!("Type the name of the environment to {action} {preposition} {environment}: ");
            let answer = context.console.ask(&question).await?;
            if approval::is_yes(&answer, environment) {
                return Ok(asked.identity.map(str::to_owned));
            }
            Err(Error::new(Exit::Gate, format!("not approved: `{environment}` was not typed"))
                .hint("nothing was built or changed"))
        }
    }
}
