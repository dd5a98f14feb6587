//! Whether a manual step stands behind a run of a pipeline: a pure judgement on the pipeline files of the commit that is
//! deployed.
//!
//! Variables prove nothing, because whoever starts a run may set them (that they were not changed on the way is looked at
//! first, in `traces`). So they only ever take a step away that could
//! have been this run; that there is no way around the person is told by the files alone: **no** step of them that may
//! say `--approve` for this environment starts by itself, on any branch. A file that says so is part of the commit, and
//! whoever takes the line out changes the commit.
//!
//! Not proven, because no file tells it: that GitHub's environment asks for a reviewer, and that no program of a step
//! (`npm test`) starts shipit in secret. Whoever can write such a program has the step's credentials, with or without
//! shipit; the wall against that is the role's trust policy, bound to the deployment environment.

use super::file::{Call, File, Manual, Start, Step, Verb, matches};
use super::{Ci, Provider};
use crate::vars::Vars;

/// What is to be proven.
pub(crate) struct Claim<'a> {
    pub(crate) environment: &'a str,
    pub(crate) verb: Verb,
    /// The branch alone leads to the environment, without `--env`.
    pub(crate) by_branch: bool,
    /// The branch that belongs to it.
    pub(crate) branch: &'a str,
    /// The other environments of deploy.yaml.
    pub(crate) others: &'a [&'a str],
}

/// What the run says about itself.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    ci: &'a Ci,
    /// The job's name.
    job: Option<&'a str>,
    /// GitHub: the file of the workflow.
    path: Option<&'a str>,
    /// Bitbucket: the deployment environment of the step.
    deployment: Option<&'a str>,
}

impl Told<'_> {
    /// Where the run says that its file is.
    pub(crate) const fn path(&self) -> Option<&str> {
        self.path
    }
}

impl<'a> Told<'a> {
    pub(crate) fn of(ci: &'a Ci, vars: &'a Vars) -> Self {
        // `owner/name/.github/workflows/deploy.yml@refs/heads/main`
        let reference = vars.get("GITHUB_WORKFLOW_REF").and_then(|reference| reference.split('@').next());
        let path = reference.and_then(|path| path.find(".github/").map(|at| &path[at..]));
        let (job, path, deployment) = match ci.provider {
            Provider::Bitbucket => (None, None, vars.get("BITBUCKET_DEPLOYMENT_ENVIRONMENT")),
            Provider::GitHub => (vars.get("GITHUB_JOB"), path, None),
            Provider::GitLab => (vars.get("CI_JOB_NAME"), vars.get("CI_CONFIG_PATH"), None),
        };
        Self { ci, job, path, deployment }
    }
}

/// The step that a person started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ManualStep {
    /// `bitbucket-pipelines.yml:23`
    pub(crate) place: String,
    pub(crate) name: String,
}

/// Why it is not proven, and what would mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unproven {
    pub(crate) text: String,
    pub(crate) hint: String,
}

impl Unproven {
    fn new(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { text: text.into(), hint: hint.into() }
    }
}

/// # Errors
/// Some step could be this run, or reach the environment, without a person.
pub(crate) fn prove(files: &[File], claim: &Claim<'_>, told: &Told<'_>) -> Result<ManualStep, Unproven> {
    let provider = told.ci.provider;
    let own: Vec<&File> = files.iter().filter(|file| file.provider == provider).collect();
    if own.is_empty() {
        let text = format!("the commit has no pipeline file of {provider}");
        return Err(Unproven::new(text, format!("commit the file, with the step {}", asks(provider))));
    }
    let mut candidates = Vec::new();
    for file in files {
        let foreign = file.provider != provider;
        if let Some(note) = file.elsewhere.first().filter(|_| !foreign) {
            let text = format!("{}:{}: {}, which cannot be read here", file.path, note.line, note.text);
            return Err(Unproven::new(text, "keep the pipeline in this file, so that the commit tells what it does"));
        }
        for step in &file.steps {
            if let Some(way) = way(step, claim).filter(|way| !foreign || matches!(way, Way::Call(_))) {
                match guarded(file, step, &way, claim)? {
                    ManualWay::Sure if !foreign => candidates.push((file, step)),
                    ManualWay::Sure | ManualWay::Open => {}
                }
            }
        }
    }
    let mine: Vec<_> = candidates.iter().filter(|(file, step)| could_be(files, file, step, told)).collect();
    match (mine.as_slice(), candidates.as_slice()) {
        ([(file, step), ..], _) => Ok(ManualStep { place: place(file, step), name: step.name.clone() }),
        ([], []) => Err(Unproven::new(
            format!(
                "no step of {} runs `shipit {} --env {} --approve`",
                list(&own),
                claim.verb.as_str(),
                claim.environment
            ),
            format!("write that line, without variables, into a step {}", asks(provider)),
        )),
        ([], [(file, step), ..]) => Err(Unproven::new(
            format!("this run is not the step `{}` of {}:{}, by its own variables", step.name, file.path, step.line),
            "run it from that step, on its branch",
        )),
    }
}

/// How a step may get to the environment.
enum Way<'s> {
    Call(&'s Call),
    /// Nobody can tell whether it does.
    Unclear {
        line: usize,
        text: &'s str,
    },
}

