//! One pattern: checked as Go's `filepath.Match` would, then turned into the comparison that moby uses for it.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

use super::go_regex;

/// A pattern that the build refuses, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadPattern(pub(crate) String);

impl std::fmt::Display for BadPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is not a pattern that .dockerignore knows", self.0)
    }
}

impl std::error::Error for BadPattern {}

#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// Cleaned, without the `!`.
    text: String,
    exception: bool,
    comparison: Comparison,
}

#[derive(Clone, Debug)]
enum Comparison {
    Exact,
    /// The text without its closing `**`.
    Prefix,
    /// The text without its opening `**`.
    Suffix,
    Expression(Regex),
    /// Well formed for `filepath.Match`, and still refused once it is used (moby#52203).
    Broken,
}

impl Pattern {
    /// `text` is cleaned and has lost its `!`.
    pub(super) fn new(text: &str, exception: bool) -> Result<Self, BadPattern> {
        if !is_well_formed(text) {
            return Err(BadPattern(text.to_owned()));
        }
        let comparison = match translate(text) {
            Translation::Exact => Comparison::Exact,
            Translation::Prefix => Comparison::Prefix,
            Translation::Suffix => Comparison::Suffix,
            Translation::Expression(expression) => {
                go_regex::compile(&expression).map_or(Comparison::Broken, Comparison::Expression)
            }
        };
        Ok(Self { text: text.to_owned(), exception, comparison })
    }

    /// Whether the path as a whole matches; parents are the matcher's business.
    pub(super) fn matches(&self, path: &str) -> Result<bool, BadPattern> {
        Ok(match &self.comparison {
            Comparison::Exact => path == self.text,
            Comparison::Prefix => path.starts_with(&self.text[..self.text.len() - 2]),
            Comparison::Suffix => {
                let suffix = &self.text[2..];
                path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path)
            }
            Comparison::Expression(regex) => regex.is_match(path),
            Comparison::Broken => return Err(BadPattern(self.text.clone())),
        })
    }

    pub(crate) fn is_exception(&self) -> bool {
        self.exception
    }

    /// The text without a closing `/**` and then `/*`: what a directory must lead to for the pattern to matter in it.
    pub(crate) fn stem(&self) -> &str {
        let text = self.text.strip_suffix("/**").unwrap_or(&self.text);
        text.strip_suffix("/*").unwrap_or(text)
    }

    /// Whether the stem has characters that only a comparison of whole paths can decide.
    pub(crate) fn has_glob_stem(&self) -> bool {
        self.stem().contains(['*', '[', ']', '?', '^', '\\'])
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Translation {
    Exact,
    Prefix,
    Suffix,
    /// In Go's dialect.
    Expression(String),
}

/// Which comparison moby chooses. Characters inside brackets get no special treatment, so `*` in a class becomes the
/// text `[^/]*` there: that is moby's behaviour and is kept.
pub(super) fn translate(pattern: &str) -> Translation {
    let mut expression = String::from("^");
    let mut kind = Translation::Exact;
    let regexp = || Translation::Expression(String::new());
    let mut chars = pattern.chars().peekable();
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                if chars.peek().is_some() {
                    expression.push_str("(.*/)?");
                    kind = regexp();
                } else if kind == Translation::Exact {
                    kind = Translation::Prefix;
                } else {
                    expression.push_str(".*");
                    kind = regexp();
                }
                if first {
                    kind = Translation::Suffix;
                }
            }
            '*' => {
                expression.push_str("[^/]*");
                kind = regexp();
            }
            '?' => {
                expression.push_str("[^/]");
                kind = regexp();
            }
            '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => {
                expression.push('\\');
                expression.push(c);
            }
            '\\' => {
                expression.push('\\');
                if let Some(next) = chars.next() {
                    expression.push(next);
                    kind = regexp();
                }
            }
            '[' | ']' => {
                expression.push(c);
                kind = regexp();
            }
            other => expression.push(other),
        }
        first = false;
    }
    match kind {
        Translation::Expression(_) => Translation::Expression(expression + "$"),
        other => other,
    }
}

/// Whether Go's `filepath.Match` would take the pattern.
fn is_well_formed(pattern: &str) -> bool {
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_none() => return false,
            '[' => {
                chars.next_if_eq(&'^');
                let mut ranges = 0;
                while ranges == 0 || chars.next_if_eq(&']').is_none() {
                    if bound(&mut chars).is_none() {
                        return false;
                    }
                    if chars.next_if_eq(&'-').is_some() && bound(&mut chars).is_none() {
                        return false;
                    }
                    ranges += 1;
                }
            }
            _ => {}
        }
    }
    true
}

/// One end of a range in brackets; `None` when there is no such thing here.
fn bound(chars: &mut Peekable<Chars<'_>>) -> Option<char> {
    let mut c = chars.next_if(|&c| c != '-' && c != ']')?;
    if c == '\\' {
        c = chars.next()?;
    }
    chars.peek()?;
    Some(c)
}

/// Whether one name matches a glob with no `**`, as Go's `filepath.Match` decides; a malformed glob matches nothing.
pub(crate) fn glob_matches(glob: &str, name: &str) -> bool {
    // `**` in `filepath.Match` is two stars, which mean what one means.
    let mut single = String::with_capacity(glob.len());
    for c in glob.chars() {
        if !(c == '*' && single.ends_with('*')) {
            single.push(c);
        }
    }
    Pattern::new(&single, false).and_then(|pattern| pattern.matches(name)).unwrap_or(false)
}
