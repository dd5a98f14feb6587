//! Every ending, as the answers of ECS that lead to it.

use super::super::failure::{Failure, tests::exited};
use super::{Decision, Ending, Progress, Round};
use crate::aws::ecs::{
    Controller, Deployment, DeploymentRecord, DeploymentStatus, RecordStatus, RolloutState, Service, ServiceEvent,
    ServiceStatus,
};
use jiff::Timestamp;
use std::time::Duration;

pub(in crate::rollout) fn deployment(id: &str, status: DeploymentStatus, rollout: RolloutState) -> Deployment {
    Deployment {
        id: id.to_owned(),
        status,
        rollout: Some(rollout),
        reason: None,
        created_at: None,
        desired: 2,
        running: 0,
        pending: 0,
        failed: 0,
    }
}

fn mine(rollout: RolloutState) -> Deployment {
    deployment("mine", DeploymentStatus::Primary, rollout)
}

pub(in crate::rollout) fn service(deployments: Vec<Deployment>) -> Service {
    Service {
        arn: "arn".to_owned(),
        status: ServiceStatus::Active,
        controller: Controller::Ecs,
        strategy: "ROLLING".to_owned(),
        desired: 2,
        running: 2,
        pending: 0,
        task_definition: "td".to_owned(),
        launch: Box::default(),
        deployments,
        events: Vec::new(),
    }
}

fn crash(n: usize) -> Vec<Failure> {
    vec![exited("id-t", 1); n]
}

fn observed(decision: &mut Decision, service: Option<&Service>, failures: &[Failure], at: Duration) -> Progress {
    decision.observe(Round { service, failures, records: &[] }, at)
}

/// Feeds the answers in, two seconds apart, and returns the last judgement.
fn after(answers: &[Service]) -> Progress {
    let mut decision = Decision::new("mine", Duration::from_mins(10), true);
    let mut last = Progress::Waiting;
    for (n, answer) in answers.iter().enumerate() {
        last = observed(&mut decision, Some(answer), &[], Duration::from_secs(2 * n as u64));
        if last != Progress::Waiting {
            break;
        }
    }
    last
}

fn ended(ending: Ending) -> Progress {
    Progress::Ended(ending)
}

#[test]
fn complete_only_as_the_primary() {
    use DeploymentStatus::{Active, Primary};
    use RolloutState::{Completed, InProgress};
    let old = deployment("old", Active, Completed);
    assert_eq!(after(&[service(vec![mine(InProgress), old.clone()])]), Progress::Waiting);
    assert_eq!(after(&[service(vec![mine(Completed)])]), Progress::Completed);
    let theirs = deployment("theirs", Primary, Completed);
    let overtaken = service(vec![theirs, deployment("mine", Active, Completed)]);
    assert_eq!(after(&[overtaken]), ended(Ending::Superseded { by: "theirs".to_owned() }));
}

#[test]
fn a_rollback_is_told_although_the_service_gets_stable_again() {
    use DeploymentStatus::{Active, Primary};
    use RolloutState::{Completed, Failed, InProgress};
    let mut back = deployment("old", Primary, InProgress);
    back.reason = Some("ECS deployment circuit breaker: rolling back to deploymentId old.".to_owned());
    let failed = deployment("mine", Active, Failed);
    let told = after(&[service(vec![mine(InProgress)]), service(vec![back.clone(), failed])]);
    assert!(matches!(told, Progress::Ended(Ending::RolledBack { to: Some(id), .. }) if id == "old"));
    // The failed deployment may have vanished between two polls, and the reason with it.
    let told = after(&[service(vec![mine(InProgress)]), service(vec![back])]);
    assert!(matches!(told, Progress::Ended(Ending::RolledBack { .. })));
    let mut started = mine(InProgress);
    started.created_at = Timestamp::from_second(2000).ok();
    let mut stable = deployment("old", Primary, Completed);
    stable.created_at = Timestamp::from_second(1000).ok();
    let stable = service(vec![stable]);
    let mut answers = vec![service(vec![started])];
    answers.extend(std::iter::repeat_n(stable, 8));
    assert!(matches!(after(&answers), Progress::Ended(Ending::RolledBack { .. })));
}

