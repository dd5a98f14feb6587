//! Pipeline files, read into one small model: the steps, what starts each, whether a person does, and the lines in them
//! that run shipit. A file is read as text of a commit or of the working tree; nothing in it is run.
//!
//! What cannot be understood (a variable that decides what runs, a part that stands elsewhere) is kept in words: a proof
//! must not rest on it.

mod bitbucket;
mod github;
mod gitlab;
mod glob;
mod mention;
mod script;
mod shell;

use std::collections::BTreeSet;

use super::Provider;
use crate::config::foreign::{Document, Fault, Value};

pub(crate) use glob::matches;
pub(crate) use mention::{WORDS, approving};

/// How a command line of shipit is read: its words without the program's name. An error is clap's first line.
pub(crate) type ReadCall = fn(&[String]) -> Result<Call, String>;

/// What reading a pipeline file needs to know of the rest of the project.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'s> {
    pub(crate) read: ReadCall,
    /// Files of the project that may have shipit approve something where a script runs them.
    pub(crate) mentions: &'s BTreeSet<String>,
}

/// One pipeline file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) provider: Provider,
    /// From the top of the repository.
    pub(crate) path: String,
    pub(crate) steps: Vec<Step>,
    /// Parts of it that stand elsewhere.
    pub(crate) elsewhere: Vec<Note>,
    /// GitHub: the workflows of this repository whose jobs are jobs of this one, too.
    pub(crate) shares: Vec<String>,
    /// The line in which the image still is the one that nobody has.
    pub(crate) placeholder: Option<usize>,
}

/// What `shipit init` writes in place of an image that only the team can name.
pub(crate) const PLACEHOLDER: &str = "your-registry/shipit:1";

/// A step of Bitbucket, a job of GitHub or GitLab.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) starts: Vec<Start>,
    pub(crate) manual: Manual,
    /// It is the first of its pipeline, which Bitbucket does not let be manual.
    pub(crate) first: bool,
    /// `deployment` of Bitbucket, `environment` of the others.
    pub(crate) environment: Option<Note>,
    pub(crate) calls: Vec<Call>,
    /// Lines of which nobody can say whether they run shipit.
    pub(crate) unclear: Vec<Note>,
    /// Bitbucket: whether the Docker service is there; its memory in MB.
    pub(crate) docker: Option<Docker>,
    /// Whether an OIDC token is given; `None` where the provider has no such switch.
    pub(crate) oidc: Option<bool>,
    /// Where the clone is switched off.
    pub(crate) no_clone: Option<usize>,
    /// Where the clone is one commit deep.
    pub(crate) depth_one: Option<usize>,
    /// Whether its time is bounded.
    pub(crate) bounded: bool,
    /// A filter by changed files: where it stands.
    pub(crate) changesets: Option<usize>,
    /// Something around the script that takes a failure away: the line, and the words of the file.
    pub(crate) forgiven: Option<Note>,
}

/// What starts a step, as far as its place in the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// A push to a branch that this pattern takes.
    Branch(String),
    /// A pull or merge request.
    PullRequest,
    Tag,
    /// A pipeline that a person or a schedule starts by its name.
    Custom,
    /// Nothing in the file narrows it down.
    Any,
}

/// Whether a person has to start this very step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manual {
    #[default]
    No,
    /// The line that says so.
    Yes(usize),
    /// It depends on something that the file does not say.
    Unclear(Note),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Docker {
    pub(crate) service: bool,
    /// In MB, where it is written; with its line.
    pub(crate) memory: Option<(u64, usize)>,
    /// `size`: 2 of `2x`.
    pub(crate) size: u64,
}

impl Docker {
    /// MB that Docker can have: a step of `1x` has 4 GB, of which 1 GB is for the script.
    pub(crate) const fn most(self) -> u64 {
        self.size * 4096 - 1024
    }
}

/// Some words, and the line that they are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Note {
    pub(crate) fn new(line: usize, text: impl Into<String>) -> Self {
        Self { line, text: text.into() }
    }
}

