//! Whatever ECS answers, in whatever order: no false `deployed`, no watch past its time, no panic.
//!
//! The answers are drawn without regard to what a sane ECS would say: services and deployments come and go, answers are
//! stale, refused or late, tasks run any digest for anybody.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::decision::tests::{deployment, service};
use super::proof::{Proof, prove};
use super::session::{Answer, Ended, Question, Session, Step};
use super::watch::Watched;
use crate::aws::ecs::{
    Container, Deployment, DeploymentRecord, DeploymentStatus, Hook, RecordStatus, RolloutState, Service, ServiceEvent,
    ServiceStatus, Task,
};
use crate::error::Error;
use crate::exit::Exit;

const TIMEOUT: Duration = Duration::from_mins(5);

/// What ECS could say at one moment, whichever question is asked.
#[derive(Clone, Debug)]
struct Moment {
    service: Option<Service>,
    running: Vec<Task>,
    stopped: Vec<Task>,
    records: Vec<DeploymentRecord>,
    /// Every question of this moment is refused: `Some(true)` for a transient reason.
    refused: Option<bool>,
    /// How long ECS takes for each answer.
    takes: Duration,
}

fn watched(fail_fast: bool) -> Watched {
    Watched {
        cluster: "dev".to_owned(),
        service: "api".to_owned(),
        container: "api".to_owned(),
        deployment: "mine".to_owned(),
        previous: None,
        digests: vec!["sha256:index".to_owned(), "sha256:child".to_owned()],
        timeout: TIMEOUT,
        fail_fast,
    }
}

fn any_time() -> impl Strategy<Value = Option<Timestamp>> {
    prop::option::of((990_i64..1100).prop_map(|second| Timestamp::from_second(second).unwrap()))
}

fn any_id() -> impl Strategy<Value = String> {
    prop_oneof![5 => Just("mine"), 2 => Just("old"), 1 => Just("theirs")].prop_map(str::to_owned)
}

fn any_deployment() -> impl Strategy<Value = Deployment> {
    let status = prop_oneof![
        4 => Just(DeploymentStatus::Primary),
        2 => Just(DeploymentStatus::Active),
        1 => Just(DeploymentStatus::Inactive)
    ];
    let rollout = prop_oneof![
        4 => Just(Some(RolloutState::Completed)),
        4 => Just(Some(RolloutState::InProgress)),
        1 => Just(Some(RolloutState::Failed)),
        1 => Just(None)
    ];
    let reason = prop::option::of(prop_oneof![
        Just("ECS deployment ecs-svc/1 in progress."),
        Just("ECS deployment circuit breaker: rolling back to deploymentId old."),
    ]);
    let counts = (0_u32..4, 0_u32..4, 0_u32..4, prop_oneof![3 => Just(0), 1 => any::<u32>()]);
    (any_id(), status, rollout, reason, any_time(), counts).prop_map(
        |(id, status, rollout, reason, created_at, (desired, running, pending, failed))| Deployment {
            rollout,
            reason: reason.map(str::to_owned),
            created_at,
            desired,
            running,
            pending,
            failed,
            ..deployment(&id, status, RolloutState::InProgress)
        },
    )
}

fn any_service() -> impl Strategy<Value = Service> {
    let status = prop_oneof![
        30 => Just(ServiceStatus::Active),
        1 => Just(ServiceStatus::Draining),
        1 => Just(ServiceStatus::Inactive),
        1 => Just(ServiceStatus::Other("NEW".to_owned()))
    ];
    let strategy = prop_oneof![2 => Just("ROLLING"), 1 => Just("BLUE_GREEN"), 1 => Just("CANARY")];
    let text = prop_oneof![
        Just("(service api) rolling back to deployment ecs-svc/M."),
        Just("(service api) was unable to place a task."),
        Just("(service api) has reached a steady state."),
    ];
    let event =
        (any_time(), text).prop_map(|(at, text)| ServiceEvent { id: format!("{at:?}"), at, text: text.to_owned() });
    let lists = (prop::collection::vec(any_deployment(), 0..4), prop::collection::vec(event, 0..3));
    (status, strategy, 0_u32..4, lists).prop_map(|(status, strategy, desired, (deployments, events))| Service {
        status,
        strategy: strategy.to_owned(),
        desired,
        events,
        ..service(deployments)
    })
}

