//! Ctrl-C and SIGTERM: the first asks everything to stop in order, the second ends the process at once; and the steps
//! that may be given up at the first.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::exit::Exit;

/// Ends a step that may be given up at any moment as soon as the run is interrupted. `said` is what is true then.
pub(crate) async fn unless_cancelled<T>(
    cancel: &CancellationToken,
    said: &str,
    step: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        done = step => done,
        () = cancel.cancelled() => Err(interrupted(said)),
    }
}

pub(crate) fn interrupted(said: &str) -> Error {
    Error::new(Exit::Interrupted, said)
}

pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    pub(crate) fn listen() -> Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error| Error::new(Exit::Fault, "signals cannot be listened for").because(&error))
        };
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Cancels at the first signal and returns at the second.
    pub(crate) async fn second(mut self, cancel: CancellationToken) {
        self.next().await;
        cancel.cancel();
        self.next().await;
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
