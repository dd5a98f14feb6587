//! Recorded runs for the tests of the reporters, and a way to watch them in a real terminal.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::event::{Event, Kind, LayerState, Level, RolloutCounts, Stage, StepState};
use crate::exit::Exit;
use crate::verdict::{Outcome, Verdict};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const REVISION: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";
const REPOSITORY: &str = "123456789012.dkr.ecr.ap-south-1.amazonaws.com/api-dev";
const DEPLOYMENT: &str = "ecs-svc/1234567890123456789";

/// An event so many seconds after 19:30 of a fixed day.
pub(super) fn at(seconds: f64, service: Option<&str>, kind: Kind) -> Event {
    let start: Timestamp = "2026-11-23T19:30:00Z".parse().unwrap();
    Event { at: start + Duration::from_secs_f64(seconds), service: service.map(Arc::from), kind }
}

pub(super) fn deployed(service: &str) -> Outcome {
    Outcome {
        service: service.to_owned(),
        verdict: Verdict::Deployed,
        exit_code: Exit::Success,
        digest: Some(DIGEST.to_owned()),
        since: None,
        revision: Some(REVISION.to_owned()),
        deployment: Some(DEPLOYMENT.to_owned()),
        builder: None,
        scan: None,
        url: Some("http://127.0.0.1:32768".to_owned()),
        reason: None,
        hint: None,
        log: Vec::new(),
        seconds: 12.345,
    }
}

struct Script {
    service: &'static str,
    now: f64,
    events: Vec<Event>,
}

impl Script {
    fn new(services: &[&str]) -> Self {
        let mut script = Self { service: "api", now: 0.0, events: Vec::new() };
        script.events.push(at(
            0.0,
            None,
            Kind::Started {
                command: "deploy",
                project: "storefront".to_owned(),
                environment: "dev".to_owned(),
                branch: Some("develop".to_owned()),
                revision: Some(REVISION.to_owned()),
                subject: Some("Greet the visitor by name".to_owned()),
                services: services.iter().map(|name| (*name).to_owned()).collect(),
                local: true,
            },
        ));
        script
    }

    fn then(mut self, after: f64, kind: Kind) -> Self {
        self.now += after;
        self.events.push(at(self.now, Some(self.service), kind));
        self
    }

    fn stage(self, after: f64, stage: Stage) -> Self {
        self.then(after, Kind::Stage { stage })
    }

    fn step(self, after: f64, id: &str, name: &str, state: StepState) -> Self {
        let seconds = matches!(state, StepState::Done | StepState::Failed).then_some(after);
        let error = (state == StepState::Failed).then(|| "exit code: 101".to_owned());
        self.then(after, Kind::BuildStep { id: id.to_owned(), name: name.to_owned(), state, seconds, error })
    }

    fn log(self, after: f64, id: &str, line: &str) -> Self {
        self.then(after, Kind::BuildLog { id: id.to_owned(), line: line.to_owned() })
    }

    fn layer(self, after: f64, id: &str, state: LayerState, current: u64, total: u64) -> Self {
        self.then(after, Kind::PushLayer { id: id.to_owned(), state, current, total })
    }

    fn tag(self, after: f64, tag: &str) -> Self {
        self.then(after, Kind::TagPushed { reference: format!("{REPOSITORY}:{tag}"), digest: DIGEST.to_owned() })
    }

    fn tasks(self, after: f64, running: u32, pending: u32, old: u32) -> Self {
        let counts = RolloutCounts { running, pending, desired: 2, failed: 0, old };
        self.then(after, Kind::Rollout { deployment: DEPLOYMENT.to_owned(), counts, state: "IN_PROGRESS".to_owned() })
    }

