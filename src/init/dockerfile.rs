//! The Dockerfiles of a project: which of them are services, what they are called, and which folder they are built in.

use std::path::Path;

use super::evidence::{Note, Place};

/// Folders whose Dockerfiles are no services of the project.
const ASIDE: [&str; 14] = [
    "test",
    "tests",
    "testdata",
    "fixtures",
    "example",
    "examples",
    "sample",
    "samples",
    ".devcontainer",
    ".github",
    "vendor",
    "node_modules",
    "third_party",
    "docs",
];

/// Deeper than this is no service of the project's own.
const DEEPEST: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dockerfile {
    /// From the project's folder: `services/api/Dockerfile`.
    pub(super) path: String,
    /// The `id` of each `RUN --mount=type=secret`.
    pub(super) mounts: Vec<String>,
    /// What `COPY` and `ADD` take from the context.
    sources: Vec<String>,
}

impl Dockerfile {
    /// The folder that holds it; empty for the project's own.
    pub(super) fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The folder it has to be built in: its own, or the project's where only that has the files it copies.
    pub(super) fn context(&self, root: &Path) -> String {
        let folder = self.folder();
        let there = |base: &Path| self.sources.iter().filter(|source| base.join(source).exists()).count();
        if !folder.is_empty() && there(root) > there(&root.join(folder)) {
            return ".".to_owned();
        }
        if folder.is_empty() { ".".to_owned() } else { folder.to_owned() }
    }
}

/// Those that are services; the others are told. `read` gives a file's text.
pub(super) fn find(files: &[String], read: impl Fn(&str) -> Option<String>, notes: &mut Vec<Note>) -> Vec<Dockerfile> {
    let mut found: Vec<Dockerfile> = Vec::new();
    let named: Vec<&String> = files.iter().filter(|path| is_dockerfile(path)).collect();
    for path in &named {
        let at = Place::of(path);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if let Some(aside) = folder.split('/').find(|part| ASIDE.contains(part)) {
            notes.push(Note::left_out(format!("a Dockerfile below `{aside}` is taken for no service"), &at));
            continue;
        }
        if folder.split('/').count() > DEEPEST {
            notes.push(Note::left_out("a Dockerfile as deep as this is taken for no service", &at));
            continue;
        }
        let plain = |other: &str| other.rsplit('/').next() == Some("Dockerfile");
        let beside = |other: &&&String| other.rsplit_once('/').map_or("", |(folder, _)| folder) == folder;
        if !plain(path) && is_variant(path) && named.iter().filter(beside).any(|other| plain(other)) {
            notes.push(Note::left_out("a variant beside a Dockerfile; name it under `dockerfile` if it is meant", &at));
            continue;
        }
        match read(path).map(|text| parse(path, &text)) {
            Some(Some(dockerfile)) => found.push(dockerfile),
            Some(None) => notes.push(Note::left_out("it has no FROM line", &at)),
            None => notes.push(Note::left_out("it cannot be read", &at)),
        }
    }
    found
}

fn is_dockerfile(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    if name.ends_with(".dockerignore") {
        return false;
    }
    let lower = name.to_ascii_lowercase();
    matches!(name, "Dockerfile" | "Containerfile") || lower.starts_with("dockerfile.") || lower.ends_with(".dockerfile")
}

/// `Dockerfile.dev`, `test.Dockerfile`: the same service built in another way.
pub(super) fn is_variant(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let word = name.strip_prefix("dockerfile.").or_else(|| name.strip_suffix(".dockerfile")).unwrap_or_default();
    matches!(
        word,
        "dev"
            | "develop"
            | "development"
            | "prod"
            | "production"
            | "staging"
            | "local"
            | "test"
            | "tests"
            | "ci"
            | "debug"
            | "alpine"
            | "slim"
            | "arm64"
            | "base"
    )
}

/// `None` without a FROM line.
fn parse(path: &str, text: &str) -> Option<Dockerfile> {
    let (mut mounts, mut sources, mut builds) = (Vec::new(), Vec::new(), false);
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    for line in joined.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        match words.next().map(str::to_ascii_uppercase).as_deref() {
            Some("FROM") => builds = true,
            Some("RUN") => mounts.extend(words.filter_map(mount)),
            Some("COPY" | "ADD") => sources.extend(copied(words)),
            _ => {}
        }
    }
    mounts.sort();
    mounts.dedup();
    builds.then(|| Dockerfile { path: path.to_owned(), mounts, sources })
}

/// The id in `--mount=type=secret,id=KEY,…`.
fn mount(word: &str) -> Option<String> {
    let options = word.strip_prefix("--mount=")?;
    let of = |key: &str| options.split(',').find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
    (of("type") == Some("secret")).then(|| of("id").map(str::to_owned)).flatten()
}

/// The sources of a `COPY` that come from the context and have no pattern in them.
fn copied<'w>(words: impl Iterator<Item = &'w str>) -> Vec<String> {
    let words: Vec<&str> = words.collect();
    if words.iter().any(|word| word.starts_with("--from=") || word.starts_with("<<")) {
        return Vec::new();
    }
    let mut plain: Vec<&str> = words
        .iter()
        .filter(|word| !word.starts_with("--"))
        .map(|word| word.trim_matches(['[', ']', '"', ',']))
        .collect();
    plain.pop();
    let usable = |word: &&str| !word.is_empty() && !word.contains(['*', '?', '$', '[']) && !word.contains("://");
    plain.into_iter().filter(usable).map(|word| word.trim_start_matches('/').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::{find, parse};

    #[test]
    fn what_is_a_service_and_what_is_not() {
        let files = [
            "Dockerfile",
            "Dockerfile.dev",
            "Dockerfile.dockerignore",
            "tests/Dockerfile",
            "web/Dockerfile",
            "worker.Dockerfile",
            "notes/Dockerfile",
            "a/b/c/d/e/f/Dockerfile",
            "web/main.rs",
        ]
        .map(str::to_owned);
        let mut notes = Vec::new();
        let read = |path: &str| Some(if path.starts_with("notes") { "no" } else { "FROM scratch\n" }.to_owned());
        let found: Vec<String> = find(&files, read, &mut notes).into_iter().map(|found| found.path).collect();
        assert_eq!(found, ["Dockerfile", "web/Dockerfile", "worker.Dockerfile"]);
        assert_eq!(notes.len(), 4, "{notes:?}");
    }

    #[test]
    fn mounts_and_the_context() {
        let text = "FROM x\nRUN --mount=type=cache,target=/c --mount=type=secret,id=KEY \\\n  make\nCOPY --chown=1 libs/a app/ /x/\nCOPY --from=x /y /z\n";
        let dockerfile = parse("app/Dockerfile", text).unwrap();
        assert_eq!(
            (dockerfile.mounts.as_slice(), dockerfile.sources.as_slice()),
            (&["KEY".to_owned()][..], &["libs/a".to_owned(), "app/".to_owned()][..])
        );
        let root = tempfile::tempdir().unwrap();
        assert_eq!(dockerfile.context(root.path()), "app");
        std::fs::create_dir_all(root.path().join("libs/a")).unwrap();
        std::fs::create_dir_all(root.path().join("app")).unwrap();
        assert_eq!(dockerfile.context(root.path()), ".");
    }
}
