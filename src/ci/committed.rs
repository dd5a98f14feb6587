//! The pipeline files of a commit, whatever the working tree holds by now.

use std::path::Path;

use super::file::{self, File, ReadCall, Surroundings};
use super::{Ci, Provider, traces};
use crate::config::Manifest;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::git::{Repository, tree};

/// Every pipeline file of the commit, those of other providers too: whoever can set variables can say that it is another
/// one. `named`: where the run says that its file is.
///
/// # Errors
/// git cannot be asked, or a file is no YAML.
pub(crate) async fn files(
    top: &Path,
    commit: &str,
    provider: Provider,
    named: Option<&str>,
    read: ReadCall,
) -> Result<Vec<File>> {
    let paths = tree::paths(top, commit, &Provider::ALL.map(place)).await?;
    let holding = tree::holding(top, &file::WORDS, Some(commit)).await?;
    let mentions = file::approving(&holding, read);
    let surroundings = Surroundings { read, mentions: &mentions };
    let mut files = Vec::new();
    for path in &paths {
        let Some(of) = Provider::ALL.into_iter().find(|of| of.is_file(path)) else { continue };
        let text = tree::text(top, commit, path).await?;
        match file::read(of, path, &text, surroundings) {
            Ok(file) => files.push(file),
            Err(_) if of != provider => {}
            Err(fault) => {
                let what = format!("{path}:{}: the pipeline file cannot be read", fault.line);
                return Err(Error::new(Exit::Gate, what).cause(fault.text));
            }
        }
    }
    if provider == Provider::GitLab {
        // A project may keep its file anywhere, and says where in a variable.
        let is_yaml = |path: &&String| [".yml", ".yaml"].iter().any(|end| path.ends_with(end));
        for path in holding.keys().filter(is_yaml).filter(|path| !paths.contains(path)) {
            let text = tree::text(top, commit, path).await?;
            if let Ok(mut file) = file::read(provider, path, &text, surroundings) {
                // Of a file that is none of GitLab's, `include` and `trigger` say nothing.
                file.elsewhere.retain(|_| named == Some(path));
                files.push(file);
            }
        }
    }
    Ok(files)
}

/// In a pipeline, deploy.yaml has to be the commit's: it says which environments need an approval. What is compared is
/// the text that was read, with the commit that the run is for: a file may be put back and a commit may be made in a step.
///
/// # Errors
/// It differs, is no file of the commit, or there is no commit to compare it with ([`Exit::Gate`]).
pub(crate) async fn same_manifest(config: &Path, manifest: &Manifest, ci: Option<&Ci>) -> Result<()> {
    let full = std::path::absolute(config).map_err(|error| not_of_the_commit(config).because(&error))?;
    let full = full.canonicalize().unwrap_or(full);
    let around = full.parent().unwrap_or(&full);
    let found = match Repository::discover(around).await? {
        None => Repository::discover(Path::new(".")).await?,
        found => found,
    };
    let repository = found.ok_or_else(|| {
        Error::new(Exit::Gate, "this is a pipeline, and there is no repository to compare deploy.yaml with")
            .hint("let the step clone the repository")
    })?;
    let path = full.strip_prefix(repository.top()).ok().and_then(Path::to_str);
    let path = path.ok_or_else(|| not_of_the_commit(config))?;
    // What the step was started with comes before what was said to this process.
    let commit = traces::commit(&crate::vars::above()).or_else(|| ci.and_then(|ci| ci.commit.clone()));
    let Some(commit) = commit else {
        return Err(Error::new(Exit::Gate, "this is a pipeline, and it does not say which commit it runs for")
            .hint("leave the pipeline's variables as they are"));
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
