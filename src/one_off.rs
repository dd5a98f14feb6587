//! One-off tasks: `before_deploy`, and `shipit run`. What a task's end means is a pure judgement; the watch around it
//! asks ECS, passes the log on, and stops the task when its time is over or the run is interrupted.
//!
//! What becomes of the service and of `latest` is decided by whoever runs one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::aws::log_stream::LogStream;
use crate::aws::logs::{LINES, Writer};
use crate::aws::{Clients, ecs};
use crate::error::{Error, Result};
use crate::event::{Events, Kind};
use crate::exit::Exit;
use crate::interrupt::{interrupted, unless_cancelled};

/// What is true of an interrupt before RunTask.
const NOT_BEGUN: &str = "interrupted before the task began";

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// The last lines may reach CloudWatch a little after the container's end.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How long a task that was told to stop may take: Fargate's longest `stopTimeout` and some seconds.
const STOPS_WITHIN: Duration = Duration::from_secs(150);

/// How long an interrupt waits for the answer to a call that cannot be taken back.
const LAST_ANSWER: Duration = Duration::from_millis(1200);

/// One task of a service, and who wants to know.
pub(crate) struct OneOff<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) cluster: &'a str,
    /// ECS service name.
    pub(crate) service: &'a str,
    pub(crate) container: &'a str,
    pub(crate) command: &'a [String],
    pub(crate) timeout: Duration,
    /// The digests that the container may have; empty: any.
    pub(crate) digests: &'a [String],
    pub(crate) events: &'a Events,
    pub(crate) cancel: &'a CancellationToken,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Exited(i32),
    /// Something else than its own end stopped it, or it never ran; ECS's words.
    Stopped(String),
    /// It ran, or began to, on this digest, which is not the one that was asked for.
    OtherImage(String),
    TimedOut,
}

/// A task that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Task id.
    pub(crate) task: String,
    pub(crate) ending: Ending,
    /// The last lines of its log.
    pub(crate) log: Vec<String>,
}

/// What a task's state says of its end; `None` while there is none.
pub(crate) fn judge(task: &ecs::Task, container: &str, digests: &[String]) -> Option<Ending> {
    let mine = task.container(container);
    if let Some(digest) = mine.and_then(|mine| mine.digest.as_ref())
        && !digests.is_empty()
        && !digests.contains(digest)
    {
        return Some(Ending::OtherImage(digest.clone()));
    }
    if task.last_status != "STOPPED" {
        return None;
    }
    let by_itself = task.stop_code.as_deref().is_none_or(|code| code == "EssentialContainerExited");
    let code = mine.and_then(|mine| mine.exit_code);
    if let Some(code) = code.filter(|_| by_itself) {
        return Some(Ending::Exited(code));
    }
    let words = [mine.and_then(|mine| mine.reason.clone()), task.stopped_reason.clone(), task.stop_code.clone()];
    Some(Ending::Stopped(words.into_iter().flatten().next().unwrap_or_else(|| "ECS says no reason".to_owned())))
}

/// `startedBy` of every one-off task of the service: at most one of them is under way.
pub(crate) fn marker(service: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    format!("shipit/{service}").chars().map(|c| if fits(c) || c == '/' { c } else { '_' }).take(128).collect()
}

