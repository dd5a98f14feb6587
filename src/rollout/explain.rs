//! Reads the one log that says most about a rollout that failed, and puts the diagnosis together.
//!
//! Best effort and bounded in time: the verdict is known already, and must not wait long for its reason.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::diagnosis::{Diagnosis, LogTail, diagnose, most_telling};
use super::failure::Failure;
use super::session::Session;
use crate::aws::logs::{self, Tail, Writer};
use crate::aws::{Clients, ecs};

/// Three looks at the log, two seconds apart, and the calls themselves.
const WITHIN: Duration = Duration::from_secs(15);

pub(super) async fn explain(clients: &Clients, session: &Session<'_>, cancel: &CancellationToken) -> Diagnosis {
    let writer = most_telling(&session.failures).filter(|failure| failure.has_run());
    let log = match writer {
        Some(failure) => tokio::select! {
            log = read_log(clients, failure) => log,
            () = tokio::time::sleep(WITHIN) => None,
            () = cancel.cancelled() => None,
        },
        None => None,
    };
    diagnose(&session.failures, log, session.trouble(), session.record())
}

async fn read_log(clients: &Clients, failure: &Failure) -> Option<LogTail> {
    let container = failure.container.as_deref()?;
    let told = |lines, note| {
        let (task, container) = (failure.task.clone(), container.to_owned());
        Some(LogTail { task, container, lines, note })
    };
    let definition = match ecs::describe_task_definition(clients, &failure.definition).await {
        Ok(definition) => definition,
        Err(error) => return told(Vec::new(), Some(format!("where its log goes cannot be read: {}", error.line()))),
    };
    let named = definition.containers.iter().find(|named| named.name == container);
    let writer = Writer { task: &failure.task, container, runtime_id: failure.runtime_id.as_deref() };
    match logs::tail(clients, named.and_then(|named| named.log.as_ref()), writer).await {
        Tail::Lines(lines) => told(lines, None),
        Tail::Silent => told(Vec::new(), Some("it wrote nothing to its log".to_owned())),
        Tail::Unread(note) => told(Vec::new(), Some(note)),
    }
}
