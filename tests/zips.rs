//! Services of `kind: zip`: packed the same every time, kept by commit, live under one key, and proven there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Project, Running, StandIn, noise};

const MANIFEST: &str = r#"version: 1
name: sample
aws: { region: ap-south-1, account: "123456789012" }
environments:
  dev: { branch: develop }
  prod: { branch: main, after: dev }
services:
  docs:
    kind: zip
    context: app
    bucket: apps-${env}
    exclude: ["**/__pycache__", "*.md"]
    secrets: [TOKEN]
"#;

const NOTHING: &str = "{}";

fn project() -> Project {
    Project::new()
        .file("deploy.yaml", MANIFEST)
        .file("app/app.py", "print('one')\n")
        .file("app/pages/home.py", "print('home')\n")
        .file("app/notes.md", "not delivered\n")
        .committed()
        .var("DEV_TOKEN", "a-very-secret-token")
}

fn with(script: &str) -> (Project, StandIn) {
    let project = project();
    let aws = StandIn::scripted(&project, script);
    (project.with_aws(&aws), aws)
}

#[track_caller]
fn service(finished: &Value, verdict: &str) -> Value {
    let service = finished["services"][0].clone();
    assert_eq!(service["verdict"], verdict, "{service}");
    service
}

#[test]
fn a_zip_is_kept_by_commit_and_live_under_one_key() {
    let (project, aws) = with(NOTHING);
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(0);
    let deployed = service(&ran.finished(), "deployed");
    ran.never_says("a-very-secret-token");
    let head = project.head();
    assert_eq!(deployed["revision"], Value::from(head.as_str()));
    let calls = |name: &str| aws.calls(name).len();
    assert_eq!((calls("PutObject"), calls("CopyObject")), (1, 1));
    let put = &aws.calls("PutObject")[0]["input"];
    assert_eq!(put["key"], Value::from(format!("docs/{head}.zip")));
    assert_eq!(aws.calls("CopyObject")[0]["input"]["key"], "docs/latest.zip");
    let latest = aws.object("apps-dev", "docs/latest.zip");
    assert_eq!(latest.header("x-amz-meta-revision"), Some(head.as_str()));
    let sha256 = deployed["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
    assert_eq!(latest.header("x-amz-meta-sha256"), sha256);
    assert!(latest.header("x-amz-meta-by").is_some_and(|by| by.starts_with("arn:aws:iam::123456789012:")));

    // The same commit again: nothing is sent and nothing is moved.
    let again = project.shipit(&["deploy", "--output", "json"]).exits(0).finished();
    assert_eq!(service(&again, "unchanged")["digest"], deployed["digest"]);
    assert_eq!((calls("PutObject"), calls("CopyObject")), (1, 1));
}

/// What a zip that was put in one call holds, by the names in its table of contents.
fn entries(zip: &[u8]) -> Vec<String> {
    let mark = b"PK\x01\x02";
    let starts = (0..zip.len().saturating_sub(46)).filter(|at| zip[*at..].starts_with(mark));
    let name = |at: usize| {
        let length = usize::from(u16::from_le_bytes([zip[at + 28], zip[at + 29]]));
        String::from_utf8_lossy(&zip[at + 46..at + 46 + length]).into_owned()
    };
    starts.map(name).collect()
}

#[test]
fn the_same_files_of_another_commit_are_the_same_bytes() {
    let (project, aws) = with(NOTHING);
    let first = service(&project.shipit(&["deploy", "--output", "json"]).exits(0).finished(), "deployed");
    let zip = aws.object("apps-dev", "docs/latest.zip").body;
    assert_eq!(entries(&zip), ["app.py", "pages/home.py"]);
    let project =
        project.file("elsewhere/README", "of no concern\n").file("app/__pycache__/x.pyc", "cache").committed();
    // Nothing that concerns it has changed, so it has to be asked for.
    let second = service(&project.shipit(&["deploy", "--all", "--output", "json"]).exits(0).finished(), "deployed");
    assert_eq!(first["digest"], second["digest"]);
    let latest = aws.object("apps-dev", "docs/latest.zip");
    assert_eq!(latest.body, zip);
    assert_eq!(latest.header("x-amz-meta-revision"), Some(project.head().as_str()));
    assert_eq!(latest.header("x-amz-meta-previous"), first["revision"].as_str());
    assert_eq!(aws.keys("apps-dev", "docs/").len(), 3, "each commit has a key of its own");
}

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let (project, aws) = with(NOTHING);
    let ran = project.shipit(&["deploy", "--dry-run"]).exits(0);
    ran.says("zip           of app, 2 files").says("copy it over docs/latest.zip").says("planned");
    assert!(aws.calls("PutObject").is_empty() && aws.keys("apps-dev", "").is_empty());
    let report = project.shipit(&["deploy", "--dry-run", "--report", "markdown"]).exits(0).stdout;
    assert!(report.contains("| a zip, to s3://apps-dev/docs/") && report.contains("1. pack the files"), "{report}");
    let json = project.shipit(&["deploy", "--dry-run", "--output", "json"]).exits(0).events();
    let plan = json.iter().find(|event| event["event"] == "planned").expect("a plan");
    assert_eq!(plan["plan"]["archives"][0]["latest_key"], "docs/latest.zip", "{plan}");
    // What a deploy would fail over is not planned.
    let project = project.file("deploy.yaml", &MANIFEST.replace("\"*.md\"", "\"**\"")).committed();
    project.shipit(&["deploy", "--dry-run"]).exits(5).says("there is no file to pack in").says("refused");
    project.shipit(&["check"]).exits(5).says("correct `context` or `exclude`");
}

