//! What the server, the scheduler's loop and the runtime share while the process runs. The saved state is behind one
//! mutex; nothing waits for the network or the disk while holding it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::ecs::sightings::{Seen, Sighting};
use super::options::Pace;
use super::registry::auth::Tokens;
use super::registry::elsewhere::Elsewhere;
use super::registry::uploads::Uploads;
use super::runtime::Runtime;
use super::state::State;
use super::store::Store;
use super::wire::caller::Keys;
use super::wire::injected::Injected;
use super::wire::journal::Journal;

pub(crate) struct Shared {
    pub(crate) store: Store,
    /// `127.0.0.1:PORT` that this process listens on.
    pub(crate) address: String,
    /// `127.0.0.1:PORT` of the registry: `address`, unless it is elsewhere.
    pub(crate) host: String,
    pub(crate) elsewhere: Option<Elsewhere>,
    state: Mutex<State>,
    unsaved: AtomicBool,
    /// Rings when there may be something for the scheduler to do.
    pub(crate) wake: Notify,
    pub(crate) keys: Mutex<Keys>,
    pub(crate) tokens: Mutex<Tokens>,
    pub(crate) uploads: Mutex<Uploads>,
    pub(crate) journal: Mutex<Journal>,
    pub(crate) injected: Mutex<Injected>,
    pub(crate) runtime: Runtime,
    pub(crate) sightings: mpsc::UnboundedSender<Sighting>,
}

/// Takes a lock; a panic of another holder is no reason to stop answering.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(
        store: Store,
        state: State,
        keys: Keys,
        runtime: Runtime,
        sightings: mpsc::UnboundedSender<Sighting>,
        (address, elsewhere): (String, Option<Elsewhere>),
    ) -> Self {
        Self {
            store,
            address,
            host: state.host.clone(),
            elsewhere,
            state: Mutex::new(state),
            unsaved: AtomicBool::new(true),
            wake: Notify::new(),
            keys: Mutex::new(keys),
            tokens: Mutex::default(),
            uploads: Mutex::default(),
            journal: Mutex::default(),
            injected: Mutex::default(),
            runtime,
            sightings,
        }
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&lock(&self.state))
    }

    /// Changes the state. It is saved, and the scheduler looks at it, soon after.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut lock(&self.state));
        self.unsaved.store(true, Ordering::Release);
        self.wake.notify_one();
        result
    }

    /// Changes the state perhaps: `change` says whether it did.
    pub(crate) fn write_if<T>(&self, change: impl FnOnce(&mut State) -> (T, bool)) -> T {
        let (result, changed) = change(&mut lock(&self.state));
        if changed {
            self.unsaved.store(true, Ordering::Release);
        }
        result
    }

    /// Writes the state to disk if it was changed since the last time.
    pub(crate) fn save(&self) -> std::io::Result<()> {
        if !self.unsaved.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let json = self.read(serde_json::to_vec)?;
        self.store.save(&json).inspect_err(|_| {
            self.unsaved.store(true, Ordering::Release);
        })
    }

    /// Tells the scheduler what was seen of a task. Nobody listens any more once the stand-in stops.
    pub(crate) fn saw(&self, task: &str, what: Seen) {
        let _ = self.sightings.send(Sighting { task: task.to_owned(), what });
    }

    fn speed(&self) -> u32 {
        lock(&self.injected).script().speed.unwrap_or(1).max(1)
    }

    /// A span of scripted time.
    pub(crate) fn scripted(&self, milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds) / self.speed()
    }

    /// How long ECS's own steps take, at the speed of the script.
    pub(crate) fn pace(&self) -> Pace {
        let speed = i64::from(self.speed());
        let pace = Pace::default();
        Pace {
            retry: pace.retry / speed,
            retry_at_most: pace.retry_at_most / speed,
            linger: pace.linger / speed,
            ..pace
        }
    }
}