/// A command line of shipit in a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line that is read")]
pub(crate) struct Call {
    pub(crate) line: usize,
    /// As it is written, from the word `shipit` on.
    pub(crate) text: String,
    pub(crate) verb: Verb,
    /// `--env`; it may hold a variable.
    pub(crate) environment: Option<String>,
    /// `--branch`; it may hold a variable.
    pub(crate) branch: Option<String>,
    pub(crate) any_branch: bool,
    pub(crate) approve: bool,
    pub(crate) dry_run: bool,
    pub(crate) local: bool,
    /// A variable stands where it may become a flag, `--approve` for instance.
    pub(crate) open: bool,
    /// What in the script takes its failure away.
    pub(crate) swallowed: Option<String>,
    /// It is no command line that this shipit takes.
    pub(crate) wrong: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verb {
    Deploy,
    Rollback,
    Run,
    /// Changes nothing in an environment.
    #[default]
    Other,
}

impl Verb {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Run => "run",
            Self::Other => "this",
        }
    }
}

impl Call {
    /// The environment it names, if no variable decides it.
    pub(crate) fn named(&self) -> Option<&str> {
        self.environment.as_deref().filter(|name| !name.contains(['$', '`']))
    }

    /// Whether it changes what runs somewhere.
    pub(crate) fn acts(&self) -> bool {
        self.verb != Verb::Other && !self.dry_run && !self.local
    }

    /// Whether it may say `--approve`.
    pub(crate) fn may_approve(&self) -> bool {
        self.acts() && (self.approve || self.open)
    }
}

impl Provider {
    /// Where its pipeline files are, from the top of the repository.
    pub(crate) fn is_file(self, path: &str) -> bool {
        match self {
            Self::Bitbucket => path == "bitbucket-pipelines.yml",
            Self::GitHub => path
                .strip_prefix(".github/workflows/")
                .is_some_and(|name| !name.contains('/') && (ends(name, ".yml") || ends(name, ".yaml"))),
            Self::GitLab => path == ".gitlab-ci.yml",
        }
    }

    pub(crate) const ALL: [Self; 3] = [Self::Bitbucket, Self::GitHub, Self::GitLab];
}

/// Words for shipit that stand beside the script (the arguments of an image or an action, a shell, a variable): nobody
/// can tell what becomes of them.
fn beside(value: Value<'_>, but: &[&str], step: &mut Step) {
    for pair in value.pairs().into_iter().filter(|pair| !but.contains(&pair.key)) {
        for scalar in pair.value.scalars() {
            if let Some(text) = scalar.text().filter(|text| text.contains("--approve")) {
                let text = text.lines().next().unwrap_or_default();
                step.unclear.push(Note::new(
                    scalar.line,
                    format!("nobody can tell what becomes of `{text}` in `{}`", pair.key),
                ));
            }
        }
    }
}

fn ends(name: &str, with: &str) -> bool {
    name.ends_with(with)
}

/// Reads a pipeline file of that provider.
///
/// # Errors
/// It is no YAML, or has no keys.
pub(crate) fn read(provider: Provider, path: &str, text: &str, surroundings: Surroundings<'_>) -> Result<File, Fault> {
    let body = if provider == Provider::GitLab { gitlab::body(text) } else { None };
    let document = Document::read(body.as_deref().unwrap_or(text))?;
    let root = document.root();
    if !root.is_map() {
        return Err(Fault { line: 1, text: "it has no keys, and so no steps".to_owned() });
    }
    let placeholder = text.lines().position(|line| line.contains(PLACEHOLDER)).map(|at| at + 1);
    let (steps, elsewhere, shares) = (Vec::new(), Vec::new(), Vec::new());
    let mut file = File { provider, path: path.to_owned(), steps, elsewhere, shares, placeholder };
    match provider {
        Provider::Bitbucket => bitbucket::read(root, surroundings, &mut file),
        Provider::GitHub => github::read(root, surroundings, &mut file),
        Provider::GitLab => gitlab::read(root, surroundings, &mut file),
    }
    Ok(file)
}
