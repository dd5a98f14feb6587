//! The whole context for whoever wants to know what a build would be sent, without a build: the same walk and the same
//! filter, in words that are not BuildKit's.

use std::path::Path;

use bollard_buildkit_proto::fsutil::types::Stat;

use super::stat::{has_content, is_directory, is_link, permissions};
use super::{Filter, WalkError, walk};
use crate::docker::ignore::locate;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// One path of the context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// From the root of the context, with `/`.
    pub(crate) path: String,
    pub(crate) kind: EntryKind,
    /// As the engine is told it.
    pub(crate) mode: u32,
    /// As the kernel has them: the lower twelve bits.
    pub(crate) permissions: u32,
    /// Bytes; 0 for the second name of a file, and for what has none.
    pub(crate) size: i64,
    /// Nanoseconds since 1970.
    pub(crate) modified: i64,
    /// Where a link leads, as it is written; empty for anything else.
    pub(crate) target: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    Directory,
    Link,
    /// A pipe or a device.
    Special,
}

/// What the ignore file in force lets through.
pub(crate) struct ContextFilter(Filter);

impl ContextFilter {
    /// # Errors
    /// The ignore file cannot be read, or has a pattern that the engine would refuse ([`Exit::Usage`]).
    pub(crate) fn of(context: &Path, dockerfile: &Path) -> Result<Self> {
        let file = locate(context, dockerfile)?;
        let patterns = file.as_ref().map_or(&[][..], |file| &file.patterns);
        Filter::new(&[], patterns).map(Self).map_err(|error| {
            Error::new(Exit::Usage, "the ignore file of the build context has a pattern that cannot be used")
                .because(&error)
        })
    }
}

/// Calls `visit` for every path that a build of the whole context would be sent, until it answers `false`: names in order
/// within a folder, a folder before what it holds.
pub(crate) fn walk_context(
    context: &Path,
    filter: &ContextFilter,
    mut visit: impl FnMut(Entry) -> bool,
) -> Result<(), WalkError> {
    walk(context, &filter.0, |stat| visit(entry(stat)))
}

fn entry(stat: Stat) -> Entry {
    let kind = if is_directory(stat.mode) {
        EntryKind::Directory
    } else if is_link(stat.mode) {
        EntryKind::Link
    } else if has_content(stat.mode) {
        EntryKind::File
    } else {
        EntryKind::Special
    };
    Entry {
        kind,
        permissions: permissions(stat.mode),
        mode: stat.mode,
        size: stat.size,
        modified: stat.mod_time,
        // The second name of a file has the first one here, which is no link.
        target: if kind == EntryKind::Link { stat.linkname } else { String::new() },
        path: stat.path,
    }
}