#[test]
fn what_is_in_the_way_is_said_before_anything_is_packed() {
    let table = [
        (r#"{"deny": ["s3:GetObject"]}"#, "allow s3:GetObject for this identity"),
        (r#"{"deny": ["s3:ListBucket"]}"#, "AWS refused s3:HeadBucket on bucket `apps-dev`"),
    ];
    for (script, words) in table {
        let (project, aws) = with(script);
        project.shipit(&["deploy"]).exits(7).says("refused").says(words);
        assert!(aws.calls("PutObject").is_empty());
    }
    let (project, aws) = with(NOTHING);
    let project = project.file("deploy.yaml", &MANIFEST.replace("apps-${env}", "other-${env}")).committed();
    project.shipit(&["deploy"]).exits(7).says("bucket `other-dev` does not exist");
    let elsewhere = MANIFEST.replace("ap-south-1", "eu-west-1");
    let project = project.file("deploy.yaml", &elsewhere).committed();
    project.shipit(&["deploy"]).exits(7).says("bucket `apps-dev` is in ap-south-1, not in eu-west-1");
    let project = project.file("deploy.yaml", &MANIFEST.replace("context: app", "context: ap")).committed();
    project.shipit(&["deploy"]).exits(2).says("correct `context` in deploy.yaml");
    assert!(aws.keys("apps-dev", "").is_empty());
}

#[test]
fn what_cannot_be_in_a_zip_is_in_the_way_of_the_plan() {
    type Spoil = fn(&std::path::Path);
    let table: [(&str, Spoil); 4] = [
        ("`a\\b` has a backslash in its name", |app| std::fs::write(app.join("a\\b"), "x").expect("a file")),
        ("the symbolic link `out` leads out of the zip: ../elsewhere", |app| {
            symlink("../elsewhere", app.join("out")).expect("a link");
        }),
        ("is not UTF-8, as names in a zip have to be", |app| {
            std::fs::write(app.join(OsStr::from_bytes(b"caf\xe9")), "x").expect("a file");
        }),
        ("`pipe` is a pipe or a device", |app| {
            let made = Command::new("mkfifo").arg(app.join("pipe")).status().expect("mkfifo");
            assert!(made.success());
        }),
    ];
    for (words, spoil) in table {
        let (project, aws) = with(NOTHING);
        spoil(&project.path("app"));
        project.shipit(&["deploy", "docs", "--allow-dirty"]).exits(5).says(words).says("`exclude` in deploy.yaml");
        assert!(aws.keys("apps-dev", "").is_empty());
    }
}

#[test]
fn a_bucket_has_to_be_of_the_account_that_deploy_yaml_names() {
    let (project, aws) = with(NOTHING);
    std::fs::write(project.path("app/data"), noise(9 << 20)).expect("a file");
    let project = project.committed();
    project.shipit(&["deploy"]).exits(0);
    project.shipit(&["history", "--env", "dev"]).exits(0);
    let asked: Vec<Value> =
        aws.journal().into_iter().filter(|call| call["operation"].as_str().expect("text").starts_with("s3:")).collect();
    for operation in ["HeadBucket", "HeadObject", "UploadPart", "CopyObject", "ListObjectsV2"] {
        assert!(!aws.calls(operation).is_empty(), "{operation}");
    }
    for call in asked {
        assert_eq!(call["input"]["owner"], "123456789012", "{call}");
    }
    // S3 compares, and so does the stand-in.
    let other = aws.s3("HEAD", "/apps-dev", &[("x-amz-expected-bucket-owner", "210987654321")], b"");
    assert_eq!(other.status, 403);
    aws.follow(r#"{"deny": ["s3:ListBucket"]}"#);
    project.shipit(&["deploy"]).exits(7).says("the bucket is not that of account 123456789012");
}

#[test]
fn a_key_that_the_bucket_is_encrypted_with_is_named() {
    let message =
        "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: kms:GenerateDataKey on resource: k";
    let fault = json!({"operation": "PutObject", "status": 403, "error": "AccessDenied", "message": message});
    let (project, _aws) = with(&json!({"faults": [fault]}).to_string());
    project.shipit(&["deploy"]).exits(7).says("allow kms:GenerateDataKey for this identity on the key");
}

#[test]
fn a_missing_secret_is_missed_for_a_zip_too() {
    let project = project().var("DEV_TOKEN", " ");
    project.shipit(&["deploy"]).exits(3).says("DEV_TOKEN");
}

#[test]
fn a_put_or_a_copy_that_is_refused_leaves_what_is_live() {
    let (project, aws) = with(NOTHING);
    project.shipit(&["deploy"]).exits(0);
    let before = aws.object("apps-dev", "docs/latest.zip");
    let project = project.file("app/app.py", "print('two')\n").committed();
    aws.follow(r#"{"deny": ["s3:PutObject"]}"#);
    project.shipit(&["deploy"]).exits(7).says("push-failed").says("allow s3:PutObject for this identity");
    let fault = r#"{"faults": [{"operation": "CopyObject", "status": 403, "error": "AccessDenied", "message": "no"}]}"#;
    aws.follow(fault);
    project.shipit(&["deploy"]).exits(7).says("push-failed").says("docs/latest.zip is as it was");
    let after = aws.object("apps-dev", "docs/latest.zip");
    assert_eq!((&after.body, after.header("x-amz-meta-at")), (&before.body, before.header("x-amz-meta-at")));
    aws.follow(NOTHING);
    // What was put is not put again.
    let puts = aws.calls("PutObject").len();
    project.shipit(&["deploy"]).exits(0).says("is there already, with the same bytes");
    assert_eq!(aws.calls("PutObject").len(), puts);
}

#[test]
fn an_answer_to_the_copy_that_is_lost_is_settled_by_looking() {
    for fault in [r#""times": 1, "drop": true"#, r#""status": 403, "error": "AccessDenied", "message": "no""#] {
        let script = format!(r#"{{"faults": [{{"operation": "CopyObject", "after_effect": true, {fault}}}]}}"#);
        let (project, aws) = with(&script);
        let live = |name: &str| aws.object("apps-dev", "docs/latest.zip").header(name).map(str::to_owned);
        let finished = project.shipit(&["deploy", "--output", "json"]).exits(0).finished();
        service(&finished, "deployed");
        let first = project.head();
        assert_eq!(live("x-amz-meta-revision"), Some(first.clone()));
        let project = project.file("app/app.py", "print('two')\n").committed();
        project.shipit(&["deploy"]).exits(0);
        aws.follow(&script);
        project.shipit(&["rollback", "--env", "dev"]).exits(0).says("deployed");
        assert_eq!((live("x-amz-meta-revision"), live("x-amz-meta-held")), (Some(first), Some(project.head())));
    }
}

#[test]
fn an_answer_to_the_upload_that_is_lost_is_settled_by_looking() {
    for (operation, bytes) in
        [("PutObject", 0), ("CreateMultipartUpload", 9 << 20), ("CompleteMultipartUpload", 9 << 20)]
    {
        let script = json!({"faults": [{"operation": operation, "after_effect": true, "times": 1, "drop": true}]});
        let (project, aws) = with(&script.to_string());
        std::fs::write(project.path("app/data"), noise(bytes)).expect("a file");
        let project = project.committed();
        let finished = project.shipit(&["deploy", "--output", "json"]).exits(0).finished();
        service(&finished, "deployed");
        assert_eq!(aws.calls(operation).len(), 2, "the SDK asks again");
    }
}

#[test]
fn what_somebody_else_made_live_meanwhile_is_not_overwritten() {
    let script = r#"{"faults": [{"operation": "CopyObject", "delay_ms": 3000}]}"#;
    let (project, aws) = with(script);
    let mut run = Running::start(&project, &["deploy"]);
    run.wait_for("a kept zip", |event| event["event"] == "tag-pushed");
    aws.put_object("apps-dev", "docs/latest.zip", b"theirs");
    let finished = run.ends().exits(4).finished();
    let refused = service(&finished, "refused");
    assert!(refused["reason"].as_str().is_some_and(|text| text.contains("was changed while")), "{refused}");
    assert_eq!(aws.object("apps-dev", "docs/latest.zip").body, b"theirs");
}

#[test]
fn two_runs_of_one_commit_at_once_agree() {
    let (project, aws) = with(r#"{"faults": [{"operation": "CopyObject", "delay_ms": 3000}]}"#);
    let start = || {
        let mut run = Running::start(&project, &["deploy"]);
        run.wait_for("a kept zip", |event| event["event"] == "stage" && event["stage"] == "push");
        run
    };
    let runs = [start(), start()];
    for run in runs {
        service(&run.ends().exits(0).finished(), "deployed");
    }
    let copies: Vec<Value> = aws.journal().into_iter().filter(|call| call["operation"] == "s3:CopyObject").collect();
    let refused = copies.iter().filter(|copy| copy["status"] == 412).count();
    assert_eq!((copies.len(), refused), (2, 1), "{copies:?}");
}

#[test]
fn what_cannot_be_proven_is_not_called_deployed() {
    let (project, aws) = with(NOTHING);
    project.shipit(&["deploy"]).exits(0);
    // The last look is the proof.
    let before = aws.calls("HeadObject").len() - 1;
    let look = |fault: &str| format!(r#"{{"operation": "HeadObject", "after": {before}, {fault}}}"#);
    let refused = r#""status": 403, "error": "AccessDenied", "message": "no""#;
    let copy = format!(r#", {{"operation": "CopyObject", {refused}}}"#);
    let table = [
        (look(r#""delay_ms": 3000"#), "", 10, "is another zip now: nothing that shipit"),
        (look(refused), "", 7, "was written, but could not be read again"),
        (look(refused), &*copy, 7, "is this zip now is not known"),
    ];
    for (look, copy, exit, words) in table {
        let (project, aws) = with(&format!(r#"{{"faults": [{look}{copy}]}}"#));
        let mut run = Running::start(&project, &["deploy"]);
        if exit == 10 {
            run.wait_for_stage("prove");
            aws.put_object("apps-dev", "docs/latest.zip", b"theirs");
        }
        let ended = service(&run.ends().exits(exit).finished(), "not-proven");
        assert!(ended["reason"].as_str().is_some_and(|reason| reason.contains(words)), "{ended}");
    }
}

#[test]
fn an_interruption_leaves_what_is_live() {
    let (project, aws) = with(NOTHING);
    project.shipit(&["deploy"]).exits(0);
    let before = aws.object("apps-dev", "docs/latest.zip").body;
    let project = project.file("app/app.py", "print('two')\n").committed();
    aws.follow(r#"{"faults": [{"operation": "PutObject", "delay_ms": 20000}]}"#);
    let mut run = Running::start(&project, &["deploy"]);
    run.wait_for_stage("push");
    service(&run.gets("INT").exits(130).finished(), "interrupted");
    assert_eq!(aws.object("apps-dev", "docs/latest.zip").body, before);
    assert!(aws.calls("CopyObject").len() == 1);
    // The copy takes a moment and cannot be taken back: once begun, it is seen to its end.
    aws.follow(r#"{"faults": [{"operation": "CopyObject", "delay_ms": 1000}]}"#);
    let mut run = Running::start(&project, &["deploy"]);
    run.wait_for("a kept zip", |event| event["event"] == "tag-pushed");
    aws.wait_for_more("HeadObject", aws.calls("HeadObject").len() - 1);
    let finished = run.gets("INT").finished();
    let verdict = finished["services"][0]["verdict"].clone();
    let live = aws.object("apps-dev", "docs/latest.zip");
    let moved = live.body != before;
    assert_eq!(verdict, if moved { "deployed" } else { "interrupted" }, "{finished}");
    if moved {
        assert_eq!(live.header("x-amz-meta-revision"), Some(project.head().as_str()));
    }
}

#[test]
fn a_large_zip_goes_in_parts_and_leaves_none_behind() {
    let (project, aws) = with(NOTHING);
    std::fs::write(project.path("app/data"), noise(9 << 20)).expect("a file");
    let project = project.committed();
    let finished = project.shipit(&["deploy", "--output", "json"]).exits(0).finished();
    service(&finished, "deployed");
    assert_eq!((aws.calls("UploadPart").len(), aws.calls("PutObject").len()), (2, 0));
    let again = project.shipit(&["deploy", "--output", "json"]).exits(0).finished();
    service(&again, "unchanged");
    assert_eq!(aws.calls("UploadPart").len(), 2, "what is there in parts is known again");

    let project = project.file("app/app.py", "print('two')\n").committed();
    aws.follow(r#"{"faults": [{"operation": "UploadPart", "after": 1, "delay_ms": 20000}]}"#);
    let mut run = Running::start(&project, &["deploy"]);
    run.wait_for_stage("push");
    aws.wait_for_more("UploadPart", 2);
    service(&run.gets("INT").exits(130).finished(), "interrupted");
    assert_eq!(aws.calls("AbortMultipartUpload").len(), 1);
    let left = aws.s3("GET", "/apps-dev?uploads", &[], b"");
    assert!(!String::from_utf8_lossy(&left.body).contains("<Upload>"));
}

#[test]
fn a_rollback_brings_the_zip_before_back_and_holds_what_it_takes_away() {
    let (project, aws) = with(NOTHING);
    project
        .shipit(&["status", "--env", "dev"])
        .exits(0)
        .says("absent")
        .says("nothing is at s3://apps-dev/docs/latest.zip");
    project.shipit(&["deploy"]).exits(0);
    let (first, before) = (project.head(), aws.object("apps-dev", "docs/latest.zip").body);
    let project = project.file("app/app.py", "print('two')\n").committed();
    project.shipit(&["deploy"]).exits(0);
    let bad = project.head();
    project.shipit(&["rollback", "--env", "dev", "--dry-run"]).exits(0).says("is held");
    // Somebody else deploys between the plan and the copy.
    let live = aws.object("apps-dev", "docs/latest.zip");
    aws.follow(r#"{"faults": [{"operation": "CopyObject", "delay_ms": 3000}]}"#);
    let mut run = Running::start(&project, &["rollback", "--env", "dev"]);
    run.wait_for("a plan", |event| event["event"] == "rollback-planned");
    aws.put_object("apps-dev", "docs/latest.zip", b"theirs");
    let refused = service(&run.ends().exits(4).finished(), "refused");
    assert!(refused["reason"].as_str().is_some_and(|text| text.contains("was changed while")), "{refused}");
    let labels = ["revision", "sha256", "base", "previous"].map(|name| format!("x-amz-meta-{name}"));
    let labels: Vec<(&str, &str)> =
        labels.iter().filter_map(|name| Some((name.as_str(), live.header(name)?))).collect();
    assert_eq!(aws.s3("PUT", "/apps-dev/docs/latest.zip", &labels, &live.body).status, 200);
    aws.follow(NOTHING);
    let back = project.shipit(&["rollback", "--env", "dev", "--output", "json"]).exits(0).finished();
    assert_eq!(service(&back, "deployed")["revision"], first.as_str());
    let live = aws.object("apps-dev", "docs/latest.zip");
    assert_eq!(live.body, before);
    let said = |name: &str| live.header(name).unwrap_or_default().to_owned();
    assert_eq!((said("x-amz-meta-held"), said("x-amz-meta-base")), (bad.clone(), bad));
    project.shipit(&["deploy"]).exits(4).says("is held after a rollback of `docs`");
    project.shipit(&["status", "--env", "dev"]).exits(0).says("live (held)").says(&first[..12]);
    project.shipit(&["history", "--env", "dev"]).exits(0).says("it was rolled back and is held");
    project.shipit(&["rollback", "--env", "dev"]).exits(4).says("nothing is known to have been live before");
    project.shipit(&["rollback", "--env", "dev", "--to", &first]).exits(0).says("unchanged");
    project.shipit(&["deploy", "--release-hold"]).exits(0);
    assert_eq!(aws.object("apps-dev", "docs/latest.zip").header("x-amz-meta-held"), None);
}

#[test]
fn a_gate_after_asks_what_is_live_there() {
    let (project, aws) = with(NOTHING);
    let project = project.branch("main").var("PROD_TOKEN", "another-secret-token");
    project.shipit(&["deploy", "--env", "prod"]).exits(4).says("does not run in `dev` yet");
    project.shipit(&["deploy", "--env", "dev", "--any-branch"]).exits(0);
    project.shipit(&["deploy", "--env", "prod"]).exits(0);
    assert_eq!(aws.keys("apps-prod", "docs/latest").len(), 1);
}

#[test]
fn what_only_a_container_has_is_refused_in_words() {
    let (project, _aws) = with(NOTHING);
    project.shipit(&["wait", "--env", "dev"]).exits(2).says("docs has no rollout to wait for");
    project.shipit(&["run", "--env", "dev", "docs", "--", "ls"]).exits(2).says("`docs` is a zip");
    project.shipit(&["check"]).exits(0).says("1 service in dev, prod");
    let wrong = MANIFEST.replace("context: app", "context: app\n    dockerfile: Dockerfile");
    let project = project.file("deploy.yaml", &wrong);
    project
        .shipit(&["check"])
        .exits(2)
        .says("`dockerfile` is for containers, and `docs` is of `kind: zip`")
        .says("deploy.yaml:11:5");
    let wrong = MANIFEST.replace("kind: zip", "repository: docs");
    let project = project.file("deploy.yaml", &wrong);
    project.shipit(&["check"]).exits(2).says("`bucket` is for zips, and `docs` is a container");
}

#[test]
fn a_zip_and_a_container_go_side_by_side() {
    let both = format!(
        "{MANIFEST}  api:\n    context: api\n    repository: api-${{env}}\n  web: {{ kind: zip, context: app, bucket: 'apps-${{env}}', depends_on: [api] }}\n"
    );
    let project = project().file("deploy.yaml", &both);
    let project = project.file("api/Dockerfile", "FROM scratch\nCOPY app /app\n").file("api/app", "one\n").committed();
    let aws = StandIn::scripted(&project, r#"{"services": {"dev/api": {}}}"#);
    let project = project.with_aws(&aws).with_engine();
    let finished = project.shipit(&["deploy", "--output", "json"]).exits(0).finished();
    let ended = |finished: &Value| -> Vec<(String, String)> {
        let services = finished["services"].as_array().expect("services").clone();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        services.iter().map(|one| (text(&one["service"]), text(&one["verdict"]))).collect()
    };
    let named = |verdicts: [&str; 3]| -> Vec<(String, String)> {
        ["docs", "api", "web"]
            .iter()
            .zip(verdicts)
            .map(|(name, verdict)| ((*name).to_owned(), verdict.to_owned()))
            .collect()
    };
    assert_eq!(ended(&finished), named(["deployed", "deployed", "deployed"]));
    // One that depends on a container whose rollout fails is not made live.
    let project = project.file("app/app.py", "print('two')\n").file("api/app", "two\n").committed();
    let live = aws.object("apps-dev", "web/latest.zip").body;
    aws.follow(r#"{"faults": [{"operation": "UpdateService", "status": 400, "error": "AccessDeniedException", "message": "no"}]}"#);
    let finished = project.shipit(&["deploy", "--output", "json"]).finished();
    assert_eq!(ended(&finished), named(["deployed", "refused", "skipped"]));
    assert_eq!(aws.object("apps-dev", "web/latest.zip").body, live);
    project.shipit(&["status", "--env", "dev"]).exits(0).says("live").says("steady");
}
