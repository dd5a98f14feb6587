//! Files as a commit has them: what lies in the working tree has no say.

use std::collections::BTreeMap;
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

/// The files that hold one of the words, with the lines that do: of the commit, or of the working tree, untracked ones
/// included. What git takes for binary counts too (a byte or an attribute makes a script so), and so do links to such files
/// and to their folders.
///
/// # Errors
/// git cannot be run.
pub(crate) async fn holding(top: &Path, words: &[&str], commit: Option<&str>) -> Result<BTreeMap<String, Vec<String>>> {
    let mut args = vec!["grep", "-z", "-n", "-a", "-w", "-F", "--full-name", "--no-color"];
    args.extend(if commit.is_none() { Some("--untracked") } else { None });
    args.extend(words.iter().flat_map(|word| ["-e", word]));
    args.extend(commit);
    // It says nothing and does not succeed where no file holds one.
    let answer = git(top, &args).await?;
    let prefix = commit.map(|commit| format!("{commit}:")).unwrap_or_default();
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // `PATH\0LINE\0TEXT\n`; a line of a binary file may hold more of the separators.
    for line in answer.output.lines() {
        let mut parts = line.splitn(3, '\0');
        let (Some(path), Some(_), Some(text)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let path = path.strip_prefix(&prefix).unwrap_or(path);
        files.entry(path.to_owned()).or_default().push(text.to_owned());
    }
    for (link, to) in links(top, commit).await? {
        let last = to.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let meant = files.iter().filter(|(file, _)| file.split('/').any(|part| part == last));
        let lines: Vec<String> = meant.flat_map(|(_, lines)| lines.clone()).collect();
        if !lines.is_empty() {
            files.entry(link).or_default().extend(lines);
        }
    }
    Ok(files)
}

/// The most links that are followed: each costs a call.
const MOST_LINKS: usize = 200;

/// Symbolic links, with what they name.
async fn links(top: &Path, commit: Option<&str>) -> Result<Vec<(String, String)>> {
    let of_commit = ["ls-tree", "-r", "-z", "--full-tree", commit.unwrap_or_default()];
    let args: &[&str] = if commit.is_some() { &of_commit } else { &["ls-files", "-s", "-z"] };
    let answer = git(top, args).await?;
    let mut links = Vec::new();
    // `MODE … \tPATH`
    let entries = answer.output.split('\0').filter(|entry| entry.starts_with("120000 "));
    for entry in entries.take(MOST_LINKS) {
        let Some((about, path)) = entry.split_once('\t') else { continue };
        let Some(object) = about.split_whitespace().find(|part| part.len() >= 40) else { continue };
        links.push((path.to_owned(), git(top, &["cat-file", "blob", object]).await?.output));
    }
    Ok(links)
}
