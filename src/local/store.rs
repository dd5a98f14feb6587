//! The state directory: one JSON file that is replaced whole, the blobs of the registry, the logs of stopped tasks, and
//! the lock that keeps a second process out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::state::State;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// A state directory that this process holds. Dropping it lets the next process in.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    _lock: File,
}

/// Where a running stand-in answers: what `server.json` holds while it runs. Only its owner can read the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    pub(crate) endpoint: String,
}

impl Store {
    /// Takes hold of the directory, made if need be and closed to other users.
    ///
    /// # Errors
    /// `Exit::Usage` when another process holds it or it cannot be written to.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let unusable = |error: &std::io::Error| {
            Error::new(Exit::Usage, format!("the state directory {} cannot be used", root.display()))
                .because(error)
                .hint("name another directory with `--state`")
        };
        for folder in ["", "blobs", "uploads", "logs", "objects"] {
            create_private(&root.join(folder)).map_err(|error| unusable(&error))?;
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))
            .map_err(|error| unusable(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(root)),
            Err(TryLockError::Error(error)) => return Err(unusable(&error)),
        }
        // What an earlier process left half-way is of no use to anybody.
        let uploads = root.join("uploads");
        let _ = fs::remove_dir_all(&uploads);
        create_private(&uploads).map_err(|error| unusable(&error))?;
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    /// The saved state, or a new one.
    ///
    /// # Errors
    /// `Exit::Usage` when the file is there but is not a state that this version can read.
    pub(crate) fn load(&self) -> Result<State> {
        Ok(read_state(&self.root)?.unwrap_or_else(State::new))
    }

    /// Replaces the saved state in one step, so that no reader ever sees half of it.
    pub(crate) fn save(&self, json: &[u8]) -> std::io::Result<()> {
        write_private(&self.root.join("state.json"), json)
    }

    pub(crate) fn announce(&self, running: &Running) -> std::io::Result<()> {
        write_private(&self.root.join("server.json"), &serde_json::to_vec(running)?)
    }

    pub(crate) fn withdraw(&self) {
        let _ = fs::remove_file(self.root.join("server.json"));
    }

    /// The file of a blob; `digest` was checked to be `sha256:` and 64 hexadecimal digits.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        self.root.join("blobs").join(digest.trim_start_matches("sha256:"))
    }

    pub(crate) fn upload(&self, id: &str) -> PathBuf {
        self.root.join("uploads").join(id)
    }

    /// The bytes of an object in a bucket, or of a part on its way to one.
    pub(crate) fn object(&self, id: &str) -> PathBuf {
        self.root.join("objects").join(id)
    }

    /// The kept log of a container of a stopped task.
    pub(crate) fn log(&self, task: &str, container: &str) -> PathBuf {
        self.root.join("logs").join(format!("{task}.{container}"))
    }
}

/// The stand-in that holds the directory now, if one does.
pub(crate) fn running(root: &Path) -> Option<Running> {
    let lock = File::open(root.join("lock")).ok()?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => serde_json::from_slice(&fs::read(root.join("server.json")).ok()?).ok(),
        _ => None,
    }
}

/// The saved state, without taking hold of the directory.
pub(crate) fn read_state(root: &Path) -> Result<Option<State>> {
    let path = root.join("state.json");
    let unreadable = |error: &(dyn std::error::Error + 'static)| {
        Error::new(Exit::Usage, format!("the stand-in's state in {} cannot be read", path.display()))
            .because(error)
            .hint("`shipit local reset` starts over")
    };
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| unreadable(&error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&error)),
    }
}

fn held(root: &Path) -> Error {
    let who =
        running(root).map_or_else(String::new, |running| format!(" (process {}, {})", running.pid, running.endpoint));
    Error::new(Exit::Usage, format!("another stand-in uses the state directory {}{who}", root.display()))
        .hint("stop that one, or name another directory with `--state`")
}

fn create_private(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let half = path.with_extension("half");
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&half)?;
    file.write_all(bytes)?;
    drop(file);
    fs::rename(half, path)
}

#[cfg(test)]
mod tests {
    use super::{Store, read_state, running};

    #[test]
    fn a_second_process_is_kept_out_and_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.announce(&super::Running { pid: 7, endpoint: "http://127.0.0.1:1".into() }).unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(error.message().contains("process 7, http://127.0.0.1:1"), "{error}");
        assert_eq!(running(folder.path()).map(|running| running.pid), Some(7));
        drop(store);
        assert!(running(folder.path()).is_none(), "nobody holds it any more");
        Store::open(folder.path()).unwrap();
    }

    #[test]
    fn a_saved_state_is_the_same_after_loading() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let state = store.load().unwrap();
        store.save(&serde_json::to_vec(&state).unwrap()).unwrap();
        assert_eq!(store.load().unwrap().id, state.id);
        std::fs::write(folder.path().join("state.json"), "{").unwrap();
        assert!(read_state(folder.path()).unwrap_err().message().contains("cannot be read"));
    }
}
