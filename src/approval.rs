//! The approval of a person, asked for each time, before anything is built.
//!
//! On a terminal the name of the environment has to be typed. In CI the `--approve` of a manual step stands for it, and
//! that the step is manual is proven (`ci::proof`).

use crate::ci::Ci;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// Who said yes, and by what, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Approved {
    pub(crate) by: String,
    /// The manual step, or the terminal.
    pub(crate) how: String,
    /// Somebody was asked, so that the world may have changed meanwhile.
    pub(crate) took_time: bool,
}

/// What the approval asks for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approval {
    /// The environment asks for none.
    NotNeeded,
    /// `--approve`: the manual step has to be proven.
    Prove,
    /// A person has to be asked.
    Ask,
}

/// # Errors
/// Nobody can be asked and nobody has said yes ([`Exit::Gate`]).
pub(crate) fn approval(
    environment: &str,
    required: bool,
    flag: bool,
    ci: Option<&Ci>,
    terminal: bool,
) -> Result<Approval> {
    match (required, flag, ci) {
        (false, ..) => Ok(Approval::NotNeeded),
        (true, true, Some(_)) => Ok(Approval::Prove),
        (true, true, None) => {
            Err(Error::new(Exit::Gate, "--approve stands for a manual step of a CI, and this is none")
                .hint("leave it out: you are asked on the terminal"))
        }
        (true, false, None) if terminal => Ok(Approval::Ask),
        (true, false, Some(_)) => Err(Error::new(Exit::Gate, format!("`{environment}` needs a person's approval"))
            .hint("put this step behind a manual trigger and pass --approve in it")),
        (true, false, None) => Err(Error::new(
            Exit::Gate,
            format!("`{environment}` needs a person's approval, and there is nobody to ask"),
        )
        .hint("run it on a terminal, or in a manual step of the CI with --approve")),
    }
}

/// The program runs inside a pipeline although its own variables do not say so, or in one whose file is not read.
pub(crate) fn hidden(environment: &str, trace: &str) -> Error {
    Error::new(Exit::Gate, format!("`{environment}` needs a person's approval, and this is a pipeline: {trace}"))
        .cause("nobody is asked in a pipeline, where a script can type on a terminal that it made")
        .hint("leave the pipeline's variables as they are, and run it in a manual step with --approve")
}

/// Whether the answer is the environment's name, which is what counts as yes.
pub(crate) fn is_yes(answer: &str, environment: &str) -> bool {
    answer.trim() == environment
}
