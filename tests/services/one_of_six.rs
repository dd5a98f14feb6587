//! One service of six fails, at each step that there is: the five others finish, the table and the exit code say so, and
//! the next run touches only the sixth.

use super::{SIX, TOKEN, named, rolled, six_deployed, verdicts};
use crate::support::Ran;

/// What goes wrong with `f`.
struct Wrong {
    /// The exit code of the run, the verdict on `f`, and a part of its reason.
    ends: (i32, &'static str, &'static str),
    /// How many services are rolled in that run.
    rolled: usize,
    /// `latest` of `f` is what it was before.
    stays: bool,
    script: &'static str,
    /// What the stand-in follows once it is mended: where ECS goes on trying, the deployment that failed has to fail on.
    mended: &'static str,
    /// The Dockerfile of `f` in that run.
    dockerfile: &'static str,
    /// Further keys of `f` in deploy.yaml.
    keys: &'static str,
}

const DOCKERFILE: &str = "FROM scratch\nCOPY app /app\n";

const WRONG: Wrong = Wrong {
    ends: (0, "", ""),
    rolled: 5,
    stays: true,
    script: "{}",
    mended: "{}",
    dockerfile: DOCKERFILE,
    keys: "platform: linux/amd64",
};

/// All six change, `f` fails; then what is wrong is mended, and the same command is given again.
#[track_caller]
fn the_others_finish(wrong: &Wrong) {
    let (exit, verdict, reason) = wrong.ends;
    let (project, aws) = six_deployed(&[("f", wrong.keys)]);
    let good = aws.latest("f-dev");
    let before = rolled(&aws).len();
    aws.follow(wrong.script);
    let project =
        SIX.iter().fold(project, |project, name| project.file(&format!("{name}/app"), &format!("{name} two\n")));
    let project = project.file("f/Dockerfile", wrong.dockerfile).committed();
    let ran = project.shipit(&["deploy"]).exits(exit).says(reason);
    for name in SIX {
        let expected = if name == "f" { verdict } else { "deployed" };
        assert_eq!(in_the_table(&ran, name), expected, "{name}\n{}", ran.everything());
    }
    assert_eq!(rolled(&aws).len() - before, wrong.rolled);
    assert_eq!(aws.latest("f-dev") == good, wrong.stays, "{}", ran.everything());

    let before = rolled(&aws).len();
    aws.follow(wrong.mended);
    let project =
        if wrong.dockerfile == DOCKERFILE { project } else { project.file("f/Dockerfile", DOCKERFILE).committed() };
    let ended = verdicts(&project.shipit(&["deploy", "--output", "json"]).exits(0).finished());
    for name in SIX {
        assert_eq!(named(&ended, name), if name == "f" { "deployed" } else { "unchanged" }, "{name}");
    }
    assert_eq!(rolled(&aws)[before..], ["f"]);
    assert_ne!(aws.latest("f-dev"), good);
}

/// The verdict in the line that the table at the end has for this service.
fn in_the_table<'r>(ran: &'r Ran, name: &str) -> &'r str {
    let mut words = ran.stdout.lines().map(|line| line.split_whitespace());
    words.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()).flatten()).unwrap_or("missing")
}

#[test]
fn the_build() {
    let dockerfile = "FROM scratch\nCOPY nowhere /app\n";
    the_others_finish(&Wrong { ends: (5, "build-failed", "nowhere"), dockerfile, ..WRONG });
}

#[test]
fn a_secret_in_the_image() {
    let dockerfile = "FROM scratch\nCOPY app /app\nENV A=\"q7/Zk+leak?me 4x2\"\n";
    assert!(dockerfile.contains(TOKEN));
    let keys = "secrets: [TOKEN]";
    the_others_finish(&Wrong { ends: (4, "refused", "TOKEN"), dockerfile, keys, ..WRONG });
}

#[test]
fn the_push() {
    let script = r#"{"faults": [{"operation": "PutImage", "repository": "f-dev", "status": 403, "error": "DENIED", "message": "no"}]}"#;
    the_others_finish(&Wrong { ends: (6, "push-failed", "no"), script, ..WRONG });
}

#[test]
fn the_push_of_latest() {
    let script = r#"{"faults": [{"operation": "PutImage", "repository": "f-dev", "after": 1, "status": 403, "error": "DENIED", "message": "no"}]}"#;
    the_others_finish(&Wrong { ends: (6, "push-failed", "no"), script, ..WRONG });
}

#[test]
fn the_scan() {
    let finding = r#"{"id": "CVE-2026-0003", "severity": "CRITICAL", "package": "openssl", "installed": "3.0.1"}"#;
    let script: &'static str = Box::leak(format!(r#"{{"scans": {{"f-dev": {{"findings": [{finding}]}}}}}}"#).into());
    let keys = "scan: { fail_on: high }";
    the_others_finish(&Wrong { ends: (4, "refused", "CVE-2026-0003"), script, keys, ..WRONG });
}

#[test]
fn the_task_before_the_rollout() {
    let script = r#"{"services": {"dev/f": {"run_tasks": [{"exit": {"after_ms": 50, "code": 3}}]}}}"#;
    let keys = "before_deploy: { command: [./migrate] }";
    the_others_finish(&Wrong { ends: (8, "rollout-failed", "before_deploy failed"), script, keys, ..WRONG });
}

#[test]
fn its_tasks_die() {
    let script = r#"{"speed": 5, "services": {"dev/f": {"breaker": {"enable": false}, "deployments": [
        {}, {"tasks": [{"exit": {"after_ms": 50, "code": 3}}]}, {}]}}}"#;
    let ends = (8, "rollout-failed", "exit code 3");
    the_others_finish(&Wrong { ends, rolled: 6, script, mended: script, ..WRONG });
}

#[test]
fn ecs_rolls_back() {
    let script = r#"{"speed": 5, "services": {"dev/f": {"breaker": {"enable": true, "rollback": true}, "deployments": [
        {}, {"tasks": [{"fail_to_start": "CannotPullContainerError: gone"}]}, {}]}}}"#;
    let ends = (8, "rolled-back", "CannotPullContainerError");
    the_others_finish(&Wrong { ends, rolled: 6, script, mended: script, ..WRONG });
}

#[test]
fn another_image_runs_in_the_end() {
    let other = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let script: &'static str =
        Box::leak(format!(r#"{{"services": {{"dev/f": {{"deployments": [{{"digest": "{other}"}}]}}}}}}"#).into());
    the_others_finish(&Wrong { ends: (10, "not-proven", other), rolled: 6, stays: false, script, ..WRONG });
}
