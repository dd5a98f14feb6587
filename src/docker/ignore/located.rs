//! Which ignore file a build uses: `<Dockerfile>.dockerignore` beside the Dockerfile wins over `.dockerignore` in the
//! context root, and the two are never merged (BuildKit).
//!
//! The engine reads the file itself during a build; this is for those who want to know beforehand.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::file::parse;
use super::matcher::Matcher;
use crate::error::{Error, Result};
use crate::exit::Exit;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IgnoreFile {
    pub(crate) path: PathBuf,
    /// Relative to the context root, wherever the file lies.
    pub(crate) patterns: Vec<String>,
}

/// # Errors
/// The ignore file in force cannot be read, or has a pattern that the engine would refuse ([`Exit::Usage`]).
pub(crate) fn check(context: &Path, dockerfile: &Path) -> Result<()> {
    let Some(file) = locate(context, dockerfile)? else { return Ok(()) };
    Matcher::new(&file.patterns)
        .map(drop)
        .map_err(|error| Error::new(Exit::Usage, format!("{} cannot be used", file.path.display())).because(&error))
}

/// `None` when there is neither file.
pub(crate) fn locate(context: &Path, dockerfile: &Path) -> Result<Option<IgnoreFile>> {
    let mut specific = OsString::from(dockerfile);
    specific.push(".dockerignore");
    for path in [PathBuf::from(specific), context.join(".dockerignore")] {
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            Err(error) => {
                return Err(Error::new(Exit::Usage, format!("cannot read {}", path.display())).because(&error));
            }
        };
        let patterns = parse(&text)
            .map_err(|error| Error::new(Exit::Usage, format!("{} cannot be used", path.display())).because(&error))?;
        return Ok(Some(IgnoreFile { path, patterns }));
    }
    Ok(None)
}
