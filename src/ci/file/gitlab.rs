//! .gitlab-ci.yml. `when: manual` on a job, or on every rule by which it can start, is what keeps it for a person.

use super::{File, Manual, Note, Start, Step, Surroundings, script};
use crate::config::foreign::Value;

/// Keys at the top that are no jobs.
const NO_JOBS: [&str; 10] = [
    "default",
    "include",
    "stages",
    "variables",
    "workflow",
    "image",
    "services",
    "before_script",
    "after_script",
    "cache",
];
/// `extends` of `extends`; GitLab itself stops at 11.
const MAX_EXTENDS: usize = 11;

/// The file without the `spec` that may stand before it as a document of its own; the lines keep their numbers.
pub(super) fn body(text: &str) -> Option<String> {
    let header = text.lines().position(|line| line.trim_end() == "---")?;
    let begins = text.lines().map(str::trim_end).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let rest = text.lines().skip(header + 1).fold("\n".repeat(header + 1), |body, line| body + line + "\n");
    begins.starts_with("spec:").then_some(rest)
}

pub(super) fn read(root: Value<'_>, surroundings: Surroundings<'_>, file: &mut File) {
    elsewhere(root, file);
    for job in root.pairs() {
        if NO_JOBS.contains(&job.key) || job.key.starts_with('.') || !job.value.is_map() {
            continue;
        }
        let job = Job { root, value: job.value, name: job.key };
        if let Some(trigger) = job.get("trigger") {
            file.elsewhere.push(Note::new(trigger.line, format!("job `{}` starts another pipeline", job.name)));
            continue;
        }
        file.steps.push(job.step(surroundings));
    }
}

/// Jobs may stand in other files, and those may change the ones of this file.
fn elsewhere(root: Value<'_>, file: &mut File) {
    let Some(include) = root.get("include") else { return };
    let items = if include.is_list() { include.items() } else { vec![include] };
    for item in items {
        // GitLab's own templates deploy nothing of yours.
        if item.get("template").is_some() {
            continue;
        }
        let what = ["local", "project", "remote", "component"].iter().find_map(|key| item.get(key)?.text());
        let what = what.or_else(|| item.text()).unwrap_or("another file");
        file.elsewhere.push(Note::new(item.line, format!("jobs are included from `{what}`")));
    }
}

struct Job<'d> {
    root: Value<'d>,
    value: Value<'d>,
    name: &'d str,
}

