//! Secret values are looked for in everything that a deploy says and leaves behind.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Project, Running, StandIn, docker, with_base_image};

/// Baked in by `build_args`, so that the image may show it; nothing else may.
const BAKED: &str = "baked in/9f+A value=";
/// Given to one step of the build by `build_secrets`.
const MOUNTED: &str = "mounted:7Q only/here&now";
/// Neither: it only has to be there.
const REQUIRED: &str = "required-Zk4x2";

/// The values, as they are and as the build's step below prints them.
fn forms() -> Vec<String> {
    let base64 = ["YmFrZWQgaW4vOWYrQSB2YWx1ZT0", "bW91bnRlZDo3USBvbmx5L2hlcmUmbm93"];
    let percent = ["baked%20in%2F9f%2BA%20value%3D", "mounted%3A7Q%20only%2Fhere%26now"];
    [BAKED, MOUNTED, REQUIRED].iter().chain(&base64).chain(&percent).map(|form| (*form).to_owned()).collect()
}

#[track_caller]
fn hides(what: &str, text: &str) {
    for form in forms() {
        assert!(!text.contains(&form), "`{form}` is in {what}:\n{text}");
    }
}

const MANIFEST: &str = r"version: 1
name: sample
aws: { region: ap-south-1 }
environments: { dev: { branch: develop } }
services:
  api:
    repository: api-${env}
    secrets: [BAKED, MOUNTED, REQUIRED]
    build_args: { TOKEN: '${BAKED}' }
    build_secrets: [MOUNTED]
";

/// A build whose step prints both secrets in every form, stays for a moment to be looked at, and ends with `code`.
fn printing(code: u8) -> (Project, StandIn) {
    with_base_image();
    let encode = "sed 's/ /%20/g; s/[/]/%2F/g; s/+/%2B/g; s/=/%3D/g; s/:/%3A/g; s/&/%26/g'";
    let dockerfile = format!(
        "FROM busybox:stable\nARG TOKEN\nCOPY app /app\nRUN --mount=type=secret,id=MOUNTED \
         printed=$(cat /run/secrets/MOUNTED); for it in \"$TOKEN\" \"$printed\"; do echo \"it is $it\"; \
         echo \"$it\" | {encode}; printf %s \"$it\" | base64; done; echo all printed; sleep 1; exit {code}\n"
    );
    let project = Project::new()
        .file("deploy.yaml", MANIFEST)
        .file("Dockerfile", &dockerfile)
        .file(".dockerignore", "*\n!app\n")
        .file("app", &format!("{}\n", std::process::id()))
        .committed()
        .with_engine()
        .var("DEV_BAKED", BAKED)
        .var("DEV_MOUNTED", MOUNTED)
        .var("DEV_REQUIRED", REQUIRED);
    let aws = StandIn::scripted(&project, "{}");
    (project.with_aws(&aws), aws)
}

/// What the processes below this one are called with, and what is in their environments, for as long as it goes on. Of the
/// process itself only the command line: its environment is where the values come from.
fn watch_processes(root: u32, goes_on: &AtomicBool) -> BTreeSet<String> {
    let read = |id: u32, file: &str| std::fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
    let mut seen = BTreeSet::new();
    while goes_on.load(Ordering::Relaxed) {
        let mut family = vec![root];
        let mut at = 0;
        while let Some(&id) = family.get(at) {
            at += 1;
            let threads = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
            for thread in threads {
                let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
                family.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            }
            let called = read(id, "cmdline");
            // One that is not yet the program that it is to become is still a copy of this process.
            if called != read(root, "cmdline") {
                seen.insert(read(id, "environ"));
            }
            seen.insert(called);
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    seen
}

/// A `git` that notes how it is called and then does what git does.
fn noting_git(folder: &Path) -> String {
    let path = std::env::var("PATH").expect("PATH");
    let real = std::env::split_paths(&path).map(|folder| folder.join("git")).find(|git| git.exists()).expect("git");
    let git = folder.join("git");
    let notes = folder.join("notes");
    let script =
        format!("#!/bin/sh\n{{ echo \"$@\"; env; }} >> '{}'\nexec '{}' \"$@\"\n", notes.display(), real.display());
    std::fs::write(&git, script).expect("a script");
    std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
    format!("{}:{path}", folder.display())
}

/// The text of all files below a folder, with their names.
fn everything_in(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        into.push_str(&format!("{}\n", path.display()));
        if path.is_dir() {
            everything_in(&path, into);
        } else {
            into.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()));
        }
    }
}

