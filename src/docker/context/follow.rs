//! The paths that a build names literally (`COPY a b`), with the symbolic links on the way to them. Only these are
//! walked then, which is what makes a small COPY out of a large context fast.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::docker::ignore::{clean, glob_matches};

/// The include patterns that stand for `paths` beneath `root`; `None` when one of them is the root itself, so that
/// nothing is filtered. A link that leads out of the context is read as if the context were the root directory.
pub(crate) fn follow(root: &Path, paths: &[String]) -> io::Result<Option<Vec<String>>> {
    let mut resolved = BTreeSet::new();
    // Links may lead to further links: a work list in place of recursion, so that no chain can exhaust the stack.
    let mut pending: Vec<String> = paths.iter().rev().cloned().collect();
    while let Some(path) = pending.pop() {
        resolve(root, &path, &mut resolved, &mut pending)?;
    }
    Ok(without_nested(resolved.into_iter()))
}

fn resolve(root: &Path, path: &str, resolved: &mut BTreeSet<String>, pending: &mut Vec<String>) -> io::Result<()> {
    let mut current = String::from(".");
    let mut rest = path;
    loop {
        let (element, after) = rest.split_once('/').unwrap_or((rest, ""));
        current = clean(&format!("{current}/{element}"));
        rest = after;
        let targets = targets(root, &current)?;
        if targets.is_empty() && !rest.is_empty() {
            continue;
        }
        if resolved.insert(current) {
            pending.extend(targets.iter().rev().map(|target| clean(&format!("{target}/{rest}"))));
        }
        return Ok(());
    }
}

/// Where the links of this name lead, from the root; empty when it is no link or does not exist. The last element may
/// be a glob.
fn targets(root: &Path, path: &str) -> io::Result<Vec<String>> {
    let (directory, name) = path.rsplit_once('/').unwrap_or((".", path));
    if !has_wildcard(name) {
        return Ok(link(root, path)?.into_iter().collect());
    }
    let entries = match std::fs::read_dir(root.join(directory)) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(entry) = entry?.file_name().into_string()
            && glob_matches(name, &entry)
        {
            names.push(entry);
        }
    }
    names.sort();
    let mut found = Vec::new();
    for name in names {
        found.extend(link(root, &clean(&format!("{directory}/{name}")))?);
    }
    Ok(found)
}

fn link(root: &Path, path: &str) -> io::Result<Option<String>> {
    let full = root.join(path);
    let metadata = match std::fs::symlink_metadata(&full) {
        Ok(metadata) => metadata,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !metadata.is_symlink() {
        return Ok(None);
    }
    let target = std::fs::read_link(&full)?;
    let target = target.to_string_lossy();
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    Ok(Some(if target.starts_with('/') { clean(&target) } else { clean(&format!("/{directory}/{target}")) }))
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn has_wildcard(name: &str) -> bool {
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// Drops what lies beneath another path of the list, which is sorted.
fn without_nested(paths: impl Iterator<Item = String>) -> Option<Vec<String>> {
    let mut kept: Vec<String> = Vec::new();
    for path in paths {
        if path == "." {
            return None;
        }
        let nested = kept.last().is_some_and(|last| path.strip_prefix(last).is_some_and(|rest| rest.starts_with('/')));
        if !nested {
            kept.push(path);
        }
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::follow;

    #[test]
    fn a_link_to_itself_and_a_link_out_of_the_context_come_to_an_end() {
        let root = tempfile::tempdir().unwrap();
        symlink("loop/loop", root.path().join("loop")).unwrap();
        symlink("../../etc/passwd", root.path().join("out")).unwrap();
        let found = follow(root.path(), &["loop/x".into(), "out".into(), "absent/file".into()]).unwrap();
        assert_eq!(found.unwrap(), ["absent/file", "etc/passwd", "loop", "out"]);
    }

    #[test]
    fn the_root_itself_filters_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(follow(root.path(), &["a".into(), ".".into()]).unwrap(), None);
    }
}
