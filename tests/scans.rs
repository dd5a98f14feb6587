//! The scan gate: what ECR says of the pushed image decides whether `latest` is moved.

use serde_json::{Value, json};

use crate::support::{Project, Running, StandIn};

const MANIFEST: &str = r#"version: 1
name: sample
aws: { region: ap-south-1, account: "123456789012" }
environments:
  dev: { branch: develop }
services:
  api:
    repository: api-${env}
"#;

/// What each finding below is worth to a gate on `high`.
const FINDINGS: &str = r#"[
    {"id": "CVE-2026-0001", "severity": "MEDIUM", "package": "tar", "installed": "1.0"},
    {"id": "CVE-2026-0002", "severity": "HIGH", "package": "zlib", "installed": "1.2", "fixed": "1.3"},
    {"id": "CVE-2026-0003", "severity": "CRITICAL", "package": "openssl", "installed": "3.0.1"}]"#;

/// A project with this `scan`, empty for none, and a repository in which scans go like that.
fn project(scan: &str, states: &str, findings: &str) -> (Project, StandIn) {
    let scan = if scan.is_empty() { String::new() } else { format!("    scan: {scan}\n") };
    let project = Project::sample().file("deploy.yaml", &format!("{MANIFEST}{scan}")).committed();
    let aws = StandIn::scripted(&project, &script(states, findings));
    (project.with_aws(&aws).with_engine(), aws)
}

fn script(states: &str, findings: &str) -> String {
    format!(
        r#"{{"services": {{"dev/api": {{}}}}, "scans": {{"api-dev": {{"states": {states}, "findings": {findings}}}}}}}"#
    )
}

fn ecr(aws: &StandIn, operation: &str, input: &Value) -> Value {
    aws.aws("ecr", &format!("AmazonEC2ContainerRegistry_V20150921.{operation}"), input)
}

fn scan_on_push(aws: &StandIn) {
    let input = json!({"repositoryName": "api-dev", "imageScanningConfiguration": {"scanOnPush": true}});
    assert_eq!(ecr(aws, "PutImageScanningConfiguration", &input)["imageScanningConfiguration"]["scanOnPush"], true);
}

fn enhanced(aws: &StandIn, filter: &str) {
    let rule = json!({"scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": [{"filter": filter, "filterType": "WILDCARD"}]});
    ecr(aws, "PutRegistryScanningConfiguration", &json!({"scanType": "ENHANCED", "rules": [rule]}));
}

/// The commit's tag is there, `latest` is not, and nothing was rolled.
#[track_caller]
fn stopped_before_latest(aws: &StandIn) {
    let images = ecr(aws, "DescribeImages", &json!({"repositoryName": "api-dev"}));
    let tags = images["imageDetails"][0]["imageTags"].to_string();
    assert!(tags.contains("git-") && !tags.contains("latest"), "{tags}");
    assert_eq!(aws.calls("UpdateService").len(), 0);
}

fn position(events: &[Value], what: impl Fn(&Value) -> bool) -> usize {
    events.iter().position(what).unwrap_or_else(|| panic!("it is not in {events:#?}"))
}

#[test]
fn a_basic_scan_is_waited_for_between_the_commits_tag_and_latest() {
    let states =
        r#"[{"status": "NONE", "lasts_ms": 400}, {"status": "IN_PROGRESS", "lasts_ms": 900}, {"status": "COMPLETE"}]"#;
    let findings = r#"[{"id": "CVE-2026-0001", "severity": "MEDIUM", "package": "tar", "installed": "1.0"}]"#;
    let (project, aws) = project("{ fail_on: high }", states, findings);
    scan_on_push(&aws);
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(0);
    let events = ran.events();
    let scanning = position(&events, |event| event["event"] == "stage" && event["stage"] == "scan");
    let scanned = position(&events, |event| event["event"] == "scanned");
    let latest = position(&events, |event| {
        event["event"] == "tag-pushed" && event["reference"].as_str().is_some_and(|name| name.ends_with(":latest"))
    });
    assert!(scanning < scanned && scanned < latest);
    let states: Vec<&Value> =
        events.iter().filter(|event| event["event"] == "scanning").map(|event| &event["state"]).collect();
    assert!(states.contains(&&json!("IN_PROGRESS")), "{states:?}");
    assert_eq!(aws.calls("StartImageScan").len(), 0, "ECR began it by itself");
    let service = &ran.finished()["services"][0];
    assert_eq!(service["scan"]["passed"], true, "{service}");
    assert_eq!(service["scan"]["counts"], json!({"medium": 1}));
    assert_eq!(service["scan"]["digest"], service["digest"]);
}

#[test]
fn where_nothing_is_scanned_on_push_a_scan_is_asked_for() {
    let (project, aws) = project("{ fail_on: critical }", "[]", "[]");
    project.shipit(&["deploy"]).exits(0).says("scan: nothing found").says("the scan lets it pass");
    assert_eq!(aws.calls("StartImageScan").len(), 1);
}

