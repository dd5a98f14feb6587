//! Packs a folder into a zip whose bytes depend on nothing but the files: sorted by the bytes of their paths, without
//! times, owners or any mode but "may be executed". The same files give the same SHA-256, whoever packs them and where.
//!
//! There are no entries for folders: git keeps no empty ones, so a checkout and the place it came from would differ.

use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::config::specification::Archive;
use crate::docker::{Filter, WalkError, walk};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::interrupt::interrupted;

/// `CopyObject` takes no larger object, and that is how a zip becomes the one that is live.
const LARGEST: u64 = 5 << 30;
/// From this size on an entry gets the 64-bit fields; what does not compress grows a little.
const LARGE_FILE: u64 = u32::MAX as u64 - (64 << 20);
/// zlib's default. It is part of what makes the same bytes, and so never changes.
const LEVEL: i64 = 6;
const CHUNK: usize = 128 << 10;

/// A packed folder, in a file that has no name: it is gone with this value, and with the process however that ends.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) file: File,
    /// Hexadecimal.
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    pub(crate) files: u64,
}

/// Blocks for as long as it takes.
///
/// # Errors
/// A file cannot be read or cannot be in a zip, there is none at all, or the temporary folder is full ([`Exit::Build`]);
/// interrupted ([`Exit::Interrupted`]).
pub(crate) fn pack(archive: &Archive, cancel: &CancellationToken) -> Result<Packed> {
    let entries = entries(archive)?;
    if entries.is_empty() {
        return Err(Error::new(Exit::Build, format!("there is no file to pack in {}", archive.context.display()))
            .hint("correct `context` or `exclude` in deploy.yaml"));
    }
    let file = tempfile::tempfile().map_err(|error| no_space(&error))?;
    let mut zip = ZipWriter::new(BufWriter::with_capacity(CHUNK, file));
    for entry in &entries {
        if cancel.is_cancelled() {
            return Err(interrupted("interrupted before anything was changed"));
        }
        add(&mut zip, entry, cancel)?;
    }
    let written = zip.finish().map_err(|error| no_space(&io::Error::from(error)))?;
    let file = written.into_inner().map_err(|error| no_space(error.error()))?;
    let (sha256, bytes) = digest(&file).map_err(|error| no_space(&error))?;
    if bytes > LARGEST {
        return Err(Error::new(Exit::Build, format!("the zip has {bytes} bytes, and S3 copies no object over 5 GiB"))
            .hint("leave out what is not needed with `exclude` in deploy.yaml"));
    }
    Ok(Packed { file, sha256, bytes, files: entries.len() as u64 })
}

/// Looks whether the folder can be packed, without packing it.
///
/// # Errors
/// As of `pack`, as far as they show without reading a file.
pub(crate) fn look(archive: &Archive) -> Result<usize> {
    entries(archive).map(|entries| entries.len())
}

struct Entry {
    /// With `/`, relative to the context.
    name: String,
    full: PathBuf,
    kind: Kind,
}

enum Kind {
    File {
        executable: bool,
        size: u64,
    },
    /// What it points to, as it is written.
    Link(String),
}

