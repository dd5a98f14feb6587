//! The files of the build context, as the engine would be sent them, to one digest: each path with its kind, its mode and
//! its content. Read in one walk and in pieces, so that memory grows neither with a file nor with the context.
//!
//! Times, owners and inodes do not count: they differ from clone to clone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::NoKey;
use super::record::Framed;
use crate::docker::{ContextFilter, Entry, EntryKind, WalkError, walk_context};

/// Bytes that are read at once.
const PIECE: usize = 128 * 1024;

/// Folders that are told apart in the explanation of a key.
const MOST_FOLDERS: usize = 64;

/// Bits of a mode that come from nothing but the umask of whoever made the clone.
const UMASK: u32 = 0o022;

/// How the pointer of Git LFS begins that stands where a file should be.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";

/// A context that was read.
#[derive(Clone, Debug)]
pub(crate) struct Hashed {
    pub(super) digest: [u8; 32],
    pub(super) snapshot: Snapshot,
    /// By folder, to a depth of one and of two; `None` where there are too many of them.
    folders: [Option<BTreeMap<String, [u8; 32]>>; 2],
}

impl Hashed {
    /// The finest folders that are not too many, and how deep they lie.
    pub(super) fn folders(&self) -> (u8, Vec<(&str, &[u8; 32])>) {
        for (depth, folders) in [(2, &self.folders[1]), (1, &self.folders[0])] {
            if let Some(folders) = folders {
                return (depth, folders.iter().map(|(name, digest)| (name.as_str(), digest)).collect());
            }
        }
        (0, Vec::new())
    }
}

/// How the files looked, with their times: two of them that are equal were taken of files that nobody touched between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot([u8; 32]);

impl Snapshot {
    /// Looks at every file again, and reads none. `None` where they cannot be looked at.
    pub(crate) fn take(context: &Path, dockerfile: &Path) -> Option<Self> {
        let filter = ContextFilter::of(context, dockerfile).ok()?;
        let mut snapshot = SnapshotMaker::begin(dockerfile)?;
        walk_context(context, &filter, |entry| {
            snapshot.add(&entry);
            true
        })
        .ok()?;
        Some(snapshot.finish())
    }
}

struct SnapshotMaker(Framed);

impl SnapshotMaker {
    fn begin(dockerfile: &Path) -> Option<Self> {
        let metadata = dockerfile.metadata().ok()?;
        let mut framed = Framed::default();
        framed.field(&metadata.mtime().to_be_bytes());
        framed.field(&metadata.mtime_nsec().to_be_bytes());
        framed.field(&metadata.size().to_be_bytes());
        Some(Self(framed))
    }

    fn add(&mut self, entry: &Entry) {
        self.0.field(entry.path.as_bytes());
        self.0.field(&entry.mode.to_be_bytes());
        // A folder's own times change with what is made and taken away in it for a moment; its content is what counts.
        if entry.kind != EntryKind::Directory {
            self.0.field(&entry.size.to_be_bytes());
            self.0.field(&entry.modified.to_be_bytes());
        }
    }

    fn finish(self) -> Snapshot {
        Snapshot(self.0.finish())
    }
}

/// Reads the whole context. Blocking.
pub(super) fn hash(context: &Path, dockerfile: &Path) -> Result<Hashed, NoKey> {
    let filter = ContextFilter::of(context, dockerfile).map_err(|error| NoKey::new(error.line()))?;
    let unreadable = || NoKey::new(format!("{} cannot be read", dockerfile.display()));
    let mut state = State {
        context,
        all: Framed::default(),
        snapshot: SnapshotMaker::begin(dockerfile).ok_or_else(unreadable)?,
        folders: [Some(BTreeMap::new()), Some(BTreeMap::new())],
        buffer: vec![0; PIECE],
    };
    let mut refused = None;
    let walked = walk_context(context, &filter, |entry| match state.add(&entry) {
        Ok(()) => true,
        Err(why) => {
            refused = Some(why);
            false
        }
    });
    match (refused, walked) {
        (Some(why), _) => Err(why),
        (None, Ok(())) => Ok(state.finish()),
        (None, Err(WalkError::Read(path, error))) => {
            Err(NoKey::new(format!("{} of the build context cannot be read: {error}", path.display())))
        }
        (None, Err(WalkError::NotUtf8(path))) => {
            Err(NoKey::new(format!("a name in the build context is not UTF-8: {}", path.display())))
        }
        (None, Err(WalkError::Pattern(error))) => Err(NoKey::new(error.to_string())),
        (None, Err(WalkError::Stopped)) => Err(NoKey::new("the build context could not be read to its end")),
    }
}

