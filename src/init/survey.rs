//! Everything that a project's folder says about how it is deployed today. Files are read, nothing is run.

use std::path::{Path, PathBuf};

use super::compose::{self, ComposeService};
use super::dockerfile::{self, Dockerfile};
use super::evidence::{Note, Place};
use super::helper::{self, Helper};
use super::pipeline::{self, Pipeline};
use super::script::{self, Script};
use crate::git::survey;

/// In bytes. What is larger is no script.
const MAX_SIZE: u64 = 256 * 1024;
/// How deep a script or a Compose file may be to be read.
const DEEPEST: usize = 4;
/// Folders that are not looked into where git does not say what belongs to the project.
const NEVER: [&str; 5] = ["node_modules", "target", "vendor", "venv", "dist"];

#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(super) folder: PathBuf,
    pub(super) dockerfiles: Vec<Dockerfile>,
    pub(super) scripts: Vec<Script>,
    pub(super) helpers: Vec<Helper>,
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) compose: Vec<ComposeService>,
    /// Those of this clone and of the remote.
    pub(super) branches: Vec<String>,
    /// The branch that is checked out.
    pub(super) current: Option<String>,
    /// The host of the remote.
    pub(super) remote: Option<String>,
    pub(super) notes: Vec<Note>,
}

impl Survey {
    /// Looks at the folder. What cannot be read is left out.
    pub(crate) async fn of(folder: &Path) -> Self {
        let listed = survey::files(folder).await;
        let mut notes = Vec::new();
        if listed.is_none() {
            notes.push(Note::guessed("git does not answer here, so the folders themselves were looked through"));
        }
        let files = listed.unwrap_or_else(|| walk(folder));
        let read = |path: &str| text(&folder.join(path));
        let near = |path: &&String| path.split('/').count() <= DEEPEST;
        let dockerfiles = dockerfile::find(&files, read, &mut notes);
        let scripts: Vec<Script> = files
            .iter()
            .filter(near)
            .filter(|path| is_script(path))
            .filter_map(|path| script::read(path, &read(path)?))
            .collect();
        let python = |path: &&String| path.rsplit_once('.').is_some_and(|(_, end)| end == "py");
        let helpers: Vec<Helper> =
            files.iter().filter(near).filter(python).filter_map(|path| helper::read(path, &read(path)?)).collect();
        let names = scripts.iter().map(|script| &script.path).chain(helpers.iter().map(|helper| &helper.path));
        let programs: Vec<String> = names.map(|path| base_name(path).to_owned()).collect();
        let pipelines = files
            .iter()
            .filter_map(|path| Some(pipeline::read(pipeline::provider(path)?, path, &read(path)?, &programs)))
            .collect();
        let compose = files
            .iter()
            .filter(near)
            .filter(|path| compose::is_compose(path))
            .flat_map(|path| read(path).map(|text| compose::read(path, &text)).unwrap_or_default())
            .collect();
        Self {
            folder: folder.to_owned(),
            dockerfiles,
            scripts,
            helpers,
            pipelines,
            compose,
            branches: survey::branches(folder).await,
            current: survey::current_branch(folder).await,
            remote: survey::remote_host(folder).await,
            notes,
        }
    }

    /// The place of a Dockerfile, for what is told about it.
    pub(super) fn place(dockerfile: &Dockerfile) -> Place {
        Place::of(&dockerfile.path)
    }
}

pub(super) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn is_script(path: &str) -> bool {
    let name = base_name(path);
    match name.rsplit_once('.') {
        Some((_, end)) => matches!(end, "sh" | "bash"),
        None => name.contains("deploy"),
    }
}

/// The text of a file that is small enough and UTF-8.
fn text(path: &Path) -> Option<String> {
    let about = std::fs::metadata(path).ok()?;
    (about.is_file() && about.len() <= MAX_SIZE).then(|| std::fs::read_to_string(path).ok()).flatten()
}

/// The files below the folder, without hidden folders and those that hold other people's code.
fn walk(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![(folder.to_owned(), String::new(), 0)];
    while let Some((path, name, depth)) = folders.pop() {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            let Ok(own) = entry.file_name().into_string() else { continue };
            let full = if name.is_empty() { own.clone() } else { format!("{name}/{own}") };
            match entry.file_type() {
                Ok(kind) if kind.is_file() => files.push(full),
                Ok(kind) if kind.is_dir() && depth < DEEPEST => {
                    let hidden = own.starts_with('.') && own != ".github";
                    if !hidden && !NEVER.contains(&own.as_str()) {
                        folders.push((entry.path(), full, depth + 1));
                    }
                }
                _ => {}
            }
        }
    }
    files.sort();
    files
}