fn any_task() -> impl Strategy<Value = Task> {
    let by = prop_oneof![8 => Just(Some("mine")), 1 => Just(Some("old")), 1 => Just(None)];
    let digest = prop_oneof![
        6 => Just(Some("sha256:index")),
        3 => Just(Some("sha256:child")),
        1 => Just(Some("sha256:other")),
        1 => Just(None)
    ];
    let status = prop_oneof![8 => Just("RUNNING"), 1 => Just("PENDING"), 2 => Just("STOPPED"), 1 => Just("STOPPING")];
    let healthy = prop_oneof![4 => Just(None), 4 => Just(Some(true)), 1 => Just(Some(false))];
    let stop = prop_oneof![
        Just((None, None)),
        Just((Some("TaskFailedToStart"), Some("CannotPullContainerError: not found"))),
        Just((Some("EssentialContainerExited"), Some("Essential container in task exited"))),
        Just((Some("ServiceSchedulerInitiated"), Some("Task failed container health checks"))),
        Just((Some("UserInitiated"), Some("Task stopped by user"))),
    ];
    let name = prop_oneof![12 => Just("api"), 1 => Just("sidecar")];
    let container = (name, digest, prop::option::of(any::<i32>()));
    (0_u32..40, by, container, status, healthy, stop).prop_map(
        |(id, by, (name, digest, exit_code), status, healthy, (stop_code, reason))| Task {
            id: format!("t{id}"),
            started_by: by.map(str::to_owned),
            last_status: status.to_owned(),
            healthy,
            stop_code: stop_code.map(str::to_owned),
            stopped_reason: reason.map(str::to_owned),
            containers: vec![Container {
                name: name.to_owned(),
                digest: digest.map(str::to_owned),
                exit_code,
                ..Container::default()
            }],
            ..Task::default()
        },
    )
}

fn any_record() -> impl Strategy<Value = DeploymentRecord> {
    let status = prop_oneof![
        Just(RecordStatus::Pending),
        Just(RecordStatus::InProgress),
        Just(RecordStatus::Successful),
        Just(RecordStatus::Successful),
        Just(RecordStatus::Stopped),
        Just(RecordStatus::RollbackInProgress),
        Just(RecordStatus::RollbackFailed),
        Just(RecordStatus::Other("NEW".to_owned())),
    ];
    (status, any_time(), any::<bool>(), 0_u64..1000).prop_map(|(status, created_at, is_pause, minutes)| {
        let hook = Hook { is_pause, status: "AWAITING_ACTION".to_owned(), expires_at: created_at, ..Hook::default() };
        DeploymentRecord {
            status,
            created_at,
            hooks: vec![hook],
            waits: Duration::from_mins(minutes),
            ..DeploymentRecord::default()
        }
    })
}

fn any_moment() -> impl Strategy<Value = Moment> {
    let tasks = |most| prop::collection::vec(any_task(), 0..most);
    let refused = prop_oneof![20 => Just(None), 2 => Just(Some(true)), 1 => Just(Some(false))];
    (
        prop::option::weighted(0.95, any_service()),
        tasks(4),
        tasks(3),
        prop::collection::vec(any_record(), 0..3),
        refused,
        prop_oneof![10 => 0_u64..3, 1 => 0_u64..60],
    )
        .prop_map(|(service, running, stopped, records, refused, seconds)| Moment {
            service,
            running,
            stopped,
            records,
            refused,
            takes: Duration::from_secs(seconds),
        })
}

impl Moment {
    fn answer(&self, question: &Question) -> Answer {
        if let Some(transient) = self.refused {
            let error = Error::new(Exit::Aws, "refused");
            return Answer::Refused(if transient { error.transient() } else { error });
        }
        match question {
            Question::Service => Answer::Service(self.service.clone()),
            Question::Stopped { .. } => Answer::Stopped(self.stopped.clone()),
            Question::Running => Answer::Running(self.running.clone()),
            Question::Records { .. } => Answer::Records(self.records.clone()),
        }
    }
}

