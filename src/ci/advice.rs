//! What is wrong with a pipeline file, for the deploy.yaml beside it: pure. An error is what will fail or will let
//! something pass that must not; a warning is what may be meant.

use super::Provider;
use super::file::{Call, File, Manual, PLACEHOLDER, Start, Step, Verb, matches};
use super::proof::asks;
use crate::config::{Manifest, suggest};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) error: bool,
    pub(crate) text: String,
    pub(crate) hint: String,
}

/// MB that BuildKit and a usual build need beside the daemon.
const MEMORY: u64 = 2048;
/// MB that Docker gets where the file does not say; Bitbucket's default.
const DEFAULT_MEMORY: u64 = 1024;

/// All findings, in the order of the file.
pub(crate) fn advice(file: &File, manifest: &Manifest) -> Vec<Advice> {
    let mut found = Found { file, manifest, advice: Vec::new() };
    for note in &file.elsewhere {
        if found.guarded().next().is_some() {
            found.warn(
                note.line,
                format!("{}, which cannot be read here: it is no proof of an approval", note.text),
                "keep the steps that deploy in this file".to_owned(),
            );
        }
    }
    if let Some(line) = file.placeholder {
        found.warn(
            line,
            format!("`{PLACEHOLDER}` is no image yet: no step of this file can start"),
            "put an image with shipit and git in it in its place".to_owned(),
        );
    }
    for step in &file.steps {
        found.step(step);
    }
    let mut advice = found.advice;
    advice.sort_by_key(|one| one.line);
    // A step that an alias brings into several pipelines is one step.
    advice.dedup();
    advice
}

struct Found<'a> {
    file: &'a File,
    manifest: &'a Manifest,
    advice: Vec<Advice>,
}