fn entries(archive: &Archive) -> Result<Vec<Entry>> {
    let root = &archive.context;
    let exclude = excluded(archive);
    let filter = Filter::new::<String>(&[], &exclude)
        .map_err(|bad| Error::new(Exit::Usage, bad.to_string()).hint("correct `exclude` in deploy.yaml"))?;
    let mut paths = Vec::new();
    walk(root, &filter, |stat| {
        paths.push(stat.path);
        true
    })
    .map_err(|error| unreadable(root, error))?;
    paths.sort_unstable();
    let described = paths.into_iter().filter_map(|name| entry(root, name).transpose());
    described.collect()
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
    let kind = if metadata.is_dir() {
        return Ok(None);
    } else if metadata.is_symlink() {
        Kind::Link(link(&name, &full)?)
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
fn link(name: &str, full: &Path) -> Result<String> {
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
    if !stays {
        return Err(leads_out());
    }
    target.to_str().map(str::to_owned).ok_or_else(|| not_utf8(full))
}

fn add<W: Write + Seek>(zip: &mut ZipWriter<W>, entry: &Entry, cancel: &CancellationToken) -> Result<()> {
    let options = SimpleFileOptions::DEFAULT
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .last_modified_time(DateTime::DEFAULT);
    match &entry.kind {
        Kind::Link(target) => zip
            .add_symlink(&entry.name, target, options.unix_permissions(0o777))
            .map_err(|error| no_space(&io::Error::from(error))),
        Kind::File { executable, size } => {
            let mode = if *executable { 0o755 } else { 0o644 };
            let options = options.unix_permissions(mode).large_file(*size >= LARGE_FILE);
            zip.start_file(&entry.name, options).map_err(|error| no_space(&io::Error::from(error)))?;
            copy(zip, entry, *size, cancel)
        }
    }
}

fn copy(zip: &mut impl Write, entry: &Entry, size: u64, cancel: &CancellationToken) -> Result<()> {
    let mut file = File::open(&entry.full).map_err(|error| broken(&entry.name, &error))?;
    let mut buffer = vec![0; CHUNK];
    let mut copied = 0;
    loop {
        if cancel.is_cancelled() {
            return Err(interrupted("interrupted before anything was changed"));
        }
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(&entry.name, &error)),
        };
        zip.write_all(&buffer[..count]).map_err(|error| no_space(&error))?;
        copied += count as u64;
    }
    if copied == size {
        return Ok(());
    }
    Err(Error::new(Exit::Build, format!("`{}` changed while it was packed", entry.name))
        .hint("run it again when nothing writes there"))
}

fn digest(mut file: &File) -> io::Result<(String, u64)> {
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hash.update(&buffer[..count]);
                bytes += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    file.seek(SeekFrom::Start(0))?;
    Ok((super::hex(&hash.finalize()), bytes))
}

fn broken(name: &str, error: &io::Error) -> Error {
    Error::new(Exit::Build, format!("`{name}` cannot be packed")).because(error)
}

