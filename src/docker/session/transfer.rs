//! How much of the build context was sent, told at most ten times a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::event::{Events, Kind};

const PACE: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub(in crate::docker) struct Transfer {
    events: Events,
    count: Arc<Mutex<Count>>,
}

#[derive(Default)]
struct Count {
    files: u64,
    bytes: u64,
    told: Option<Instant>,
    untold: bool,
}

impl Transfer {
    pub(in crate::docker) fn new(events: &Events) -> Self {
        Self { events: events.clone(), count: Arc::default() }
    }

    pub(super) fn sent(&self, files: u64, bytes: usize) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        count.files += files;
        count.bytes += bytes as u64;
        count.untold = true;
        if count.told.is_none_or(|told| told.elapsed() >= PACE) {
            self.tell(&mut count);
        }
    }

    /// Tells the sum, if it is not known yet.
    pub(in crate::docker) fn finish(&self) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        if count.untold {
            self.tell(&mut count);
        }
    }

    fn tell(&self, count: &mut Count) {
        count.told = Some(Instant::now());
        count.untold = false;
        self.events.emit(Kind::ContextSent { files: count.files, bytes: count.bytes });
    }
}