#[test]
fn no_way_of_reporting_a_good_deploy_shows_them() {
    let (mut project, _aws) = printing(0);
    for (run, args) in [&["deploy"][..], &["deploy", "-v"], &["deploy", "-vv"], &["deploy", "--output", "json"]]
        .into_iter()
        .enumerate()
    {
        // Another context, so that the step runs and prints again.
        project = project.file("app", &format!("{run} {}\n", std::process::id())).committed();
        let ran = project.shipit(args).exits(0);
        if run > 0 {
            // It was printed, and hidden.
            assert!(ran.everything().contains("it is ***"), "{}", ran.everything());
            assert!(ran.everything().contains("all printed"));
        }
        hides(&format!("{args:?}"), &ran.everything());
        assert!(!project.path(".home/.docker").exists(), "~/.docker was written to");
    }
    project.shipit(&["check", "--env", "dev"]).exits(0);
    let ran = project.shipit(&["deploy", "--dry-run", "--output", "json"]).exits(0);
    hides("the plan", &ran.everything());
}

#[test]
fn a_failing_step_is_shown_without_them() {
    for args in [&["deploy"][..], &["deploy", "-vv"], &["deploy", "--output", "json"]] {
        let (project, _aws) = printing(3);
        let ran = project.shipit(args).exits(5);
        assert!(ran.everything().contains("it is ***"), "{}", ran.everything());
        hides(&format!("{args:?}"), &ran.everything());
    }
}

#[test]
fn what_aws_says_is_shown_without_them() {
    let (project, aws) = printing(0);
    let message = format!("no tasks for {BAKED} and {MOUNTED}");
    let message = serde_json::Value::from(message).to_string();
    for operation in ["DescribeServices", "UpdateService"] {
        aws.follow(&format!(
            r#"{{"faults": [{{"operation": "{operation}", "error": "InvalidParameterException", "message": {message}}}]}}"#
        ));
        for args in [&["deploy", "-vv"][..], &["deploy", "--output", "json"]] {
            let ran = project.shipit(args).exits(7);
            assert!(ran.everything().contains("no tasks for *** and ***"), "{}", ran.everything());
            hides(&format!("{operation} with {args:?}"), &ran.everything());
        }
    }
}

#[test]
fn they_are_in_no_process_no_file_and_no_image() {
    let (project, _aws) = printing(0);
    let programs = tempfile::tempdir().expect("a folder");
    let project = project.var("PATH", &noting_git(programs.path())).file("app", "for the processes\n").committed();
    let mut run = Running::start(&project, &["deploy"]);
    let (id, goes_on) = (run.id(), AtomicBool::new(true));
    let (image, ran, processes) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| watch_processes(id, &goes_on));
        let built = run.wait_for("image", |event| event["event"] == "build-finished");
        let image = built["image"].as_str().expect("an id").to_owned();
        let ran = run.ends();
        goes_on.store(false, Ordering::Relaxed);
        (image, ran, watch.join().expect("it watches"))
    });
    let ran = ran.exits(0);
    hides("the output", &ran.everything());

    assert!(processes.iter().any(|line| line.contains("deploy")), "it was seen: {processes:?}");
    hides("a process", &processes.into_iter().collect::<Vec<_>>().join("\n"));
    let notes = std::fs::read_to_string(programs.path().join("notes")).expect("git was called");
    hides("what git is called with", &notes);

    let image_says = docker(&["image", "inspect", &image]) + &docker(&["history", "--no-trunc", &image]);
    assert!(image_says.contains(&image), "{image_says}");
    for form in forms().iter().filter(|form| !form.to_lowercase().starts_with("baked") && !form.starts_with("YmF")) {
        assert!(!image_says.contains(form.as_str()), "`{form}` is in the image:\n{image_says}");
    }

    // The sources name none of them; so nothing in the project's folder, home included, may.
    let mut files = String::new();
    everything_in(project.folder(), &mut files);
    assert!(files.contains("deploy.yaml"));
    hides("a file", &files);
    assert!(!project.path(".home/.docker").exists(), "~/.docker was written to");
}
