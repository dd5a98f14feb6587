use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{State, judge};
use crate::aws::ecs::{
    Container, Controller, Deployment, DeploymentStatus, RolloutState, Service, ServiceStatus as EcsStatus, Tag, Task,
};
use crate::config::specification::{Environment, Platform, Service as Wanted};
use crate::error::Error;
use crate::exit::Exit;
use crate::observe::{Basis, ObservedService};

fn environment() -> Environment {
    Environment {
        name: "dev".to_owned(),
        branch: "develop".to_owned(),
        after: None,
        soak: std::time::Duration::ZERO,
        promote: false,
        approval: false,
        region: None,
        account: None,
        role: None,
        restore_latest: true,
        freeze: Vec::new(),
    }
}

fn wanted() -> Wanted {
    Wanted {
        name: "api".to_owned(),
        context: PathBuf::new(),
        dockerfile: PathBuf::new(),
        target: None,
        platform: Platform::LinuxAmd64,
        unknown_args: Vec::new(),
        build_args: BTreeMap::new(),
        build_secrets: BTreeMap::new(),
        secrets: Vec::new(),
        readable_secrets: Vec::new(),
        repository: "api-dev".to_owned(),
        cluster: "dev".to_owned(),
        service: "api".to_owned(),
        container: Some("api".to_owned()),
        before_deploy: None,
        commit_args: Vec::new(),
        cache: crate::config::cache::Cache::Inline,
        rebuild_after: None,
        rebuild_token: None,
        scan: None,
        depends_on: Vec::new(),
        paths: None,
        ignore: Vec::new(),
    }
}

fn task(digest: &str, stopped: Option<i32>) -> Task {
    Task {
        definition: String::new(),
        group: "service:api".to_owned(),
        id: format!("task-of-{digest}"),
        started_by: Some("ecs-svc/1".to_owned()),
        last_status: if stopped.is_some() { "STOPPED" } else { "RUNNING" }.to_owned(),
        healthy: None,
        stop_code: stopped.map(|_| "EssentialContainerExited".to_owned()),
        stopped_reason: stopped.map(|_| "Essential container in task exited".to_owned()),
        stopped_at: None,
        containers: vec![Container {
            runtime_id: None,
            name: "api".to_owned(),
            image: "r/api-dev:latest".to_owned(),
            digest: Some(digest.to_owned()),
            exit_code: stopped,
            reason: None,
            published: Vec::new(),
        }],
    }
}

/// Two of two tasks run `sha256:1`, which shipit recorded as `r1`, and `latest` is the same.
struct Seen {
    service: Service,
    running: Vec<Task>,
    stopped: Vec<Task>,
    tags: BTreeMap<String, String>,
    latest: Option<String>,
}

impl Seen {
    fn steady() -> Self {
        let primary = Deployment {
            id: "ecs-svc/1".to_owned(),
            status: DeploymentStatus::Primary,
            rollout: Some(RolloutState::Completed),
            reason: Some("ECS deployment ecs-svc/1 completed.".to_owned()),
            created_at: None,
            desired: 2,
            running: 2,
            pending: 0,
            failed: 0,
        };
        let service = Service {
            arn: "arn".to_owned(),
            status: EcsStatus::Active,
            controller: Controller::Ecs,
            strategy: "ROLLING".to_owned(),
            desired: 2,
            running: 2,
            pending: 0,
            task_definition: "td".to_owned(),
            launch: Box::default(),
            deployments: vec![primary],
            events: Vec::new(),
        };
        let tags = [(Tag::Digest, "sha256:1"), (Tag::Revision, "r1"), (Tag::DeployedBy, "ann")];
        Self {
            service,
            running: vec![task("sha256:1", None), task("sha256:1", None)],
            stopped: Vec::new(),
            tags: tags.iter().map(|(tag, value)| (tag.key().to_owned(), (*value).to_owned())).collect(),
            latest: Some("sha256:1".to_owned()),
        }
    }

