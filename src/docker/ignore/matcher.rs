//! The ordered list of patterns: the last match wins, and a pattern that matches a directory matches what is beneath.

use super::go_path::{clean, parents};
use super::pattern::{BadPattern, Pattern};

#[derive(Clone, Debug, Default)]
pub(crate) struct Matcher {
    patterns: Vec<Pattern>,
}

/// Which patterns matched a directory, to be handed down to what is beneath it. The default is for the context root.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParentMatches(Vec<bool>);

impl Matcher {
    pub(crate) fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, BadPattern> {
        let mut list = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            let pattern = pattern.as_ref().trim();
            if pattern.is_empty() {
                continue;
            }
            let pattern = clean(pattern);
            list.push(match pattern.strip_prefix('!') {
                Some("") => return Err(BadPattern(pattern)),
                Some(rest) => Pattern::new(rest, true)?,
                None => Pattern::new(&pattern, false)?,
            });
        }
        Ok(Self { patterns: list })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub(crate) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    #[cfg(test)]
    pub(crate) fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(Pattern::is_exception)
    }

    /// Whether a path alone, with no walk that led to it, is matched.
    pub(crate) fn matches(&self, path: &str) -> Result<bool, BadPattern> {
        Ok(self.matches_beneath(path, &ParentMatches::default())?.0)
    }

    /// Whether a path is matched, given what matched its directory, and what to hand down if it is a directory itself.
    ///
    /// This is the form in which builders walk: `foo`, `!foo/baz`, `foo` keeps what is in `foo/baz`, which a question
    /// about one path alone does not.
    pub(crate) fn matches_beneath(
        &self,
        path: &str,
        above: &ParentMatches,
    ) -> Result<(bool, ParentMatches), BadPattern> {
        let mut matched = false;
        let mut here = vec![false; self.patterns.len()];
        for (index, pattern) in self.patterns.iter().enumerate() {
            let mut hit = above.0.get(index).copied().unwrap_or(false);
            if !hit {
                // A pattern that could not change the outcome is not asked.
                if pattern.is_exception() != matched {
                    continue;
                }
                hit = pattern.matches(path)?;
                if !hit && above.0.is_empty() {
                    for parent in parents(path) {
                        hit = pattern.matches(parent)?;
                        if hit {
                            break;
                        }
                    }
                }
            }
            here[index] = hit;
            if hit {
                matched = !pattern.is_exception();
            }
        }
        Ok((matched, ParentMatches(here)))
    }
}
