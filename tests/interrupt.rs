//! Ctrl-C and SIGTERM at every stage: it ends at once, says what is true, and leaves nothing half-done behind.

use std::time::{Duration, Instant};

use crate::support::{Project, Ran, Running, StandIn, Terminal, signal, with_base_image};

const HEALTHY: &str = r#"{"services": {"dev/api": {}}}"#;

fn deploying(script: &str) -> (Project, StandIn) {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, script);
    (project.with_aws(&aws).with_engine(), aws)
}

/// A project whose build sleeps for so many seconds, a number that no other process of this machine has.
fn sleeping(seconds: u32) -> (Project, StandIn) {
    with_base_image();
    let (project, aws) = deploying(HEALTHY);
    let dockerfile = format!("FROM busybox:stable\nRUN sleep {seconds}\n");
    (project.file("Dockerfile", &dockerfile).committed(), aws)
}

/// Whether a process of this machine sleeps for so many seconds. The engine runs here, and its containers' processes
/// are to be seen.
fn sleeps(seconds: u32) -> bool {
    let wanted = format!("sleep\0{seconds}\0");
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    processes.map(|process| std::fs::read(process.path().join("cmdline")).unwrap_or_default()).any(|line| {
        let line = String::from_utf8_lossy(&line).into_owned();
        line.ends_with(&wanted) && !line.contains("-c\0")
    })
}

#[track_caller]
fn wait_until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A number of seconds for `sleep` that belongs to this run of the tests.
fn own_number(test: u32) -> u32 {
    100_000 + std::process::id() * 10 + test
}

fn interrupted(ran: Ran) -> serde_json::Value {
    let finished = ran.exits(130).finished();
    assert_eq!(finished["exit_code"], 130);
    let service = finished["services"][0].clone();
    assert_eq!(service["verdict"], "interrupted", "{service}");
    service
}

#[test]
fn a_build_is_given_up_and_its_step_ends() {
    for (test, name) in [(1, "INT"), (2, "TERM")] {
        let seconds = own_number(test);
        let (project, aws) = sleeping(seconds);
        let run = Running::start(&project, &["deploy"]);
        wait_until("the step runs", Duration::from_secs(60), || sleeps(seconds));
        let service = interrupted(run.gets(name));
        assert!(service["reason"].as_str().is_some_and(|text| text.contains("during the build")), "{service}");
        wait_until("the step is gone", Duration::from_secs(3), || !sleeps(seconds));
        assert!(aws.calls("PutImage").is_empty() && aws.calls("UpdateService").is_empty());
    }
}

