//! The CI files that a project has already: which step deploys where, from which branch, and behind whose hand.
//!
//! They are read by lines and indentation, so that every statement has its line. What this does not understand it does
//! not take over; `shipit check` is what judges a CI file.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::evidence::{Place, Sourced};
use super::lines::Said;
use crate::ci::Provider;

#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) provider: Provider,
    pub(super) path: String,
    pub(super) steps: Vec<Step>,
    pub(super) said: Said,
    /// Whether shipit runs in it already.
    pub(super) runs_shipit: bool,
}

/// A step (Bitbucket) or a job.
#[derive(Clone, Debug, Default)]
pub(super) struct Step {
    pub(super) line: usize,
    /// The anchor under which it is used again.
    anchor: Option<String>,
    pub(super) branch: Option<Sourced<String>>,
    /// `deployment:` or `environment:`.
    pub(super) deployment: Option<Sourced<String>>,
    pub(super) manual: bool,
    /// The patterns that let it run.
    pub(super) paths: Vec<String>,
    pub(super) calls: Vec<Call>,
    /// Whether it builds, pushes or rolls by itself.
    pub(super) deploys: bool,
}

/// A script or a helper of the project that is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The file's name, without its folder.
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) at: Place,
}

/// The provider whose file this is, by its path.
pub(super) fn provider(path: &str) -> Option<Provider> {
    let yaml = Path::new(path).extension().is_some_and(|end| end == "yml" || end == "yaml");
    match path {
        "bitbucket-pipelines.yml" => Some(Provider::Bitbucket),
        ".gitlab-ci.yml" => Some(Provider::GitLab),
        _ if yaml && path.starts_with(".github/workflows/") => Some(Provider::GitHub),
        _ => None,
    }
}

/// `programs`: the names of the scripts and helpers whose calls matter.
pub(super) fn read(provider: Provider, path: &str, text: &str, programs: &[String]) -> Pipeline {
    let mut reader = Reader {
        provider,
        path,
        programs,
        pipeline: Pipeline {
            provider,
            path: path.to_owned(),
            steps: Vec::new(),
            said: Said::default(),
            runs_shipit: false,
        },
        section: String::new(),
        branch: None,
        list: None,
        event_branches: Vec::new(),
    };
    for (index, raw) in text.lines().enumerate() {
        let line = raw.split(" #").next().unwrap_or_default().trim_end();
        if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            reader.line(line, index + 1);
        }
    }
    reader.finish()
}

struct Reader<'r> {
    provider: Provider,
    path: &'r str,
    programs: &'r [String],
    pipeline: Pipeline,
    /// The last key without indentation; for Bitbucket, the kind of pipeline too.
    section: String,
    branch: Option<Sourced<String>>,
    /// The list that the following `- …` lines belong to.
    list: Option<(List, usize)>,
    /// The branches of `on: push:` (GitHub).
    event_branches: Vec<Sourced<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Paths,
    Only,
    EventBranches,
}

