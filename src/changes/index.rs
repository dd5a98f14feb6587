//! Many patterns at once: which of them a path matches. The patterns of all services are asked together, because a
//! look at a path costs nearly the same for one pattern and for hundreds.

use std::collections::HashMap;

use globset::{Candidate, GlobSet, GlobSetBuilder};

use super::pattern::{Pattern, as_path, is_at_or_above, prefixes};
use crate::git::diff::Changed;

/// Patterns by the order in which they were given.
pub(super) struct Index {
    patterns: Vec<Pattern>,
    /// Those without a wildcard, by their path.
    literals: HashMap<Vec<u8>, Vec<usize>>,
    globs: GlobSet,
    /// Which patterns each glob is of: many services have some of them in common.
    of: Vec<Vec<usize>>,
}

impl Index {
    /// # Errors
    /// The patterns together are more than can be compiled.
    pub(super) fn new(patterns: Vec<Pattern>) -> Result<Self, globset::Error> {
        let mut literals: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        let mut alike: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, pattern) in patterns.iter().enumerate() {
            match pattern.literal() {
                Some(path) => literals.entry(path.as_bytes().to_owned()).or_default().push(index),
                None => alike.entry(&pattern.written).or_default().push(index),
            }
        }
        let mut globs = GlobSetBuilder::new();
        let mut of = Vec::new();
        for indices in alike.into_values() {
            for glob in patterns[indices[0]].globs() {
                globs.add(glob);
                of.push(indices.clone());
            }
        }
        Ok(Self { patterns, literals, globs: globs.build()?, of })
    }

    pub(super) fn pattern(&self, index: usize) -> &Pattern {
        &self.patterns[index]
    }

    /// The patterns that mean this path, each at least once.
    pub(super) fn matching(&self, path: &[u8], into: &mut Vec<usize>) {
        into.clear();
        for prefix in std::iter::once(&path[..0]).chain(prefixes(path)) {
            for index in self.literals.get(prefix).into_iter().flatten() {
                if prefix.len() < path.len() || !self.patterns[*index].is_below_only() {
                    into.push(*index);
                }
            }
        }
        if !self.of.is_empty() {
            let hits = self.globs.matches_candidate(&Candidate::new(as_path(path)));
            into.extend(hits.into_iter().flat_map(|hit| &self.of[hit]));
        }
    }

    /// The same for what may lie behind a submodule or a link: what `may` be meant counts where `wide` says so of the
    /// pattern, otherwise only what is meant for certain.
    pub(super) fn reaching(&self, changed: &Changed, wide: impl Fn(usize) -> bool, into: &mut Vec<usize>) {
        into.clear();
        let all = self.patterns.iter().enumerate();
        let hits = all.filter(|(index, pattern)| {
            if wide(*index) {
                let beneath = pattern.literal().is_some_and(|path| is_at_or_above(&changed.path, path.as_bytes()));
                beneath || pattern.may_reach(&changed.path)
            } else {
                pattern.covers(&changed.path)
            }
        });
        into.extend(hits.map(|(index, _)| index));
    }
}

#[cfg(test)]
mod tests {
    use super::Index;
    use crate::changes::pattern::Pattern;

    #[test]
    fn patterns_match_as_the_manual_says() {
        let rows: [(&str, &[&str], &[&str]); 15] = [
            ("api", &["api", "api/a", "api/b/c"], &["apis", "x/api", "API"]),
            ("api/", &["api/a", "api/b/c"], &["apis/a"]),
            ("api/**", &["api/a", "api/b/c"], &["api", "apis/a"]),
            ("/api/**", &["api/a"], &["x/api/a"]),
            ("./api", &["api/a"], &[]),
            ("**", &["a", "a/b", ".x/y"], &[]),
            (".", &["a", "a/b"], &[]),
            ("*.md", &["a.md", ".md"], &["a/b.md", "a.mdx"]),
            ("**/*.md", &["a.md", "a/b.md", "a/b/.c.md"], &["a.txt"]),
            ("a/*/c", &["a/b/c", "a/.b/c", "a/b/c/d"], &["a/c", "a/b/b/c"]),
            ("a/**/c", &["a/c", "a/b/c", "a/b/b/c/d"], &["a/b"]),
            ("a/{b,c}/?.py", &["a/b/x.py", "a/c/y.py"], &["a/d/x.py", "a/b/xy.py"]),
            ("a/[bc]", &["a/b", "a/c/d"], &["a/d"]),
            ("a\\*", &["a*"], &["ab"]),
            ("étage/**", &["étage/ü.txt"], &["etage/x"]),
        ];
        for (written, good, bad) in rows {
            let index = Index::new(vec![Pattern::new(written).unwrap()]).unwrap();
            let mut hits = Vec::new();
            for (path, expected) in good.iter().map(|path| (path, true)).chain(bad.iter().map(|path| (path, false))) {
                index.matching(path.as_bytes(), &mut hits);
                assert_eq!(!hits.is_empty(), expected, "{written} on {path}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_match_too() {
        let index = Index::new(vec![Pattern::new("a/*.c").unwrap(), Pattern::new("a").unwrap()]).unwrap();
        let mut hits = Vec::new();
        index.matching(b"a/\xff\n.c", &mut hits);
        hits.sort_unstable();
        assert_eq!(hits, [0, 1]);
    }
}
