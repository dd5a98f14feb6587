//! The scheduler's endings, without any clock or process: a small world in which the tests say what time it is and what
//! became of each task.

use std::collections::BTreeMap;

use serde_json::json;

use super::images::Catalog;
use super::model::{Configuration, Ending, Rollback, Rollout, Service, ServiceStatus, Task, TaskStatus};
use super::scheduler::{Order, advance};
use super::sightings::{End, Seen, Sighting, apply};
use super::{begin, services, task_definition};
use crate::local::clock::Millis;
use crate::local::options::Pace;
use crate::local::place::Place;
use crate::local::state::{Image, Repository, State, TaskDefinition};

const PACE: Pace = Pace { retry: 100, retry_at_most: 1000, linger: 50, remember_stopped: 1_000_000 };

struct World {
    service: Service,
    place: Place,
    repositories: BTreeMap<String, Repository>,
    definitions: BTreeMap<String, Vec<TaskDefinition>>,
    now: Millis,
    stops: Vec<String>,
}

impl World {
    /// A service that runs `desired` tasks of the image `sha256:old`, steadily.
    fn steady(desired: u32) -> Self {
        let place = Place::new("123456789012", "eu-west-1");
        let mut state = State::new();
        let holdings = state.at(&place);
        let input = json!({"family": "api", "containerDefinitions": [{"name": "api", "image": "host/api:latest"}]});
        let definition = task_definition::register(holdings, &input, 0).unwrap();
        let mut service = services::new(&place, "dev", "api", desired, 0);
        begin(&mut service, &definition.arn, 0);
        let definitions = std::mem::take(&mut holdings.task_definitions);
        let repositories = BTreeMap::from([("api".to_owned(), Repository::new("api", 0))]);
        let mut world = Self { service, place, repositories, definitions, now: 0, stops: Vec::new() };
        world.push("sha256:old");
        world.settle();
        assert_eq!(world.state(), [("PRIMARY", Rollout::Completed)]);
        world
    }

    fn push(&mut self, digest: &str) {
        let repository = self.repositories.get_mut("api").unwrap();
        let image = Image { manifest: "{}".into(), media_type: String::new(), pushed_at: 0, size: 0, scan_began: None };
        repository.images.insert(digest.to_owned(), image);
        repository.image_tags.insert("latest".to_owned(), digest.to_owned());
    }

    fn roll(&mut self) -> String {
        let definition = self.service.task_definition.clone();
        begin(&mut self.service, &definition, self.now)
    }

    /// One step of the scheduler; what it wants stopped is collected.
    fn tick(&mut self) {
        self.now += 10;
        let catalog = Catalog {
            host: "host",
            place: &self.place,
            repositories: &self.repositories,
            definitions: &self.definitions,
        };
        for order in advance(&mut self.service, catalog, self.now, PACE) {
            if let Order::Stop(stop) = order {
                self.stops.push(stop.task);
            }
        }
    }

    fn see(&mut self, task: &str, what: Seen) {
        apply(&mut self.service, &Sighting { task: task.to_owned(), what }, self.now, PACE);
    }

    fn ids(&self, fits: impl Fn(&Task) -> bool) -> Vec<String> {
        self.service.tasks.iter().filter(|task| fits(task)).map(|task| task.id.clone()).collect()
    }

    /// Everything pending comes up and is healthy; everything that is to stop stops.
    fn live(&mut self) {
        for task in self.ids(|task| task.status == TaskStatus::Pending && task.wanted) {
            self.see(&task, Seen::Running(Vec::new()));
            self.see(&task, Seen::Ready { checked: true });
        }
        self.stop_stopping();
    }

    fn stop_stopping(&mut self) {
        for task in std::mem::take(&mut self.stops) {
            self.see(&task, Seen::Ended(vec![End { container: "api".into(), exit_code: Some(143), reason: None }]));
        }
    }

    /// Everything of the PRIMARY that is pending runs, and crashes.
    fn crash(&mut self) {
        let primary = self.service.primary().unwrap().id.clone();
        for task in self.ids(|task| task.deployment == primary && task.status == TaskStatus::Pending) {
            self.see(&task, Seen::Running(Vec::new()));
            self.see(&task, Seen::Ended(vec![End { container: "api".into(), exit_code: Some(3), reason: None }]));
        }
    }

    fn settle(&mut self) {
        for _ in 0..50 {
            self.tick();
            self.live();
        }
        self.tick();
    }

    fn state(&self) -> Vec<(&'static str, Rollout)> {
        let name = |primary| if primary { "PRIMARY" } else { "ACTIVE" };
        self.service.deployments.iter().map(|each| (name(each.primary), each.rollout)).collect()
    }

    fn running_digests(&self) -> Vec<String> {
        let running = self.service.tasks.iter().filter(|task| task.status == TaskStatus::Running);
        running.flat_map(|task| &task.containers).filter_map(|container| container.digest.clone()).collect()
    }