static KEY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"^(?:- )?["']?([\w ./*{}-]+?)["']?:(?:\s+(.*))?$"#).ok());
static STEP: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^- step:\s*(?:&([\w.-]+)|\*([\w.-]+))?").ok());
static ANCHORED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^- (?:step:\s*)?&([\w.-]+)").ok());
static WITHIN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\b(deployment|environment):\s*(?:\{\s*name:\s*)?["']?([A-Za-z][\w.-]*)"#).ok());
static REF: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?:refs/heads/|(?:CI_COMMIT_BRANCH|CI_COMMIT_REF_NAME|github\.ref_name)\s*==\s*["'])([\w./-]+)"#).ok()
});
const GITLAB_WORDS: [&str; 11] = [
    "stages",
    "variables",
    "image",
    "include",
    "default",
    "workflow",
    "services",
    "cache",
    "before_script",
    "after_script",
    "pages",
];

impl Reader<'_> {
    fn line(&mut self, line: &str, number: usize) {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim_start();
        let at = Place::at(self.path, number);
        if let Some((list, from)) = self.list {
            if let Some(item) = text.strip_prefix("- ").filter(|_| indent >= from) {
                self.item(list, item, &at);
                return;
            }
            self.list = None;
        }
        let (key, value) = KEY.as_ref().and_then(|key| key.captures(text)).map_or((String::new(), ""), |found| {
            (found[1].to_owned(), found.get(2).map_or("", |value| value.as_str()))
        });
        self.structure(&key, indent, text, number, &at);
        self.statement(&key, value, indent, text, &at);
        let shell = text.trim_start_matches("- ").trim_start_matches("run:").trim_start_matches("script:").trim();
        let before = (self.pipeline.said.builds.len(), self.pipeline.said.rolls.len());
        self.pipeline.said.read(&plain(shell), &at);
        let builds = before != (self.pipeline.said.builds.len(), self.pipeline.said.rolls.len());
        let runs_shipit = shell.split(|c: char| c.is_whitespace() || "[]/".contains(c)).any(|word| word == "shipit");
        self.pipeline.runs_shipit |= runs_shipit && shell.contains("deploy");
        let calls: Vec<Call> = self.programs.iter().filter_map(|name| call(shell, name, &at)).collect();
        if let Some(step) = self.pipeline.steps.last_mut() {
            step.deploys |= builds || shell.contains("docker push");
            step.calls.extend(calls);
        }
    }

    /// Sections, branches and the beginning of a step.
    fn structure(&mut self, key: &str, indent: usize, text: &str, number: usize, at: &Place) {
        let step = |branch: Option<Sourced<String>>| Step { line: number, branch, ..Step::default() };
        match self.provider {
            Provider::Bitbucket => {
                if matches!(key, "branches" | "pull-requests" | "tags" | "custom" | "default" | "definitions")
                    && indent <= 2
                {
                    self.section = key.to_owned();
                    self.branch = None;
                } else if self.section == "branches" && !text.starts_with('-') && !key.is_empty() && indent <= 4 {
                    let names = key.trim_matches(['{', '}']).split(',').next().unwrap_or_default();
                    self.branch = (!names.contains('*')).then(|| Sourced::new(names.trim().to_owned(), at.clone()));
                }
                if let Some(found) = STEP.as_ref().and_then(|pattern| pattern.captures(text)) {
                    let known = found.get(2).and_then(|alias| {
                        self.pipeline.steps.iter().find(|step| step.anchor.as_deref() == Some(alias.as_str())).cloned()
                    });
                    let mut next = known.unwrap_or_default();
                    next.anchor = found.get(1).map(|anchor| anchor.as_str().to_owned());
                    next.branch = self.branch.clone();
                    next.line = number;
                    self.pipeline.steps.push(next);
                } else if let Some(found) = ANCHORED.as_ref().and_then(|pattern| pattern.captures(text)) {
                    self.pipeline.steps.push(Step { anchor: Some(found[1].to_owned()), ..step(None) });
                } else if let Some(alias) = text.strip_prefix("<<: *") {
                    self.merge(alias.trim());
                }
            }
            Provider::GitHub => {
                if indent == 0 && !key.is_empty() {
                    self.section = key.to_owned();
                } else if self.section == "jobs" && indent == 2 && !key.is_empty() && !text.starts_with('-') {
                    self.pipeline.steps.push(step(None));
                }
            }
            Provider::GitLab => {
                if indent == 0 && !key.is_empty() && !GITLAB_WORDS.contains(&key) && !key.starts_with('.') {
                    self.pipeline.steps.push(step(None));
                }
            }
        }
    }

    /// `<<: *anchor` in a step.
    fn merge(&mut self, alias: &str) {
        let known = self.pipeline.steps.iter().find(|step| step.anchor.as_deref() == Some(alias)).cloned();
        if let (Some(known), Some(step)) = (known, self.pipeline.steps.last_mut()) {
            step.calls = known.calls;
            step.deploys = known.deploys;
            step.paths = known.paths;
            step.deployment = step.deployment.take().or(known.deployment);
            step.manual |= known.manual;
        }
    }

    fn statement(&mut self, key: &str, value: &str, indent: usize, text: &str, at: &Place) {
        let list = match (self.provider, key) {
            (_, "includePaths") | (Provider::GitLab, "changes") | (Provider::GitHub, "paths") => Some(List::Paths),
            (Provider::GitLab, "only") => Some(List::Only),
            (Provider::GitHub, "branches") => Some(List::EventBranches),
            _ => None,
        };
        if let Some(list) = list {
            match value.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
                Some(inner) => inner.split(',').for_each(|item| self.item(list, item.trim(), at)),
                None if value.is_empty() => self.list = Some((list, indent)),
                None => self.item(list, value, at),
            }
        }
        let Some(step) = self.pipeline.steps.last_mut() else { return };
        step.manual |= text.contains("trigger: manual") || text.contains("when: manual");
        if let Some(found) =
            WITHIN.as_ref().and_then(|pattern| pattern.captures(text)).filter(|found| &found[2] != "name")
        {
            step.deployment = Some(Sourced::new(found[2].to_owned(), at.clone()));
        }
        if key == "name" && step.deployment.is_none() && self.provider == Provider::GitLab && indent > 2 {
            step.deployment = Some(Sourced::new(value.trim_matches(['"', '\'']).to_owned(), at.clone()));
        }
        if let Some(found) = REF.as_ref().and_then(|pattern| pattern.captures(text))
            && step.branch.is_none()
        {
            step.branch = Some(Sourced::new(found[1].to_owned(), at.clone()));
        }
    }

    fn item(&mut self, list: List, item: &str, at: &Place) {
        let item = item.trim().trim_matches(['"', '\'']).to_owned();
        match list {
            List::EventBranches => self.event_branches.push(Sourced::new(item, at.clone())),
            List::Paths => {
                if let Some(step) = self.pipeline.steps.last_mut() {
                    step.paths.push(item);
                }
            }
            List::Only => {
                if let Some(step) = self.pipeline.steps.last_mut() {
                    step.branch = Some(Sourced::new(item, at.clone()));
                }
            }
        }
    }

    fn finish(mut self) -> Pipeline {
        // One branch starts the workflow: it is the branch of every job that names none.
        if let [only] = self.event_branches.as_slice() {
            for step in self.pipeline.steps.iter_mut().filter(|step| step.branch.is_none()) {
                step.branch = Some(only.clone());
            }
        }
        // A step that is only a template for others.
        self.pipeline.steps.retain(|step| step.anchor.is_none() || step.branch.is_some());
        self.pipeline
    }
}

