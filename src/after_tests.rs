//! The gate on what was read, and what is made of it.

use std::time::Duration;

use jiff::Timestamp;

use super::{Gate, Recorded, Release, judge};
use crate::aws::ecs::{
    Container, Controller, Deployment, DeploymentStatus, RolloutState, Service, ServiceStatus, Task,
};
use crate::config::cache::Cache;
use crate::config::specification::{Platform, Service as Wanted};
use crate::revision::Revision;

const COMMIT: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn revision() -> Revision {
    Revision { commit: COMMIT.to_owned(), dirty: false, subject: None, author: None }
}

fn live(since: Option<&str>) -> Release {
    Release {
        service: "api".to_owned(),
        revision: Some(COMMIT.to_owned()),
        digest: Some("sha256:a".to_owned()),
        unproven: None,
        same: false,
        since: since.map(at),
    }
}

fn refused(release: &Release, now: &str, soak: u64) -> Option<(String, String)> {
    let gate = Gate { environment: "sandbox", now: at(now), soak: Duration::from_secs(soak), revision: &revision() };
    let finding = gate.refusal(release)?;
    assert_eq!(finding.service.as_deref(), Some("api"));
    Some((finding.text, finding.hint.unwrap_or_default()))
}

#[test]
fn what_runs_has_to_be_the_commit_and_proven() {
    let now = "2026-11-23T12:00:00Z";
    let other = "ffffffffffff708192a3b4c5d6e7f8091a2b3c4d".to_owned();
    let table = [
        (live(None), None),
        (Release { revision: Some(other), ..live(None) }, Some("ffffffffffff runs there")),
        (Release { revision: None, ..live(None) }, Some("no deploy of shipit's")),
        (
            Release { unproven: Some("1 of 2 tasks run the pushed digest".to_owned()), ..live(None) },
            Some("1 of 2 tasks"),
        ),
    ];
    for (release, expected) in table {
        let said = refused(&release, now, 0);
        assert_eq!(said.is_some(), expected.is_some(), "{said:?}");
        if let (Some((text, hint)), Some(expected)) = (said, expected) {
            assert!(text.starts_with("1a2b3c4d5e6f does not run in `sandbox` yet"), "{text}");
            assert!(text.contains(expected), "{text}");
            assert_eq!(hint, "deploy it there first: shipit deploy --env sandbox");
        }
    }
}

#[test]
fn a_soak_says_how_long_is_left() {
    let since = live(Some("2026-11-23T12:00:00.5Z"));
    let (text, hint) = refused(&since, "2026-11-23T12:03:01Z", 900).unwrap();
    assert_eq!(text, "1a2b3c4d5e6f has run in `sandbox` for 3m, and `soak` asks for 15m");
    assert_eq!(hint, "run this again in 12m (from 2026-11-23 12:15:00 UTC on)");
    // To the second, and on either side of it.
    assert!(refused(&since, "2026-11-23T12:15:00Z", 900).is_some());
    assert!(refused(&since, "2026-11-23T12:15:00.5Z", 900).is_none());
    // A clock that is behind.
    assert!(refused(&since, "2026-11-23T11:00:00Z", 900).unwrap().1.starts_with("run this again in 15m "));
    let (text, _) = refused(&live(None), "2026-11-23T12:03:00Z", 900).unwrap();
    assert!(text.contains("since when cannot be told"), "{text}");
}

fn service(rollout: RolloutState, desired: u32, created_at: &str) -> Service {
    Service {
        arn: String::new(),
        status: ServiceStatus::Active,
        controller: Controller::Ecs,
        strategy: "ROLLING".to_owned(),
        desired,
        running: desired,
        pending: 0,
        task_definition: String::new(),
        launch: Box::default(),
        deployments: vec![Deployment {
            id: "ecs-svc/1".to_owned(),
            status: DeploymentStatus::Primary,
            rollout: Some(rollout),
            reason: None,
            created_at: Some(at(created_at)),
            desired,
            running: desired,
            pending: 0,
            failed: 0,
        }],
        events: Vec::new(),
    }
}