    fn build(self) -> Self {
        self.stage(0.1, Stage::Preflight)
            .stage(0.4, Stage::Build)
            .step(0.1, "i", "[internal] load build definition from Dockerfile", StepState::Started)
            .step(0.1, "i", "[internal] load build definition from Dockerfile", StepState::Done)
            .then(0.2, Kind::ContextSent { files: 120, bytes: 3_400_000 })
            .step(0.1, "1", "[1/4] FROM docker.io/library/rust:1", StepState::Cached)
            .step(0.1, "2", "[2/4] COPY . .", StepState::Started)
            .step(0.3, "2", "[2/4] COPY . .", StepState::Done)
            .step(0.1, "3", "[3/4] RUN cargo build", StepState::Started)
            .log(0.4, "3", "   Compiling\u{1b}[32m serde\u{1b}[0m v1.0.229")
            .log(0.5, "3", "   Compiling api v0.1.0 (/srv)")
    }

    fn ended(mut self, after: f64, outcome: Outcome) -> Vec<Event> {
        self.now += after;
        let exit_code = outcome.exit_code;
        self.events.push(at(self.now, Some(self.service), Kind::ServiceFinished { outcome: outcome.clone() }));
        let kind =
            Kind::Finished { exit_code, environment: Some("dev".to_owned()), services: vec![outcome], error: None };
        self.events.push(at(self.now, None, kind));
        self.events
    }
}

/// 12.3 seconds from start to proof.
pub(super) fn good_run() -> Vec<Event> {
    let script = Script::new(&["api"]).build();
    script
        .step(0.7, "3", "[3/4] RUN cargo build", StepState::Done)
        .step(0.1, "4", "[4/4] COPY page /srv/", StepState::Started)
        .step(0.1, "4", "[4/4] COPY page /srv/", StepState::Done)
        .then(0.1, Kind::BuildFinished { image: DIGEST.to_owned(), seconds: 3.1 })
        .stage(0.0, Stage::Inspect)
        .stage(0.1, Stage::Push)
        .layer(0.1, "a", LayerState::Exists, 0, 0)
        .layer(0.1, "b", LayerState::Pushing, 2_000_000, 10_000_000)
        .layer(0.5, "b", LayerState::Pushing, 6_000_000, 10_000_000)
        .layer(0.1, "c", LayerState::Pushing, 300_000, 2_345_678)
        .layer(0.5, "b", LayerState::Pushing, 9_000_000, 10_000_000)
        .layer(0.3, "c", LayerState::Pushed, 0, 0)
        .layer(0.3, "b", LayerState::Pushed, 0, 0)
        .tag(0.1, "git-1a2b3c4d5e6f")
        .layer(0.1, "b", LayerState::Waiting, 0, 0)
        .layer(0.0, "c", LayerState::Waiting, 0, 0)
        .layer(0.1, "b", LayerState::Exists, 0, 0)
        .layer(0.0, "c", LayerState::Exists, 0, 0)
        .tag(0.3, "latest")
        .stage(0.1, Stage::Roll)
        .then(0.2, Kind::RolloutStarted { deployment: DEPLOYMENT.to_owned() })
        .stage(0.0, Stage::Watch)
        .tasks(0.6, 0, 2, 2)
        .then(
            0.9,
            Kind::ServiceEvent { text: "(service api) has started 2 tasks: (task 0a1b) (task 2c3d).".to_owned() },
        )
        .tasks(0.2, 0, 2, 2)
        .tasks(1.0, 1, 1, 2)
        .tasks(0.8, 2, 0, 1)
        .tasks(0.8, 2, 0, 0)
        .stage(0.7, Stage::Prove)
        .stage(1.0, Stage::Record)
        .then(
            0.0,
            Kind::Notice {
                level: Level::Warning,
                text: "the tags of the service could not be written".to_owned(),
                hint: Some("give the role `ecs:TagResource`".to_owned()),
            },
        )
        .ended(0.0, deployed("api"))
}

