//! A workflow of GitHub Actions. A job that names an `environment` waits for whatever that environment asks for; who has
//! to agree is set in GitHub, and no file says it.

use std::path::Path;

use super::{File, Manual, Note, Start, Step, Surroundings, script};
use crate::config::foreign::Value;

pub(super) fn read(root: Value<'_>, surroundings: Surroundings<'_>, file: &mut File) {
    let starts = starts(root);
    let Some(jobs) = root.get("jobs") else { return };
    for job in jobs.pairs() {
        let value = job.value;
        if let Some(uses) = value.get("uses") {
            let what = uses.text().unwrap_or_default();
            // One of this repository is read as a file of its own.
            if let Some(path) = what.strip_prefix("./") {
                file.shares.push(path.to_owned());
            } else {
                file.elsewhere.push(Note::new(uses.line, format!("job `{}` stands in `{what}`", job.key)));
            }
            continue;
        }
        let environment = environment(value);
        let mut step = Step {
            name: job.key.to_owned(),
            line: value.line,
            starts: only(value).map_or_else(|| starts.clone(), |branch| vec![Start::Branch(branch)]),
            manual: manual(environment.as_ref()),
            environment,
            oidc: Some(token(value.get("permissions").or_else(|| root.get("permissions")))),
            bounded: value.get("timeout-minutes").is_some(),
            changesets: paths(root),
            forgiven: forgiven(value),
            ..Step::default()
        };
        super::beside(value, &["steps"], &mut step);
        let mut cloned = false;
        let shell = shell(value).or_else(|| shell(root));
        let windows = value.get("runs-on").is_some_and(|on| on.texts().iter().any(|on| on.contains("windows")));
        for item in value.get("steps").map(Value::items).unwrap_or_default() {
            super::beside(item, &["run"], &mut step);
            if let Some(uses) = item.get("uses") {
                let what = uses.text().unwrap_or_default();
                cloned |= what.starts_with("actions/checkout");
                step.depth_one = step.depth_one.or_else(|| shallow(item, what));
                // An action of this repository is the files of its folder.
                let own = what.strip_prefix("./").is_some_and(|folder| {
                    let folder = script::tidy(folder);
                    surroundings.mentions.iter().any(|path| Path::new(path).starts_with(&folder))
                });
                if own || what.contains("shipit") {
                    step.unclear.push(Note::new(uses.line, format!("what the action `{what}` runs is not known")));
                }
            }
            let Some(run) = item.get("run") else { continue };
            let before = step.calls.len();
            let lines = run.lines();
            script::read(&lines, surroundings, &mut step);
            filled_in(&lines, &[root, value, item], &mut step);
            let shell = item.get("shell").or(shell);
            if let Some(text) = shell.and_then(Value::text) {
                // `{0}` is the file that the lines are put into.
                let text = text.replace("{0}", "script");
                script::read(&[(shell.map_or(run.line, |shell| shell.line), &text)], surroundings, &mut step);
            }
            let name = shell.and_then(Value::text).unwrap_or(if windows { "pwsh" } else { "bash" });
            let known = ["bash", "sh"].contains(&name.split_whitespace().next().unwrap_or_default());
            if let Some((line, _)) = lines.iter().find(|(_, text)| !known && script::speaks(text)) {
                step.unclear.push(Note::new(*line, format!("what the shell `{name}` makes of it is not known")));
            }
            let forgiven = forgiven(item);
            for call in &mut step.calls[before..] {
                if let Some(note) = &forgiven {
                    call.swallowed.get_or_insert_with(|| note.text.clone());
                }
                if !cloned {
                    step.no_clone = Some(call.line);
                }
            }
        }
        file.steps.push(step);
    }
}