#[test]
fn the_second_ctrl_c_ends_at_once() {
    // An answer that never comes holds the first one up until the time for last answers is over.
    let (project, _aws) =
        deploying(r#"{"faults": [{"operation": "UpdateService", "delay_ms": 30000}], "services": {"dev/api": {}}}"#);
    let mut run = Running::start(&project, &["deploy"]);
    run.wait_for_stage("roll");
    std::thread::sleep(Duration::from_millis(300));
    signal(run.id(), "INT");
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    signal(run.id(), "INT");
    let ran = run.ends().exits(130);
    assert!(began.elapsed() < Duration::from_millis(800), "it took {:?}", began.elapsed());
    assert_eq!(ran.finished()["exit_code"], 130);
    ran.says("interrupted twice").says("hint:");
}

/// A stand-in with one good deploy, and the project with the next commit.
fn after_a_deploy() -> (Project, StandIn, String) {
    let (project, aws) = deploying(HEALTHY);
    project.shipit(&["deploy"]).exits(0);
    let good = aws.latest("api-dev");
    (project.file("app", "two\n").committed(), aws, good)
}

#[test]
fn a_push_is_given_up_and_latest_stays() {
    // A layer of the first tag, and the manifest of the second, which is `latest`.
    for (late, after, tag) in [("InitiateLayerUpload", 0, ":git-"), ("PutImage", 1, ":latest")] {
        let (project, aws, good) = after_a_deploy();
        aws.follow(&format!(
            r#"{{"faults": [{{"operation": "{late}", "after": {after}, "delay_ms": 30000}}], "services": {{"dev/api": {{}}}}}}"#
        ));
        let mut run = Running::start(&project, &["deploy"]);
        run.wait_for_stage("push");
        (0..after).for_each(|_| drop(run.wait_for("tag", |event| event["event"] == "tag-pushed")));
        std::thread::sleep(Duration::from_secs(1));
        let service = interrupted(run.gets("TERM"));
        let reason = service["reason"].as_str().expect("a reason");
        assert!(reason.contains("while pushing") && reason.contains(tag), "{service}");
        assert_eq!(service["hint"], serde_json::Value::Null, "nothing had to be put back: {service}");
        assert_eq!(aws.latest("api-dev"), good);
        assert_eq!(aws.calls("UpdateService").len(), 1);
    }
}

#[test]
fn between_push_and_roll_latest_goes_back() {
    let (project, aws, good) = after_a_deploy();
    // Of a deploy's questions about `latest`, the one after the push comes late.
    let questions = |aws: &StandIn| aws.calls("DescribeImages").len();
    let before = questions(&aws);
    project.shipit(&["deploy", "--dry-run"]).exits(0);
    let plan = questions(&aws) - before;
    aws.follow(&format!(
        r#"{{"faults": [{{"operation": "DescribeImages", "after": {plan}, "times": 1, "delay_ms": 30000}}],
            "services": {{"dev/api": {{}}}}}}"#
    ));
    let mut run = Running::start(&project, &["deploy"]);
    run.wait_for("tag", |event| {
        event["event"] == "tag-pushed" && event["reference"].as_str().is_some_and(|name| name.ends_with(":latest"))
    });
    std::thread::sleep(Duration::from_millis(500));
    assert_ne!(aws.latest("api-dev"), good, "it is moved already");
    let service = interrupted(run.gets("INT"));
    let hint = service["hint"].as_str().expect("a hint");
    assert!(hint.contains(&format!("`latest` is back on {good}")), "{service}");
    assert_eq!(aws.latest("api-dev"), good);
    assert_eq!(aws.calls("UpdateService").len(), 1);
}

#[test]
fn without_an_answer_to_update_service_it_says_that_a_rollout_may_have_begun() {
    let (project, aws) =
        deploying(r#"{"faults": [{"operation": "UpdateService", "delay_ms": 30000}], "services": {"dev/api": {}}}"#);
    let mut run = Running::start(&project, &["deploy"]);
    run.wait_for_stage("roll");
    std::thread::sleep(Duration::from_millis(300));
    let service = interrupted(run.gets("INT"));
    assert!(service["reason"].as_str().is_some_and(|text| text.contains("it may have begun the rollout")), "{service}");
    assert_eq!(service["deployment"], serde_json::Value::Null);
    assert!(!aws.latest("api-dev").is_empty());
}

#[test]
fn an_answer_that_comes_after_the_interrupt_names_the_rollout() {
    let (project, aws) = deploying(
        r#"{"faults": [{"operation": "UpdateService", "delay_ms": 900}],
            "services": {"dev/api": {"deployments": [{"tasks": [{"pending_ms": 600000}]}]}}}"#,
    );
    let mut run = Running::start(&project, &["deploy"]);
    run.wait_for_stage("roll");
    std::thread::sleep(Duration::from_millis(200));
    let service = interrupted(run.gets("INT"));
    let deployment = service["deployment"].as_str().expect("its id");
    let reason = service["reason"].as_str().expect("a reason");
    assert!(reason.contains(&format!("the rollout {deployment} goes on in ECS")), "{service}");
    assert_eq!(aws.service("dev", "api")["deployments"][0]["id"], deployment);
}

#[test]
fn a_terminal_gets_its_cursor_back() {
    let seconds = own_number(3);
    let (project, _aws) = sleeping(seconds);
    let mut terminal = Terminal::run(&project, &["deploy"]);
    terminal.shows("RUN sleep");
    wait_until("the step runs", Duration::from_secs(60), || sleeps(seconds));
    // The key itself: the terminal makes a signal of it.
    terminal.types("\u{3}");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(130), "{screen}");
    assert!(screen.contains("interrupted"), "{screen}");
    // What was hidden has to be shown again, and nothing may be left of the live lines' colours.
    let hidden = screen.rfind("\u{1b}[?25l");
    let shown = screen.rfind("\u{1b}[?25h");
    assert!(hidden <= shown, "the cursor stays hidden: {screen:?}");
    assert!(screen.ends_with('\n'), "the prompt would begin within a line: {screen:?}");
    wait_until("the step is gone", Duration::from_secs(3), || !sleeps(seconds));
}