/// A step of the Dockerfile fails after 6 seconds.
pub(super) fn failed_build() -> Vec<Event> {
    let mut script = Script::new(&["api"]).build();
    for number in 1..=20 {
        script = script.log(0.1, "3", &format!("warning: unused variable number {number}"));
    }
    script
        .log(0.1, "3", "error: could not compile `api` (bin \"api\") due to 1 previous error")
        .step(1.1, "3", "[3/4] RUN cargo build", StepState::Failed)
        .ended(
            0.3,
            Outcome {
                verdict: Verdict::BuildFailed,
                exit_code: Exit::Build,
                digest: None,
                deployment: None,
                url: None,
                reason: Some("the build failed at `RUN cargo build`: exit code 101".to_owned()),
                hint: Some("run `docker build` on the same folder to see the whole log".to_owned()),
                seconds: 5.9,
                ..deployed("api")
            },
        )
}

/// A container that exits at once; the second service of the run goes well beside it.
pub(super) fn crash_loop() -> Vec<Event> {
    let mut good = Script::new(&["api", "worker"]);
    good.service = "worker";
    let worker = Outcome { service: "worker".to_owned(), url: None, ..deployed("worker") };
    let mut events =
        good.build().stage(0.5, Stage::Push).tag(1.0, "latest").stage(0.1, Stage::Watch).tasks(0.5, 2, 0, 0).events;
    let mut bad = Script::new(&[]).stage(0.3, Stage::Push).tag(1.0, "latest").stage(0.1, Stage::Roll);
    bad = bad.then(0.3, Kind::RolloutStarted { deployment: DEPLOYMENT.to_owned() }).stage(0.0, Stage::Watch);
    for task in ["0a1b2c3d", "4e5f6a7b", "8c9d0e1f"] {
        bad = bad.tasks(0.6, 0, 1, 2).then(
            0.9,
            Kind::TaskStopped {
                task: format!("arn:aws:ecs:ap-south-1:123456789012:task/dev/{task}"),
                reason: "Essential container in task exited".to_owned(),
                exit_code: Some(1),
            },
        );
    }
    let api = Outcome {
        verdict: Verdict::RolloutFailed,
        exit_code: Exit::Rollout,
        url: None,
        reason: Some(
            "3 tasks of ecs-svc/1234567890123456789 stopped: Essential container in task exited (exit code 1)\n\
             last log lines of container api:\n\
             \x20 connecting to postgres at db.internal:5432\n\
             \x20 Error: connect ECONNREFUSED 10.0.3.17:5432\n\
             latest was moved back to sha256:fedcba987654"
                .to_owned(),
        ),
        hint: Some("look at why the container exits with 1, then deploy again; the old tasks still serve".to_owned()),
        ..deployed("api")
    };
    let end = bad.now + 0.4;
    events.extend(bad.events.into_iter().skip(1));
    events.push(at(end, Some("worker"), Kind::ServiceFinished { outcome: worker.clone() }));
    events.push(at(end, Some("api"), Kind::ServiceFinished { outcome: api.clone() }));
    events.sort_by_key(|event| event.at);
    let kind = Kind::Finished {
        exit_code: Exit::Rollout,
        environment: Some("dev".to_owned()),
        services: vec![api, worker],
        error: None,
    };
    events.push(at(end, None, kind));
    events
}

/// Twelve tasks stop alike before ECS gives up.
pub(super) fn long_crash_loop() -> Vec<Event> {
    let mut script = Script::new(&["api"]).stage(0.3, Stage::Watch);
    for number in 0..12 {
        let task = format!("arn:aws:ecs:ap-south-1:123456789012:task/dev/{number:08}");
        let reason = "Essential container in task exited".to_owned();
        script = script.then(1.0, Kind::TaskStopped { task, reason, exit_code: Some(1) });
    }
    let outcome = Outcome {
        verdict: Verdict::RolloutFailed,
        exit_code: Exit::Rollout,
        reason: Some("the circuit breaker gave up".to_owned()),
        ..deployed("api")
    };
    script.ended(0.4, outcome)
}