    fn says(&self, text: &str) -> bool {
        self.service.events.iter().any(|event| event.text.contains(text))
    }
}

#[test]
fn a_rollout_overlaps_and_ends_when_the_old_tasks_are_gone() {
    let mut world = World::steady(1);
    let old = world.service.primary().unwrap().id.clone();
    world.push("sha256:new");
    let new = world.roll();
    assert_eq!(world.service.primary().unwrap().reason, format!("ECS deployment {new} in progress."));
    world.tick();
    assert!(world.stops.is_empty(), "the old task stays until the new one is healthy");
    world.live();
    world.tick();
    assert_eq!(world.state(), [("PRIMARY", Rollout::InProgress), ("ACTIVE", Rollout::Completed)]);
    let draining = world.service.tasks.iter().find(|task| task.deployment == old).unwrap();
    assert_eq!(draining.stop_code.as_deref(), Some("ServiceSchedulerInitiated"));
    let reason = format!("Scaling activity initiated by (deployment {old})");
    assert_eq!(draining.stopped_reason.as_deref(), Some(reason.as_str()));
    world.stop_stopping();
    world.tick();
    assert_eq!(world.state(), [("PRIMARY", Rollout::Completed)]);
    assert_eq!(world.running_digests(), ["sha256:new"]);
    assert!(world.says(&format!("(service api) (deployment {new}) deployment completed.")));
    assert!(world.says("(service api) has reached a steady state."));
    assert_eq!(world.service.history.last().unwrap().ending, Ending::Successful);
}

#[test]
fn counts_stay_between_the_floor_and_the_ceiling() {
    for (desired, minimum, maximum) in
        [(1, 100, 200), (4, 100, 200), (4, 50, 100), (3, 100, 150), (2, 0, 100), (1, 0, 100)]
    {
        let mut world = World::steady(desired);
        world.service.configuration.minimum_healthy_percent = minimum;
        world.service.configuration.maximum_percent = maximum;
        world.push("sha256:new");
        world.roll();
        for _ in 0..100 {
            world.tick();
            let all = world.service.tasks.iter().filter(|task| task.exists()).count();
            let healthy = world.service.tasks.iter().filter(|task| task.wanted && task.ready).count();
            let case = format!("{desired} {minimum}/{maximum}: {healthy} healthy of {all}");
            assert!(all <= (desired * maximum / 100).max(1) as usize, "{case}");
            assert!(healthy >= (desired * minimum).div_ceil(100) as usize, "{case}");
            world.live();
        }
        assert_eq!(world.state(), [("PRIMARY", Rollout::Completed)], "{desired} {minimum}/{maximum}");
        assert_eq!(world.running_digests(), vec!["sha256:new"; desired as usize]);
    }
}

#[test]
fn without_a_breaker_a_crash_loop_never_ends() {
    let mut world = World::steady(1);
    world.push("sha256:bad");
    world.roll();
    for _ in 0..2000 {
        world.tick();
        world.crash();
    }
    assert_eq!(world.state(), [("PRIMARY", Rollout::InProgress), ("ACTIVE", Rollout::Completed)]);
    assert!(world.service.primary().unwrap().failed_tasks > 5);
    assert!(world.service.primary().unwrap().failed_tasks < 50, "each attempt waits longer than the one before");
    assert!(world.says("is unable to consistently start tasks successfully."));
    assert_eq!(world.running_digests(), ["sha256:old"]);
}

#[test]
fn the_breaker_alone_gives_up_and_leaves_the_old_tasks() {
    let mut world = World::steady(1);
    world.service.configuration = Configuration { breaker: true, ..Configuration::default() };
    world.push("sha256:bad");
    let bad = world.roll();
    for _ in 0..300 {
        world.tick();
        world.crash();
    }
    assert_eq!(world.state(), [("PRIMARY", Rollout::Failed), ("ACTIVE", Rollout::Completed)]);
    assert_eq!(world.service.primary().unwrap().reason, "ECS deployment circuit breaker: tasks failed to start.");
    assert_eq!(world.service.primary().unwrap().failed_tasks, 3, "no task after the third");
    assert!(world.says(&format!("(deployment {bad}) deployment failed: tasks failed to start.")));
    assert_eq!(world.running_digests(), ["sha256:old"]);
}