fn task(deployment: &str, digest: &str) -> Task {
    let container = |name: &str, digest: &str| Container {
        name: name.to_owned(),
        digest: Some(digest.to_owned()),
        ..Container::default()
    };
    Task {
        started_by: Some(deployment.to_owned()),
        last_status: "RUNNING".to_owned(),
        containers: vec![container("sidecar", "sha256:s"), container("web", digest)],
        ..Task::default()
    }
}

fn wanted() -> Wanted {
    Wanted {
        name: "api".to_owned(),
        context: "/".into(),
        dockerfile: "/Dockerfile".into(),
        target: None,
        platform: Platform::LinuxAmd64,
        build_args: std::collections::BTreeMap::new(),
        unknown_args: Vec::new(),
        build_secrets: std::collections::BTreeMap::new(),
        secrets: Vec::new(),
        readable_secrets: Vec::new(),
        repository: "api".to_owned(),
        cluster: "sandbox".to_owned(),
        service: "api".to_owned(),
        container: None,
        before_deploy: None,
        scan: None,
        depends_on: Vec::new(),
        paths: None,
        ignore: Vec::new(),
        commit_args: Vec::new(),
        cache: Cache::Inline,
        rebuild_after: None,
        rebuild_token: None,
    }
}

#[test]
fn live_is_what_is_complete_and_proven_by_its_tasks() {
    let (completed, early) = (RolloutState::Completed, "2026-11-23T11:00:00Z");
    let (good, old, other) =
        (task("ecs-svc/1", "sha256:a"), task("ecs-svc/0", "sha256:a"), task("ecs-svc/1", "sha256:b"));
    let table = [
        (service(completed, 1, early), vec![good.clone()], None),
        // The child of the recorded index.
        (service(completed, 1, early), vec![task("ecs-svc/1", "sha256:child")], None),
        (service(RolloutState::InProgress, 1, early), vec![good.clone()], Some("not complete")),
        (service(RolloutState::Failed, 1, early), vec![good.clone()], Some("not complete")),
        (service(completed, 2, early), vec![good.clone()], Some("1 of 2 tasks")),
        (service(completed, 1, early), vec![good.clone(), old], Some("1 of other deployments")),
        (service(completed, 2, early), vec![good.clone(), other], Some("runs sha256:b")),
        (service(completed, 0, early), vec![good], Some("desired count is 0")),
    ];
    let digests = ["sha256:a".to_owned(), "sha256:child".to_owned()];
    let recorded = Recorded { revision: Some(COMMIT), deployed_at: Some("2026-11-23T11:01:00Z"), digests: &digests };
    for (found, tasks, expected) in table {
        let release = judge(&wanted(), &found, &recorded, &tasks);
        assert_eq!(release.revision.as_deref(), Some(COMMIT));
        assert_eq!(release.digest.as_deref(), Some("sha256:a"));
        match (&release.unproven, expected) {
            (None, None) => assert_eq!(release.since, Some(at("2026-11-23T11:01:00Z"))),
            (Some(said), Some(expected)) => assert!(said.contains(expected), "{said}"),
            (said, expected) => panic!("{said:?} and not {expected:?}"),
        }
    }
    // Another image altogether, and a deployment that began after the record was written.
    let release = judge(&wanted(), &service(completed, 1, early), &recorded, &[task("ecs-svc/1", "sha256:c")]);
    assert_eq!((release.revision, release.digest), (None, None));
    let late = service(completed, 1, "2026-11-23T11:30:00Z");
    let release = judge(&wanted(), &late, &recorded, &[task("ecs-svc/1", "sha256:a")]);
    assert_eq!(release.since, Some(at("2026-11-23T11:30:00Z")));
}