/// Runs a whole watch against these moments, each lasting as many questions as it says, the last one for ever.
/// Returns how it ended and what the last service and the last running tasks were.
fn run(moments: &[(Moment, usize)], watched: &Watched) -> (Ended, Option<Service>, Vec<Task>) {
    let mut session = Session::new(watched);
    let (mut now, mut step) = (Duration::ZERO, session.wake());
    let (mut last_service, mut last_running) = (None, Vec::new());
    let (mut moment, mut left) = (0, moments[0].1);
    let mut past_the_end = 0;
    for _ in 0..20_000 {
        let _ = session.said();
        match step {
            Step::Ask(question) => {
                if left == 0 && moment + 1 < moments.len() {
                    moment += 1;
                    left = moments[moment].1;
                }
                left = left.saturating_sub(1);
                let current = &moments[moment].0;
                let answer = current.answer(&question);
                match &answer {
                    Answer::Service(service) => last_service.clone_from(service),
                    Answer::Running(tasks) => last_running.clone_from(tasks),
                    _ => {}
                }
                if now >= watched.timeout {
                    past_the_end += 1;
                    assert!(past_the_end <= 8, "it goes on asking after its time: {question:?}");
                }
                now += current.takes;
                step = session.step(&question, answer, now, 1);
            }
            Step::Wait(wait) => {
                assert!(now < watched.timeout, "it sleeps although its time is over");
                assert!(wait >= Duration::from_millis(500), "it asks without a rest");
                now += wait;
                step = session.wake();
            }
            Step::End(ended) => return (ended, last_service, last_running),
        }
    }
    panic!("it never ends");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_answers_is_called_deployed_without_the_proof(
        moments in prop::collection::vec((any_moment(), 1_usize..10), 1..9),
        fail_fast in any::<bool>(),
    ) {
        let watched = watched(fail_fast);
        let (ended, service, running) = run(&moments, &watched);
        if let Ended::Proven { tasks, .. } = ended {
            let service = service.expect("nothing is proven without a service");
            let proof = prove(&running, "mine", "api", &watched.digests, service.desired);
            prop_assert_eq!(proof, Proof::Proven { tasks });
            let mine = running.iter().filter(|task| {
                task.started_by.as_deref() == Some("mine")
                    && task.last_status == "RUNNING"
                    && task.healthy != Some(false)
                    && task.container("api").and_then(|api| api.digest.as_ref()).is_some_and(|digest| {
                        watched.digests.contains(digest)
                    })
            });
            prop_assert!(mine.count() >= service.desired as usize && service.desired > 0);
            prop_assert!(running.iter().all(|task| task.started_by.as_deref() == Some("mine")));
            prop_assert!(service.status != ServiceStatus::Draining && service.status != ServiceStatus::Inactive);
            prop_assert!(service.primary().is_none_or(|primary| primary.id == "mine"), "somebody else is PRIMARY");
        }
    }
}

#[test]
fn the_random_moments_reach_every_ending() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, TestRunner};
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let moments = prop::collection::vec((any_moment(), 1_usize..10), 1..9);
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..4_000 {
        let moments = moments.new_tree(&mut runner).unwrap().current();
        let ended = match run(&moments, &watched(true)).0 {
            Ended::Failed(ending) => format!("{ending:?}"),
            other => format!("{other:?}"),
        };
        let name: String = ended.chars().take_while(|c| c.is_alphanumeric()).collect();
        *seen.entry(name).or_default() += 1;
    }
    let all = [
        "Blind",
        "CrashLoop",
        "Failed",
        "NotProven",
        "Proven",
        "RolledBack",
        "ServiceGone",
        "Stopped",
        "Superseded",
        "TimedOut",
    ];
    let missing: Vec<_> = all.iter().filter(|name| !seen.contains_key(**name)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?} of {seen:?}");
}
