//! Which paths of a directory the engine wants to see: include patterns, and the exclude patterns of `.dockerignore`.
//! Pure; the decisions are fsutil's, which BuildKit walks with.

use crate::docker::ignore::{BadPattern, Matcher, ParentMatches, Pattern};

pub(crate) struct Filter {
    include: Matcher,
    exclude: Matcher,
    /// Every include pattern is a plain path up to its last element, so a directory can be ruled out by its name.
    plain_includes: bool,
    /// The same of the exceptions (`!`) among the exclude patterns.
    plain_exceptions: bool,
}

/// What was decided of a directory, for the paths beneath it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Above {
    include: ParentMatches,
    exclude: ParentMatches,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Keep,
    /// Not wanted itself; something beneath it may be.
    Skip,
    /// Neither it nor anything beneath it.
    Prune,
}

impl Filter {
    pub(crate) fn new<S: AsRef<str>>(include: &[S], exclude: &[S]) -> Result<Self, BadPattern> {
        let include = Matcher::new(include)?;
        let exclude = Matcher::new(exclude)?;
        Ok(Self {
            plain_includes: !include.patterns().iter().any(|p| !p.is_exception() && p.has_glob_stem()),
            plain_exceptions: !exclude.patterns().iter().any(|p| p.is_exception() && p.has_glob_stem()),
            include,
            exclude,
        })
    }

    pub(crate) fn decide(
        &self,
        path: &str,
        is_directory: bool,
        above: &Above,
    ) -> Result<(Decision, Above), BadPattern> {
        let mut here = Above::default();
        let mut decision = Decision::Keep;
        if !self.include.is_empty() {
            let (wanted, matches) = self.include.matches_beneath(path, &above.include)?;
            here.include = matches;
            if !wanted {
                let leads = |p: &Pattern| !p.is_exception() && leads_to(path, p);
                if is_directory && self.plain_includes && !self.include.patterns().iter().any(leads) {
                    return Ok((Decision::Prune, here));
                }
                decision = Decision::Skip;
            }
        }
        if !self.exclude.is_empty() {
            let (ignored, matches) = self.exclude.matches_beneath(path, &above.exclude)?;
            here.exclude = matches;
            if ignored {
                let leads = |p: &Pattern| p.is_exception() && leads_to(path, p);
                if is_directory && self.plain_exceptions && !self.exclude.patterns().iter().any(leads) {
                    return Ok((Decision::Prune, here));
                }
                decision = Decision::Skip;
            }
        }
        Ok((decision, here))
    }

    #[cfg(test)]
    /// Whether a path alone is visible, with no walk that led to it.
    pub(crate) fn shows(&self, path: &str) -> Result<bool, BadPattern> {
        Ok((self.include.is_empty() || self.include.matches(path)?) && !self.exclude.matches(path)?)
    }
}

/// Whether the directory is on the way to what the pattern names, or is it.
fn leads_to(directory: &str, pattern: &Pattern) -> bool {
    let stem = pattern.stem();
    stem.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
