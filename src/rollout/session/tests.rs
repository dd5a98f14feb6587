//! What a watch asks in which order, what it says, and how it takes a refusal.

use std::time::Duration;

use jiff::Timestamp;

use super::{Answer, Ended, Question, Session, Step};
use crate::aws::ecs::{
    Container, Deployment, DeploymentRecord, DeploymentStatus, Hook, RecordStatus, RolloutState, Service, Task,
};
use crate::error::Error;
use crate::event::Kind;
use crate::exit::Exit;
use crate::rollout::decision::Ending;
use crate::rollout::decision::tests::{deployment, service};
use crate::rollout::failure::tests::stopped;
use crate::rollout::watch::Watched;

fn watched() -> Watched {
    Watched {
        cluster: "dev".to_owned(),
        service: "api".to_owned(),
        container: "api".to_owned(),
        deployment: "mine".to_owned(),
        previous: None,
        digests: vec!["sha256:aa".to_owned()],
        timeout: Duration::from_mins(5),
        fail_fast: true,
    }
}

fn mine(rollout: RolloutState, running: u32) -> Deployment {
    Deployment {
        running,
        created_at: Timestamp::from_second(1000).ok(),
        ..deployment("mine", DeploymentStatus::Primary, rollout)
    }
}

fn staged(rollout: RolloutState) -> Service {
    Service { strategy: "BLUE_GREEN".to_owned(), ..service(vec![mine(rollout, 2)]) }
}

fn failed(id: &str) -> Task {
    let task = stopped(id, "EssentialContainerExited", "Essential container in task exited", Some(1));
    Task { started_by: Some("mine".to_owned()), ..task }
}

fn refusal() -> Answer {
    Answer::Refused(Error::new(Exit::Aws, "AWS refused it").cause("AccessDeniedException").hint("allow it"))
}

fn outage() -> Answer {
    Answer::Refused(Error::new(Exit::Aws, "no answer").transient())
}

/// Answers each question in its turn, at that second; the step after the last.
fn after(session: &mut Session<'_>, second: u64, answers: Vec<Answer>) -> Step {
    let mut step = session.wake();
    for answer in answers {
        let Step::Ask(question) = step else { panic!("it asks no more: {step:?}") };
        step = session.step(&question, answer, Duration::from_secs(second), 1);
    }
    step
}

fn texts(session: &mut Session<'_>) -> Vec<String> {
    let text = |kind| match kind {
        Kind::Notice { text, .. } => Some(text),
        _ => None,
    };
    session.said().into_iter().filter_map(text).collect()
}

#[test]
fn stopped_tasks_are_looked_at_when_there_may_be_one() {
    let watched = watched();
    let mut session = Session::new(&watched);
    let short = |failures, running| {
        let mut mine = mine(RolloutState::InProgress, running);
        mine.failed = failures;
        Answer::Service(Some(service(vec![mine])))
    };
    let looks = |step: &Step| matches!(step, Step::Ask(Question::Stopped { .. }));
    assert!(looks(&after(&mut session, 0, vec![short(0, 1)])), "the first time");
    assert!(!looks(&after(&mut session, 1, vec![short(0, 1)])), "nothing has changed");
    assert!(looks(&after(&mut session, 2, vec![short(1, 1)])), "ECS counts a failure");
    assert!(looks(&after(&mut session, 3, vec![short(1, 0)])), "a task is gone");
    assert!(looks(&after(&mut session, 9, vec![short(1, 0)])), "after a while, for ECS may not count it");
    assert!(!looks(&after(&mut session, 20, vec![short(0, 2)])), "all run");
}