    fn tag(mut self, tag: Tag, value: &str) -> Self {
        self.tags.insert(tag.key().to_owned(), value.to_owned());
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn primary(&mut self) -> &mut Deployment {
        &mut self.service.deployments[0]
    }

    fn judged(self) -> super::ServiceStatus {
        self.judged_with(None)
    }

    fn judged_with(self, child: Option<&str>) -> super::ServiceStatus {
        let definition = crate::aws::ecs::TaskDefinition {
            architecture: "X86_64".to_owned(),
            os: "LINUX".to_owned(),
            containers: vec![crate::aws::ecs::ContainerDefinition {
                log: None,
                name: "api".to_owned(),
                image: "r/api-dev:latest".to_owned(),
                version_consistency: true,
            }],
        };
        let seen = ObservedService {
            service: Ok(self.service),
            basis: Some(Basis {
                repository: Err(Error::new(Exit::Aws, "AWS refused ecr:DescribeRepositories")),
                latest: Ok(self.latest),
                commit_tag: Ok(None),
                definition: Some(Ok(definition)),
            }),
            tags: Some(Ok(self.tags)),
            running: Some(Ok(self.running)),
            stopped: Some(Ok(self.stopped)),
            judgement: crate::changes::Judgement::default(),
            image: None,
            scanning: None,
        };
        judge(&environment(), &wanted(), &seen, child)
    }
}

fn has(notes: &[String], text: &str) -> bool {
    notes.iter().any(|note| note.contains(text))
}

#[test]
fn a_steady_service_is_told_from_its_record() {
    let status = Seen::steady().judged();
    assert_eq!(status.state, State::Steady);
    assert_eq!(status.revision.as_deref(), Some("r1"));
    assert!(status.recorded);
    assert_eq!(status.deployed_by.as_deref(), Some("ann"));
    assert_eq!(status.latest_runs, Some(true));
    assert_eq!(status.exit_code, Exit::Success);
    assert!(has(&status.notes, "the repository could not be read"), "a refused read is said: {:?}", status.notes);
}

#[test]
fn every_state_has_its_word() {
    let cases: [(State, Seen); 7] = [
        (State::Rolling, Seen::steady().with(|seen| seen.primary().rollout = Some(RolloutState::InProgress))),
        (
            State::Failing,
            Seen::steady().with(|seen| {
                seen.primary().rollout = Some(RolloutState::InProgress);
                seen.primary().running = 0;
                seen.stopped = vec![task("sha256:1", Some(3)), task("sha256:1", Some(3))];
            }),
        ),
        (State::Failed, Seen::steady().with(|seen| seen.primary().rollout = Some(RolloutState::Failed))),
        (State::Degraded, Seen::steady().with(|seen| seen.service.running = 1)),
        (State::Degraded, Seen::steady().with(|seen| seen.running[1] = task("sha256:2", None))),
        (
            State::Stopped,
            Seen::steady().with(|seen| {
                seen.service.desired = 0;
                seen.service.running = 0;
                seen.running.clear();
            }),
        ),
        (State::Gone, Seen::steady().with(|seen| seen.service.status = EcsStatus::Draining)),
    ];
    for (expected, seen) in cases {
        assert_eq!(seen.judged().state, expected);
    }
}

#[test]
fn the_record_of_another_digest_tells_nothing() {
    let status = Seen::steady().tag(Tag::Digest, "sha256:0").judged();
    assert_eq!((status.revision, status.recorded, status.deployed_by), (None, false, None));
    assert!(has(&status.notes, "not what shipit recorded"), "{:?}", status.notes);
}

#[test]
fn a_latest_that_does_not_run_is_a_warning_unless_it_is_the_index_of_what_runs() {
    let other = || Seen::steady().with(|seen| seen.latest = Some("sha256:index".to_owned()));
    let status = other().judged();
    assert_eq!(status.latest_runs, Some(false));
    assert!(has(&status.notes, "`latest` is sha256:index"), "{:?}", status.notes);
    let status = other().tag(Tag::Digest, "sha256:index").judged_with(Some("sha256:1"));
    assert_eq!(status.latest_runs, Some(true));
    assert_eq!(status.revision.as_deref(), Some("r1"), "the record names the index");
}

#[test]
fn what_is_held_and_what_failed_is_said() {
    let status = Seen::steady()
        .tag(Tag::Held, "r2")
        .with(|seen| {
            seen.primary().rollout = Some(RolloutState::InProgress);
            seen.stopped = vec![task("sha256:1", Some(3))];
        })
        .judged();
    assert_eq!(status.held.as_deref(), Some("r2"));
    assert!(has(&status.notes, "--release-hold") && has(&status.notes, "exit code 3"), "{:?}", status.notes);
}

#[test]
fn an_unreadable_service_is_unknown_with_its_error() {
    let error = Error::new(Exit::Aws, "AWS refused ecs:DescribeServices").hint("allow it");
    let status = super::ServiceStatus::unread(&environment(), "api", &error);
    assert_eq!((status.state, status.exit_code), (State::Unknown, Exit::Aws));
    assert_eq!(status.hint.as_deref(), Some("allow it"));
}
