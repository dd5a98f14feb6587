//! What holds for any files and any patterns.

use proptest::prelude::*;

use super::{DOCKERFILE, changed_since};
use crate::support::Project;

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "lib", "x.md", ".h", "é"]).prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 1..4).prop_map(|parts| parts.join("/"))
}

fn pattern() -> impl Strategy<Value = String> {
    let part = prop_oneof![name(), Just("*".to_owned()), Just("**".to_owned()), Just("{a,b}".to_owned())];
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"))
}

/// What a pattern means, part by part: another way than the binary's.
fn means(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], _) => true,
        (["**"], rest) => !rest.is_empty(),
        (["**", more @ ..], rest) => (0..=rest.len()).any(|skipped| means(more, &rest[skipped..])),
        (_, []) => false,
        ([first, more @ ..], [part, rest @ ..]) => {
            let fits = match *first {
                "*" => true,
                "{a,b}" => matches!(*part, "a" | "b"),
                word => word == *part,
            };
            fits && means(more, rest)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// `unchanged` is never said when any changed file is meant by a pattern, and `changed` only then.
    #[test]
    fn unchanged_means_that_no_changed_file_matches(
        files in prop::collection::btree_set(path(), 1..6),
        paths in prop::collection::vec(pattern(), 1..4),
        ignore in prop::collection::vec(pattern(), 0..2),
    ) {
        let list = |patterns: &[String]| serde_json::to_string(patterns).expect("JSON");
        let manifest = format!(
            "version: 1\nenvironments: {{ dev: {{ branch: develop }} }}\nservices:\n  s: {{ context: own, paths: {}, ignore: {}, \
             repository: ss }}\n",
            list(&paths), list(&ignore)
        );
        let project = Project::new().file("deploy.yaml", &manifest).file("own/Dockerfile", DOCKERFILE).committed();
        let mut written = Vec::new();
        for file in &files {
            // A file cannot be a folder too.
            let path = project.path(file);
            if std::fs::create_dir_all(path.parent().expect("a parent")).is_ok() && std::fs::write(&path, "x").is_ok() {
                written.push(file.clone());
            }
        }
        project.git(&["add", "--all"]);
        project.git(&["commit", "--quiet", "--message", "Change something"]);
        let meant = |patterns: &[String], file: &str| patterns.iter().any(|pattern| {
            let pattern: Vec<&str> = pattern.split('/').collect();
            means(&pattern, &file.split('/').collect::<Vec<_>>())
        });
        let expected = written.iter().any(|file| meant(&paths, file) && !meant(&ignore, file));
        prop_assert_eq!(changed_since(&project, "HEAD~1") == ["s"], expected);
    }
}