#[test]
fn a_task_is_told_once_and_never_asked_for_again() {
    let watched = watched();
    let mut session = Session::new(&watched);
    let answer = || Answer::Service(Some(service(vec![mine(RolloutState::InProgress, 0)])));
    let mut stopping = failed("id-2");
    stopping.last_status = "STOPPING".to_owned();
    stopping.containers[0].exit_code = None;
    let mut others = failed("id-3");
    others.started_by = Some("old".to_owned());
    let step = after(&mut session, 0, vec![answer(), Answer::Stopped(vec![failed("id-1"), stopping, others])]);
    assert!(matches!(step, Step::Wait(_)), "{step:?}");
    let told = |said: Vec<Kind>| said.iter().filter(|kind| matches!(kind, Kind::TaskStopped { .. })).count();
    assert_eq!(told(session.said()), 1);
    let Step::Ask(Question::Stopped { known }) = after(&mut session, 10, vec![answer()]) else { panic!("no look") };
    assert_eq!(known.into_iter().collect::<Vec<_>>(), ["id-1", "id-3"], "how the second one ended is not known yet");
    let question = Question::Stopped { known: std::collections::BTreeSet::new() };
    let again = Answer::Stopped(vec![failed("id-1"), failed("id-2")]);
    let step = session.step(&question, again, Duration::from_secs(10), 1);
    assert!(matches!(step, Step::End(Ended::Failed(Ending::CrashLoop { failures: 2 }))), "{step:?}");
    assert_eq!(told(session.said()), 1);
    assert_eq!(session.failures.len(), 2);
}

#[test]
fn without_permission_to_read_tasks_it_goes_on_and_says_so_once() {
    let watched = watched();
    let mut session = Session::new(&watched);
    let answer = || Answer::Service(Some(service(vec![mine(RolloutState::InProgress, 0)])));
    assert!(matches!(after(&mut session, 0, vec![answer(), refusal()]), Step::Wait(_)));
    assert!(matches!(after(&mut session, 60, vec![answer()]), Step::Wait(_)), "it is not asked again");
    let said = texts(&mut session);
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("AccessDeniedException"), "{said:?}");
    let mut gone = mine(RolloutState::Failed, 0);
    gone.reason = Some("tasks failed to start".to_owned());
    // The reason is looked for in ECS's record; without it the verdict is the same.
    let step = after(&mut session, 70, vec![Answer::Service(Some(service(vec![gone]))), refusal()]);
    assert!(matches!(&step, Step::End(Ended::Failed(Ending::Failed { reason })) if reason.contains("failed to start")));
}

#[test]
fn who_may_not_be_asked_about_the_service_is_blind() {
    let watched = watched();
    let mut session = Session::new(&watched);
    assert!(matches!(after(&mut session, 0, vec![refusal()]), Step::End(Ended::Blind(_))));
    let mut session = Session::new(&watched);
    let done = Answer::Service(Some(service(vec![mine(RolloutState::Completed, 2)])));
    assert!(matches!(after(&mut session, 0, vec![done, refusal()]), Step::End(Ended::Blind(_))));
    // A deployment in stages can be judged by its record only.
    let mut session = Session::new(&watched);
    let step = after(&mut session, 0, vec![Answer::Service(Some(staged(RolloutState::InProgress))), refusal()]);
    assert!(matches!(step, Step::End(Ended::Blind(_))), "{step:?}");
}

#[test]
fn an_outage_is_waited_out_until_the_time_is_up() {
    let watched = watched();
    let mut session = Session::new(&watched);
    let mut last = Duration::ZERO;
    for second in 1..=4 {
        let Step::Wait(wait) = after(&mut session, second, vec![outage()]) else { panic!("it ended") };
        assert!(wait > last, "it asks less and less often");
        last = wait;
    }
    assert_eq!(texts(&mut session).len(), 1);
    assert!(matches!(after(&mut session, 300, vec![outage()]), Step::End(Ended::Failed(Ending::TimedOut))));
    let mut session = Session::new(&watched);
    let done = Answer::Service(Some(service(vec![mine(RolloutState::Completed, 2)])));
    let step = after(&mut session, 300, vec![done, outage()]);
    assert!(matches!(step, Step::End(Ended::NotProven { .. })), "it is complete, and was not seen: {step:?}");
}