#[test]
fn an_enhanced_scan_ends_active_and_says_what_can_be_fixed() {
    let states = r#"[{"status": "PENDING", "lasts_ms": 300}, {"status": "ACTIVE", "no_results": true, "lasts_ms": 500},
                     {"status": "ACTIVE"}]"#;
    let (project, aws) = project("{ fail_on: high }", states, FINDINGS);
    enhanced(&aws, "api-*");
    let ran = project.shipit(&["deploy"]).exits(4);
    let ran = ran.says("scan: 1 critical, 1 high and 1 medium").says("zlib 1.2 → 1.3  CVE-2026-0002");
    let ran = ran.says("openssl 3.0.1, no fix yet  CVE-2026-0003").never_says("CVE-2026-0001");
    ran.says("2 vulnerabilities in the image (fail_on: high)").says("`latest` is as it was").says("scan.ignore");
    stopped_before_latest(&aws);
    assert_eq!(aws.calls("StartImageScan").len(), 0);
    // The same commit again: it is scanned already, and refused again.
    let service = project.shipit(&["deploy", "--output", "json"]).exits(4).finished()["services"][0].clone();
    assert_eq!(service["verdict"], "refused", "{service}");
}

#[test]
fn what_is_ignored_passes_until_its_day_is_over() {
    let with = |until: &str| {
        format!(
            "{{ fail_on: high, ignore: [{{ id: CVE-2026-0002, until: 2999-01-01, reason: no way in }}, \
             {{ id: CVE-2026-0003, until: {until}, reason: next week }}] }}"
        )
    };
    let (project, aws) = project(&with("2999-01-01"), "[]", FINDINGS);
    scan_on_push(&aws);
    let ran = project.shipit(&["deploy"]).exits(0);
    ran.says("CVE-2026-0002 is ignored until 2999-01-01: no way in");
    let scan = with("2020-01-01");
    let project =
        project.file("deploy.yaml", &format!("{MANIFEST}    scan: {scan}\n")).file("app", "two\n").committed();
    let ran = project.shipit(&["deploy"]).exits(4);
    ran.says("CVE-2026-0003 is ignored no more: its last day was 2020-01-01").says("1 vulnerability in the image");
}

