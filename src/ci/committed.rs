//! The pipeline files of a commit, whatever the working tree holds by now.

use std::path::Path;

use super::file::{self, File, ReadCall, Surroundings};
use super::{Ci, Provider};
use crate::config::Manifest;
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

/// In a pipeline, deploy.yaml has to be the commit's: it says which environments need an approval. What is compared is
/// the text that was read, with the commit that the run is for: a file may be put back and a commit may be made in a step.
///
/// # Errors
/// It differs, or is no file of the commit ([`Exit::Gate`]). Where there is no repository at all nothing can be told.
pub(crate) async fn same_manifest(config: &Path, manifest: &Manifest, ci: Option<&Ci>) -> Result<()> {
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
    let commit = match ci.and_then(|ci| ci.commit.clone()) {
        Some(commit) => commit,
        None => repository.head().await?.revision,
    };
    let committed = tree::text(repository.top(), &commit, path).await;
    let committed = committed.map_err(|error| not_of_the_commit(config).cause(error.line()))?;
    match manifest.text.lines().eq(committed.trim_start_matches('\u{feff}').lines()) {
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
