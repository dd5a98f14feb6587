//! A reader of Dockerfiles for one question: which images from outside does the build take? It follows BuildKit's own
//! grammar as far as it has to. What it cannot be sure of is no key; it never guesses.
//!
//! What a `RUN` fetches is not looked at, and neither is the ONBUILD of a base image: its digest stands for both.

mod expand;
mod lines;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::reader::Reader;
use super::NoKey;

/// An image from outside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Image {
    /// As the engine comes to see it, arguments filled in.
    pub(super) name: String,
    /// `OS/ARCH`, as `--platform` has it; `None`: the platform of the build.
    pub(super) platform: Option<String>,
}

/// What is known before the Dockerfile is read.
pub(super) struct Scope<'s> {
    pub(super) args: &'s BTreeMap<&'s str, &'s str>,
    /// `linux/amd64`
    pub(super) target: &'s str,
    /// Of the engine; `None` where there is none.
    pub(super) engine: Option<&'s str>,
}

/// The images that the build may take from outside, whatever its target: each once, in the order of their names.
pub(super) fn outside(text: &[u8], scope: &Scope<'_>) -> Result<Vec<Image>, NoKey> {
    let text = std::str::from_utf8(text).map_err(|_| NoKey::new("the Dockerfile is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if scope.args.contains_key("BUILDKIT_SYNTAX") {
        return Err(NoKey::new("the argument BUILDKIT_SYNTAX has the Dockerfile read by another program"));
    }
    let (directives, instructions) = lines::read(text)?;
    let mut reader = Reader::new(scope, directives.escape, &instructions);
    if let Some(syntax) = &directives.syntax {
        reader.frontend(syntax)?;
    }
    for instruction in &instructions {
        reader.take(instruction)?;
    }
    Ok(reader.into_images())
}
