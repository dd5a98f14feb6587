//! The watch: asks ECS what the `session` wants to know, sleeps when it says so, and passes on what it says.
//!
//! Nothing is judged here.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::decision::Ending;
use super::diagnosis::Diagnosis;
use super::explain::explain;
use super::rhythm;
use super::session::{Answer, Ended, Question, Session, Step};
use crate::aws::Clients;
use crate::aws::ecs::{self, Desired, Task};
use crate::error::{Error, Result};
use crate::event::{Events, Kind};
use crate::exit::Exit;

/// The SDK tries a call again for minutes; an answer that late is of no use to a watch.
const ANSWERS_WITHIN: Duration = Duration::from_mins(1);

/// What is asked near the end of the time still gets so long.
const AT_LEAST: Duration = Duration::from_secs(5);

/// Whose rollout it is and how long to wait.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) cluster: String,
    pub(crate) service: String,
    pub(crate) container: String,
    /// My deployment's id.
    pub(crate) deployment: String,
    /// The PRIMARY from just before it, where it is known.
    pub(crate) previous: Option<String>,
    /// The digests that prove it: the manifest's, and its platform's child where it is an index.
    pub(crate) digests: Vec<String>,
    pub(crate) timeout: Duration,
    /// End at a crash loop, and do not wait for ECS to give up.
    pub(crate) fail_fast: bool,
}

/// How the watch ended.
#[derive(Debug)]
pub(crate) enum End {
    /// All that runs is the digest; `url` where ECS publishes one of the tasks' ports.
    Proven {
        url: Option<String>,
    },
    /// The rollout did not do what was asked.
    Failed {
        ending: Ending,
        diagnosis: Box<Diagnosis>,
    },
    /// The rollout is complete, but what runs is not what was pushed.
    NotProven {
        reason: String,
    },
    /// ECS may not be asked any more.
    Blind {
        error: Error,
    },
    Interrupted,
}

/// Watches until the end. Emits counts when they change, failed tasks and ECS's own warnings once each, and the
/// diagnosis of a rollout that failed.
///
/// Many may run at a time on the same clients: their questions share calls and wait for their turn.
pub(crate) async fn watch(clients: &Clients, watched: &Watched, events: &Events, cancel: &CancellationToken) -> End {
    let _member = clients.pace.join();
    let mut session = Session::new(watched);
    let ended = tokio::select! {
        ended = until_the_end(clients, watched, events, &mut session) => ended,
        () = cancel.cancelled() => return End::Interrupted,
    };
    match ended {
        Ended::Proven { running, .. } => End::Proven { url: url(&running, watched) },
        Ended::NotProven { reason } => End::NotProven { reason },
        Ended::Blind(error) => End::Blind { error },
        Ended::Failed(ending) => {
            let diagnosis = Box::new(explain(clients, &session, cancel).await);
            if !matches!(ending, Ending::Superseded { .. }) {
                events.emit(Kind::Diagnosis(diagnosis.clone()));
            }
            End::Failed { ending, diagnosis }
        }
    }
}

async fn until_the_end(clients: &Clients, watched: &Watched, events: &Events, session: &mut Session<'_>) -> Ended {
    let began = Instant::now();
    let mut step = session.wake();
    loop {
        for kind in session.said() {
            events.emit(kind);
        }
        step = match step {
            Step::Ask(question) => {
                let left = watched.timeout.saturating_sub(began.elapsed()).clamp(AT_LEAST, ANSWERS_WITHIN);
                let answer = match tokio::time::timeout(left, ask(clients, watched, &question)).await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(error)) => Answer::Refused(error),
                    Err(_) => Answer::Refused(late(left)),
                };
                session.step(&question, answer, began.elapsed(), clients.pace.crowd())
            }
            Step::Wait(wait) => {
                tokio::time::sleep(rhythm::jittered(wait, rhythm::dice())).await;
                session.wake()
            }
            Step::End(ended) => return ended,
        };
    }
}

async fn ask(clients: &Clients, watched: &Watched, question: &Question) -> Result<Answer> {
    let Watched { cluster, service, .. } = watched;
    Ok(match question {
        Question::Service => Answer::Service(ecs::describe_optional(clients, cluster, service).await?),
        Question::Stopped { known } => {
            Answer::Stopped(ecs::list_tasks_except(clients, cluster, service, Desired::Stopped, known).await?)
        }
        Question::Running => Answer::Running(ecs::list_tasks(clients, cluster, service, Desired::Running).await?),
        Question::Records { after } => {
            Answer::Records(ecs::list_deployment_records(clients, cluster, service, *after).await?)
        }
    })
}

fn late(after: Duration) -> Error {
    Error::new(Exit::Aws, format!("no answer from ECS within {} s", after.as_secs())).transient()
}

fn url(tasks: &[Task], watched: &Watched) -> Option<String> {
    let published =
        tasks.iter().filter_map(|task| Some((&task.id, task.container(&watched.container)?.published.first()?)));
    published.min().map(|(_, address)| format!("http://{address}/"))
}

#[cfg(test)]
mod tests;
