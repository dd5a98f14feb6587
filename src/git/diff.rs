//! Which files differ: between two commits, and between HEAD and the working tree. Paths are bytes, as git has them.
//!
//! The plumbing is asked with two explicit commits: it reads none of the user's settings for `git diff`, reports both
//! sides of a rename, and says what a merge commit brought.

use super::Repository;
use super::program::git_raw;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::redact::sanitize;

/// A file that differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Changed {
    /// From the top of the repository, `/` between its parts.
    pub(crate) path: Vec<u8>,
    /// A submodule or a symbolic link, before or after: what lies behind it is not in this tree.
    pub(crate) opaque: bool,
}

impl Changed {
    /// For people: what is not UTF-8 or would disturb a terminal is replaced.
    pub(crate) fn shown(&self) -> String {
        sanitize(&String::from_utf8_lossy(&self.path)).replace(['\n', '\t'], "?")
    }
}

impl Repository {
    /// Every file that differs between two commits, given as full hashes. No limit, and no ancestry is needed.
    ///
    /// # Errors
    /// git cannot read one of the two ([`Exit::Usage`]).
    pub(crate) async fn diff(&self, base: &str, head: &str) -> Result<Vec<Changed>> {
        let options = ["--raw", "--no-abbrev", "--no-renames", "--ignore-submodules=none", "--end-of-options"];
        // What others wrote may be the name of something else than a commit.
        let (from, to) = (format!("{base}^{{commit}}"), format!("{head}^{{commit}}"));
        let args = [&["diff-tree", "-r", "-z"], &options[..], &[&from, &to, "--"]].concat();
        let answer = git_raw(&self.top, &args).await?;
        if !answer.success {
            return Err(Error::new(Exit::Usage, format!("git cannot compare {base} with {head}"))
                .cause(format!("git says: {}", sanitize(answer.error.trim()))));
        }
        parse_raw(&answer.output)
            .ok_or_else(|| Error::new(Exit::Usage, "the answer of git diff-tree is not understood"))
    }

    /// Every file of the working tree that differs from HEAD, those that git does not know included, those that it is
    /// told to ignore not.
    ///
    /// # Errors
    /// The working tree cannot be read ([`Exit::Usage`]).
    pub(crate) async fn uncommitted_files(&self) -> Result<Vec<Changed>> {
        let args =
            ["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=none"];
        let answer = git_raw(&self.top, &args).await?;
        if !answer.success {
            return Err(Error::new(Exit::Usage, "cannot tell what is not committed")
                .cause(format!("git says: {}", sanitize(answer.error.trim()))));
        }
        // `XY path`, each ended by NUL.
        let paths = answer.output.split(|byte| *byte == 0).filter_map(|entry| entry.get(3..));
        Ok(paths.map(|path| self.in_the_tree(path)).collect())
    }

    /// Every file of a commit.
    ///
    /// # Errors
    /// git cannot read it ([`Exit::Usage`]).
    pub(crate) async fn tracked(&self, commit: &str) -> Result<Vec<Changed>> {
        let answer = git_raw(&self.top, &["ls-tree", "-r", "-z", "--full-tree", commit, "--"]).await?;
        if !answer.success {
            return Err(Error::new(Exit::Usage, format!("git cannot list the files of {commit}"))
                .cause(format!("git says: {}", sanitize(answer.error.trim()))));
        }
        Ok(answer.output.split(|byte| *byte == 0).filter_map(entry_of_tree).collect())
    }

    /// A repository within the repository is told with a slash at its end, or as a folder.
    fn in_the_tree(&self, path: &[u8]) -> Changed {
        use std::os::unix::ffi::OsStrExt as _;
        let trimmed = path.strip_suffix(b"/").unwrap_or(path);
        let there = self.top.join(std::ffi::OsStr::from_bytes(trimmed)).symlink_metadata();
        let opaque = there.is_ok_and(|found| found.is_dir() || found.is_symlink());
        Changed { path: trimmed.to_owned(), opaque }
    }
}

/// `MODE TYPE ID`, a tab, `PATH`.
fn entry_of_tree(entry: &[u8]) -> Option<Changed> {
    let tab = entry.iter().position(|byte| *byte == b'\t')?;
    let opaque = is_opaque(entry.split(|byte| *byte == b' ').next()?);
    Some(Changed { path: entry[tab + 1..].to_owned(), opaque })
}

/// The modes of a submodule and of a symbolic link.
fn is_opaque(mode: &[u8]) -> bool {
    matches!(mode, b"160000" | b"120000")
}

/// `:OLDMODE NEWMODE OLDID NEWID STATUS`, NUL, `PATH`, NUL, and so on. `None` where it is not that.
fn parse_raw(output: &[u8]) -> Option<Vec<Changed>> {
    let mut fields = output.split(|byte| *byte == 0);
    let mut changed = Vec::new();
    while let Some(head) = fields.next() {
        if head.is_empty() {
            return fields.next().is_none().then_some(changed);
        }
        let mut words = head.strip_prefix(b":")?.split(|byte| *byte == b' ');
        let modes = [words.next()?, words.next()?];
        let path = fields.next().filter(|path| !path.is_empty())?;
        let opaque = modes.iter().any(|mode| is_opaque(mode));
        changed.push(Changed { path: path.to_owned(), opaque });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Changed, parse_raw};

    #[test]
    fn records_of_diff_tree_are_taken_apart() {
        let file = |path: &[u8], opaque| Changed { path: path.to_owned(), opaque };
        let ids = format!("{} {}", "a".repeat(40), "b".repeat(40));
        let text = format!(
            ":100644 100755 {ids} M\0a b\n\0:160000 160000 {ids} M\0vend\0:120000 000000 {ids} D\0link\0:000000 100644 \
             {ids} A\0"
        );
        let mut bytes = text.into_bytes();
        bytes.extend(b"\xff:x\0");
        let expected = [file(b"a b\n", false), file(b"vend", true), file(b"link", true), file(b"\xff:x", false)];
        assert_eq!(parse_raw(&bytes).unwrap(), expected);
        assert_eq!(parse_raw(b"").unwrap(), []);
        for broken in [&b"M\0a\0"[..], b":100644", b":100644 100644 a b M\0", b":1 2 a b M\0a"] {
            assert_eq!(parse_raw(broken), None, "{broken:?}");
        }
    }
}