#[test]
fn a_scan_that_cannot_be_had_is_no_pass() {
    let table = [
        (
            r#"[{"status": "FAILED", "description": "UnsupportedImageError: no distribution"}]"#,
            "UnsupportedImageError: no distribution",
        ),
        (r#"[{"status": "UNSUPPORTED_IMAGE"}]"#, "ECR cannot scan this kind of image"),
        (r#"[{"status": "FINDINGS_UNAVAILABLE"}]"#, "ECR has no findings"),
        (r#"[{"status": "LIMIT_EXCEEDED"}]"#, "a limit is reached"),
        (r#"[{"status": "PENDING"}]"#, "has no result after 2s: PENDING"),
        (r#"[{"status": "ACTIVE", "no_results": true}]"#, "has no result after 2s: ACTIVE"),
        (r#"[{"status": "A_NEW_WORD"}]"#, "has no result after 2s: A_NEW_WORD"),
        (r#"[{"status": "NONE"}]"#, "has no result after 2s: not begun"),
    ];
    let (project, aws) = project("{ fail_on: critical, timeout: 2s }", "[]", "[]");
    scan_on_push(&aws);
    for (states, said) in table {
        aws.follow(&script(states, "[]"));
        let service = project.shipit(&["deploy", "--output", "json"]).exits(4).finished()["services"][0].clone();
        assert_eq!(service["verdict"], "refused", "{states}: {service}");
        assert!(service["reason"].as_str().is_some_and(|text| text.contains(said)), "{states}: {service}");
        assert!(service["hint"].as_str().is_some_and(|text| text.contains("`latest` is as it was")), "{service}");
        stopped_before_latest(&aws);
    }
}

#[test]
fn thousands_of_findings_are_read_to_the_last() {
    let many: Vec<Value> = (0..2500)
        .map(|number| {
            let severity = if number == 2499 { "CRITICAL" } else { "LOW" };
            json!({"id": format!("CVE-2026-{number}"), "severity": severity, "package": "zlib", "installed": "1.2"})
        })
        .collect();
    let (project, aws) = project("{ fail_on: critical }", "[]", &json!(many).to_string());
    scan_on_push(&aws);
    let ran = project.shipit(&["deploy"]).exits(4).says("scan: 1 critical and 2499 low");
    ran.says("critical: zlib 1.2 (CVE-2026-2499)").says("no fix is known yet").never_says("CVE-2026-2498");
    stopped_before_latest(&aws);
}

#[test]
fn what_stands_in_the_way_of_a_scan_is_told_when_the_time_is_over() {
    let (project, aws) = project("{ fail_on: critical, timeout: 2s }", r#"[{"status": "NONE"}]"#, "[]");
    let limit = "The scan quota per image has been exceeded. Wait and try again.";
    let fault = json!({"operation": "StartImageScan", "error": "LimitExceededException", "message": limit});
    let script: Value = serde_json::from_str(&script(r#"[{"status": "NONE"}]"#, "[]")).expect("a script");
    aws.follow(&json!({"faults": [fault], "services": script["services"], "scans": script["scans"]}).to_string());
    project.shipit(&["deploy"]).exits(4).says("has no result after 2s: not begun").says(limit);
    stopped_before_latest(&aws);
}

#[test]
fn ctrl_c_while_a_scan_is_waited_for_leaves_latest_as_it_was() {
    let (project, aws) = project("{ fail_on: critical }", r#"[{"status": "IN_PROGRESS"}]"#, "[]");
    scan_on_push(&aws);
    let mut running = Running::start(&project, &["deploy"]);
    running.wait_for("state of the scan", |event| event["event"] == "scanning");
    running.gets("INT").exits(130);
    stopped_before_latest(&aws);
}

#[test]
fn throttling_is_waited_out_and_a_missing_permission_is_named() {
    let (project, aws) = project("{ fail_on: critical }", "[]", "[]");
    scan_on_push(&aws);
    aws.follow(&format!(
        r#"{{"faults": [{{"operation": "DescribeImageScanFindings", "times": 3, "error": "ThrottlingException"}}], {}"#,
        script("[]", "[]").trim_start_matches('{')
    ));
    project.shipit(&["deploy"]).exits(0);
    aws.follow(&format!(
        r#"{{"deny": ["ecr:DescribeImageScanFindings"], {}"#,
        script("[]", "[]").trim_start_matches('{')
    ));
    let project = project.file("app", "two\n").committed();
    let rolled = aws.calls("UpdateService").len();
    project
        .shipit(&["deploy"])
        .exits(7)
        .says("allow ecr:DescribeImageScanFindings")
        .says("`scan.fail_on` cannot be kept");
    assert_eq!(aws.calls("UpdateService").len(), rolled);
}

#[test]
fn a_commit_that_is_in_an_immutable_repository_is_scanned_all_the_same() {
    let (project, aws) = project("{ fail_on: high }", "[]", "[]");
    scan_on_push(&aws);
    project.shipit(&["deploy"]).exits(0);
    let input = json!({
        "repositoryName": "api-dev", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "latest"}],
    });
    ecr(&aws, "PutImageTagMutability", &input);
    let (latest, rolled) = (aws.latest("api-dev"), aws.calls("UpdateService").len());
    aws.follow(&script("[]", FINDINGS));
    for _ in 0..2 {
        project.shipit(&["deploy", "api"]).exits(4).says("2 vulnerabilities in the image");
    }
    assert_eq!((aws.latest("api-dev"), aws.calls("UpdateService").len()), (latest, rolled));
    aws.follow(&script("[]", "[]"));
    project.shipit(&["deploy", "api"]).exits(0);
}

#[test]
fn a_dry_run_shows_the_gate_and_what_is_in_its_way() {
    let (project, aws) = project("{ fail_on: high, timeout: 90s }", "[]", "[]");
    let ran = project.shipit(&["deploy", "--dry-run"]).exits(0);
    ran.says("wait for ECR's scan, up to 1m 30s: a finding that is high or worse stops it here").says("push latest");
    enhanced(&aws, "other-*");
    project.shipit(&["deploy", "--dry-run"]).exits(4).says("no rule of enhanced scanning covers `api-dev`");
    assert_eq!(aws.calls("DescribeImageScanFindings").len(), 0);
}

#[test]
fn without_a_gate_one_look_tells_and_nothing_is_refused() {
    let (project, aws) = project("", "[{\"status\": \"COMPLETE\"}]", FINDINGS);
    project.shipit(&["deploy"]).exits(0).never_says("scan");
    assert_eq!(aws.calls("DescribeImageScanFindings").len(), 1, "there was none to be found");
    scan_on_push(&aws);
    let project = project.file("app", "two\n").committed();
    let ran = project.shipit(&["deploy"]).exits(0);
    ran.says("scan: 1 critical, 1 high and 1 medium; 0 of the high and critical ones can be fixed");
    assert_eq!(aws.calls("DescribeImageScanFindings").len(), 2);
    let project = project.file("app", "three\n").committed();
    aws.follow(&format!(
        r#"{{"deny": ["ecr:DescribeImageScanFindings"], {}"#,
        script("[]", "[]").trim_start_matches('{')
    ));
    project.shipit(&["deploy"]).exits(0).never_says("scan");
    assert_eq!((aws.calls("GetRegistryScanningConfiguration").len(), aws.calls("StartImageScan").len()), (0, 0));
}

#[test]
fn the_services_words_win_over_the_environments() {
    let (project, aws) = project("{ fail_on: off }", "[]", FINDINGS);
    scan_on_push(&aws);
    let of_environment = |text: &str| text.replace("branch: develop", "branch: develop, scan: { fail_on: critical }");
    let project = project.file("deploy.yaml", &of_environment(MANIFEST)).committed();
    project.shipit(&["deploy"]).exits(4).says("(fail_on: critical)");
    let project =
        project.file("deploy.yaml", &of_environment(&format!("{MANIFEST}    scan: {{ fail_on: off }}\n"))).committed();
    project.shipit(&["deploy"]).exits(0);
}