impl Found<'_> {
    fn add(&mut self, error: bool, line: usize, text: String, hint: String) {
        self.advice.push(Advice { path: self.file.path.clone(), line, error, text, hint });
    }

    fn error(&mut self, line: usize, text: String, hint: String) {
        self.add(true, line, text, hint);
    }

    fn warn(&mut self, line: usize, text: String, hint: String) {
        self.add(false, line, text, hint);
    }

    /// Environments that need an approval.
    fn guarded(&self) -> impl Iterator<Item = &str> {
        let guarded = self.manifest.environments.iter().filter(|(_, environment)| environment.approval.is_some());
        guarded.map(|(name, _)| name.as_str())
    }

    fn role(&self, name: &str) -> Option<String> {
        self.manifest.environments.get(name)?.aws.as_ref()?.role.clone()
    }

    fn is_guarded(&self, name: &str) -> bool {
        self.guarded().any(|guarded| guarded == name)
    }

    fn step(&mut self, step: &Step) {
        let guarded = self.guarded().next().map(str::to_owned);
        for note in &step.unclear {
            match (&guarded, &step.manual) {
                (Some(name), Manual::No | Manual::Unclear(_)) => self.error(
                    note.line,
                    format!("{}: no approval of `{name}` can be proven beside it", note.text),
                    format!("write out what is run here, or run it {}", asks(self.file.provider)),
                ),
                _ => self.warn(note.line, note.text.clone(), "write out what is run here".to_owned()),
            }
        }
        for call in &step.calls {
            self.call(step, call);
        }
        let mut acting = step.calls.iter().filter(|call| call.acts());
        if let Some(first) = acting.next() {
            self.surroundings(step, first);
        }
    }

    fn call(&mut self, step: &Step, call: &Call) {
        if let Some(wrong) = &call.wrong {
            self.error(call.line, format!("`{}`: {wrong}", call.text), "see `shipit --help`".to_owned());
        }
        if let Some(name) = call.named().filter(|name| !self.manifest.environments.contains_key(*name)) {
            let known: Vec<&str> = self.manifest.environments.keys().map(String::as_str).collect();
            let text = format!("`{}`: there is no environment `{name}` in deploy.yaml", call.text);
            self.error(call.line, text, suggest::help(name, &known));
            return;
        }
        if !call.acts() {
            return;
        }
        self.swallowed(call);
        if call.open || call.environment.is_some() && call.named().is_none() {
            let text = format!("`{}`: a variable decides where it goes, so nothing can be said of it", call.text);
            let hint = "write a step for each environment, with its name".to_owned();
            match step.manual {
                Manual::No if self.guarded().next().is_some() => self.error(call.line, text, hint),
                _ => self.warn(call.line, text, hint),
            }
            return;
        }
        for name in self.goes_to(step, call) {
            if self.is_guarded(&name) {
                self.approval(step, call, &name);
            }
        }
    }

    /// The environments that the line deploys to; what is wrong with its branch is told on the way.
    fn goes_to(&mut self, step: &Step, call: &Call) -> Vec<String> {
        let mut environments = Vec::new();
        for start in &step.starts {
            let branch = match (&call.branch, start) {
                (Some(branch), _) => Start::Branch(branch.clone()),
                (None, start) => start.clone(),
            };
            match self.from(call, &branch) {
                Ok(Some(name)) => environments.push(name),
                Ok(None) => {}
                Err((error, text, hint)) => self.add(error, call.line, format!("`{}`: {text}", call.text), hint),
            }
        }
        environments.sort();
        environments.dedup();
        environments
    }

    /// Where the line goes when this starts it.
    fn from(&self, call: &Call, start: &Start) -> Result<Option<String>, (bool, String, String)> {
        let environments = &self.manifest.environments;
        let named = call.named();
        // Rollbacks and one-off tasks take no branch.
        if call.verb != Verb::Deploy || call.any_branch {
            return Ok(named.map(str::to_owned));
        }
        match (start, named) {
            (Start::PullRequest, _) => Err((
                true,
                "a pull request's run never deploys".to_owned(),
                "see what a deploy would do: add `--dry-run --any-branch`, or run `shipit check`".to_owned(),
            )),
            (Start::Tag, _) => Err((
                true,
                "a tag's run has no branch, and is refused".to_owned(),
                "say which branch it is with `--branch`, or start it by the branch".to_owned(),
            )),
            (Start::Branch(pattern), Some(name)) => {
                let branch = &environments[name].branch;
                if matches(pattern, branch) {
                    return Ok(Some(name.to_owned()));
                }
                let text =
                    format!("the wrong branch: it is started by `{pattern}`, and only `{branch}` goes to `{name}`");
                Err((true, text, format!("move the step below `{branch}`, or deploy another environment here")))
            }
            (Start::Branch(pattern), None) => {
                let here = environments.iter().filter(|(_, one)| matches(pattern, &one.branch));
                let mut first = here.clone().filter(|(_, one)| one.after.is_none()).map(|(name, _)| name.clone());
                match (here.count(), first.next(), first.next()) {
                    (0, ..) => {
                        let known: Vec<&str> = environments.values().map(|one| one.branch.as_str()).collect();
                        let text = format!("no environment takes the branch `{pattern}`");
                        Err((true, text, suggest::help(pattern, &known)))
                    }
                    (_, Some(only), None) => Ok(Some(only)),
                    (_, None, _) => Err((
                        true,
                        format!(
                            "the branch `{pattern}` alone leads nowhere: what it leads to comes after another environment"
                        ),
                        "name the environment with `--env`".to_owned(),
                    )),
                    (_, Some(one), Some(other)) if !pattern.contains(['*', '{', '[', '?']) => Err((
                        true,
                        format!("the branch `{pattern}` leads to `{one}` and `{other}`"),
                        format!("name one: `--env {one}`"),
                    )),
                    (_, Some(_), Some(_)) => Ok(None),
                }
            }
            (Start::Any, _) => {
                let text = match named {
                    Some(name) => {
                        format!("any branch starts it, and only `{}` goes to `{name}`", environments[name].branch)
                    }
                    None => "any branch starts it, and is refused where no environment takes it".to_owned(),
                };
                match named {
                    Some(name) if self.is_guarded(name) => Ok(Some(name.to_owned())),
                    _ => Err((false, text, "let only the branches of deploy.yaml start it".to_owned())),
                }
            }
            (Start::Custom, named) => Ok(named.map(str::to_owned)),
        }
    }

    fn approval(&mut self, step: &Step, call: &Call, name: &str) {
        let manual = asks(self.file.provider);
        match (&step.manual, call.approve) {
            (Manual::No, _) => self.error(
                call.line,
                format!(
                    "`{}` goes to `{name}`, which needs a person's approval, and step `{}` starts by itself",
                    call.text, step.name
                ),
                format!("run it in a step {manual}, with --approve"),
            ),
            (Manual::Unclear(note), _) => self.error(
                call.line,
                format!("`{}` goes to `{name}`, which needs a person's approval, and {}", call.text, note.text),
                format!("run it in a step {manual}, with --approve"),
            ),
            (Manual::Yes(_), false) => self.error(
                call.line,
                format!("`{}` will be refused: `{name}` needs a person's approval", call.text),
                "add --approve: the manual step stands behind it".to_owned(),
            ),
            (Manual::Yes(line), true) => {
                let line = *line;
                if self.file.provider == Provider::Bitbucket && step.first {
                    let text = format!(
                        "the first step of a pipeline cannot be manual: Bitbucket refuses the file (step `{}`)",
                        step.name
                    );
                    self.error(
                        line,
                        text,
                        "put a step before it: `shipit check`, or the deploy of the environment before".to_owned(),
                    );
                }
                if call.any_branch {
                    let text = format!("`{}` lets every branch into `{name}`", call.text);
                    self.warn(call.line, text, "leave --any-branch out".to_owned());
                }
                self.name_of_environment(step, name);
            }
        }
    }

    /// A deployment of Bitbucket or an environment of GitHub that is another one of deploy.yaml.
    fn name_of_environment(&mut self, step: &Step, name: &str) {
        let Some(note) = &step.environment else { return };
        if note.text != name && self.manifest.environments.contains_key(&note.text) {
            let text = format!("step `{}` goes to `{name}`, and stands under `{}`", step.name, note.text);
            let hint = format!("name it `{name}`, so that its own variables and rules hold");
            self.add(self.file.provider == Provider::GitHub, note.line, text, hint);
        }
    }

    fn swallowed(&mut self, call: &Call) {
        let Some(by) = &call.swallowed else { return };
        let meant = ["if", "while", "until", "elif", "!"].contains(&by.as_str());
        let text = format!("`{}`: `{by}` takes its failure away, and the step is green all the same", call.text);
        self.add(!meant, call.line, text, "give it a line of its own in the script".to_owned());
    }

    /// What the step gives to a deploy.
    fn surroundings(&mut self, step: &Step, call: &Call) {
        if let Some(note) = &step.forgiven {
            let text = format!("`{}` of `{}` takes a failed deploy away", note.text, step.name);
            self.error(note.line, text, format!("leave `{}` out", note.text));
        }
        if let Some(line) = step.changesets {
            let text = format!(
                "the filter by changed files may skip a deploy of `{}` that is needed: it looks at the last commits, not at what runs",
                step.name
            );
            self.warn(line, text, "leave it out: shipit compares with what runs there".to_owned());
        }
        let reached = call.named().or(match step.starts.as_slice() {
            [Start::Branch(branch)] => {
                let mut here =
                    self.manifest.environments.iter().filter(|(_, one)| one.branch == *branch && one.after.is_none());
                here.next().map(|(name, _)| name.as_str())
            }
            _ => None,
        });
        let reached = reached.map(str::to_owned);
        if let Some(line) = step.no_clone {
            let guarded = reached.as_deref().is_some_and(|name| self.is_guarded(name));
            let text = match guarded {
                true => format!("`{}` has no clone of the repository, so no approval can be proven", step.name),
                false => format!(
                    "`{}` has no clone of the repository: neither the commit nor what changed can be told",
                    step.name
                ),
            };
            self.add(guarded, line, text, "let the step clone it".to_owned());
        }
        if let Some(line) = step.depth_one {
            let text = format!(
                "`{}` clones one commit: what changed can be told only where `git fetch` works in the step",
                step.name
            );
            self.warn(line, text, "leave the default depth".to_owned());
        }
        // With `builder`, the engine is elsewhere.
        if call.verb == Verb::Deploy && self.manifest.builder.is_none() {
            self.docker(step, call);
        }
        let role = reached.as_ref().and_then(|name| self.role(name).map(|role| (name, role)));
        if let (Some((name, role)), Some(false)) = (role, step.oidc) {
            let text = format!("`{name}` takes the role {role}, and step `{}` gets no OIDC token", step.name);
            let hint = match self.file.provider {
                Provider::Bitbucket => "add `oidc: true` to the step",
                Provider::GitHub => "add `permissions: { id-token: write, contents: read }` to the job",
                Provider::GitLab => "add `id_tokens` with SHIPIT_ID_TOKEN to the job",
            };
            self.warn(step.line, text, hint.to_owned());
        }
        if !step.bounded {
            let hint = match self.file.provider {
                Provider::Bitbucket => "add `max-time: 60` to the step, or to `options`",
                Provider::GitHub => "add `timeout-minutes: 60` to the job",
                Provider::GitLab => "add `timeout: 1h` to the job",
            };
            self.warn(step.line, format!("nothing bounds the time of `{}`", step.name), hint.to_owned());
        }
    }

    fn docker(&mut self, step: &Step, call: &Call) {
        let Some(docker) = step.docker else { return };
        if !docker.service {
            let text = format!("step `{}` has no Docker service to build with", step.name);
            self.warn(call.line, text, "add `services: [docker]`, unless DOCKER_HOST names another engine".to_owned());
            return;
        }
        match docker.memory {
            None => self.warn(
                step.line,
                format!("Docker has {DEFAULT_MEMORY} MB where the file does not say, which few builds do with"),
                "write `definitions: { services: { docker: { memory: 3072 } } }`".to_owned(),
            ),
            Some((memory, line)) if memory < MEMORY => self.warn(
                line,
                format!("Docker has {memory} MB, which few builds do with"),
                "give it 3072, or 7128 in a step of `size: 2x`".to_owned(),
            ),
            Some((memory, line)) if memory > docker.most() => self.error(
                line,
                format!("Docker cannot have {memory} MB in step `{}`: {} are left for it", step.name, docker.most()),
                "give it less, or the step a larger `size`".to_owned(),
            ),
            Some(_) => {}
        }
    }
}
