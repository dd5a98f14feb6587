//! .github/workflows/shipit.yml.

use std::fmt::Write as _;

use super::{RELEASED, command, image};
use crate::init::draft::{Draft, EnvironmentDraft};
use crate::init::yaml::scalar;

pub(super) fn render(draft: &Draft) -> String {
    let branches: Vec<String> = draft.branches().into_iter().map(scalar).collect();
    let mut text = format!(
        "name: shipit\n\non:\n  push: {{ branches: [{}] }}\n  pull_request:\n\npermissions: {{ contents: read \
         }}\n\nconcurrency: shipit-${{{{ github.ref }}}}\n\njobs:\n  check:\n    if: github.event_name == \
         'pull_request'\n",
        branches.join(", ")
    );
    machine(&mut text);
    text.push_str("    steps:\n      - uses: actions/checkout@v4\n      - run: shipit check\n");
    for environment in &draft.environments {
        job(&mut text, draft, environment);
    }
    text
}

fn machine(text: &mut String) {
    let _ = writeln!(text, "    runs-on: ubuntu-latest\n    timeout-minutes: 60\n    container: {}", image(RELEASED));
}

fn job(text: &mut String, draft: &Draft, environment: &EnvironmentDraft) {
    let name = scalar(&environment.name);
    let _ = writeln!(
        text,
        "  {name}:\n    if: github.event_name == 'push' && github.ref == 'refs/heads/{}'",
        environment.branch
    );
    if let Some(after) = &environment.after {
        let _ = writeln!(text, "    needs: {}", scalar(after));
    }
    machine(text);
    let reviewers = if environment.approval { "        # with required reviewers: a person says yes" } else { "" };
    let _ = writeln!(text, "    environment: {}{reviewers}", scalar(environment.deployment()));
    if draft.role.is_some() {
        text.push_str("    permissions: { contents: read, id-token: write }\n");
    }
    let mut variables = draft.variables(&environment.name);
    if draft.role.is_none() {
        variables.extend(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(str::to_owned));
    }
    if !variables.is_empty() {
        text.push_str("    env:\n");
        for variable in variables {
            let _ = writeln!(text, "      {variable}: ${{{{ secrets.{variable} }}}}");
        }
    }
    text.push_str("    steps:\n      - uses: actions/checkout@v4\n        with: { fetch-depth: 50 }\n");
    let _ = writeln!(text, "      - run: {}", command(draft, environment));
}