/// A line of a flow list (`script: [./deploy.sh dev]`) as a shell would see it.
fn plain(shell: &str) -> String {
    shell.trim_start_matches('[').trim_end_matches([']', '}', ' ']).trim_matches('"').to_owned()
}

/// The call of that program in the line, with its arguments.
fn call(shell: &str, program: &str, at: &Place) -> Option<Call> {
    let start = shell.find(program)?;
    let begins = shell[..start].chars().next_back().is_none_or(|c| c.is_whitespace() || "/[\"'".contains(c));
    let rest = &shell[start + program.len()..];
    if !begins || rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let end = rest.find([',', ']', '}', ';', '&', '|', '>']).filter(|end| !rest[..*end].contains('$'));
    let arguments = rest[..end.unwrap_or(rest.len())].split_whitespace();
    let arguments = arguments.map(|word| word.trim_matches(['"', '\'']).to_owned()).collect();
    Some(Call { name: program.to_owned(), arguments, at: at.clone() })
}

#[cfg(test)]
mod tests {
    use super::{Pipeline, Provider, provider, read};

    fn bitbucket(text: &str) -> Pipeline {
        read(
            Provider::Bitbucket,
            "bitbucket-pipelines.yml",
            text,
            &["ecr_deploy.sh".to_owned(), "update.py".to_owned()],
        )
    }

