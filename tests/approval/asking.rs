//! On a terminal: what is shown, asked, and looked at again.

use super::MANIFEST;
use crate::support::{Project, StandIn, Terminal};

#[test]
fn a_terminal_shows_what_would_ship_and_asks_again_when_that_changed() {
    let project = Project::new()
        .file("deploy.yaml", MANIFEST)
        .file("Dockerfile", "FROM scratch\nCOPY app /app\n")
        .file("app", "one\n")
        .committed()
        .branch("main");
    project.git(&["remote", "add", "origin", "https://ada:hunter2@github.com/team/shop.git"]);
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    let first = project.head();
    let mut terminal = Terminal::run(&project, &["deploy", "--env", "prod"]);
    terminal.shows("api: from nothing to");
    terminal.keeps("Type the name of the environment to deploy to prod");
    terminal.types("prod\r");
    assert_eq!(terminal.ends().0, Some(0));

    let project = project.file("app", "two\n").committed();
    let mut terminal = Terminal::run(&project, &["deploy", "--env", "prod"]);
    terminal.shows(&format!("1 commit since {}", &first[..12]));
    terminal.shows("Change something (A Developer)");
    terminal.shows("https://github.com/team/shop/compare/");
    terminal.shows("Type the name of the environment");
    // Somebody moves `latest` while the person thinks.
    aws.push_index_of("api-prod", &aws.latest("api-prod"), "latest");
    terminal.types("prod\r");
    terminal.shows("what runs has changed since it was shown: api");
    terminal.keeps("Type the name of the environment to deploy to prod: ");
    terminal.types("prod\r");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("hunter2"), "{screen}");

    // And the commit under it is another one.
    let project = project.file("app", "three\n").committed();
    let mut terminal = Terminal::run(&project, &["deploy", "--env", "prod"]);
    terminal.shows("Type the name of the environment");
    let project = project.file("app", "four\n").committed();
    terminal.types("prod\r");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(4), "{screen}");
    assert_eq!(aws.calls("UpdateService").len(), 2, "{}", project.head());
}

#[test]
fn a_rollback_is_looked_at_again_after_the_answer() {
    let project = Project::sample();
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    project.shipit(&["deploy"]).exits(0);
    let good = aws.latest("api-dev");
    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy"]).exits(0);
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    // Frozen, too: that holds deploys, and this is the way out of trouble.
    let frozen = "{ branch: develop, approval: required, freeze: [{ from: 2020-01-01, to: 2099-12-31 }] }";
    let guarded = manifest.replace("{ branch: develop }", frozen);
    assert_ne!(manifest, guarded);
    let project = project.file("deploy.yaml", &guarded).committed();
    let mut terminal = Terminal::run(&project, &["rollback", "--env", "dev"]);
    terminal.keeps("Type the name of the environment to roll back in dev");
    // Somebody moves `latest` while the person thinks.
    aws.push_index_of("api-dev", &aws.latest("api-dev"), "latest");
    terminal.types("dev\r");
    terminal.shows("what runs has changed since it was shown: api");
    assert_eq!(aws.calls("UpdateService").len(), 2, "nothing was moved yet");
    terminal.types("dev\r");
    let (code, screen) = terminal.ends();
    assert_eq!((code, aws.latest("api-dev")), (Some(0), good), "{screen}");
}

#[test]
fn a_zip_is_shown_to_who_is_asked() {
    let manifest = MANIFEST
        .replace(r#"api: { repository: "api-${env}" }"#, "docs: { kind: zip, bucket: \"apps-${env}\", context: app }");
    let project = Project::new().file("deploy.yaml", &manifest).file("app/a", "one\n").committed().branch("main");
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws);
    let first = project.head();
    let mut terminal = Terminal::run(&project, &["deploy", "--env", "prod"]);
    terminal.shows(&format!("docs: from nothing to {}, to be packed, over apps-prod/docs/latest.zip", &first[..12]));
    terminal.types("prod\r");
    assert_eq!(terminal.ends().0, Some(0));
    let project = project.file("app/a", "two\n").committed();
    let mut terminal = Terminal::run(&project, &["deploy", "--env", "prod"]);
    terminal.shows(&format!("1 commit since {}", &first[..12]));
    terminal.types("no\r");
    assert_eq!(terminal.ends().0, Some(4));
    assert_eq!(aws.calls("CopyObject").len(), 1);
}

#[test]
fn a_frozen_environment_takes_a_reason() {
    let frozen = MANIFEST.replace(
        "{ branch: develop }",
        "{ branch: develop, freeze: [{ from: 2020-01-01, to: 2099-12-31, zone: Europe/Berlin, reason: the move }] }",
    );
    let project = Project::new()
        .file("deploy.yaml", &frozen)
        .file("Dockerfile", "FROM scratch\nCOPY app /app\n")
        .file("app", "one\n")
        .committed();
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).with_engine();
    for flags in [&["deploy"][..], &["deploy", "--dry-run"]] {
        project
            .shipit(flags)
            .exits(4)
            .says("`dev` is frozen until 2099-12-31 23:00 UTC: the move")
            .says("--override-freeze");
    }
    assert!(aws.calls("UpdateService").is_empty());
    project.shipit(&["deploy", "--override-freeze", ""]).exits(2);
    let ran = project.shipit(&["deploy", "--override-freeze", "prod is down", "--receipt", "r.json"]).exits(0);
    ran.says("is frozen until").says("deployed all the same: prod is down");
    let receipt = std::fs::read_to_string(project.path("r.json")).expect("a receipt");
    let receipt: serde_json::Value = serde_json::from_str(&receipt).expect("JSON");
    assert_eq!(receipt["freeze_override"], "prod is down");
    // A window that is none is a fault of the file, with its place.
    let wrong = frozen.replace("2020-01-01", "tomorrow").replace("Europe/Berlin", "Mars/Olympus");
    let ran = project.file("deploy.yaml", &wrong).shipit(&["check"]).exits(2);
    ran.says("deploy.yaml:5:").says("Mars/Olympus");
}
