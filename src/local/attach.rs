//! Using the stand-in that another process serves from the same state directory.

use std::path::Path;

use super::stand_in::Credentials;
use super::store;
use crate::error::Result;
use crate::secret::Secret;

/// A stand-in that somebody else serves.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    pub(crate) endpoint: String,
    pub(crate) credentials: Credentials,
}

/// `None` when nobody serves this state now.
///
/// # Errors
/// The state is not one that this version can read.
pub(crate) fn attach(state_dir: &Path) -> Result<Option<Attached>> {
    let Some(running) = store::running(state_dir) else { return Ok(None) };
    let Some(state) = store::read_state(state_dir)? else { return Ok(None) };
    let credentials =
        Credentials { access_key_id: state.access_key.clone(), secret_access_key: Secret::new(&state.secret_key) };
    Ok(Some(Attached { endpoint: running.endpoint, credentials }))
}