impl OneOff<'_> {
    /// Makes sure that no other one-off task of the service is under way: waits for one that is being stopped, as an
    /// interrupted run leaves it.
    ///
    /// # Errors
    /// One runs ([`Exit::Gate`]); ECS cannot be asked ([`Exit::Aws`]); the run is interrupted.
    pub(crate) async fn alone(&self) -> Result<()> {
        let deadline = Instant::now() + STOPS_WITHIN;
        let marker = marker(self.service);
        loop {
            let look = async {
                let running =
                    ecs::list_tasks_started_by(self.clients, self.cluster, &marker, ecs::Desired::Running).await?;
                let stopping =
                    ecs::list_tasks_started_by(self.clients, self.cluster, &marker, ecs::Desired::Stopped).await?;
                Ok((running, stopping))
            };
            let (running, stopping) = self.unless_cancelled(look).await?;
            let stopping = stopping.into_iter().find(|task| task.last_status != "STOPPED");
            if let Some(task) = running.first() {
                return Err(self.taken(&task.id, "runs"));
            }
            match stopping {
                None => return Ok(()),
                Some(task) if Instant::now() >= deadline => return Err(self.taken(&task.id, "is being stopped")),
                Some(_) => {
                    let pause = async {
                        tokio::time::sleep(BETWEEN_LOOKS).await;
                        Ok(())
                    };
                    self.unless_cancelled(pause).await?;
                }
            }
        }
    }

    fn taken(&self, task: &str, does: &str) -> Error {
        Error::new(Exit::Gate, format!("a one-off task of service `{}` {does} already: {task}", self.service))
            .hint(format!("wait for its end, or stop it: aws ecs stop-task --cluster {} --task {task}", self.cluster))
    }

    /// Runs the task to its end; `said` gets each line of its log.
    ///
    /// # Errors
    /// ECS refuses it, or cannot be asked about it ([`Exit::Aws`]); the run is interrupted ([`Exit::Interrupted`]), and
    /// the task was told to stop.
    pub(crate) async fn run(&self, mut said: impl FnMut(&str, String)) -> Result<Ended> {
        let began = Instant::now();
        let service = self.unless_cancelled(ecs::describe(self.clients, self.cluster, self.service)).await?;
        let definition =
            self.unless_cancelled(ecs::describe_task_definition(self.clients, &service.task_definition)).await?;
        let mut task = self.start(&service).await?;
        let id = task.id.clone();
        self.events.emit(Kind::TaskStarted {
            task: id.clone(),
            container: self.container.to_owned(),
            command: self.command.to_vec(),
        });
        let configuration = definition.containers.iter().find(|each| each.name == self.container);
        let mut log = Log::new(self.clients, configuration.and_then(|each| each.log.as_ref()), self.events);
        let mut told_to_stop: Option<(Instant, Ending)> = None;
        loop {
            let ending = judge(&task, self.container, self.digests);
            let stopped = task.last_status == "STOPPED";
            let late = (began.elapsed() >= self.timeout).then_some(Ending::TimedOut);
            if told_to_stop.is_none()
                && !stopped
                && let Some(why) = ending.clone().or(late)
            {
                let stop = ecs::stop_task(self.clients, self.cluster, &id, "stopped by shipit").await;
                stop.map_err(|error| error.hint(format!("task {id} may go on: look at it in the ECS console")))?;
                told_to_stop = Some((Instant::now(), why));
            }
            let given_up = told_to_stop.as_ref().is_some_and(|(since, _)| since.elapsed() >= STOPS_WITHIN);
            log.pass_on(&task, self.container, &mut said).await;
            if stopped || given_up {
                tokio::time::sleep(LAST_LINES).await;
                log.pass_on(&task, self.container, &mut said).await;
                let told = told_to_stop.map(|(_, why)| why).or(ending);
                let ending = told.unwrap_or_else(|| Ending::Stopped("ECS does not say how it ended".to_owned()));
                return Ok(Ended { task: id, ending, log: log.tail.into() });
            }
            tokio::select! {
                () = tokio::time::sleep(BETWEEN_LOOKS) => {}
                () = self.cancel.cancelled() => return Err(self.give_up(&id).await),
            }
            match ecs::describe_tasks(self.clients, self.cluster, std::slice::from_ref(&id)).await {
                Ok(found) => task = found.into_iter().next().unwrap_or(task),
                Err(error) if error.is_transient() => {}
                Err(error) => {
                    return Err(error.hint(format!("task {id} may go on: look at it in the ECS console")));
                }
            }
        }
    }

    async fn start(&self, service: &ecs::Service) -> Result<ecs::Task> {
        if self.cancel.is_cancelled() {
            return Err(interrupted(NOT_BEGUN));
        }
        let request = ecs::TaskRequest {
            cluster: self.cluster,
            service,
            container: self.container,
            command: self.command,
            started_by: &marker(self.service),
        };
        let no_answer = async {
            self.cancel.cancelled().await;
            tokio::time::sleep(LAST_ANSWER).await;
        };
        tokio::select! {
            started = ecs::run_task(self.clients, request) => started,
            () = no_answer => Err(Error::new(
                Exit::Interrupted,
                "interrupted before ECS answered: it may have begun the task",
            )
            .hint(format!(
                "look for it before you run it again: aws ecs list-tasks --cluster {} --started-by {}",
                self.cluster,
                marker(self.service)
            ))),
        }
    }

    async fn give_up(&self, task: &str) -> Error {
        let stop = ecs::stop_task(self.clients, self.cluster, task, "interrupted by shipit");
        match tokio::time::timeout(LAST_ANSWER, stop).await {
            Ok(Ok(())) => Error::new(Exit::Interrupted, format!("interrupted: task {task} was told to stop")),
            failed => {
                let error = Error::new(Exit::Interrupted, format!("interrupted: task {task} could NOT be stopped"));
                let error = if let Ok(Err(why)) = failed { error.cause(why.line()) } else { error };
                error.hint(format!("stop it: aws ecs stop-task --cluster {} --task {task}", self.cluster))
            }
        }
    }

    async fn unless_cancelled<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        unless_cancelled(self.cancel, NOT_BEGUN, step).await
    }
}