    /// Branch, environment, manual, and the arguments of the first call.
    type Told<'p> = (Option<&'p str>, Option<&'p str>, bool, Vec<&'p str>);

    fn told(pipeline: &Pipeline) -> Vec<Told<'_>> {
        pipeline
            .steps
            .iter()
            .map(|step| {
                (
                    step.branch.as_ref().map(|branch| branch.value.as_str()),
                    step.deployment.as_ref().map(|deployment| deployment.value.as_str()),
                    step.manual,
                    step.calls
                        .first()
                        .map(|call| call.arguments.iter().map(String::as_str).collect())
                        .unwrap_or_default(),
                )
            })
            .collect()
    }

    #[test]
    fn steps_of_bitbucket_by_branch() {
        let pipeline = bitbucket(
            "image: x\npipelines:\n  branches:\n    develop:\n      - step:\n          name: dev\n          deployment: dev\n          condition:\n            changesets:\n              includePaths:\n                - \"api/**\"\n                - libs/**\n          script:\n            - bash ci/ecr_deploy.sh dev\n            - python update.py dev-cluster api\n    main:\n      - step: { deployment: sandbox, script: [./ecr_deploy.sh sandbox] }\n      - step:\n          trigger: manual\n          deployment: production\n          script: [./ecr_deploy.sh prod]\n",
        );
        assert_eq!(
            told(&pipeline),
            [
                (Some("develop"), Some("dev"), false, vec!["dev"]),
                (Some("main"), Some("sandbox"), false, vec!["sandbox"]),
                (Some("main"), Some("production"), true, vec!["prod"]),
            ]
        );
        assert_eq!(pipeline.steps[0].paths, ["api/**", "libs/**"]);
        assert_eq!(pipeline.steps[0].calls[1].arguments, ["dev-cluster", "api"]);
        assert_eq!((pipeline.steps[0].line, pipeline.steps[0].calls[0].at.line), (5, Some(14)));
    }

    #[test]
    fn anchors_are_followed() {
        let pipeline = bitbucket(
            "definitions:\n  steps:\n    - step: &dev\n        deployment: dev\n        script:\n          - ./ecr_deploy.sh dev\npipelines:\n  branches:\n    develop:\n      - step: *dev\n",
        );
        assert_eq!(told(&pipeline), [(Some("develop"), Some("dev"), false, vec!["dev"])]);
    }

    #[test]
    fn jobs_of_github_and_gitlab() {
        let github = read(
            Provider::GitHub,
            ".github/workflows/deploy.yml",
            "on:\n  push:\n    branches: [develop]\njobs:\n  dev:\n    environment: dev\n    steps:\n      - run: ./ecr_deploy.sh dev\n  prod:\n    if: github.ref == 'refs/heads/main'\n    environment:\n      name: prod\n    steps:\n      - run: docker push x\n",
            &["ecr_deploy.sh".to_owned()],
        );
        assert_eq!(told(&github)[0], (Some("develop"), Some("dev"), false, vec!["dev"]));
        assert_eq!((told(&github)[1].0, github.steps[1].deploys), (Some("main"), true));
        let gitlab = read(
            Provider::GitLab,
            ".gitlab-ci.yml",
            "stages: [deploy]\ndev:\n  only: [develop]\n  script: [./ecr_deploy.sh dev]\nprod:\n  rules:\n    - if: $CI_COMMIT_BRANCH == \"main\"\n      when: manual\n  environment: { name: prod }\n  script:\n    - ./ecr_deploy.sh prod\n",
            &["ecr_deploy.sh".to_owned()],
        );
        assert_eq!(
            told(&gitlab),
            [(Some("develop"), None, false, vec!["dev"]), (Some("main"), Some("prod"), true, vec!["prod"])]
        );
    }

    #[test]
    fn files_by_their_path() {
        assert_eq!(provider("bitbucket-pipelines.yml"), Some(Provider::Bitbucket));
        assert_eq!(provider(".github/workflows/x.yaml"), Some(Provider::GitHub));
        assert_eq!(provider("sub/.gitlab-ci.yml"), None);
    }
}
