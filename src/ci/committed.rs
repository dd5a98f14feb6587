//! The pipeline files of a commit, whatever the working tree holds by now.

use std::path::Path;

use super::Provider;
use super::file::{self, File, ReadCall, Surroundings};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::git::{Repository, tree};

/// Every pipeline file of the provider.
///
/// # Errors
/// git cannot be asked, or a file is no YAML.
pub(crate) async fn files(top: &Path, commit: &str, provider: Provider, read: ReadCall) -> Result<Vec<File>> {
    let paths = tree::paths(top, commit, &[place(provider)]).await?;
    let mentions = tree::holding(top, "shipit", Some(commit)).await?;
    let surroundings = Surroundings { read, mentions: &mentions };
    let mut files = Vec::new();
    for path in paths.iter().filter(|path| provider.is_file(path)) {
        let text = tree::text(top, commit, path).await?;
        let file = file::read(provider, path, &text, surroundings).map_err(|fault| {
            Error::new(Exit::Gate, format!("{path}:{}: the pipeline file cannot be read", fault.line)).cause(fault.text)
        })?;
        files.push(file);
    }
    Ok(files)
}

/// In a pipeline, deploy.yaml has to be the commit's: it says which environments need an approval.
///
/// # Errors
/// It differs, or is no file of the commit ([`Exit::Gate`]). Where there is no repository at all nothing can be told.
pub(crate) async fn same_manifest(config: &Path) -> Result<()> {
    let full = std::path::absolute(config).map_err(|error| not_of_the_commit(config).because(&error))?;
    let full = full.canonicalize().unwrap_or(full);
    let around = full.parent().unwrap_or(&full);
    let repository = match Repository::discover(around).await? {
        Some(repository) => repository,
        None => match Repository::discover(Path::new(".")).await? {
            Some(repository) => repository,
            None => return Ok(()),
        },
    };
    let path = full.strip_prefix(repository.top()).ok().and_then(Path::to_str);
    let path = path.ok_or_else(|| not_of_the_commit(config))?;
    let head = repository.head().await?.revision;
    let committed = tree::text(repository.top(), &head, path).await;
    let committed = committed.map_err(|error| not_of_the_commit(config).cause(error.line()))?;
    let here = std::fs::read_to_string(&full).map_err(|error| not_of_the_commit(config).because(&error))?;
    match here.lines().eq(committed.lines()) {
        true => Ok(()),
        false => Err(not_of_the_commit(config)),
    }
}

fn not_of_the_commit(config: &Path) -> Error {
    Error::new(Exit::Gate, format!("this is a pipeline, and {} is not the one of the commit", config.display()))
        .hint("commit it: what an environment asks for must not be changed by a run")
}

const fn place(provider: Provider) -> &'static str {
    match provider {
        Provider::Bitbucket => "bitbucket-pipelines.yml",
        Provider::GitHub => ".github/workflows/",
        Provider::GitLab => ".gitlab-ci.yml",
    }
}
