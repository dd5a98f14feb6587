//! Packs a folder into a zip whose bytes depend on nothing but the files: sorted by the bytes of their paths, without
//! times, owners or any mode but "may be executed". The same files give the same SHA-256, whoever packs them and where.
//!
//! There are no entries for folders: git keeps no empty ones, so a checkout and the place it came from would differ.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::files::{Entry, Kind, NOTHING_CHANGED, broken, entries};
use crate::config::specification::Archive;
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
    pub(crate) sha256: [u8; 32],
    pub(crate) bytes: u64,
    pub(crate) files: u64,
}

/// Blocks for as long as it takes.
///
/// # Errors
/// As of `entries`; and a file cannot be read, or the temporary folder is full ([`Exit::Build`]).
pub(crate) fn pack(archive: &Archive, cancel: &CancellationToken) -> Result<Packed> {
    let entries = entries(archive, || !cancel.is_cancelled())?;
    let file = tempfile::tempfile().map_err(|error| no_space(&error))?;
    let mut zip = ZipWriter::new(BufWriter::with_capacity(CHUNK, file));
    for entry in &entries {
        unless_interrupted(cancel)?;
        add(&mut zip, entry, cancel)?;
    }
    let written = zip.finish().map_err(|error| no_space(&io::Error::from(error)))?;
    let file = written.into_inner().map_err(|error| no_space(error.error()))?;
    let (sha256, bytes) = digest(&file, cancel)?;
    if bytes > LARGEST {
        return Err(Error::new(Exit::Build, format!("the zip has {bytes} bytes, and S3 copies no object over 5 GiB"))
            .hint("leave out what is not needed with `exclude` in deploy.yaml"));
    }
    Ok(Packed { file, sha256, bytes, files: entries.len() as u64 })
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
    let unreadable = |error: io::Error| broken(&entry.name, &error);
    let mut file = File::open(&entry.full).map_err(unreadable)?;
    let begun = last_write(&file).map_err(unreadable)?;
    let mut buffer = vec![0; CHUNK];
    let mut copied = 0;
    loop {
        unless_interrupted(cancel)?;
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        zip.write_all(&buffer[..count]).map_err(|error| no_space(&error))?;
        copied += count as u64;
    }
    if copied == size && last_write(&file).map_err(unreadable)? == begun {
        return Ok(());
    }
    Err(Error::new(Exit::Build, format!("`{}` changed while it was packed", entry.name))
        .hint("run it again when nothing writes there"))
}

/// When it was written to last.
fn last_write(file: &File) -> io::Result<SystemTime> {
    file.metadata()?.modified()
}

fn digest(mut file: &File, cancel: &CancellationToken) -> Result<([u8; 32], u64)> {
    file.rewind().map_err(|error| no_space(&error))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        unless_interrupted(cancel)?;
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hash.finalize().into(), bytes)),
            Ok(count) => {
                hash.update(&buffer[..count]);
                bytes += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(no_space(&error)),
        }
    }
}

fn unless_interrupted(cancel: &CancellationToken) -> Result<()> {
    if cancel.is_cancelled() { Err(interrupted(NOTHING_CHANGED)) } else { Ok(()) }
}

fn no_space(error: &io::Error) -> Error {
    Error::new(Exit::Build, "the zip cannot be written to the temporary folder")
        .because(error)
        .hint("make room there, or name another with TMPDIR")
}
