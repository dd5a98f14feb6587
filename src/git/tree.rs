//! Files as a commit has them: what lies in the working tree has no say.

use std::collections::BTreeSet;
use std::path::Path;

use super::Answer;
use super::program::git;
use crate::error::Result;

/// The largest pipeline file that is read, in bytes.
const MAX_SIZE: usize = 1 << 20;

/// The paths of a commit below these folders or files, from the top of the repository.
///
/// # Errors
/// git cannot be run, or does not have the commit.
pub(crate) async fn paths(top: &Path, commit: &str, below: &[&str]) -> Result<Vec<String>> {
    let mut args = vec!["ls-tree", "-r", "-z", "--name-only", "--full-tree", commit, "--"];
    args.extend(below);
    let answer = git(top, &args).await?;
    if !answer.success {
        return Err(answer.into_error("cannot read the files of the commit"));
    }
    Ok(answer.output.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

/// The text of a file in a commit.
///
/// # Errors
/// git cannot be run, the commit has no such file, or it is too large to be a pipeline's.
pub(crate) async fn text(top: &Path, commit: &str, path: &str) -> Result<String> {
    let answer = git(top, &["cat-file", "blob", &format!("{commit}:{path}")]).await?;
    if !answer.success {
        return Err(answer.into_error(&format!("cannot read {path} of the commit")));
    }
    if answer.output.len() > MAX_SIZE {
        let answer = Answer { success: false, output: String::new(), error: "it is too large".to_owned() };
        return Err(answer.into_error(&format!("cannot read {path} of the commit")));
    }
    Ok(answer.output)
}

/// The files that hold the word: of the commit, or of the working tree, untracked ones included.
///
/// # Errors
/// git cannot be run.
pub(crate) async fn holding(top: &Path, word: &str, commit: Option<&str>) -> Result<BTreeSet<String>> {
    let mut args = vec!["grep", "-z", "-l", "-I", "-w", "-F", "--full-name"];
    args.extend(if commit.is_none() { Some("--untracked") } else { None });
    args.extend(["-e", word]);
    args.extend(commit);
    args.push("--");
    let answer = git(top, &args).await?;
    let prefix = commit.map(|commit| format!("{commit}:")).unwrap_or_default();
    let paths = answer.output.split('\0').filter(|path| !path.is_empty());
    Ok(paths.map(|path| path.strip_prefix(&prefix).unwrap_or(path).to_owned()).collect())
}