struct State<'c> {
    context: &'c Path,
    all: Framed,
    snapshot: SnapshotMaker,
    folders: [Option<BTreeMap<String, Framed>>; 2],
    buffer: Vec<u8>,
}

impl State<'_> {
    fn add(&mut self, entry: &Entry) -> Result<(), NoKey> {
        if entry.path.split('/').any(|name| name == ".git") {
            return Err(NoKey::new("`.git` is in the build context, and it is another in every clone")
                .hint("name it in .dockerignore"));
        }
        let mut one = Framed::default();
        one.field(entry.path.as_bytes());
        let mode = (entry.permissions & !UMASK).to_be_bytes();
        match entry.kind {
            EntryKind::Directory => {
                one.field(b"d");
                one.field(&mode);
            }
            EntryKind::Link => {
                // A link's own mode means nothing on Linux.
                one.field(b"l");
                one.field(entry.target.as_bytes());
            }
            EntryKind::File => {
                one.field(b"f");
                one.field(&mode);
                let (size, digest) = self.read(entry)?;
                one.field(&size.to_be_bytes());
                one.field(&digest);
            }
            EntryKind::Special => {
                return Err(NoKey::new(format!("{} is neither a file, nor a folder, nor a link", entry.path))
                    .hint("name it in .dockerignore"));
            }
        }
        let one = one.finish();
        self.all.field(&one);
        self.snapshot.add(entry);
        for (depth, folders) in self.folders.iter_mut().enumerate() {
            let Some(groups) = folders else { continue };
            groups.entry(group(entry, depth + 1)).or_default().field(&one);
            if groups.len() > MOST_FOLDERS {
                *folders = None;
            }
        }
        Ok(())
    }

    /// The file's size and the digest of its content, if it is the same file before and after.
    fn read(&mut self, entry: &Entry) -> Result<(u64, [u8; 32]), NoKey> {
        let failed =
            |error: std::io::Error| NoKey::new(format!("{} of the build context cannot be read: {error}", entry.path));
        let changed = || NoKey::new(format!("{} changed while it was read", entry.path));
        let mut file = File::open(self.context.join(&entry.path)).map_err(failed)?;
        let before = file.metadata().map_err(failed)?;
        if nanoseconds(&before) != entry.modified {
            return Err(changed());
        }
        let (mut digest, mut size, mut first) = (Sha256::new(), 0_u64, true);
        loop {
            let count = file.read(&mut self.buffer).map_err(failed)?;
            if count == 0 {
                break;
            }
            if std::mem::take(&mut first) && self.buffer[..count].starts_with(LFS_POINTER) {
                return Err(NoKey::new(format!("{} is a pointer of Git LFS, and not the file itself", entry.path))
                    .hint("fetch the files before the build: `git lfs pull`, or `clone: lfs: true` in Bitbucket"));
            }
            digest.update(&self.buffer[..count]);
            size += count as u64;
        }
        let after = file.metadata().map_err(failed)?;
        let same = before.size() == size && after.size() == size && nanoseconds(&after) == nanoseconds(&before);
        if same { Ok((size, digest.finalize().into())) } else { Err(changed()) }
    }

    fn finish(self) -> Hashed {
        let done = |groups: BTreeMap<String, Framed>| {
            groups.into_iter().map(|(name, framed)| (name, framed.finish())).collect()
        };
        Hashed {
            digest: self.all.finish(),
            snapshot: self.snapshot.finish(),
            folders: self.folders.map(|groups| groups.map(done)),
        }
    }
}

fn nanoseconds(metadata: &std::fs::Metadata) -> i64 {
    metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec())
}

/// The folder of an entry at this depth, or the entry itself where it lies higher. A folder belongs to itself.
fn group(entry: &Entry, depth: usize) -> String {
    entry.path.split('/').take(depth).collect::<Vec<_>>().join("/")
}
