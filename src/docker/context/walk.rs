//! The walk over a context: every wanted path in fsutil's order (names sorted within a directory, a directory before
//! what it holds), each with its stat. Files are not opened here.

use std::ffi::OsString;
use std::fs::FileType;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use bollard_buildkit_proto::fsutil::types::Stat;

use super::filter::{Above, Decision, Filter};
use super::follow::is_absent;
use super::stat::{HardLinks, stat};
use crate::docker::ignore::BadPattern;

#[derive(Debug)]
pub(crate) enum WalkError {
    Read(PathBuf, io::Error),
    /// A name, or the target of a link, that BuildKit's messages cannot carry.
    NotUtf8(PathBuf),
    Pattern(BadPattern),
    /// The receiver of the walk wants no more.
    Stopped,
}

/// Calls `visit` for every wanted path beneath `root`, until it answers `false`.
///
/// What vanishes while the walk is under way is passed over, as if it had never been there. A directory that may not be
/// read is an error only when it is wanted.
pub(crate) fn walk(root: &Path, filter: &Filter, mut visit: impl FnMut(Stat) -> bool) -> Result<(), WalkError> {
    let mut links = HardLinks::default();
    let mut open = vec![Directory::read(root.to_owned(), String::new(), Above::default(), None)?];
    while let Some(directory) = open.last_mut() {
        let Some((name, kind)) = directory.entries.pop() else {
            open.pop();
            continue;
        };
        let full = directory.full.join(&name);
        // BuildKit has no use for a socket, and tar has no word for it.
        if kind.is_socket() {
            continue;
        }
        let shown = name.to_string_lossy();
        let path = if directory.path.is_empty() { shown.into_owned() } else { format!("{}/{shown}", directory.path) };
        let (decision, above) = filter.decide(&path, kind.is_dir(), &directory.above).map_err(WalkError::Pattern)?;
        if decision == Decision::Prune || (decision == Decision::Skip && !kind.is_dir()) {
            continue;
        }
        let is_utf8 = directory.is_utf8 && name.to_str().is_some();
        if decision == Decision::Keep && !is_utf8 {
            return Err(WalkError::NotUtf8(full));
        }
        let described = match describe(&full, &path, &mut links) {
            Ok(Some(described)) => described,
            Ok(None) => continue,
            Err(error) => return Err(error),
        };
        if decision == Decision::Keep {
            // Directories that were not wanted themselves are announced now that something beneath them is.
            for directory in &mut open {
                if let Some(pending) = directory.pending.take()
                    && !visit(pending)
                {
                    return Err(WalkError::Stopped);
                }
            }
        }
        if !kind.is_dir() {
            if !visit(described) {
                return Err(WalkError::Stopped);
            }
            continue;
        }
        let pending = if decision == Decision::Keep {
            if !visit(described) {
                return Err(WalkError::Stopped);
            }
            None
        } else {
            Some(described)
        };
        match Directory::read(full, path, above, pending) {
            Ok(directory) => open.push(Directory { is_utf8, ..directory }),
            Err(WalkError::Read(_, error)) if is_absent(&error) => {}
            Err(WalkError::Read(_, error))
                if decision == Decision::Skip && error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `None` when it vanished since its directory was read.
fn describe(full: &Path, path: &str, links: &mut HardLinks) -> Result<Option<Stat>, WalkError> {
    let described = full.symlink_metadata().and_then(|metadata| stat(full, path, &metadata, links));
    match described {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(WalkError::NotUtf8(full.to_owned())),
        Err(error) => Err(WalkError::Read(full.to_owned(), error)),
    }
}

/// A directory that is being walked.
struct Directory {
    full: PathBuf,
    path: String,
    above: Above,
    /// Whether `path` is the true path; otherwise nothing beneath it can be sent.
    is_utf8: bool,
    /// Its own stat, for as long as nothing beneath it made it wanted.
    pending: Option<Stat>,
    /// What is left of its entries; the next one is last.
    entries: Vec<(OsString, FileType)>,
}

impl Directory {
    fn read(full: PathBuf, path: String, above: Above, pending: Option<Stat>) -> Result<Self, WalkError> {
        match entries(&full) {
            Ok(entries) => Ok(Self { full, path, above, is_utf8: true, pending, entries }),
            Err(error) => Err(WalkError::Read(full, error)),
        }
    }
}

fn entries(directory: &Path) -> io::Result<Vec<(OsString, FileType)>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type() {
            Ok(kind) => entries.push((entry.file_name(), kind)),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
        }
    }
    entries.sort_by(|(a, _), (b, _)| b.cmp(a));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{WalkError, walk};
    use crate::docker::context::Filter;

    fn sent(root: &std::path::Path, include: &[&str], exclude: &[&str]) -> Vec<String> {
        let mut paths = Vec::new();
        walk(root, &Filter::new(include, exclude).unwrap(), |stat| {
            paths.push(stat.path);
            true
        })
        .unwrap();
        paths
    }

    #[test]
    fn the_walk_is_that_of_buildkit_and_not_of_the_classic_builder() {
        let root = tempfile::tempdir().unwrap();
        for file in ["a/b/main.go", "a/b/main.c", "foo/baz/x", "foo/baz/y", "foo/z", "top.go"] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        for (include, exclude, expected) in [
            // The classic builder enters no ignored folder for the sake of a glob; BuildKit does.
            (&[][..], &["*", "!**/*.go"][..], &["a", "a/b", "a/b/main.go", "top.go"][..]),
            (&[], &["*", "!f*/baz/x"], &["foo", "foo/baz", "foo/baz/x"]),
            // What a question about one path alone would get wrong.
            (&[], &["*", "!foo/baz", "foo"], &["foo", "foo/baz", "foo/baz/x", "foo/baz/y"]),
            (&["foo", "a/b/*.c"], &["foo/baz/y"], &["a", "a/b", "a/b/main.c", "foo", "foo/baz", "foo/baz/x", "foo/z"]),
        ] {
            assert_eq!(sent(root.path(), include, exclude), expected, "{include:?} {exclude:?}");
        }
    }

    #[test]
    fn an_ignored_folder_is_not_even_opened() {
        let root = tempfile::tempdir().unwrap();
        let locked = root.path().join("locked");
        std::fs::create_dir(&locked).unwrap();
        std::fs::write(locked.join("f"), "").unwrap();
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
        assert!(sent(root.path(), &[], &["locked"]).is_empty());
        // The superuser may read it anyway.
        let outcome = walk(root.path(), &Filter::new::<&str>(&[], &[]).unwrap(), |_| true);
        if std::fs::read_dir(&locked).is_err() {
            assert!(matches!(outcome, Err(WalkError::Read(path, _)) if path == locked));
        }
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
}
