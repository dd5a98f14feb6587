//! Using the stand-in that another process serves from the same state directory, and, on the other side, serving it for
//! as long as it is used.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::stand_in::Credentials;
use super::store;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::secret::Secret;

/// A stand-in that somebody else serves.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    pub(crate) endpoint: String,
    pub(crate) credentials: Credentials,
    /// Held, shared, for as long as it is used.
    _guest: Arc<File>,
}

/// `None` when nobody serves this state now.
///
/// # Errors
/// The state is not one that this version can read, or its directory cannot be used.
pub(crate) fn attach(state_dir: &Path) -> Result<Option<Attached>> {
    if store::running(state_dir).is_none() {
        return Ok(None);
    }
    let guest = guests(state_dir)?;
    // Whoever serves holds it alone only at the very end, for a moment.
    guest.lock_shared().map_err(|error| unusable(state_dir, &error))?;
    let Some(running) = store::running(state_dir) else { return Ok(None) };
    let Some(state) = store::read_state(state_dir)? else { return Ok(None) };
    let credentials =
        Credentials { access_key_id: state.access_key.clone(), secret_access_key: Secret::new(&state.secret_key) };
    Ok(Some(Attached { endpoint: running.endpoint, credentials, _guest: Arc::new(guest) }))
}

/// Returns when no other process uses the stand-in that this one serves. As long as what it returns is held, nobody
/// begins to. `waiting` is called once, when there is somebody to wait for.
///
/// # Errors
/// The state directory cannot be used.
pub(crate) async fn without_guests(state_dir: &Path, waiting: impl FnOnce()) -> Result<File> {
    let guests = guests(state_dir)?;
    let mut waiting = Some(waiting);
    while guests.try_lock().is_err() {
        if let Some(waiting) = waiting.take() {
            waiting();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(guests)
}

fn guests(state_dir: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(state_dir.join("guests"))
        .map_err(|error| unusable(state_dir, &error))
}

fn unusable(state_dir: &Path, error: &std::io::Error) -> Error {
    Error::new(Exit::Usage, format!("the state directory {} cannot be used", state_dir.display())).because(error)
}