/// The shell that a job's or a workflow's steps have.
fn shell(of: Value<'_>) -> Option<Value<'_>> {
    of.find(&["defaults", "run", "shell"])
}

/// GitHub fills `${{ … }}` in before the shell reads the line: what whoever starts the run, names a branch or writes a
/// commit's message puts there is a part of the script.
fn filled_in(lines: &[(usize, &str)], around: &[Value<'_>], step: &mut Step) {
    let variables = around.iter().filter_map(|value| value.get("env")).flat_map(Value::scalars);
    let handed_on = variables.filter_map(Value::text).any(|text| expressions(text).any(is_from_outside));
    for (line, text) in lines {
        for expression in expressions(text) {
            if is_from_outside(expression) || handed_on && expression.contains("env.") {
                let text = format!("`${{{{{expression}}}}}` becomes a part of the script, whatever it holds");
                step.unclear.push(Note::new(*line, format!("{text} (`env` hands it over safely)")));
            }
        }
    }
}

/// What stands in `${{ … }}`.
fn expressions(text: &str) -> impl Iterator<Item = &str> {
    text.split("${{").skip(1).map(|rest| rest.split("}}").next().unwrap_or(rest))
}

fn is_from_outside(expression: &str) -> bool {
    const OUTSIDE: [&str; 7] =
        ["github.event.", "github.event[", "github.head_ref", "github.base_ref", "github.ref_name", "inputs", "vars."];
    // Numbers and hashes are not what anybody likes.
    let plain = [".number", ".id", ".sha", ".run_number"].iter().any(|end| expression.trim().ends_with(end));
    !plain && (OUTSIDE.iter().any(|context| expression.contains(context)) || expression.trim() == "github.ref")
}

fn starts(root: Value<'_>) -> Vec<Start> {
    let Some(on) = root.get("on").or_else(|| root.get("true")) else { return vec![Start::Any] };
    let one = |name: &str, value: Option<Value<'_>>| -> Vec<Start> {
        match name {
            "push" => {
                let of = |key: &str| value.and_then(|value| value.get(key)).map(Value::texts).unwrap_or_default();
                let (branches, tags) = (of("branches"), of("tags"));
                if branches.is_empty() && tags.is_empty() {
                    return vec![Start::Any];
                }
                let branches = branches.into_iter().map(|branch| Start::Branch(branch.to_owned()));
                branches.chain((!tags.is_empty()).then_some(Start::Tag)).collect()
            }
            "pull_request" | "pull_request_target" | "pull_request_review" => vec![Start::PullRequest],
            "workflow_dispatch" | "schedule" | "repository_dispatch" | "workflow_call" => vec![Start::Custom],
            "release" => vec![Start::Tag],
            _ => vec![Start::Any],
        }
    };
    match on.is_map() {
        true => on.pairs().into_iter().flat_map(|pair| one(pair.key, Some(pair.value))).collect(),
        false => on.texts().into_iter().flat_map(|name| one(name, None)).collect(),
    }
}

/// The one branch that the job's `if` lets through, where it says so in the usual words.
fn only(job: Value<'_>) -> Option<String> {
    let condition = job.get("if")?.text()?;
    if condition.contains("||") || condition.contains('!') {
        return None;
    }
    let of = |part: &str| -> Option<String> {
        let (left, right) = part.split_once("==")?;
        let right = right.trim().trim_end_matches("}}").trim().trim_matches('\'');
        match left.trim().trim_start_matches("${{").trim() {
            "github.ref" => right.strip_prefix("refs/heads/").map(str::to_owned),
            "github.ref_name" => Some(right.to_owned()),
            _ => None,
        }
    };
    condition.split("&&").find_map(of)
}

/// `environment: NAME` or `environment: { name: NAME }`.
fn environment(job: Value<'_>) -> Option<Note> {
    let value = job.get("environment")?;
    // One without a name is none.
    let name = value.text().or_else(|| value.get("name")?.text()).filter(|name| !name.trim().is_empty())?;
    Some(Note::new(value.line, name))
}

fn manual(environment: Option<&Note>) -> Manual {
    match environment {
        None => Manual::No,
        Some(note) if note.text.contains("${{") => {
            Manual::Unclear(Note::new(note.line, format!("the environment is `{}`, which anything may be", note.text)))
        }
        Some(note) => Manual::Yes(note.line),
    }
}

/// A clone of one commit that cannot be deepened, because the credentials are not kept.
fn shallow(item: Value<'_>, uses: &str) -> Option<usize> {
    let with = item.get("with").filter(|_| uses.starts_with("actions/checkout"))?;
    let lost = with.get("persist-credentials").filter(|value| value.is("false"))?;
    with.get("fetch-depth").is_none_or(|depth| depth.is("1")).then_some(lost.line)
}

fn token(permissions: Option<Value<'_>>) -> bool {
    permissions
        .is_some_and(|value| value.is("write-all") || value.get("id-token").is_some_and(|token| token.is("write")))
}

fn paths(root: Value<'_>) -> Option<usize> {
    let push = root.find(&["on", "push"]).or_else(|| root.find(&["true", "push"]))?;
    push.get("paths").or_else(|| push.get("paths-ignore")).map(|value| value.line)
}

fn forgiven(value: Value<'_>) -> Option<Note> {
    let line = value.get("continue-on-error").filter(|value| !value.is("false"))?.line;
    Some(Note::new(line, "continue-on-error"))
}
