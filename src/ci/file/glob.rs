//! Patterns of branches, as pipeline files write them.

use globset::GlobBuilder;

/// Whether the pattern takes the branch. `*` stays within a `/`, `**` does not; a pattern that is none takes nothing but
/// itself.
pub(crate) fn matches(pattern: &str, branch: &str) -> bool {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    pattern == branch || glob.is_ok_and(|glob| glob.compile_matcher().is_match(branch))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_of_branches() {
        for (pattern, branch, takes) in [
            ("main", "main", true),
            ("main", "mainline", false),
            ("release/*", "release/1", true),
            ("release/*", "release/1/2", false),
            ("**", "release/1/2", true),
            ("{main,master}", "master", true),
            ("[", "[", true),
            ("[", "x", false),
        ] {
            assert_eq!(matches(pattern, branch), takes, "{pattern} {branch}");
        }
    }
}
