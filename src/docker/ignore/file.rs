//! The text of a `.dockerignore` file, to its list of patterns. Whether a pattern is well formed is not asked here.

use super::go_path::clean;

/// The longest line that moby's reader takes, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// A line that is too long, by its number from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineTooLong(pub(crate) usize);

impl std::fmt::Display for LineTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} is longer than 64 KiB", self.0)
    }
}

impl std::error::Error for LineTooLong {}

/// Reads the patterns of a file. Comments count only in the first column, before any trimming; a leading slash is
/// dropped, because every pattern is anchored at the context root anyway.
pub(crate) fn parse(content: &[u8]) -> Result<Vec<String>, LineTooLong> {
    let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
    let mut patterns = Vec::new();
    for (index, line) in content.split(|&byte| byte == b'\n').enumerate() {
        if line.len() >= LONGEST_LINE {
            return Err(LineTooLong(index + 1));
        }
        if line.starts_with(b"#") {
            continue;
        }
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let (exception, text) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        let mut pattern = if text.is_empty() { String::new() } else { clean(text) };
        if pattern.len() > 1 && pattern.starts_with('/') {
            pattern.remove(0);
        }
        if exception {
            pattern.insert(0, '!');
        }
        patterns.push(pattern);
    }
    Ok(patterns)
}

#[cfg(test)]
mod tests {
    use super::{LineTooLong, parse};

    #[test]
    fn reads_what_moby_reads() {
        let text = "\u{feff}./Dockerfile\r\n#comment\n  #2\n\n! keep/\n/\n!/\n/a//b/../c";
        assert_eq!(parse(text.as_bytes()).unwrap(), ["Dockerfile", "#2", "!keep", "/", "!/", "a/c"]);
    }

    #[test]
    fn a_line_beyond_the_limit_is_refused_by_number() {
        let text = format!("a\n{}\n", "x".repeat(64 * 1024));
        assert_eq!(parse(text.as_bytes()), Err(LineTooLong(2)));
    }
}
