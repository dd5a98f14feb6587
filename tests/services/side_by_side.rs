//! Six services at once: what they share is sent once, what can go on goes on, and an interruption finds each where it is.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::Value;

use super::{SIX, named, project, rolled, six_deployed, verdicts};
use crate::support::{Project, Running, StandIn, docker, with_base_image};

/// A service a folder, each on the tests' base image, and these lines more in the Dockerfile of the one that is named.
fn on_a_base(services: &[&str], more: &[(&str, &str)], lines: &[(&str, &str)]) -> Project {
    with_base_image();
    let project = services.iter().fold(project(services, more), |project, name| {
        let more = lines.iter().find(|(one, _)| one == name).map_or("", |(_, lines)| lines);
        project.file(&format!("{name}/Dockerfile"), &format!("FROM busybox:stable\nCOPY app /app\n{more}"))
    });
    project.committed()
}

/// Blobs that were put into the registry.
fn sent(aws: &StandIn) -> usize {
    let is_blob = |call: &&Value| {
        let operation = call["operation"].as_str().expect("an operation");
        operation.starts_with("PUT /v2/") && operation.contains("/blobs/uploads/") && call["status"] == 201
    };
    aws.journal().iter().filter(is_blob).count()
}

#[test]
fn a_layer_that_all_have_is_sent_once() {
    let project = on_a_base(&SIX, &[], &[]);
    let layers = docker(&["image", "inspect", "--format", "{{len .RootFS.Layers}}", "busybox:stable"]);
    let base: usize = layers.trim().parse().expect("a number");
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    assert_eq!(sent(&aws), base + 6 + 6, "the base once, and of each a layer and a config");
}

#[test]
fn one_is_live_while_another_is_still_built() {
    let slow = format!("RUN sleep 5; echo {}\n", std::process::id());
    let project = on_a_base(&["slow", "quick"], &[], &[("slow", &slow)]);
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    let ran = project.shipit(&["deploy", "--jobs", "2", "--output", "json"]).exits(0);
    let events = ran.events();
    let at = |kind: &str, service: &str| {
        let place = events.iter().position(|event| event["event"] == kind && event["service"] == service);
        place.unwrap_or_else(|| panic!("no {kind} of {service}\n{}", ran.everything()))
    };
    assert!(at("tag-pushed", "quick") < at("build-finished", "slow"));
    assert!(at("service-finished", "quick") < at("build-finished", "slow"));
}

#[test]
fn with_one_job_no_two_are_built_at_a_time() {
    let project = on_a_base(&["a", "b", "c"], &[], &[]);
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    let ran = project.shipit(&["deploy", "--jobs", "1", "--output", "json"]).exits(0);
    let mut built = 0_i32;
    for event in ran.events() {
        match event["event"].as_str() {
            Some("build-placed") => built += 1,
            Some("build-finished") => built -= 1,
            _ => {}
        }
        assert!((0..=1).contains(&built), "{}", ran.stdout);
    }
}

/// Where the commit's tag is there and cannot be moved, `latest` is the first tag to be pushed, and it waits for others:
/// what they share must not wait for it.
#[test]
fn what_waits_for_another_keeps_no_layer_from_it() {
    let slow = format!("RUN sleep 2; echo {}\n", std::process::id());
    let project = on_a_base(&["web", "db"], &[("web", "depends_on: [db]")], &[("db", &slow)]);
    let aws = StandIn::scripted(&project, "{}");
    for repository in ["web-dev", "db-dev"] {
        let input = serde_json::json!({
            "repositoryName": repository, "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
            "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "latest"}],
        });
        aws.aws("ecr", "AmazonEC2ContainerRegistry_V20150921.PutImageTagMutability", &input);
    }
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    let mut run = Running::start(&project, &["deploy", "--rebuild"]);
    run.wait_for("end", |event| event["event"] == "finished");
    let ended = verdicts(&run.ends().exits(0).finished());
    assert_eq!((named(&ended, "web"), named(&ended, "db")), ("deployed", "deployed"));
}

/// `a` is built, `b` pushed, `c` runs its task before the rollout, `d` is rolled out, `e` is live, and `f` has failed.
#[test]
fn an_interrupt_finds_each_of_six_where_it_is() {
    let (project, aws) = six_deployed(&[("c", "before_deploy: { command: [./migrate] }")]);
    with_base_image();
    let good: Vec<String> = SIX.iter().map(|name| aws.latest(&format!("{name}-dev"))).collect();
    aws.follow(
        r#"{"faults": [{"operation": "InitiateLayerUpload", "repository": "b-dev", "delay_ms": 30000}],
            "services": {
                "dev/c": {"run_tasks": [{"pending_ms": 600000}]},
                "dev/d": {"deployments": [{"tasks": [{"pending_ms": 600000}]}]}}}"#,
    );
    let before = rolled(&aws).len();
    let sleep = format!("FROM busybox:stable\nRUN sleep {}\n", 100_000 + std::process::id() * 10 + 7);
    let project =
        SIX.iter().fold(project, |project, name| project.file(&format!("{name}/app"), &format!("{name} two\n")));
    let project =
        project.file("a/Dockerfile", &sleep).file("f/Dockerfile", "FROM scratch\nCOPY nowhere /\n").committed();
    let mut run = Running::start(&project, &["deploy", "--jobs", "6"]);
    let open = RefCell::new(BTreeSet::from(["a", "b", "c", "d", "e", "f"]));
    run.wait_for("place of all six", |event| {
        let stage = event["stage"].as_str().unwrap_or_default();
        let there = match event["service"].as_str() {
            Some("a") => event["event"] == "build-step" || stage == "build",
            Some("b") => stage == "push",
            Some("c") => stage == "before-deploy",
            Some("d") => stage == "watch",
            Some("e" | "f") => event["event"] == "service-finished",
            _ => false,
        };
        if there {
            open.borrow_mut().remove(event["service"].as_str().unwrap_or_default());
        }
        open.borrow().is_empty()
    });
    aws.wait_for("RunTask");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let finished = run.gets("INT").exits(130).finished();
    let ended = verdicts(&finished);
    let expected = ["interrupted", "interrupted", "interrupted", "interrupted", "deployed", "build-failed"];
    for (name, verdict) in SIX.iter().zip(expected) {
        assert_eq!(named(&ended, name), verdict, "{name}: {finished}");
    }
    let reason = |nth: usize| finished["services"][nth]["reason"].as_str().unwrap_or_default();
    assert!(reason(0).contains("during the build"), "{finished}");
    assert!(reason(1).contains("while pushing"), "{finished}");
    assert!(reason(3).contains("goes on in ECS"), "{finished}");
    // Where nothing was rolled `latest` is what it was, moved or not; where something is, it is the new image.
    let moved = SIX.iter().zip(&good).filter(|(name, good)| aws.latest(&format!("{name}-dev")) != **good);
    assert_eq!(moved.map(|(name, _)| *name).collect::<Vec<_>>(), ["d", "e"], "{finished}");
    assert!(
        finished["services"][2]["hint"].as_str().is_some_and(|hint| hint.contains("`latest` is back on")),
        "{finished}"
    );
    let mut rolled = rolled(&aws)[before..].to_vec();
    rolled.sort();
    assert_eq!(rolled, ["d", "e"]);
}
