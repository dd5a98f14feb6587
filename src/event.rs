//! What the core says while it works. Rooms emit events; only `report` prints them.
//!
//! An event is data: no colour, no layout, no prose that a machine would have to parse.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::exit::Exit;
use crate::plan::Plan;
use crate::rollout::diagnosis::Diagnosis;
use crate::verdict::Outcome;

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    /// The service it concerns; absent for the run as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<Arc<str>>,
    #[serde(flatten)]
    pub(crate) kind: Kind,
}

/// The stages of one service's way through a deploy, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    Preflight,
    Build,
    Inspect,
    Push,
    /// Waiting for ECR's scan of what was pushed.
    Scan,
    BeforeDeploy,
    Roll,
    Watch,
    Prove,
    Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Level {
    Note,
    Warning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StepState {
    Started,
    Cached,
    Done,
    Failed,
    Canceled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LayerState {
    Waiting,
    Pushing,
    Pushed,
    Exists,
    Mounted,
}

/// Counts of one service as ECS reports them, for the live view of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct RolloutCounts {
    /// Tasks of my deployment.
    pub(crate) running: u32,
    pub(crate) pending: u32,
    pub(crate) desired: u32,
    /// Consecutive failures of my deployment; ECS sets it back to 0 after a healthy task.
    pub(crate) failed: u32,
    /// Running tasks of other deployments, which are being drained.
    pub(crate) old: u32,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The run begins: what will be taken where.
    Started {
        command: &'static str,
        project: String,
        environment: String,
        branch: Option<String>,
        revision: Option<String>,
        subject: Option<String>,
        services: Vec<String>,
        local: bool,
    },
    /// A service enters a stage.
    Stage {
        stage: Stage,
    },
    /// Something worth knowing that does not end anything.
    Notice {
        level: Level,
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// The dry run's answer, and what a deploy shows before it acts.
    Planned {
        plan: Box<Plan>,
    },
    /// What a rollback would do, and what it shows before it acts.
    RollbackPlanned {
        plan: Box<crate::rollback::Plan>,
    },
    /// A person is asked next. What would be done, in lines; nothing may be drawn over the question that follows.
    Asked {
        shown: Vec<String>,
    },
    /// Which engine builds it.
    BuildPlaced {
        builder: String,
        one_of_several: bool,
    },
    /// A step (vertex) of the build changed its state. `id` is the vertex digest.
    BuildStep {
        id: String,
        name: String,
        state: StepState,
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A line that a build step wrote.
    BuildLog {
        id: String,
        line: String,
    },
    /// Bytes of the build context sent so far.
    ContextSent {
        files: u64,
        bytes: u64,
    },
    BuildFinished {
        image: String,
        seconds: f64,
    },
    /// The files of the image's layers were looked through for these secrets, by name.
    ImageSearched {
        secrets: Vec<String>,
        layers: usize,
        bytes: u64,
        seconds: f64,
    },
    /// `current` and `total` are bytes; both 0 when the engine does not say.
    PushLayer {
        id: String,
        state: LayerState,
        current: u64,
        total: u64,
    },
    /// A tag is in the registry, with the manifest digest that the registry has for it.
    TagPushed {
        reference: String,
        digest: String,
    },
    /// ECR's scan has no result yet: its state, in a word.
    Scanning {
        state: String,
    },
    /// What ECR's scan found.
    Scanned {
        report: Box<crate::scan::Report>,
    },
    /// ECS has accepted a one-off task.
    TaskStarted {
        task: String,
        container: String,
        command: Vec<String>,
    },
    /// A line that a one-off task wrote.
    TaskLog {
        task: String,
        line: String,
    },
    /// `UpdateService` was accepted: this is my deployment.
    RolloutStarted {
        deployment: String,
    },
    Rollout {
        deployment: String,
        counts: RolloutCounts,
        state: String,
    },
    /// A task of my deployment stopped, with ECS's own words.
    TaskStopped {
        task: String,
        reason: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
    },
    /// A service event of ECS since my deployment began, as ECS words it.
    ServiceEvent {
        text: String,
    },
    /// Why a rollout did not do what was asked: failed tasks by cause, a log's end, ECS's words, one hint.
    Diagnosis(Box<Diagnosis>),
    /// The verdict on one service.
    ServiceFinished {
        outcome: Outcome,
    },
    /// The last event of every run.
    Finished {
        exit_code: Exit,
        environment: Option<String>,
        services: Vec<Outcome>,
        /// Why the run ended before it had verdicts.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
}

/// What travels to the reporter.
#[derive(Debug)]
pub(crate) enum Message {
    Event(Box<Event>),
    /// Asks to be told when everything sent before it is printed.
    Flush(oneshot::Sender<()>),
}

#[cfg(test)]
impl Message {
    pub(crate) fn into_kind(self) -> Kind {
        match self {
            Self::Event(event) => event.kind,
            Self::Flush(_) => panic!("nobody asked whether all is printed"),
        }
    }
}

/// Where events go. Cloneable and cheap; a handle may be bound to one service.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    sink: mpsc::UnboundedSender<Message>,
    service: Option<Arc<str>>,
    entered: Arc<Mutex<Vec<Entered>>>,
}

/// A service entered a stage, or, without one, ended.
#[derive(Clone, Debug)]
pub(crate) struct Entered {
    pub(crate) service: Arc<str>,
    pub(crate) stage: Option<Stage>,
    pub(crate) at: Timestamp,
}

impl Events {
    pub(crate) fn channel() -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (sink, receiver) = mpsc::unbounded_channel();
        (Self { sink, service: None, entered: Arc::default() }, receiver)
    }

    /// The same sink, for one service.
    pub(crate) fn of(&self, service: &str) -> Self {
        Self { service: Some(service.into()), ..self.clone() }
    }

    /// A reporter that has gone away is no reason to stop a deploy: the event is dropped.
    pub(crate) fn emit(&self, kind: Kind) {
        let at = Timestamp::now();
        if let Some(service) = &self.service
            && let Kind::Stage { .. } | Kind::ServiceFinished { .. } = kind
        {
            let stage = if let Kind::Stage { stage } = kind { Some(stage) } else { None };
            let entered = Entered { service: Arc::clone(service), stage, at };
            self.entered.lock().unwrap_or_else(PoisonError::into_inner).push(entered);
        }
        let _ = self.sink.send(Message::Event(Box::new(Event { at, service: self.service.clone(), kind })));
    }

    /// The stages that the services have been through so far, for whoever writes down how long each took.
    pub(crate) fn entered(&self) -> Vec<Entered> {
        self.entered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what a person is asked about, and returns when all that was emitted so far is printed: the question may
    /// follow.
    pub(crate) async fn asked(&self, shown: Vec<String>) {
        self.emit(Kind::Asked { shown });
        let (done, printed) = oneshot::channel();
        if self.sink.send(Message::Flush(done)).is_ok() {
            let _ = printed.await;
        }
    }

    pub(crate) fn stage(&self, stage: Stage) {
        self.emit(Kind::Stage { stage });
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        self.emit(Kind::Notice { level: Level::Note, text: text.into(), hint: None });
    }

    pub(crate) fn warn(&self, text: impl Into<String>, hint: Option<String>) {
        self.emit(Kind::Notice { level: Level::Warning, text: text.into(), hint });
    }
}
