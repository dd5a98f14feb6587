//! What works with no engine, no AWS and no network.

use crate::support::Project;

#[test]
fn check_finds_nothing_wrong_in_a_good_project() {
    Project::sample().shipit(&["check"]).exits(0).says("nothing is wrong: 1 service in dev, sandbox, prod");
}

#[test]
fn check_names_all_that_is_wrong_at_once() {
    let manifest = r"version: 1
environments: { dev: { branch: develop } }
services:
  api: { repository: api, target: runtime, secrets: [TOKEN] }
  web: { repository: web, context: web }
  job: { repository: job, dockerfile: job.Dockerfile }
";
    let project = Project::new()
        .file("deploy.yaml", manifest)
        .file("Dockerfile", "FROM scratch AS build\nFROM scratch AS final\n")
        .file(".dockerignore", "docs\n[\n");
    let ran = project.shipit(&["check", "--env", "dev"]).exits(3);
    ran.says("api: the Dockerfile Dockerfile has no stage `runtime`")
        .says("its named stages are: build, final")
        .says(".dockerignore cannot be used")
        .says("web: the build context web is not there")
        .says("job: the Dockerfile job.Dockerfile cannot be read")
        .says("DEV_TOKEN");
    project.shipit(&["check"]).exits(2).never_says("DEV_TOKEN");
}

#[test]
fn check_shows_no_secret_and_its_json_stays_whole() {
    let manifest = r"version: 1
environments: { dev: { branch: develop } }
services:
  api: { repository: api, context: hunter2hunter2, secrets: [TOKEN, PIN] }
";
    let project = Project::new().file("deploy.yaml", manifest).var("DEV_TOKEN", "hunter2hunter2").var("DEV_PIN", "2");
    let ran = project.shipit(&["check", "--env", "dev", "--output", "json"]).exits(2);
    let events = ran.events();
    assert_eq!(events[0]["text"], "api: the build context *** is not there");
    assert_eq!((&events[0]["exit_code"], &events[1]["event"]), (&2.into(), &"checked".into()));
    ran.never_says("hunter2");
    project.shipit(&["check", "--env", "dev"]).exits(2).says("the build context *** is").never_says("hunter2");
}

#[test]
fn every_fault_of_deploy_yaml_is_told_at_once_with_its_place() {
    let manifest = "version: 1\nenvironments:\n  dev: { brnach: develop, branch: develop }\n  dev: { branch: x }\nservices:\n  api:\n    repository: api-${evn}\n    platform: linux/arm\n";
    let ran = Project::new().file("deploy.yaml", manifest).shipit(&["check"]).exits(2);
    ran.says("deploy.yaml:3:10")
        .says("`branch`")
        .says("deploy.yaml:4:3")
        .says("deploy.yaml:7:21")
        .says("`env`")
        .says("deploy.yaml:8:");
}

#[test]
fn hostile_files_are_refused_and_nothing_breaks() {
    let nested = format!("version: 1\nname: {}x{}\n", "[".repeat(20_000), "]".repeat(20_000));
    let mut bomb = "version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = level - 1;
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 10].join(", ")));
    }
    let huge = format!("version: 1\n# {}\n", "x".repeat(3 << 20));
    for text in [nested, bomb, huge, "\u{0}".to_owned(), "version: [1".to_owned(), String::new()] {
        Project::new().file("deploy.yaml", &text).shipit(&["check"]).exits(2).says("deploy.yaml");
    }
    let project = Project::new();
    std::fs::write(project.path("deploy.yaml"), b"version: 1\nname: \xff\n").expect("a file");
    project.shipit(&["check"]).exits(2).says("UTF-8");
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_accepted() {
    let project = Project::sample();
    let text = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let project = project.file("deploy.yaml", &format!("\u{feff}{}", text.replace('\n', "\r\n")));
    project.shipit(&["check"]).exits(0);
}

#[test]
fn what_is_generated() {
    let project = Project::new();
    let schema = project.shipit(&["schema"]).exits(0).stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    assert!(schema["properties"]["environments"].is_object());
    project.shipit(&["completions", "bash"]).exits(0).says("shipit");
    project.shipit(&["man"]).exits(0).says(".TH shipit");
    let help = project.shipit(&["--help"]).exits(0).stdout;
    for code in ["  0  ", "  9  ", "130  "] {
        assert!(help.contains(code), "{help}");
    }
    project.shipit(&["--version"]).exits(0).says("shipit 0.");
}
