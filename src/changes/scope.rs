//! Which files concern a service: its `paths`, or the build context as the builder sees it; in either case its
//! Dockerfile and the ignore file in force as well.

use std::path::{Component, Path};

use super::pattern::Pattern;
use crate::archive;
use crate::config::specification::{Archive, Service};
use crate::docker::{IgnoreMatcher, IgnorePattern, ParentMatches, locate_ignore_file};
use crate::git::Repository;

/// The files that concern one service, by one version of deploy.yaml.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) include: Vec<Pattern>,
    /// They win over all others.
    pub(super) exclude: Vec<Pattern>,
    /// Where there are no `paths`.
    pub(super) context: Option<Context>,
}

/// A build context, from the top of the repository.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// Empty: the whole repository.
    pub(super) folder: String,
    ignore: IgnoreMatcher,
}

impl Scope {
    /// `root` is the folder of deploy.yaml. The ignore file is read from the working tree: where it is another one than
    /// at the base, it is itself a file that counts.
    ///
    /// # Errors
    /// Why git cannot tell what becomes of this service, as a sentence.
    pub(super) fn of(service: &Service, repository: &Repository, root: &Path) -> Result<Self, String> {
        let mut scope = Self::written(service.paths.as_deref(), &service.ignore)?;
        let outside = |what: &str| format!("its {what} is not in this repository, so git cannot tell");
        let folder = repository.relative(&service.context).ok_or_else(|| outside("build context"))?;
        let dockerfile = repository.relative(&service.dockerfile).ok_or_else(|| outside("Dockerfile"))?;
        scope.exactly(links(repository, root, &service.context));
        scope.exactly(links(repository, root, &service.dockerfile));
        let ignore = locate_ignore_file(&service.context, &service.dockerfile).map_err(|error| error.line())?;
        let specific = format!("{dockerfile}.dockerignore");
        // The general one has no say while there is a specific one, whose end would be seen.
        if ignore.as_ref().is_none_or(|file| repository.relative(&file.path).as_deref() != Some(&specific)) {
            scope.exactly([join(&folder, ".dockerignore")]);
        }
        scope.exactly([dockerfile, specific]);
        if service.paths.is_none() {
            let patterns = ignore.map(|file| file.patterns).unwrap_or_default();
            let ignore = IgnoreMatcher::new(&patterns).map_err(|error| error.to_string())?;
            scope.context = Some(Context { folder, ignore });
        }
        Ok(scope)
    }

    /// The files that are packed, or `paths`.
    ///
    /// # Errors
    /// Why git cannot tell what becomes of it, as a sentence.
    pub(super) fn of_zip(archive: &Archive, repository: &Repository, root: &Path) -> Result<Self, String> {
        let mut scope = Self::written(archive.paths.as_deref(), &archive.ignore)?;
        let folder = repository.relative(&archive.context);
        let folder = folder.ok_or("its folder is not in this repository, so git cannot tell")?;
        scope.exactly(links(repository, root, &archive.context));
        if archive.paths.is_none() {
            let ignore = IgnoreMatcher::new(&archive::excluded(archive)).map_err(|error| error.to_string())?;
            scope.context = Some(Context { folder, ignore });
        }
        Ok(scope)
    }

    /// By the patterns of deploy.yaml alone.
    fn written(paths: Option<&[String]>, ignore: &[String]) -> Result<Self, String> {
        let pattern = |written: &String| Pattern::new(written).map_err(|wrong| format!("`{written}` {wrong}"));
        Ok(Self {
            include: paths.into_iter().flatten().map(pattern).collect::<Result<_, _>>()?,
            exclude: ignore.iter().map(pattern).collect::<Result<_, _>>()?,
            context: None,
        })
    }

    fn exactly(&mut self, paths: impl IntoIterator<Item = String>) {
        self.include.extend(paths.into_iter().map(|path| Pattern::exactly(&path)));
    }
}

impl Context {
    /// Whether the builder may be sent this path, which lies in the context. Where that cannot be told it may.
    pub(super) fn keeps(&self, path: &[u8], opaque: bool) -> bool {
        let path = String::from_utf8_lossy(path);
        let inside = path.get(self.folder.len()..).unwrap_or_default().trim_start_matches('/');
        let mut above = ParentMatches::default();
        let mut ignored = false;
        for end in inside.match_indices('/').map(|(at, _)| at).chain([inside.len()]) {
            match self.ignore.matches_beneath(&inside[..end], &above) {
                Ok((matched, here)) => (ignored, above) = (matched, here),
                Err(_) => return true,
            }
        }
        // Of what lies behind a submodule or a link, an exception may keep a part.
        !ignored || (opaque && self.ignore.patterns().iter().any(IgnorePattern::is_exception))
    }
}

/// The symbolic links on the way to a path, each from the top of the repository: when one of them is set to something
/// else, the path means other files.
fn links(repository: &Repository, root: &Path, path: &Path) -> Vec<String> {
    let Ok(rest) = path.strip_prefix(root) else { return Vec::new() };
    let Some(mut way) = repository.relative(root) else { return Vec::new() };
    let mut links = Vec::new();
    for part in rest.components() {
        match part {
            Component::Normal(name) => {
                let Some(name) = name.to_str() else { break };
                way = join(&way, name);
            }
            Component::ParentDir => match way.rsplit_once('/') {
                Some((above, _)) => way = above.to_owned(),
                None => way.clear(),
            },
            _ => {}
        }
        if repository.top().join(&way).is_symlink() {
            links.push(way.clone());
        }
    }
    links
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