#[test]
fn a_pause_says_that_it_waits_for_a_person() {
    let watched = watched();
    let mut session = Session::new(&watched);
    let record = DeploymentRecord {
        arn: "arn:record".to_owned(),
        status: RecordStatus::InProgress,
        created_at: Timestamp::from_second(1001).ok(),
        stage: Some("POST_TEST_TRAFFIC_SHIFT".to_owned()),
        hooks: vec![Hook {
            id: "h1".to_owned(),
            is_pause: true,
            status: "AWAITING_ACTION".to_owned(),
            ..Hook::default()
        }],
        waits: Duration::from_mins(60),
        ..DeploymentRecord::default()
    };
    for second in [0, 10] {
        let answers =
            vec![Answer::Service(Some(staged(RolloutState::Completed))), Answer::Records(vec![record.clone()])];
        assert!(matches!(after(&mut session, second, answers), Step::Wait(_)), "COMPLETED counts for nothing here");
    }
    let said = session.said();
    let hint = said.iter().find_map(|kind| match kind {
        Kind::Notice { text, hint, .. } if text.contains("waits for a person") => hint.clone(),
        _ => None,
    });
    assert!(hint.is_some_and(|hint| hint.contains("--service-deployment-arn arn:record --hook-id h1")), "{said:?}");
    let notices = said.iter().filter(|kind| matches!(kind, Kind::Notice { .. })).count();
    assert_eq!(notices, 3, "the bake time, the stage and the pause, once each: {said:?}");
    // Once a person has let it go on, it is proven like any other.
    let done = DeploymentRecord { status: RecordStatus::Successful, hooks: Vec::new(), ..record };
    let task = Task {
        id: "t".to_owned(),
        started_by: Some("mine".to_owned()),
        last_status: "RUNNING".to_owned(),
        containers: vec![Container {
            name: "api".to_owned(),
            digest: Some("sha256:aa".to_owned()),
            ..Container::default()
        }],
        ..Task::default()
    };
    let answers = vec![
        Answer::Service(Some(staged(RolloutState::Completed))),
        Answer::Records(vec![done]),
        Answer::Running(vec![task.clone(), task]),
        Answer::Stopped(Vec::new()),
    ];
    let step = after(&mut session, 20, answers);
    assert!(matches!(step, Step::End(Ended::Proven { tasks: 2, .. })), "{step:?}");
}

#[test]
fn after_a_failure_the_tasks_have_to_last_from_one_look_to_the_next() {
    let watched = Watched { fail_fast: false, ..watched() };
    let running = |id: &str| Task {
        id: id.to_owned(),
        started_by: Some("mine".to_owned()),
        last_status: "RUNNING".to_owned(),
        containers: vec![Container {
            name: "api".to_owned(),
            digest: Some("sha256:aa".to_owned()),
            ..Container::default()
        }],
        ..Task::default()
    };
    let mut session = Session::new(&watched);
    let mut look = |second, ids: [&str; 2], stopped| {
        let answers = vec![
            Answer::Service(Some(service(vec![mine(RolloutState::Completed, 2)]))),
            Answer::Running(ids.map(running).into()),
            Answer::Stopped(stopped),
        ];
        after(&mut session, second, answers)
    };
    assert!(matches!(look(0, ["id-2", "id-3"], vec![failed("id-1")]), Step::Wait(_)), "one has failed");
    assert!(matches!(look(5, ["id-3", "id-4"], vec![failed("id-2")]), Step::Wait(_)), "and another one");
    let step = look(10, ["id-3", "id-4"], Vec::new());
    assert!(matches!(step, Step::End(Ended::Proven { tasks: 2, .. })), "{step:?}");
}

#[test]
fn the_record_of_a_rollback_is_read_for_its_reason() {
    let watched = watched();
    let mut session = Session::new(&watched);
    let before = Answer::Service(Some(service(vec![mine(RolloutState::InProgress, 2)])));
    assert!(matches!(after(&mut session, 0, vec![before]), Step::Wait(_)));
    let back = Deployment {
        reason: Some("ECS deployment circuit breaker: rolling back to deploymentId old.".to_owned()),
        ..deployment("old", DeploymentStatus::Primary, RolloutState::InProgress)
    };
    let record = DeploymentRecord {
        arn: "arn:record".to_owned(),
        status: RecordStatus::RollbackInProgress,
        created_at: Timestamp::from_second(1000).ok(),
        rollback_reason: Some("the circuit breaker threshold was exceeded".to_owned()),
        ..DeploymentRecord::default()
    };
    let answers = vec![
        Answer::Service(Some(service(vec![back]))),
        // Mine is gone, so that both are asked for.
        Answer::Stopped(vec![failed("id-1")]),
        Answer::Records(vec![record]),
    ];
    let step = after(&mut session, 5, answers);
    assert!(matches!(step, Step::End(Ended::Failed(Ending::RolledBack { .. }))), "{step:?}");
    let reason = session.record().and_then(|record| record.rollback_reason.clone());
    assert_eq!(reason.as_deref(), Some("the circuit breaker threshold was exceeded"));
    assert_eq!(session.failures.len(), 1);
}
