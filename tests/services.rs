//! Several services in one run, through the real binary: side by side, one failing never stops another, and order where
//! it is asked for.

use std::fmt::Write as _;

use crate::support::{Project, StandIn};

const HEAD: &str = "version: 1\nname: shop\naws: { region: ap-south-1, account: \"123456789012\" }\n\
    environments:\n  dev: { branch: develop }\nservices:\n";

/// A service a folder, each with an image of its own; `more` is added to the entry of the service it names.
fn project(services: &[&str], more: &[(&str, &str)]) -> Project {
    let mut text = HEAD.to_owned();
    let mut project = Project::new();
    for name in services {
        let keys: String = more.iter().filter(|(one, _)| one == name).map(|(_, keys)| format!(", {keys}")).collect();
        writeln!(text, "  {name}: {{ context: {name}, repository: \"{name}-${{env}}\"{keys} }}").expect("text");
        project = project
            .file(&format!("{name}/Dockerfile"), "FROM scratch\nCOPY app /app\n")
            .file(&format!("{name}/app"), &format!("{name} one\n"));
    }
    project.file("deploy.yaml", &text).committed()
}

/// The services of all calls of `UpdateService`, in their order.
fn rolled(aws: &StandIn) -> Vec<String> {
    let name = |call: &serde_json::Value| call["input"]["service"].as_str().expect("a service").to_owned();
    aws.calls("UpdateService").iter().map(name).collect()
}

fn verdicts(finished: &serde_json::Value) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let services = finished["services"].as_array().expect("services");
    services.iter().map(|service| (text(&service["service"]), text(&service["verdict"]))).collect()
}

fn named<'t>(verdicts: &'t [(String, String)], name: &str) -> &'t str {
    verdicts.iter().find(|(service, _)| service == name).map(|(_, verdict)| verdict.as_str()).expect("the service")
}

#[test]
fn a_service_rolls_after_those_it_depends_on() {
    let project = project(&["web", "api", "db"], &[("web", "depends_on: [api, db]"), ("api", "depends_on: [db]")]);
    let script = r#"{"services": {"dev/db": {"deployments": [{"tasks": [{"pending_ms": 1500}]}]}}}"#;
    let aws = StandIn::scripted(&project, script);
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy", "--dry-run"]).exits(0).says("wait until api and db are deployed");
    project.shipit(&["deploy"]).exits(0).says("waits until db is deployed").says("waits until api and db are deployed");
    assert_eq!(rolled(&aws), ["db", "api", "web"]);
}

#[test]
fn a_service_is_skipped_when_one_it_depends_on_fails_and_the_others_go_on() {
    let project = project(&["web", "api", "db", "docs"], &[("web", "depends_on: [api]"), ("api", "depends_on: [db]")]);
    let script = r#"{"speed": 5, "services": {"dev/db": {"deployments": [{"tasks": [{"exit": {"after_ms": 50, "code": 3}}]}]}}}"#;
    let aws = StandIn::scripted(&project, script);
    let project = project.with_aws(&aws).with_engine();
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(8);
    let finished = ran.finished();
    let ended = verdicts(&finished);
    assert_eq!(named(&ended, "db"), "rollout-failed");
    assert_eq!(named(&ended, "api"), "skipped");
    assert_eq!(named(&ended, "web"), "skipped");
    assert_eq!(named(&ended, "docs"), "deployed");
    assert_eq!(finished["services"][1]["reason"], "it depends on `db`, which is rollout-failed");
    assert_eq!(finished["services"][0]["reason"], "it depends on `api`, which is skipped");
    let mut rolled = rolled(&aws);
    rolled.sort();
    assert_eq!(rolled, ["db", "docs"]);
    // Built and pushed under the commit's tag, so that the next run has it; what others see was not moved.
    let tagged = aws.image_tags("api-dev");
    assert!(tagged.iter().any(|tag| tag.starts_with("git-")) && !tagged.contains(&"latest".to_owned()), "{tagged:?}");
}

