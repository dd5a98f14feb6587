//! What tasks are made of: containers of a Docker Engine, or a script. Both carry out the scheduler's orders in the
//! background and report what they see.

mod archive;
pub(crate) mod containers;
mod image;
mod log;
mod probe;
mod scripted;
mod staged;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bollard::Docker;
use tokio_util::sync::CancellationToken;

use super::ecs::scheduler::{Order, StartOrder};
use super::ecs::sightings::{End, Seen};
use super::shared::{Shared, lock};
pub(crate) use log::{Line, read_log};

pub(crate) struct Runtime {
    kind: Kind,
    /// The tasks that somebody looks after, by id.
    tasks: Mutex<HashMap<String, Stopper>>,
    /// Rings when the stand-in goes away: whoever looks after a task lets go of it, and the task lives on.
    letting_go: CancellationToken,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Containers(Docker),
    Script,
}

/// How a task is told to stop.
#[derive(Clone, Debug)]
struct Stopper {
    asked: CancellationToken,
    /// Seconds between SIGTERM and SIGKILL.
    grace: Arc<AtomicU32>,
}

/// A task that is there already when the stand-in starts.
#[derive(Clone, Debug)]
pub(crate) struct Adopted {
    pub(crate) task: String,
    /// Container and whether the task ends with it.
    pub(crate) containers: Vec<(String, bool)>,
}

impl Runtime {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, tasks: Mutex::default(), letting_go: CancellationToken::new() }
    }

    /// Stops looking after tasks, and leaves them running.
    pub(crate) fn let_go(&self) {
        self.letting_go.cancel();
    }

    fn take_on(&self, task: &str) -> Stopper {
        let stopper = Stopper { asked: CancellationToken::new(), grace: Arc::new(AtomicU32::new(30)) };
        lock(&self.tasks).insert(task.to_owned(), stopper.clone());
        stopper
    }
}

/// Carries out an order in the background.
pub(crate) fn carry_out(shared: &Arc<Shared>, order: Order) {
    match order {
        Order::Stop(stop) => {
            let stopper = lock(&shared.runtime.tasks).get(&stop.task).cloned();
            match stopper {
                Some(stopper) => {
                    stopper.grace.store(stop.grace, Ordering::Relaxed);
                    stopper.asked.cancel();
                }
                // Nobody looks after it, so that there is nothing of it any more.
                None => shared.saw(&stop.task, Seen::Ended(Vec::new())),
            }
        }
        Order::Start(start) => look_after(shared, Care::Start(start)),
    }
}

/// Looks after tasks of an earlier run.
pub(crate) fn adopt(shared: &Arc<Shared>, adopted: Adopted) {
    look_after(shared, Care::Adopt(adopted));
}

enum Care {
    Start(Box<StartOrder>),
    Adopt(Adopted),
}

impl Care {
    fn task(&self) -> &str {
        match self {
            Self::Start(order) => &order.task,
            Self::Adopt(adopted) => &adopted.task,
        }
    }
}

fn look_after(shared: &Arc<Shared>, care: Care) {
    let task = care.task().to_owned();
    let stopper = shared.runtime.take_on(&task);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let letting_go = shared.runtime.letting_go.clone();
        let life = async {
            match (shared.runtime.kind.clone(), care) {
                (Kind::Containers(docker), Care::Start(order)) => {
                    containers::run(&shared, &docker, &order, &stopper).await;
                }
                (Kind::Containers(docker), Care::Adopt(adopted)) => {
                    containers::resume(&shared, &docker, &adopted, &stopper).await;
                }
                (Kind::Script, Care::Start(order)) => scripted::run(&shared, &order, &stopper).await,
                (Kind::Script, Care::Adopt(adopted)) => {
                    stopper.asked.cancelled().await;
                    shared.saw(&adopted.task, Seen::Ended(ends(&adopted, 143)));
                }
            }
        };
        tokio::select! {
            () = letting_go.cancelled() => {}
            () = life => {
                lock(&shared.runtime.tasks).remove(&task);
            }
        }
    });
}

fn ends(adopted: &Adopted, code: i64) -> Vec<End> {
    let end =
        |(container, _): &(String, bool)| End { container: container.clone(), exit_code: Some(code), reason: None };
    adopted.containers.iter().map(end).collect()
}

impl Stopper {
    fn grace(&self) -> u32 {
        self.grace.load(Ordering::Relaxed)
    }
}