/// The log on its way to whoever wants it. It is an extra: one that cannot be read is told once, and ends nothing.
struct Log<'a> {
    clients: &'a Clients,
    configuration: Option<&'a ecs::LogConfiguration>,
    events: &'a Events,
    stream: Option<LogStream>,
    unread: bool,
    tail: VecDeque<String>,
}

impl<'a> Log<'a> {
    fn new(clients: &'a Clients, configuration: Option<&'a ecs::LogConfiguration>, events: &'a Events) -> Self {
        Self { clients, configuration, events, stream: None, unread: false, tail: VecDeque::new() }
    }

    async fn pass_on(&mut self, task: &ecs::Task, container: &str, said: &mut impl FnMut(&str, String)) {
        if self.unread || !matches!(task.last_status.as_str(), "RUNNING" | "DEACTIVATING" | "STOPPING" | "STOPPED") {
            return;
        }
        if self.stream.is_none() {
            let runtime_id = task.container(container).and_then(|container| container.runtime_id.as_deref());
            let writer = Writer { task: &task.id, container, runtime_id };
            match LogStream::of(self.clients, self.configuration, writer) {
                Ok(stream) => self.stream = Some(stream),
                Err(elsewhere) => return self.cannot(&elsewhere),
            }
        }
        let Some(stream) = &mut self.stream else { return };
        match stream.more().await {
            Ok(lines) => {
                for line in lines {
                    if self.tail.len() == LINES {
                        self.tail.pop_front();
                    }
                    self.tail.push_back(line.clone());
                    said(&task.id, line);
                }
            }
            Err(error) if error.is_transient() => {}
            Err(error) => self.cannot(&error.line()),
        }
    }

    fn cannot(&mut self, why: &str) {
        self.unread = true;
        self.events.warn(format!("the task's log cannot be shown: {why}"), None);
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, judge, marker};
    use crate::aws::ecs::{Container, Task};

    fn task(status: &str, stop_code: Option<&str>, exit_code: Option<i32>, digest: Option<&str>) -> Task {
        let container =
            Container { name: "api".to_owned(), exit_code, digest: digest.map(str::to_owned), ..Container::default() };
        Task {
            last_status: status.to_owned(),
            stop_code: stop_code.map(str::to_owned),
            stopped_reason: Some("as ECS says it".to_owned()),
            containers: vec![container],
            ..Task::default()
        }
    }

    #[test]
    fn only_its_own_end_with_code_0_is_a_good_one() {
        let exited = Some("EssentialContainerExited");
        let stopped = || Some(Ending::Stopped("as ECS says it".to_owned()));
        let other = || Some(Ending::OtherImage("sha256:b".to_owned()));
        let cases = [
            (task("PENDING", None, None, None), None),
            (task("RUNNING", None, None, Some("sha256:a")), None),
            (task("STOPPED", exited, Some(0), Some("sha256:a")), Some(Ending::Exited(0))),
            (task("STOPPED", exited, Some(3), None), Some(Ending::Exited(3))),
            // A program that ends well on SIGTERM has not done its work.
            (task("STOPPED", Some("UserInitiated"), Some(0), None), stopped()),
            (task("STOPPED", Some("SpotInterruption"), Some(0), None), stopped()),
            (task("STOPPED", Some("TaskFailedToStart"), None, None), stopped()),
            // Another essential container ended first.
            (task("STOPPED", exited, None, None), stopped()),
            (task("RUNNING", None, None, Some("sha256:b")), other()),
            (task("STOPPED", exited, Some(0), Some("sha256:b")), other()),
        ];
        for (task, expected) in cases {
            assert_eq!(judge(&task, "api", &["sha256:a".to_owned()]), expected, "{task:?}");
        }
        assert_eq!(judge(&task("STOPPED", exited, Some(0), Some("sha256:b")), "api", &[]), Some(Ending::Exited(0)));
    }

    #[test]
    fn the_marker_is_what_ecs_takes() {
        assert_eq!(marker("api_1-b"), "shipit/api_1-b");
        assert_eq!(marker("a.b"), "shipit/a_b");
        assert_eq!(marker(&"a".repeat(255)).len(), 128);
    }
}
