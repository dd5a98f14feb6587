//! From the command line, the CI, git and deploy.yaml to one specification with nothing left open.

use std::path::{Path, PathBuf};

use crate::ci::{self, Ci};
use crate::config::specification::Specification;
use crate::config::{self, Manifest, ResolveInput, SecretsMode};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::git::{self, Head};
use crate::plan::Finding;
use crate::revision::Revision;
use crate::target::{self, TargetRequest};
use crate::vars::Vars;

/// What the command line says about where to go.
pub(crate) struct Wanted {
    pub(crate) config: PathBuf,
    pub(crate) environment: Option<String>,
    pub(crate) branch: Option<String>,
    pub(crate) any_branch: bool,
    /// Empty: all.
    pub(crate) services: Vec<String>,
}

pub(crate) struct Resolved {
    pub(crate) manifest: Manifest,
    pub(crate) specification: Specification,
    pub(crate) branch: Option<String>,
    pub(crate) revision: Revision,
    pub(crate) ci: Option<Ci>,
    pub(crate) repository: Option<git::Repository>,
    /// Gates that are known to refuse already.
    pub(crate) findings: Vec<Finding>,
}

/// # Errors
/// deploy.yaml or the command line is wrong, no environment or no commit can be told ([`Exit::Usage`]), or a secret is
/// missing ([`Exit::Secret`]).
pub(crate) async fn resolve(wanted: Wanted, vars: &Vars) -> Result<Resolved> {
    let manifest = config::load(&wanted.config)?;
    let root = folder(&wanted.config)?;
    let ci = ci::detect(vars);
    let repository = git::Repository::discover(&root).await?;
    let head = match &repository {
        Some(repository) => Some(repository.head().await?),
        None => None,
    };
    let request = TargetRequest { env: wanted.environment, branch: wanted.branch, any_branch: wanted.any_branch };
    let target = target::choose(&manifest, &request, ci.as_ref(), head.as_ref())?;
    let findings = target::gate(&target).err().iter().map(Finding::from).collect();
    let dirty = match &repository {
        Some(repository) => !repository.uncommitted(&[]).await?.is_empty(),
        None => false,
    };
    let revision = revision(head.as_ref(), ci.as_ref(), dirty)?;
    let specification = manifest.resolve(&ResolveInput {
        environment: &target.environment,
        branch: target.branch.as_deref(),
        commit: Some(&revision.full()),
        services: &wanted.services,
        vars,
        secrets: SecretsMode::Required,
    })?;
    Ok(Resolved { manifest, specification, branch: target.branch, revision, ci, repository, findings })
}

/// The folder of deploy.yaml, absolute: contexts are relative to it.
fn folder(config: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(config)
        .map_err(|error| Error::new(Exit::Usage, "the current folder cannot be read").because(&error))?;
    Ok(absolute.parent().map_or_else(|| absolute.clone(), Path::to_path_buf))
}

/// What is built is the checkout, so git's HEAD comes before what the CI says.
fn revision(head: Option<&Head>, ci: Option<&Ci>, dirty: bool) -> Result<Revision> {
    if let Some(head) = head {
        return Ok(Revision {
            commit: head.revision.clone(),
            dirty,
            subject: Some(head.subject.clone()),
            author: Some(head.author.clone()),
        });
    }
    let commit = ci.and_then(|ci| ci.commit.clone());
    let commit = commit.filter(|commit| commit.len() >= 40 && commit.chars().all(|c| c.is_ascii_hexdigit()));
    commit.map(|commit| Revision { commit, dirty: false, subject: None, author: None }).ok_or_else(|| {
        Error::new(Exit::Usage, "there is no commit to deploy: this is no git repository, and no CI names one")
            .hint("run it in a clone; in Bitbucket, leave `clone: enabled: false` out of the step")
    })
}
