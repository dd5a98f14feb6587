//! bitbucket-pipelines.yml.

use std::fmt::Write as _;

use super::{RELEASED, command, image};
use crate::init::draft::{Draft, EnvironmentDraft};
use crate::init::yaml::scalar;

pub(super) fn render(draft: &Draft) -> String {
    let mut text = format!(
        "image: {}\n\noptions: {{ max-time: 60 }}             # minutes\n\ndefinitions:\n  services:\n    docker: \
         {{ memory: 3072 }}            # MB; a build needs most of it\n\npipelines:\n  branches:\n",
        image(RELEASED)
    );
    for branch in draft.branches() {
        let _ = writeln!(text, "    {}:", scalar(branch));
        for (at, environment) in draft.of_branch(branch).into_iter().enumerate() {
            // The first step of a pipeline cannot be manual: the plan goes before it.
            if at == 0 && environment.approval {
                let name = &environment.name;
                let _ = writeln!(text, "      - step:\n          name: plan of {name}");
                script(&mut text, draft, &format!("shipit deploy --env {name} --dry-run"));
            }
            step(&mut text, draft, environment);
        }
    }
    text.push_str(
        "  pull-requests:\n    \"**\":\n      - step:\n          name: check\n          script:\n            - shipit \
         check\n",
    );
    text
}

fn step(text: &mut String, draft: &Draft, environment: &EnvironmentDraft) {
    let (name, deployment) = (scalar(&environment.name), scalar(environment.deployment()));
    let _ = writeln!(text, "      - step:\n          name: {name}\n          deployment: {deployment}");
    if environment.approval {
        text.push_str("          trigger: manual             # a person presses the button\n");
    }
    script(text, draft, &command(draft, environment));
}

fn script(text: &mut String, draft: &Draft, command: &str) {
    if draft.role.is_some() {
        text.push_str("          oidc: true\n");
    }
    text.push_str("          services: [docker]\n          script:\n");
    let _ = writeln!(text, "            - {command}");
}
