//! The patterns of `paths` and `ignore`, on paths from the top of the repository, byte for byte.
//!
//! `*` and `?` stay within one part of a path, `**` is any number of whole parts, a leading dot is like any other
//! character, and case counts. A folder's name means everything in it. These are neither the rules of `.gitignore` nor
//! those of `.dockerignore`.

use globset::{Glob, GlobBuilder, GlobMatcher};

/// One pattern, checked.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// As it is written in deploy.yaml.
    pub(crate) written: String,
    /// Without a slash at its beginning, and without `/` or `/**` at its end. Empty: the whole repository.
    core: String,
    /// It was written with `/**`, so the path `core` itself is not meant.
    below_only: bool,
    /// No character of `core` stands for others.
    literal: bool,
}

impl Pattern {
    /// # Errors
    /// What is wrong with it, as the end of the sentence "`PATTERN` …".
    pub(crate) fn new(written: &str) -> Result<Self, String> {
        let mut core = written;
        while let Some(rest) = core.strip_prefix("./").or_else(|| core.strip_prefix('/')) {
            core = rest;
        }
        if core == "." {
            core = "";
        }
        let mut below_only = false;
        loop {
            if let Some(rest) = core.strip_suffix("/**") {
                (core, below_only) = (rest, true);
            } else if let Some(rest) = core.strip_suffix('/') {
                core = rest;
            } else if core == "**" {
                (core, below_only) = ("", false);
            } else {
                break;
            }
        }
        if core.starts_with('!') {
            return Err("begins with `!`, which has no meaning here: what is left out stands under `ignore`".to_owned());
        }
        for part in core.split('/') {
            if part == ".." {
                return Err("leads out of the repository: there is no `..` in a pattern".to_owned());
            }
            if part != "**" && part.contains("**") {
                return Err("has `**` beside other characters: it stands for whole folders, as in `a/**/b`".to_owned());
            }
        }
        let literal = !core.contains(['*', '?', '[', ']', '{', '}', '\\']);
        let pattern = Self { written: written.to_owned(), core: core.to_owned(), below_only, literal };
        if !literal {
            pattern.glob("").map_err(|error| format!("is no pattern: {error}"))?;
        }
        Ok(pattern)
    }

    /// A pattern for exactly this path and what is beneath it.
    pub(super) fn exactly(path: &str) -> Self {
        Self { written: path.to_owned(), core: path.to_owned(), below_only: false, literal: true }
    }

    /// Its path, where no character of it stands for others.
    pub(super) fn literal(&self) -> Option<&str> {
        self.literal.then_some(self.core.as_str())
    }

    pub(super) fn is_below_only(&self) -> bool {
        self.below_only
    }

    /// The globs that together are this pattern.
    pub(super) fn globs(&self) -> impl Iterator<Item = Glob> {
        let itself = if self.below_only { None } else { self.glob("").ok() };
        itself.into_iter().chain(self.glob("/**").ok())
    }

    fn glob(&self, end: &str) -> Result<Glob, globset::ErrorKind> {
        let text = format!("{}{end}", self.core);
        GlobBuilder::new(&text).literal_separator(true).build().map_err(|error| error.kind().clone())
    }

    /// Whether all that may lie behind a submodule or a link at this path is meant.
    pub(super) fn covers(&self, path: &[u8]) -> bool {
        if let Some(literal) = self.literal() {
            return is_at_or_above(literal.as_bytes(), path);
        }
        self.itself().is_some_and(|glob| prefixes(path).any(|prefix| matches(&glob, prefix)))
    }

    /// Whether something behind a submodule or a link at this path may be meant: git says nothing of what is there, so
    /// a pattern that leads beneath it counts.
    pub(super) fn may_reach(&self, path: &[u8]) -> bool {
        if self.covers(path) {
            return true;
        }
        let depth = path.split(|byte| *byte == b'/').count();
        let parts: Vec<&str> = self.core.split('/').collect();
        // A brace or a class that holds a slash cannot be taken apart so: then it may lead anywhere.
        if parts.iter().any(|part| Glob::new(part).is_err()) {
            return true;
        }
        // From a `**` on, anything may follow.
        let open = parts.iter().position(|part| *part == "**");
        let head = &parts[..open.unwrap_or(parts.len()).min(depth)];
        if open.is_none() && parts.len() < depth {
            return false;
        }
        let above: Vec<u8> = path.split(|byte| *byte == b'/').take(head.len()).collect::<Vec<_>>().join(&b'/');
        head.is_empty() || beginning(&head.join("/")).is_some_and(|glob| matches(&glob, &above))
    }

    fn itself(&self) -> Option<GlobMatcher> {
        beginning(&self.core)
    }
}

fn beginning(text: &str) -> Option<GlobMatcher> {
    let built = GlobBuilder::new(text).literal_separator(true).build();
    built.ok().map(|glob| glob.compile_matcher())
}

fn matches(glob: &GlobMatcher, path: &[u8]) -> bool {
    glob.is_match(as_path(path))
}

/// Git's bytes as a path.
pub(super) fn as_path(path: &[u8]) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt as _;
    std::path::Path::new(std::ffi::OsStr::from_bytes(path))
}

/// `a`, `a/b`, `a/b/c` for `a/b/c`.
pub(super) fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    ends.chain([path.len()]).map(|end| &path[..end])
}

/// Whether `path` is `folder` or lies in it. The empty folder is the whole repository.
pub(super) fn is_at_or_above(folder: &[u8], path: &[u8]) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn what_is_no_pattern_is_refused_with_its_reason() {
        let cases = [
            ("../libs", "leads out"),
            ("a/../b", "leads out"),
            ("!docs", "under `ignore`"),
            ("api/**.py", "whole folders"),
            ("a**/b", "whole folders"),
            ("[a", "is no pattern"),
            ("{a,b", "is no pattern"),
        ];
        for (written, reason) in cases {
            let told = Pattern::new(written).unwrap_err();
            assert!(told.contains(reason), "{written}: {told}");
        }
        for good in ["api/**", "/api", "./api/", "**", ".", "**/*.md", "a/{b,c}/*.rs", "a b", ".github/**", "a..b"] {
            assert!(Pattern::new(good).is_ok(), "{good}");
        }
    }

    /// A submodule is one entry without files, whatever is behind it.
    #[test]
    fn a_pattern_that_leads_beneath_a_submodule_reaches_it() {
        let cases = [
            ("vend", "vend", true, true),
            ("vend/**", "vend", true, true),
            ("vend/src/**", "vend", true, false),
            ("vend/src/a.c", "vend", true, false),
            ("**/*.c", "vend", true, false),
            ("*/src/**", "vend", true, false),
            ("ven", "vend", false, false),
            ("vendor/**", "vend", false, false),
            ("libs/*", "libs/x", true, true),
            ("libs/*/y", "libs/x", true, false),
            ("libs/a*/y", "libs/x", false, false),
            ("libs", "libs/x", true, true),
            ("a", "libs/x", false, false),
            ("{a,libs/x}", "libs/x", true, true),
            ("{a,libs/x}/src/k", "a/src", true, false),
        ];
        for (written, path, reached, covered) in cases {
            let pattern = Pattern::new(written).unwrap();
            assert_eq!(pattern.may_reach(path.as_bytes()), reached, "{written} reaches {path}");
            assert_eq!(pattern.covers(path.as_bytes()), covered, "{written} covers {path}");
        }
    }
}