#[test]
fn one_stale_answer_ends_nothing() {
    use DeploymentStatus::Primary;
    use RolloutState::{Completed, InProgress};
    let stale = service(vec![deployment("old", Primary, Completed)]);
    let fresh = service(vec![mine(InProgress)]);
    let done = service(vec![mine(Completed)]);
    assert_eq!(after(&[stale.clone(), stale.clone(), fresh.clone(), stale, fresh, done]), Progress::Completed);
}

#[test]
fn a_deployment_that_never_appears_was_superseded() {
    let other = service(vec![deployment("theirs", DeploymentStatus::Primary, RolloutState::InProgress)]);
    let told = after(&vec![other; 40]);
    assert_eq!(told, ended(Ending::Superseded { by: "theirs".to_owned() }));
}

#[test]
fn who_took_its_place_before_the_first_look_is_known_by_the_deployment_before() {
    let shown = |id| service(vec![deployment(id, DeploymentStatus::Primary, RolloutState::InProgress)]);
    let told = |id: &'static str, at| {
        let mut decision = Decision::new("mine", Duration::from_mins(10), true).after(Some("before"));
        let answer = shown(id);
        observed(&mut decision, Some(&answer), &[], Duration::ZERO);
        observed(&mut decision, Some(&answer), &[], Duration::from_secs(at))
    };
    assert_eq!(told("theirs", 12), ended(Ending::Superseded { by: "theirs".to_owned() }));
    assert_eq!(told("before", 50), Progress::Waiting, "mine may only be late");
}

#[test]
fn a_breaker_without_rollback_is_a_failure() {
    let mut failed = mine(RolloutState::Failed);
    failed.reason = Some("ECS deployment circuit breaker: tasks failed to start.".to_owned());
    let told = after(&[service(vec![failed])]);
    assert!(matches!(told, Progress::Ended(Ending::Failed { reason }) if reason.contains("failed to start")));
}

#[test]
fn a_crash_loop_is_told_at_the_second_identical_failure() {
    let answer = service(vec![mine(RolloutState::InProgress)]);
    let at = Duration::from_secs(5);
    let mut decision = Decision::new("mine", Duration::from_mins(10), true);
    assert_eq!(observed(&mut decision, Some(&answer), &crash(1), at), Progress::Waiting);
    assert_eq!(observed(&mut decision, Some(&answer), &crash(2), at), ended(Ending::CrashLoop { failures: 2 }));
    let mut patient = Decision::new("mine", Duration::from_mins(10), false);
    assert_eq!(observed(&mut patient, Some(&answer), &crash(9), at), Progress::Waiting);
    let mut running = mine(RolloutState::InProgress);
    running.running = 1;
    let running = service(vec![running]);
    assert_eq!(observed(&mut decision, Some(&running), &crash(2), at), Progress::Waiting);
    assert_eq!(observed(&mut decision, Some(&running), &crash(3), at), ended(Ending::CrashLoop { failures: 3 }));
}

#[test]
fn a_service_that_goes_away_ends_it() {
    let mut draining = service(vec![mine(RolloutState::InProgress)]);
    draining.status = ServiceStatus::Draining;
    assert_eq!(after(&[draining]), ended(Ending::ServiceGone { status: "DRAINING".to_owned() }));
    let mut decision = Decision::new("mine", Duration::from_mins(10), true);
    let answer = service(vec![mine(RolloutState::InProgress)]);
    assert_eq!(observed(&mut decision, Some(&answer), &[], Duration::ZERO), Progress::Waiting);
    assert_eq!(observed(&mut decision, None, &[], Duration::from_secs(1)), Progress::Waiting);
    let told = observed(&mut decision, None, &[], Duration::from_secs(20));
    assert_eq!(told, ended(Ending::ServiceGone { status: "MISSING".to_owned() }));
}

#[test]
fn the_time_runs_out_only_while_it_waits() {
    let mut decision = Decision::new("mine", Duration::from_secs(10), true);
    let waiting = service(vec![mine(RolloutState::InProgress)]);
    assert_eq!(observed(&mut decision, Some(&waiting), &[], Duration::from_secs(9)), Progress::Waiting);
    assert_eq!(observed(&mut decision, Some(&waiting), &[], Duration::from_secs(10)), ended(Ending::TimedOut));
    let done = service(vec![mine(RolloutState::Completed)]);
    assert_eq!(observed(&mut decision, Some(&done), &[], Duration::from_secs(11)), Progress::Completed);
}

