//! Which files a zip is made of: what `exclude` leaves of the folder, as long as a zip can hold it and it means the same
//! wherever it is unpacked. Nothing is read of them here but where links lead.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use crate::config::specification::Archive;
use crate::docker::{Filter, WalkError, walk};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::interrupt::interrupted;

pub(super) const NOTHING_CHANGED: &str = "interrupted before anything was changed";

/// Looks whether the folder can be packed, without packing it.
///
/// # Errors
/// As of `entries`.
pub(crate) fn look(archive: &Archive) -> Result<usize> {
    entries(archive, || true).map(|entries| entries.len())
}

/// One that goes into the zip.
pub(super) struct Entry {
    /// With `/`, relative to the context.
    pub(super) name: String,
    pub(super) full: PathBuf,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    File {
        executable: bool,
        size: u64,
    },
    /// What it points to, as it is written.
    Link(String),
}

/// All of them, sorted by the bytes of their paths. The walk goes on for as long as `goes_on` says.
///
/// # Errors
/// The folder cannot be read or a pattern cannot be used ([`Exit::Usage`]); something cannot be in a zip, or there is
/// nothing at all ([`Exit::Build`]); it was told to stop ([`Exit::Interrupted`]).
pub(super) fn entries(archive: &Archive, goes_on: impl Fn() -> bool) -> Result<Vec<Entry>> {
    let root = &archive.context;
    let exclude = excluded(archive);
    let filter = Filter::new::<String>(&[], &exclude).map_err(|bad| unusable(&bad))?;
    let mut paths = Vec::new();
    walk(root, &filter, |stat| {
        paths.push(stat.path);
        goes_on()
    })
    .map_err(|error| unreadable(root, error))?;
    paths.sort_unstable();
    let described = paths.into_iter().filter_map(|name| entry(root, name).transpose());
    let entries: Vec<Entry> = described.collect::<Result<_>>()?;
    if entries.is_empty() {
        return Err(Error::new(Exit::Build, format!("there is no file to pack in {}", root.display()))
            .hint("correct `context` or `exclude` in deploy.yaml"));
    }
    Ok(entries)
}

/// What is left out, as patterns of a `.dockerignore`.
pub(crate) fn excluded(archive: &Archive) -> Vec<String> {
    let anchored = archive.exclude.iter().map(|pattern| anchored(pattern));
    // The last match wins, so nothing that is written can take it in again.
    anchored.chain(["**/.git".to_owned()]).collect()
}

/// Without the `/` that some write in front: every pattern is relative to the context anyway.
fn anchored(pattern: &str) -> String {
    let pattern = pattern.trim();
    match pattern.strip_prefix('!') {
        Some(rest) => format!("!{}", rest.trim().trim_start_matches('/')),
        None => pattern.trim_start_matches('/').to_owned(),
    }
}

/// `None` for a folder.
fn entry(root: &Path, name: String) -> Result<Option<Entry>> {
    let full = root.join(&name);
    let metadata = full.symlink_metadata().map_err(|error| broken(&name, &error))?;
    if metadata.is_dir() {
        return Ok(None);
    }
    if name.contains('\\') {
        let text =
            format!("`{name}` has a backslash in its name, which is unpacked as a folder by some and not by others");
        return Err(Error::new(Exit::Build, text).hint("rename it, or leave it out with `exclude` in deploy.yaml"));
    }
    let kind = if metadata.is_symlink() {
        Kind::Link(link(root, &name, &full)?)
    } else if metadata.is_file() {
        Kind::File { executable: is_executable(&metadata), size: metadata.len() }
    } else {
        return Err(Error::new(Exit::Build, format!("`{name}` is a pipe or a device, which a zip cannot hold"))
            .hint("leave it out with `exclude` in deploy.yaml"));
    };
    Ok(Some(Entry { name, full, kind }))
}

fn is_executable(metadata: &Metadata) -> bool {
    metadata.mode() & 0o111 != 0
}

/// The target, as long as it stays in the zip: elsewhere there is nothing behind any other.
fn link(root: &Path, name: &str, full: &Path) -> Result<String> {
    let target = std::fs::read_link(full).map_err(|error| broken(name, &error))?;
    let mut depth = name.matches('/').count();
    let stays = target.components().all(|step| match step {
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::CurDir => true,
        Component::ParentDir => {
            let inside = depth > 0;
            depth = depth.saturating_sub(1);
            inside
        }
        Component::RootDir | Component::Prefix(_) => false,
    });
    let leads_out = || {
        Error::new(Exit::Build, format!("the symbolic link `{name}` leads out of the zip: {}", target.display()))
            .hint("put the file itself there, or leave the link out with `exclude` in deploy.yaml")
    };
    // On its way there may be other links.
    let followed = |root: PathBuf| full.canonicalize().is_ok_and(|end| !end.starts_with(root));
    if !stays || root.canonicalize().is_ok_and(followed) {
        return Err(leads_out());
    }
    target.to_str().map(str::to_owned).ok_or_else(|| not_utf8(full))
}

pub(super) fn broken(name: &str, error: &io::Error) -> Error {
    Error::new(Exit::Build, format!("`{name}` cannot be packed")).because(error)
}

fn not_utf8(path: &Path) -> Error {
    Error::new(Exit::Build, format!("the name {} is not UTF-8, as names in a zip have to be", path.display()))
        .hint("rename it, or leave it out with `exclude` in deploy.yaml")
}

fn unreadable(root: &Path, error: WalkError) -> Error {
    match error {
        WalkError::Read(path, error) if path == root => {
            Error::new(Exit::Usage, format!("the folder {} cannot be read", root.display()))
                .because(&error)
                .hint("correct `context` in deploy.yaml: it is relative to that file")
        }
        WalkError::Read(path, error) => {
            Error::new(Exit::Build, format!("{} cannot be packed", path.display())).because(&error)
        }
        WalkError::NotUtf8(path) => not_utf8(&path),
        WalkError::Pattern(bad) => unusable(&bad),
        WalkError::Stopped => interrupted(NOTHING_CHANGED),
    }
}

fn unusable(bad: &impl std::fmt::Display) -> Error {
    Error::new(Exit::Usage, bad.to_string()).hint("correct `exclude` in deploy.yaml")
}
