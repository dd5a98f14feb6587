//! What stands in the way of a deploy, of one service or of all, in words and with what to do.

use serde::Serialize;

use crate::error::Error;
use crate::exit::Exit;

/// One thing in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Absent: in the way of every service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    pub(crate) exit_code: Exit,
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl Finding {
    pub(crate) fn new(exit_code: Exit, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { service: None, exit_code, text: text.into(), hint: Some(hint.into()) }
    }

    pub(crate) fn of(service: &str, error: &Error) -> Self {
        Self { service: Some(service.to_owned()), ..Self::from(error) }
    }

    pub(crate) fn to_error(&self) -> Error {
        let error = Error::new(self.exit_code, self.text.clone());
        match &self.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        }
    }
}

impl From<&Error> for Finding {
    fn from(error: &Error) -> Self {
        Self { service: None, exit_code: error.exit(), text: error.line(), hint: error.hints().first().cloned() }
    }
}