#[test]
fn without_a_rollout_state_the_counts_decide() {
    let mut unknown = mine(RolloutState::InProgress);
    unknown.rollout = None;
    unknown.running = 1;
    assert_eq!(after(&[service(vec![unknown.clone()])]), Progress::Waiting);
    unknown.running = 2;
    assert_eq!(after(&[service(vec![unknown])]), Progress::Completed);
}

fn at(second: i64) -> Option<Timestamp> {
    Timestamp::from_second(second).ok()
}

fn created(mut deployment: Deployment, second: i64) -> Deployment {
    deployment.created_at = at(second);
    deployment
}

fn record(status: RecordStatus, second: i64) -> DeploymentRecord {
    DeploymentRecord {
        arn: format!("record-{second}"),
        status,
        reason: Some("said ECS".to_owned()),
        created_at: at(second),
        ..DeploymentRecord::default()
    }
}

fn staged(deployments: Vec<Deployment>) -> Service {
    Service { strategy: "BLUE_GREEN".to_owned(), ..service(deployments) }
}

/// The same answers again and again, two seconds apart, until they come to something; at most for `rounds`.
fn settled(service: &Service, records: &[DeploymentRecord], rounds: u32) -> (Progress, u32) {
    let mut decision = Decision::new("mine", Duration::from_hours(1), true);
    for round in 0..rounds {
        let seen = Round { service: Some(service), failures: &[], records };
        let progress = decision.observe(seen, Duration::from_secs(2 * u64::from(round)));
        if progress != Progress::Waiting {
            return (progress, round);
        }
    }
    (Progress::Waiting, rounds)
}

#[test]
fn a_deployment_in_stages_is_judged_by_its_record_alone() {
    use RolloutState::{Completed, InProgress};
    let began = 1000;
    let back = || Ending::RolledBack { to: None, reason: "said ECS".to_owned() };
    let cases = [
        (RecordStatus::Pending, Progress::Waiting),
        (RecordStatus::InProgress, Progress::Waiting),
        (RecordStatus::StopRequested, Progress::Waiting),
        (RecordStatus::Other("NEW".to_owned()), Progress::Waiting),
        (RecordStatus::Successful, Progress::Completed),
        (RecordStatus::Stopped, ended(Ending::Stopped { reason: "said ECS".to_owned() })),
        (RecordStatus::RollbackRequested, ended(back())),
        (RecordStatus::RollbackInProgress, ended(back())),
        (RecordStatus::RollbackSuccessful, ended(back())),
        (
            RecordStatus::RollbackFailed,
            ended(Ending::Failed { reason: "the way back failed as well: said ECS".to_owned() }),
        ),
    ];
    for (status, expected) in cases {
        // What the list of deployments says of it counts for nothing, COMPLETED least of all: the traffic still bakes.
        for state in [InProgress, Completed] {
            let service = staged(vec![created(mine(state), began)]);
            let told = settled(&service, &[record(status.clone(), began + 1)], 100).0;
            assert_eq!(told, expected, "{} with {state:?}", status.as_str());
        }
    }
}

#[test]
fn the_record_of_another_deployment_says_nothing_about_mine() {
    let service = staged(vec![created(mine(RolloutState::Completed), 1000)]);
    let (told, round) = settled(&service, &[record(RecordStatus::Successful, 100)], 100);
    assert_eq!((told, round), (Progress::Completed, 30), "without a record for a minute the deployments have to do");
    assert_eq!(settled(&service, &[], 29).0, Progress::Waiting, "the record may be late");
}