impl<'d> Job<'d> {
    /// The job's own value, or that of the nearest job it extends, the last of a list first.
    fn get(&self, key: &str) -> Option<Value<'d>> {
        self.extended(self.value, key, 0)
    }

    fn extended(&self, value: Value<'d>, key: &str, depth: usize) -> Option<Value<'d>> {
        if let Some(found) = value.get(key) {
            return Some(found);
        }
        if depth == MAX_EXTENDS {
            return None;
        }
        let bases = value.get("extends")?.texts().into_iter().rev();
        bases.into_iter().find_map(|base| self.extended(self.root.get(base)?, key, depth + 1))
    }

    /// The job's, then `default`'s, then what stands at the top.
    fn or_default(&self, key: &str) -> Option<Value<'d>> {
        self.get(key).or_else(|| self.root.find(&["default", key])).or_else(|| self.root.get(key))
    }

    fn variable(&self, name: &str) -> Option<Value<'d>> {
        let own = self.get("variables").and_then(|variables| variables.get(name));
        own.or_else(|| self.root.find(&["variables", name]))
    }

    fn step(&self, surroundings: Surroundings<'_>) -> Step {
        let environment = self
            .get("environment")
            .and_then(|value| Some(Note::new(value.line, value.text().or_else(|| value.get("name")?.text())?)));
        let mut step = Step {
            name: self.name.to_owned(),
            line: self.value.line,
            starts: self.starts(),
            manual: self.manual(),
            environment,
            oidc: Some(self.or_default("id_tokens").is_some()),
            bounded: self.or_default("timeout").is_some(),
            changesets: self.changes(),
            forgiven: self.forgiven(),
            no_clone: self
                .variable("GIT_STRATEGY")
                .filter(|value| value.is("none") || value.is("empty"))
                .map(|value| value.line),
            depth_one: self.variable("GIT_DEPTH").filter(|value| value.is("1")).map(|value| value.line),
            ..Step::default()
        };
        let hook = self.or_default("hooks").and_then(|hooks| hooks.get("pre_get_sources_script"));
        for script in [hook, self.or_default("before_script"), self.or_default("script")] {
            script::read(&self.lines(script), surroundings, &mut step);
        }
        let before = step.calls.len();
        script::read(&self.lines(self.or_default("after_script")), surroundings, &mut step);
        for call in &mut step.calls[before..] {
            call.swallowed.get_or_insert_with(|| "after_script".to_owned());
        }
        self.filled_in(&mut step);
        for key in ["image", "services", "variables", "run"] {
            if let Some(value) = self.or_default(key) {
                let known = step.unclear.len();
                super::beside(value, &[], &mut step);
                // `services` and `run` are lists, an image may be a text.
                for item in value.items() {
                    super::beside(item, &[], &mut step);
                }
                for note in &mut step.unclear[known..] {
                    note.text = format!("{} of `{key}`", note.text);
                }
            }
        }
        step
    }

    /// GitLab fills `$[[ inputs.… ]]` in before the shell reads the line.
    fn filled_in(&self, step: &mut Step) {
        let scripts = ["before_script", "script", "after_script"].map(|key| self.lines(self.or_default(key)));
        for (line, text) in scripts.iter().flatten().filter(|(_, text)| text.contains("$[[")) {
            let text = format!("whoever starts the pipeline decides what `{text}` runs");
            step.unclear.push(Note::new(*line, text));
        }
    }

    /// The lines of a script, whose lists may hold lists; a reference (`!reference [job, script]`) is followed. A list of
    /// words and a reference look alike, so that it is read as both.
    fn lines(&self, script: Option<Value<'d>>) -> Vec<(usize, &'d str)> {
        script.map(|script| self.flat(script, 0)).unwrap_or_default()
    }

    fn flat(&self, value: Value<'d>, depth: usize) -> Vec<(usize, &'d str)> {
        if !value.is_list() {
            return value.lines();
        }
        let referred = self.root.find(&value.texts()).filter(|found| depth < MAX_EXTENDS && !found.is_map());
        let mut lines = referred.map(|found| self.flat(found, depth + 1)).unwrap_or_default();
        lines.extend(value.items().into_iter().flat_map(|item| self.flat(item, depth + 1)));
        lines
    }

    fn manual(&self) -> Manual {
        let own = self.get("when");
        let Some(rules) = self.get("rules") else {
            return own.filter(|when| when.is("manual")).map_or(Manual::No, |when| Manual::Yes(when.line));
        };
        let mut manual = Manual::No;
        for rule in rules.items() {
            if !rule.is_map() {
                return Manual::Unclear(Note::new(rule.line, "its rules stand in another job"));
            }
            let when = rule.get("when").or(own);
            match when.and_then(Value::text) {
                Some("manual") => manual = when.map_or(Manual::No, |when| Manual::Yes(when.line)),
                Some("never") => {}
                // One rule by which it starts by itself is enough.
                _ => return Manual::No,
            }
        }
        manual
    }

    fn starts(&self) -> Vec<Start> {
        if let Some(only) = self.get("only") {
            let names = only.get("refs").unwrap_or(only).texts();
            let of = |name: &str| match name {
                "merge_requests" | "external_pull_requests" => Start::PullRequest,
                "tags" => Start::Tag,
                "branches" | "pushes" => Start::Any,
                "schedules" | "web" | "api" | "triggers" => Start::Custom,
                branch => Start::Branch(branch.to_owned()),
            };
            let starts: Vec<Start> = names.into_iter().map(of).collect();
            return if starts.is_empty() { vec![Start::Any] } else { starts };
        }
        let rules = self.get("rules").map(Value::items).unwrap_or_default();
        let conditions = rules.iter().filter(|rule| !rule.get("when").is_some_and(|when| when.is("never")));
        let starts: Vec<Start> = conditions.map(|rule| rule.get("if").map_or(Start::Any, condition)).collect();
        if starts.is_empty() { vec![Start::Any] } else { starts }
    }

    fn changes(&self) -> Option<usize> {
        let rules = self.get("rules").map(Value::items).unwrap_or_default();
        let in_rules = rules.into_iter().find_map(|rule| rule.get("changes"));
        in_rules.or_else(|| self.get("only")?.get("changes")).map(|value| value.line)
    }

    fn forgiven(&self) -> Option<Note> {
        let value = self.get("allow_failure").filter(|value| !value.is("false"))?;
        Some(Note::new(value.line, "allow_failure"))
    }
}

/// `$CI_COMMIT_BRANCH == "main"`, alone or with more behind `&&`.
fn condition(condition: Value<'_>) -> Start {
    let text = condition.text().unwrap_or_default();
    if text.contains("||") {
        return Start::Any;
    }
    for part in text.split("&&").map(str::trim) {
        if let Some((left, right)) = part.split_once("==") {
            let right = right.trim().trim_matches(['"', '\'']);
            match left.trim() {
                "$CI_COMMIT_BRANCH" | "$CI_COMMIT_REF_NAME" if !right.starts_with('$') => {
                    return Start::Branch(right.to_owned());
                }
                "$CI_PIPELINE_SOURCE" if right == "merge_request_event" => return Start::PullRequest,
                "$CI_PIPELINE_SOURCE" if ["schedule", "web", "api"].contains(&right) => return Start::Custom,
                _ => {}
            }
        } else if part == "$CI_COMMIT_TAG" {
            return Start::Tag;
        }
    }
    Start::Any
}
