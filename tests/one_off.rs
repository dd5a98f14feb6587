//! One-off tasks: `before_deploy`, which decides whether anything is rolled, and `shipit run`.

use serde_json::Value;

use crate::support::{OnThisMachine, Project, Ran, Running, StandIn, signal};

const MANIFEST: &str = r#"version: 1
name: sample
aws: { region: ap-south-1, account: "123456789012" }
environments:
  dev: { branch: develop }
services:
  api:
    repository: api-${env}
    before_deploy: { command: [./migrate, up], timeout: TIMEOUT }
"#;

/// A service that runs the image of a first deploy, the project with the next commit, and the digest that runs.
fn before_the_second(timeout: &str, run_tasks: &str) -> (Project, StandIn, String) {
    let project = Project::sample().file("deploy.yaml", &MANIFEST.replace("TIMEOUT", timeout)).committed();
    let aws = StandIn::scripted(&project, r#"{"services": {"dev/api": {}}}"#);
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    let good = aws.latest("api-dev");
    // The first task was that of the first deploy.
    aws.follow(&format!(r#"{{"services": {{"dev/api": {{"run_tasks": [{{}}, {run_tasks}]}}}}}}"#));
    (project.file("app", "two\n").committed(), aws, good)
}

/// Nothing was rolled, the same deployment runs, and `latest` is what it runs.
#[track_caller]
fn all_is_as_it_was(aws: &StandIn, good: &str) {
    assert_eq!(aws.calls("UpdateService").len(), 1, "that of the first deploy");
    let service = aws.service("dev", "api");
    assert_eq!(service["deployments"].as_array().map(Vec::len), Some(1), "{service}");
    assert_eq!(service["runningCount"], 1, "{service}");
    assert_eq!(aws.latest("api-dev"), good);
}

fn lines(events: &[Value]) -> Vec<&str> {
    events.iter().filter(|event| event["event"] == "task-log").filter_map(|event| event["line"].as_str()).collect()
}

#[test]
fn a_good_task_goes_before_the_rollout_and_its_log_is_told() {
    let task = r#"{"log": ["one table", "two tables"], "exit": {"after_ms": 300, "code": 0}}"#;
    let (project, aws, good) = before_the_second("1m", task);
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(0);
    let events = ran.events();
    assert_eq!(lines(&events), ["one table", "two tables"]);
    let position = |what: &dyn Fn(&Value) -> bool| events.iter().position(what).expect("it is said");
    let task = position(&|event| event["event"] == "task-started");
    assert!(position(&|event| event["event"] == "tag-pushed") < task);
    assert!(task < position(&|event| event["event"] == "rollout-started"));
    assert_eq!(events[task]["command"], serde_json::json!(["./migrate", "up"]));
    assert_ne!(aws.latest("api-dev"), good);
    assert_eq!((aws.calls("RunTask").len(), aws.calls("UpdateService").len()), (2, 2));
}

#[test]
fn a_task_that_fails_ends_the_deploy_and_everything_is_as_it_was() {
    let task = r#"{"log": ["no such column"], "exit": {"after_ms": 300, "code": 3}}"#;
    let (project, aws, good) = before_the_second("1m", task);
    let finished = project.shipit(&["deploy", "--output", "json"]).exits(8).finished();
    let service = &finished["services"][0];
    assert_eq!(service["verdict"], "rollout-failed");
    assert!(service["reason"].as_str().is_some_and(|text| text.contains("exit code 3")), "{service}");
    assert_eq!(service["log"], serde_json::json!(["no such column"]));
    let hint = service["hint"].as_str().expect("a hint");
    assert!(hint.contains("nothing was rolled") && hint.contains(&format!("back on {good}")), "{service}");
    all_is_as_it_was(&aws, &good);
}

#[test]
fn a_task_that_cannot_start_is_told_in_ecs_words() {
    let reason = "ResourceInitializationError: unable to pull secrets";
    let (project, aws, good) = before_the_second("1m", &format!(r#"{{"fail_to_start": "{reason}"}}"#));
    project.shipit(&["deploy"]).exits(8).says(reason).says("nothing was rolled");
    all_is_as_it_was(&aws, &good);
}

#[test]
fn a_task_that_hangs_is_stopped_at_its_timeout() {
    let (project, aws, good) = before_the_second("2s", r#"{"log": ["waiting for a lock"]}"#);
    project.shipit(&["deploy"]).exits(8).says("after 2s, its timeout").says("waiting for a lock");
    assert_eq!(aws.calls("StopTask").len(), 1);
    all_is_as_it_was(&aws, &good);
}

#[test]
fn an_interrupted_task_is_stopped_and_a_second_run_waits_for_its_end() {
    let first = r#"{"drain_ms": 4000}, {"exit": {"code": 0}}"#;
    let (project, aws, good) = before_the_second("1m", first);
    let mut run = Running::start(&project, &["deploy"]);
    run.wait_for("task", |event| event["event"] == "task-started");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let service = run.gets("INT").exits(130).finished()["services"][0].clone();
    assert_eq!(service["verdict"], "interrupted", "{service}");
    assert!(service["reason"].as_str().is_some_and(|text| text.contains("was told to stop")), "{service}");
    assert_eq!(aws.calls("StopTask").len(), 1);
    all_is_as_it_was(&aws, &good);
    // The first task still takes its time to end: the second begins after it.
    project.shipit(&["deploy"]).exits(0);
    let tasks = aws.one_offs("dev", "shipit/api");
    let (interrupted, second) = (&tasks[1], &tasks[2]);
    assert!(interrupted["stoppedAt"].as_f64() <= second["createdAt"].as_f64(), "{interrupted}\n{second}");
}

#[test]
fn while_one_runs_another_is_refused_before_latest_is_moved() {
    let (project, aws, good) = before_the_second("1m", "{}");
    let first = project.start(&["run", "--env", "dev", "api", "--", "./console"]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while aws.one_offs("dev", "shipit/api").len() < 2 {
        assert!(std::time::Instant::now() < deadline, "the task by hand did not begin");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let service = project.shipit(&["deploy", "--output", "json"]).exits(4).finished()["services"][0].clone();
    assert_eq!(service["verdict"], "refused", "{service}");
    assert!(service["hint"].as_str().is_some_and(|text| text.contains("aws ecs stop-task")), "{service}");
    all_is_as_it_was(&aws, &good);
    assert_eq!(aws.calls("RunTask").len(), 2, "that of the first deploy, and that by hand");
    signal(first.id(), "TERM");
    Ran::from(first.wait_with_output().expect("it ends")).exits(130).says("was told to stop");
    assert_eq!(aws.calls("StopTask").len(), 1);
}

#[test]
fn a_lost_answer_does_not_run_it_twice() {
    let (project, aws, _) = before_the_second("1m", r#"{"exit": {"code": 0}}"#);
    aws.follow(
        r#"{"faults": [{"operation": "RunTask", "times": 1, "drop": true}],
            "services": {"dev/api": {"run_tasks": [{"exit": {"code": 0}}]}}}"#,
    );
    project.shipit(&["deploy"]).exits(0);
    assert_eq!(aws.one_offs("dev", "shipit/api").len(), 2, "one for each deploy");
}

#[test]
fn the_plan_names_it_and_a_container_that_is_not_there_is_in_the_way() {
    let (project, aws, _) = before_the_second("1m", "{}");
    project.shipit(&["deploy", "--dry-run"]).exits(0).says("its good end: ./migrate up");
    let other = MANIFEST.replace("TIMEOUT", "1m, container: worker");
    let project = project.file("deploy.yaml", &other).committed();
    project.shipit(&["deploy"]).exits(7).says("no container `worker`, which `before_deploy` names");
    assert_eq!((aws.calls("RunTask").len(), aws.calls("UpdateService").len()), (1, 1), "those of the first deploy");
}

#[test]
fn by_hand_the_log_is_the_answer_and_the_exit_code_is_passed_on() {
    let (project, _aws, _) = before_the_second("1m", r#"{"log": ["42"], "exit": {"after_ms": 200, "code": 7}}"#);
    let ran = project.shipit(&["run", "--env", "dev", "api", "--", "./count", "--all"]).exits(7);
    assert_eq!(ran.stdout, "42\n", "{}", ran.stderr);
    assert!(ran.stderr.contains("./count --all"), "{}", ran.stderr);
}

#[test]
fn on_this_machine_it_is_a_real_container() {
    let manifest = |command: &str| {
        format!(
            "version: 1\nname: sample\naws: {{ region: ap-south-1 }}\nenvironments:\n  dev: {{ branch: develop }}\n\
             services:\n  api:\n    context: api\n    build_args: {{ COMMIT: '${{commit}}' }}\n    \
             repository: api-${{env}}\n    before_deploy: {{ command: [sh, -c, {command}] }}\n"
        )
    };
    let mut machine = OnThisMachine::of(&manifest("'echo migrated'"));
    let ran = machine.deploy().exits(0);
    assert_eq!(lines(&ran.events()), ["migrated"]);
    let before = machine.containers();
    machine.change("deploy.yaml", &manifest("'echo broken; exit 5'"));
    let service = machine.deploy().exits(8).finished()["services"][0].clone();
    assert!(service["reason"].as_str().is_some_and(|text| text.contains("exit code 5")), "{service}");
    assert_eq!(service["log"], serde_json::json!(["broken"]));
    assert_eq!(machine.containers(), before, "the same container serves, and the task's is gone");
    let ran = machine.project.shipit(&["run", "--env", "dev", "--local", "api", "--", "sh", "-c", "echo out; exit 3"]);
    let ran = ran.exits(3);
    assert_eq!(ran.stdout, "out\n", "{}", ran.stderr);
}

#[test]
fn a_rollout_that_begins_while_before_deploy_runs_is_not_trampled() {
    let (project, aws, _) = before_the_second("1m", r#"{"exit": {"after_ms": 4000, "code": 0}}"#);
    let mut run = Running::start(&project, &["deploy"]);
    run.wait_for_stage("before-deploy");
    aws.wait_for_more("RunTask", 1);
    aws.force("dev", "api");
    let ran = run.ends().exits(4);
    assert!(ran.finished()["services"][0]["reason"].as_str().is_some_and(|why| why.contains("another rollout began")));
    assert_eq!(aws.calls("UpdateService").len(), 2, "that of the first deploy, and that of somebody else");
}
