//! `.dockerignore` as moby reads it: the file (`file`), one pattern (`pattern`) and the ordered list (`matcher`).
//!
//! These are not gitignore's rules. A pattern is anchored at the context root, the last match wins, and `**` and
//! character classes go through Go's regular expressions, oddities included.

mod file;
mod go_path;
mod go_regex;
mod located;
mod matcher;
mod pattern;
#[cfg(test)]
mod vectors;

pub(crate) use located::{check, locate};
pub(crate) use matcher::{Matcher, ParentMatches};
pub(crate) use pattern::{BadPattern, Pattern};

pub(super) use go_path::clean;
pub(super) use pattern::glob_matches;

#[cfg(test)]
use file::parse;
