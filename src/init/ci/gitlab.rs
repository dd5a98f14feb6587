//! .gitlab-ci.yml.

use std::fmt::Write as _;

use super::{RELEASED, command, image};
use crate::aws::web_identity::ANY as ID_TOKEN;
use crate::init::draft::{Draft, EnvironmentDraft};
use crate::init::yaml::scalar;

pub(super) fn render(draft: &Draft) -> String {
    let stages: Vec<String> = draft.environments.iter().map(|environment| scalar(&environment.name)).collect();
    let mut text = format!(
        "image: {}\n\nstages: [check, {}]\n\n.deploy:\n  timeout: 1h\n  \
         services: [docker:dind]\n  variables:\n    DOCKER_HOST: tcp://docker:2375\n    DOCKER_TLS_CERTDIR: \"\"\n    \
         GIT_DEPTH: \"50\"\n",
        image(RELEASED),
        stages.join(", ")
    );
    if draft.role.is_some() {
        let _ = writeln!(text, "  id_tokens:\n    {ID_TOKEN}: {{ aud: https://gitlab.com }}");
    }
    text.push_str(
        "\ncheck:\n  stage: check\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"merge_request_event\"\n  script:\n    - \
         shipit check\n",
    );
    for environment in &draft.environments {
        job(&mut text, draft, environment);
    }
    text
}

fn job(text: &mut String, draft: &Draft, environment: &EnvironmentDraft) {
    let name = scalar(&environment.name);
    let _ = writeln!(
        text,
        "\n{name}:\n  extends: .deploy\n  stage: {name}\n  environment: {{ name: {} }}\n  rules:\n    - if: \
         $CI_COMMIT_BRANCH == \"{}\"",
        scalar(environment.deployment()),
        environment.branch
    );
    if environment.approval {
        text.push_str("      when: manual                    # a person presses the button\n");
    }
    let _ = writeln!(text, "  script:\n    - {}", command(draft, environment));
}