fn no_space(error: &io::Error) -> Error {
    Error::new(Exit::Build, "the zip cannot be written to the temporary folder")
        .because(error)
        .hint("make room there, or name another with TMPDIR")
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
        WalkError::Pattern(bad) => Error::new(Exit::Usage, bad.to_string()).hint("correct `exclude` in deploy.yaml"),
        WalkError::Stopped => Error::new(Exit::Fault, "the walk over the files stopped"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use tokio_util::sync::CancellationToken;
    use zip::ZipArchive;

    use super::{Packed, pack};
    use crate::config::specification::{Archive, VersionedKey};
    use crate::error::Result;
    use crate::exit::Exit;

    fn packed(root: &Path, exclude: &[&str]) -> Result<Packed> {
        let archive = Archive {
            name: "docs".to_owned(),
            context: root.to_owned(),
            exclude: exclude.iter().map(|pattern| (*pattern).to_owned()).collect(),
            secrets: Vec::new(),
            bucket: "docs".to_owned(),
            key: VersionedKey { prefix: String::new(), suffix: String::new() },
            latest_key: String::new(),
            paths: None,
            ignore: Vec::new(),
            depends_on: Vec::new(),
        };
        pack(&archive, &CancellationToken::new())
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn names(packed: &Packed) -> Vec<String> {
        let mut zip = ZipArchive::new(packed.file.try_clone().unwrap()).unwrap();
        (0..zip.len()).map(|index| zip.by_index(index).unwrap().name().unwrap().into_owned()).collect()
    }

    #[test]
    fn the_same_files_are_the_same_bytes() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (root, order) in [(one.path(), ["b", "a/z", "a.txt"]), (other.path(), ["a.txt", "a/z", "b"])] {
            for path in order {
                write(root, path, path);
            }
            std::fs::create_dir(root.join(if order[0] == "b" { "empty" } else { "void" })).unwrap();
        }
        std::fs::set_permissions(one.path().join("b"), std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::set_permissions(other.path().join("b"), std::fs::Permissions::from_mode(0o664)).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        std::fs::File::options().write(true).open(other.path().join("b")).unwrap().set_modified(long_ago).unwrap();
        let (first, second) = (packed(one.path(), &[]).unwrap(), packed(other.path(), &[]).unwrap());
        assert_eq!(first.sha256, second.sha256);
        assert_eq!(names(&first), ["a.txt", "a/z", "b"], "sorted by the bytes of the whole path");
        assert_eq!(first.files, 3);
        std::fs::set_permissions(other.path().join("b"), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(packed(other.path(), &[]).unwrap().sha256, first.sha256, "whether it may be executed counts");
    }

    #[test]
    fn the_bytes_are_those_of_every_machine() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "app.py", "print('hello')\n");
        write(root.path(), "run.sh", "#!/bin/sh\n");
        std::fs::set_permissions(root.path().join("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        symlink("app.py", root.path().join("main.py")).unwrap();
        assert_eq!(packed(root.path(), &[]).unwrap().sha256, GOLDEN);
    }

    /// Whoever changes it makes every zip another one: all services of `kind: zip` are delivered again.
    const GOLDEN: &str = "5ab9a16acfb598db21ee09544290da6fcb7090a4ac5452efd90fe4d0c39e78f1";

    #[test]
    fn git_is_never_in_and_what_is_excluded_is_not() {
        let root = tempfile::tempdir().unwrap();
        for path in [".git/HEAD", "sub/.git", "app.py", "notes.md", "keep.md", "tests/a.py", "x/__pycache__/a.pyc"] {
            write(root.path(), path, "x");
        }
        let exclude = ["*.md", "!keep.md", "/tests", "**/__pycache__", "!.git", "! **/.git"];
        assert_eq!(names(&packed(root.path(), &exclude).unwrap()), ["app.py", "keep.md"]);
        let nothing = packed(root.path(), &["*"]).unwrap_err();
        assert_eq!(nothing.exit(), Exit::Build, "an empty zip would take the app away: {nothing}");
    }

    #[test]
    fn links_stay_links_unless_they_lead_out() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "a/b", "x");
        symlink("../a/b", root.path().join("a/link")).unwrap();
        let packed_once = packed(root.path(), &[]).unwrap();
        let mut zip = ZipArchive::new(packed_once.file.try_clone().unwrap()).unwrap();
        let mut link = zip.by_name("a/link").unwrap();
        assert!(link.is_symlink());
        let mut target = String::new();
        link.read_to_string(&mut target).unwrap();
        assert_eq!(target, "../a/b");
        for (name, target) in [("out", "../elsewhere"), ("absolute", "/etc/passwd"), ("a/deep", "../../x")] {
            let path = root.path().join(name);
            symlink(target, &path).unwrap();
            let error = packed(root.path(), &[]).unwrap_err();
            assert!(error.message().contains(&format!("`{name}` leads out of the zip: {target}")), "{error}");
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn what_a_zip_cannot_hold_is_refused_in_words() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "a", "x");
        let odd = root.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
        std::fs::write(&odd, "x").unwrap();
        assert!(packed(root.path(), &[]).unwrap_err().message().contains("not UTF-8"));
        std::fs::remove_file(odd).unwrap();
        let missing = packed(&root.path().join("missing"), &[]).unwrap_err();
        assert_eq!(missing.exit(), Exit::Usage, "{missing}");
    }

    #[test]
    fn an_interruption_ends_it() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "a", "x");
        let cancel = CancellationToken::new();
        cancel.cancel();
        let archive = Archive {
            name: String::new(),
            context: root.path().to_owned(),
            exclude: Vec::new(),
            secrets: Vec::new(),
            bucket: String::new(),
            key: VersionedKey { prefix: String::new(), suffix: String::new() },
            latest_key: String::new(),
            paths: None,
            ignore: Vec::new(),
            depends_on: Vec::new(),
        };
        assert_eq!(pack(&archive, &cancel).unwrap_err().exit(), Exit::Interrupted);
    }

    /// It takes a minute and 5 GB of zeros that are never on disk.
    #[test]
    #[ignore = "slow: run it with --include-ignored after a change here"]
    fn a_file_beyond_four_gibibytes_is_packed_with_64_bit_sizes() {
        let root = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(root.path().join("large")).unwrap();
        file.set_len(5 << 30).unwrap();
        let packed = packed(root.path(), &[]).unwrap();
        let mut zip = ZipArchive::new(packed.file).unwrap();
        assert_eq!(zip.by_index(0).unwrap().size(), 5 << 30);
    }
}