#[test]
fn a_rollback_goes_back_to_the_digest_that_ran_and_ends_completed() {
    for rollback in [Rollback::SameId, Rollback::NewId] {
        let mut world = World::steady(2);
        let old = world.service.primary().unwrap().id.clone();
        world.service.configuration = Configuration { breaker: true, rollback, ..Configuration::default() };
        world.push("sha256:bad");
        let bad = world.roll();
        while world.service.primary().unwrap().id == bad {
            world.tick();
            world.crash();
        }
        let back = world.service.primary().unwrap();
        assert_eq!(back.id == old, rollback == Rollback::SameId);
        assert_eq!(back.rollout, Rollout::InProgress);
        let reason = format!("ECS deployment circuit breaker: rolling back to deploymentId {}.", back.id);
        assert_eq!(back.reason, reason);
        assert!(world.service.deployments.iter().any(|each| each.id == bad && each.rollout == Rollout::Failed));
        world.settle();
        assert_eq!(world.state(), [("PRIMARY", Rollout::Completed)], "as if nothing had happened");
        assert_eq!(world.running_digests(), ["sha256:old", "sha256:old"], "although latest leads to the bad image");
        assert_eq!(world.service.record_of(&bad).unwrap().ending, Ending::RollbackSuccessful);
    }
}

#[test]
fn the_first_task_settles_the_digest_for_the_whole_deployment() {
    let mut world = World::steady(2);
    world.service.configuration.minimum_healthy_percent = 50;
    world.service.configuration.maximum_percent = 100;
    world.push("sha256:mine");
    world.roll();
    world.tick();
    world.live();
    world.tick();
    world.push("sha256:theirs");
    world.settle();
    assert_eq!(world.running_digests(), ["sha256:mine", "sha256:mine"]);
    let revision = world.service.revisions.last().unwrap();
    assert_eq!(revision.images[0].2.as_deref(), Some("sha256:mine"));
}

#[test]
fn a_missing_image_fails_to_start_in_the_words_of_ecs() {
    let mut world = World::steady(1);
    world.repositories.get_mut("api").unwrap().image_tags.clear();
    let id = world.roll();
    world.tick();
    let task = world.service.tasks.iter().find(|task| task.deployment == id).unwrap();
    assert_eq!(task.stop_code.as_deref(), Some("TaskFailedToStart"));
    let reason = task.stopped_reason.as_deref().unwrap();
    assert!(
        reason.starts_with("CannotPullContainerError: ") && reason.ends_with("host/api:latest: not found"),
        "{reason}"
    );
    assert_eq!(world.service.primary().unwrap().failed_tasks, 1);
}

#[test]
fn an_unhealthy_task_is_taken_down_and_counts_as_a_failure() {
    let mut world = World::steady(1);
    let id = world.roll();
    world.tick();
    let task = world.ids(|task| task.deployment == id).remove(0);
    world.see(&task, Seen::Running(Vec::new()));
    world.see(&task, Seen::Unhealthy(None));
    world.tick();
    world.stop_stopping();
    let stopped = world.service.task_mut(&task).unwrap();
    assert_eq!(stopped.stopped_reason.as_deref(), Some("Task failed container health checks"));
    assert_eq!(world.service.primary().unwrap().failed_tasks, 1);
    assert!(world.says(&format!("(task {task}) failed container health checks.")));
    world.settle();
    assert_eq!(world.service.primary().unwrap().failed_tasks, 0, "a healthy task starts the count again");
}

#[test]
fn a_newer_deployment_supersedes_one_in_flight() {
    let mut world = World::steady(1);
    let first = world.roll();
    world.tick();
    let second = world.roll();
    assert_eq!(world.service.primary().unwrap().id, second);
    world.settle();
    assert_eq!(world.state(), [("PRIMARY", Rollout::Completed)]);
    assert_eq!(world.service.record_of(&first).unwrap().ending, Ending::Stopped);
    assert!(world.service.tasks_of(&first).all(|task| !task.exists()));
}

#[test]
fn with_early_success_old_tasks_outlive_the_deployment() {
    let mut world = World::steady(1);
    world.service.configuration.early_success = true;
    world.roll();
    world.tick();
    world.live();
    world.tick();
    assert_eq!(world.state(), [("PRIMARY", Rollout::Completed), ("ACTIVE", Rollout::Completed)]);
}

#[test]
fn nothing_desired_is_nothing_to_wait_for() {
    let mut world = World::steady(1);
    world.service.desired = 0;
    world.roll();
    world.settle();
    assert_eq!(world.state(), [("PRIMARY", Rollout::Completed)]);
    assert!(world.running_digests().is_empty());
}

#[test]
fn a_steady_service_replaces_a_task_that_dies_with_the_same_digest() {
    let mut world = World::steady(1);
    world.push("sha256:newer");
    let task = world.ids(Task::exists).remove(0);
    world.see(&task, Seen::Ended(vec![End { container: "api".into(), exit_code: Some(137), reason: None }]));
    world.settle();
    assert_eq!(world.running_digests(), ["sha256:old"]);
    assert_eq!(world.state(), [("PRIMARY", Rollout::Completed)]);
}

#[test]
fn a_deleted_service_drains_and_is_inactive() {
    let mut world = World::steady(2);
    world.service.status = ServiceStatus::Draining;
    world.service.desired = 0;
    world.settle();
    assert_eq!(world.service.status, ServiceStatus::Inactive);
    assert!(world.service.tasks.iter().all(|task| !task.exists()));
}