fn way<'s>(step: &'s Step, claim: &Claim<'_>) -> Option<Way<'s>> {
    let mut calls = step.calls.iter().filter(|call| reaches(call, claim));
    let sure = calls.clone().find(|call| sure(call, claim));
    if let Some(call) = sure.or_else(|| calls.next()) {
        return Some(Way::Call(call));
    }
    step.unclear.first().map(|note| Way::Unclear { line: note.line, text: &note.text })
}

/// Whether this line may take an approval for the environment, whatever the variables are.
fn reaches(call: &Call, claim: &Claim<'_>) -> bool {
    let here = match (&call.environment, call.named()) {
        (_, Some(name)) => name == claim.environment,
        (Some(_), None) => true,
        // The branch comes from variables, unless the line says it.
        (None, None) => {
            claim.by_branch
                && call.branch.as_ref().is_none_or(|branch| branch == claim.branch || branch.contains(['$', '`']))
        }
    };
    // Of a line that cannot be read, nobody can tell where it goes.
    call.may_approve() && (here || call.open || call.wrong.is_some())
}

/// Whether it is clear that this line goes there.
fn sure(call: &Call, claim: &Claim<'_>) -> bool {
    let there = call.environment.is_none() || call.named() == Some(claim.environment);
    call.verb == claim.verb && !call.open && call.wrong.is_none() && there
}

enum ManualWay {
    Sure,
    /// A person stands before it, but the line is not clear enough to be this run's.
    Open,
}

fn guarded(file: &File, step: &Step, way: &Way<'_>, claim: &Claim<'_>) -> Result<ManualWay, Unproven> {
    let (line, what) = match way {
        Way::Call(call) => (call.line, format!("`{}` may reach `{}`", call.text, claim.environment)),
        Way::Unclear { line, text } => (*line, (*text).to_owned()),
    };
    let at = format!("{}:{line}", file.path);
    match &step.manual {
        Manual::No => {
            let text = format!("{at}: {what}, and step `{}` starts without a person", step.name);
            Err(Unproven::new(text, format!("let only a step run it {}", asks(file.provider))))
        }
        Manual::Unclear(note) => {
            let text = format!("{at}: {what}, and for `{}` {}", step.name, note.text);
            Err(Unproven::new(text, format!("let only a step run it {}", asks(file.provider))))
        }
        Manual::Yes(line) => {
            let shared = step.environment.as_ref().filter(|_| file.provider == Provider::GitHub);
            if let Some(note) = shared.filter(|note| is_other(&note.text, claim)) {
                let text = format!(
                    "{}:{line}: job `{}` deploys `{}` under GitHub's environment `{}`, which is another one here",
                    file.path, step.name, claim.environment, note.text
                );
                return Err(Unproven::new(
                    text,
                    format!("name an environment of its own, as in `environment: {}`", claim.environment),
                ));
            }
            Ok(match way {
                Way::Call(call) if sure(call, claim) => ManualWay::Sure,
                _ => ManualWay::Open,
            })
        }
    }
}

/// GitHub's names of environments do not differ by case.
fn is_other(name: &str, claim: &Claim<'_>) -> bool {
    !name.eq_ignore_ascii_case(claim.environment) && claim.others.iter().any(|other| other.eq_ignore_ascii_case(name))
}

/// Whether the variables leave it possible that this step is the run.
fn could_be(files: &[File], file: &File, step: &Step, told: &Told<'_>) -> bool {
    let name = |wanted: Option<&str>| wanted == Some(step.name.as_str());
    let by_name = match file.provider {
        Provider::Bitbucket => {
            let deployment = step.environment.as_ref().map(|note| note.text.to_lowercase());
            deployment == told.deployment.map(str::to_lowercase)
        }
        // The run goes by the workflow that it began in.
        Provider::GitHub => {
            let shared = |other: &&File| told.path == Some(other.path.as_str()) && other.shares.contains(&file.path);
            name(told.job) && (told.path == Some(file.path.as_str()) || files.iter().any(|other| shared(&other)))
        }
        Provider::GitLab => name(told.job) && told.path.unwrap_or(".gitlab-ci.yml") == file.path,
    };
    let branch = told.ci.branch.as_deref();
    let by_start = step.starts.iter().any(|start| match start {
        Start::Branch(pattern) => branch.is_some_and(|branch| matches(pattern, branch)),
        Start::PullRequest => told.ci.pull_request.is_some(),
        Start::Tag => told.ci.tag.is_some(),
        Start::Custom | Start::Any => told.ci.pull_request.is_none(),
    });
    by_name && by_start
}

fn place(file: &File, step: &Step) -> String {
    match step.manual {
        Manual::Yes(line) => format!("{}:{line}", file.path),
        _ => format!("{}:{}", file.path, step.line),
    }
}

fn list(files: &[&File]) -> String {
    files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>().join(", ")
}

/// What makes a step one that a person starts.
pub(crate) const fn asks(provider: Provider) -> &'static str {
    match provider {
        Provider::Bitbucket => "with `trigger: manual`",
        Provider::GitHub => "of a job with `environment: NAME`, whose rules ask for a reviewer",
        Provider::GitLab => "of a job with `when: manual`",
    }
}