#[test]
fn a_deployment_in_stages_that_another_one_replaced() {
    use DeploymentStatus::{Active, Primary};
    use RolloutState::{Completed, InProgress};
    let theirs = created(deployment("theirs", Primary, InProgress), 1100);
    let service = staged(vec![theirs, created(deployment("mine", Active, Completed), 1000)]);
    let superseded = ended(Ending::Superseded { by: "theirs".to_owned() });
    let next = record(RecordStatus::InProgress, 1100);
    assert_eq!(settled(&service, &[next.clone(), record(RecordStatus::Stopped, 1000)], 10), (superseded.clone(), 0));
    // Successful, and overtaken only then: one answer may be older than the other, so it is doubted for ten seconds.
    assert_eq!(settled(&service, &[next, record(RecordStatus::Successful, 1000)], 10), (superseded, 5));
}

#[test]
fn a_crash_loop_in_stages_is_told_as_well() {
    let service = staged(vec![created(mine(RolloutState::InProgress), 1000)]);
    let mut decision = Decision::new("mine", Duration::from_mins(10), true);
    let failures = crash(2);
    let records = [record(RecordStatus::InProgress, 1000)];
    let round = Round { service: Some(&service), failures: &failures, records: &records };
    assert_eq!(decision.observe(round, Duration::ZERO), ended(Ending::CrashLoop { failures: 2 }));
}

#[test]
fn a_rollback_that_ended_under_a_new_id_is_not_taken_for_somebodys_deployment() {
    let before = service(vec![created(mine(RolloutState::InProgress), 1000)]);
    let new = created(deployment("new", DeploymentStatus::Primary, RolloutState::Completed), 1200);
    let settled_again = service(vec![new]);
    let is_rollback = |told: &Progress| matches!(told, Progress::Ended(Ending::RolledBack { .. }));

    // ECS's record tells.
    let mut decision = Decision::new("mine", Duration::from_mins(10), true);
    assert_eq!(observed(&mut decision, Some(&before), &[], Duration::ZERO), Progress::Waiting);
    let records = [record(RecordStatus::RollbackSuccessful, 1000)];
    let round = Round { service: Some(&settled_again), failures: &[], records: &records };
    assert!(is_rollback(&decision.observe(round, Duration::from_secs(2))));

    // Without permission to read it, the event tells.
    let mut told_by_event = settled_again.clone();
    let text = "(service api) rolling back to deployment ecs-svc/1.".to_owned();
    told_by_event.events = vec![ServiceEvent { id: "e".to_owned(), at: at(1100), text }];
    assert!(is_rollback(&after(&[before.clone(), told_by_event.clone()])));

    // An event from before my deployment tells nothing, and a new id alone is somebody else's.
    told_by_event.events[0].at = at(900);
    let mut answers = vec![before];
    answers.extend(std::iter::repeat_n(told_by_event, 8));
    assert_eq!(after(&answers), ended(Ending::Superseded { by: "new".to_owned() }));
}

#[test]
fn a_rollback_that_ended_between_two_looks_is_told_by_the_events() {
    let mut back = service(vec![deployment("new id", DeploymentStatus::Primary, RolloutState::Completed)]);
    let text = "(service api) (deployment mine) deployment failed: tasks failed to start.".to_owned();
    back.events.push(ServiceEvent { id: "e".to_owned(), at: None, text: text.clone() });
    let told = after(&[service(vec![mine(RolloutState::InProgress)]), back]);
    assert_eq!(told, ended(Ending::RolledBack { to: Some("new id".to_owned()), reason: text }));
}

#[test]
fn a_crash_loop_is_one_although_ecs_calls_it_complete_between_two_crashes() {
    let mut done = mine(RolloutState::Completed);
    done.running = 1;
    let mut decision = Decision::new("mine", Duration::from_mins(10), true);
    let at = Duration::from_secs(5);
    let told = observed(&mut decision, Some(&service(vec![done.clone()])), &crash(3), at);
    assert_eq!(told, ended(Ending::CrashLoop { failures: 3 }));
    // Two failures on the way to two healthy tasks are none.
    done.running = 2;
    let done = service(vec![done]);
    let mut decision = Decision::new("mine", Duration::from_mins(10), true);
    assert_eq!(observed(&mut decision, Some(&done), &crash(2), at), Progress::Completed);
    // Three more after that are a loop, however many run at the moment of the look.
    assert_eq!(observed(&mut decision, Some(&done), &crash(5), at), ended(Ending::CrashLoop { failures: 5 }));
}