#[test]
fn a_service_whose_dependency_is_refused_is_not_even_built() {
    let project = project(&["web", "db"], &[("web", "depends_on: [db]")]);
    let aws = StandIn::scripted(&project, r#"{"services": {"dev/db": {"status": "DRAINING"}}}"#);
    let project = project.with_aws(&aws).with_engine();
    for args in [&["deploy", "--dry-run", "--output", "json"][..], &["deploy", "--output", "json"]] {
        let finished = project.shipit(args).exits(7).finished();
        assert_eq!(verdicts(&finished), [("web".into(), "skipped".into()), ("db".into(), "refused".into())]);
    }
    assert_eq!(aws.calls("PutImage").len(), 0);
    // Without the other one it is on its own.
    project.shipit(&["deploy", "web"]).exits(0);
}

#[test]
fn dependencies_that_cannot_be_are_told_with_their_place() {
    let project = project(
        &["web", "api", "db"],
        &[("web", "depends_on: [apu, web, db, db]"), ("api", "depends_on: [db]"), ("db", "depends_on: [api]")],
    );
    project
        .shipit(&["check"])
        .exits(2)
        .says("there is no service `apu`")
        .says("did you mean `api`?")
        .says("`web` cannot depend on itself")
        .says("`db` is there twice")
        .says("these depend on each other in a circle: `api` → `db` → `api`");
}

const SIX: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// What becomes of the first five, and of `f`; the table and the exit code say so.
#[track_caller]
fn five_and_the_sixth(project: &Project, exit: i32, five: &str, sixth: &str) {
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(exit);
    let ended = verdicts(&ran.finished());
    for name in &SIX[..5] {
        assert_eq!(named(&ended, name), five);
    }
    assert_eq!(named(&ended, "f"), sixth);
}

/// Once what was wrong is mended, the next run touches only the sixth.
#[track_caller]
fn then_only_the_sixth(project: &Project, aws: &StandIn) {
    let before = aws.operations().len();
    five_and_the_sixth(project, 0, "unchanged", "deployed");
    assert_eq!(rolled(aws).pop().as_deref(), Some("f"));
    let sent = aws.operations().split_off(before);
    let of_others: Vec<&String> = sent
        .iter()
        .filter(|call| call.contains(" /v2/") && !call.starts_with("GET /v2/ ") && call.contains("-dev/"))
        .filter(|call| !call.contains("/v2/f-dev/"))
        .collect();
    assert!(of_others.is_empty(), "{of_others:?}");
    let puts = sent.iter().filter(|call| call.ends_with(":UpdateService")).count();
    assert_eq!(puts, 1);
}

#[test]
fn one_of_six_that_cannot_be_built_stops_nobody() {
    let project = project(&SIX, &[]).file("f/Dockerfile", "FROM scratch\nCOPY nowhere /app\n").committed();
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    five_and_the_sixth(&project, 5, "deployed", "build-failed");
    assert_eq!(rolled(&aws).len(), 5);
    let project = project.file("f/Dockerfile", "FROM scratch\nCOPY app /app\n").committed();
    then_only_the_sixth(&project, &aws);
}

#[test]
fn one_of_six_that_cannot_be_pushed_stops_nobody() {
    let project = project(&SIX, &[]);
    let fault = r#"{"faults": [{"operation": "PutImage", "repository": "f-dev", "status": 403, "error": "DENIED", "message": "no"}]}"#;
    let aws = StandIn::scripted(&project, fault);
    let project = project.with_aws(&aws).with_engine();
    five_and_the_sixth(&project, 6, "deployed", "push-failed");
    assert_eq!(rolled(&aws).len(), 5);
    aws.follow("{}");
    then_only_the_sixth(&project, &aws);
}

#[test]
fn one_of_six_whose_tasks_die_stops_nobody() {
    let project = project(&SIX, &[]);
    let script = r#"{"speed": 5, "services": {"dev/f": {"deployments": [
        {"tasks": [{"exit": {"after_ms": 50, "code": 3}}]}, {}]}}}"#;
    let aws = StandIn::scripted(&project, script);
    let project = project.with_aws(&aws).with_engine();
    five_and_the_sixth(&project, 8, "deployed", "rollout-failed");
    assert_eq!(rolled(&aws).len(), 6);
    then_only_the_sixth(&project, &aws);
}

#[test]
fn the_receipt_says_how_long_each_stage_took_and_which_calls_were_made() {
    let project = project(&["api", "web"], &[("api", "before_deploy: { command: [./migrate] }")]);
    let script =
        r#"{"faults": [{"operation": "UpdateService", "times": 1, "status": 400, "error": "ThrottlingException"}]}"#;
    let aws = StandIn::scripted(&project, script);
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy", "--receipt", "receipt.json"]).exits(0);
    let receipt = std::fs::read_to_string(project.path("receipt.json")).expect("a receipt");
    let receipt: serde_json::Value = serde_json::from_str(&receipt).expect("JSON");
    let stages = |service: usize| -> Vec<String> {
        let stages = receipt["services"][service]["stages"].as_array().expect("stages").iter();
        stages.map(|stage| stage["stage"].as_str().expect("a stage").to_owned()).collect()
    };
    assert_eq!(stages(1), ["preflight", "build", "inspect", "push", "roll", "watch", "prove", "record"]);
    assert!(stages(0).contains(&"before-deploy".to_owned()), "{receipt}");
    for (name, count) in receipt["calls"].as_object().expect("calls") {
        let (service, operation) = name.split_once(':').expect("a service");
        // The stand-in's journal has the calls of the engine's push, too: those of ECR are compared by their being there.
        let seen = aws.calls(operation).len();
        assert!(seen > 0, "{name}");
        if service == "ecs" {
            assert_eq!(count.as_u64(), Some(seen as u64), "{name}");
        }
    }
    assert_eq!(receipt["calls"]["ecs:UpdateService"], 3, "one was throttled and sent again");
}
