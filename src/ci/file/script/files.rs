//! Files of the project that a command runs.

use crate::ci::file::Surroundings;
use crate::ci::file::shell::{Simple, Word};

/// Programs that run what a file of theirs says.
pub(super) const RUNNERS: [(&str, &[&str]); 15] = [
    ("make", &["Makefile", "makefile", "GNUmakefile"]),
    ("npm", &["package.json"]),
    ("yarn", &["package.json"]),
    ("pnpm", &["package.json"]),
    ("bun", &["package.json"]),
    ("deno", &["deno.json", "deno.jsonc"]),
    ("composer", &["composer.json"]),
    ("just", &["justfile", "Justfile", ".justfile"]),
    ("task", &["Taskfile.yml", "Taskfile.yaml"]),
    ("rake", &["Rakefile"]),
    ("invoke", &["tasks.py"]),
    ("tox", &["tox.ini"]),
    ("nox", &["noxfile.py"]),
    ("mise", &["mise.toml", ".mise.toml"]),
    ("docker-compose", COMPOSE),
];
pub(super) const COMPOSE: &[&str] = &["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
/// The file of the project that this command runs, where that file speaks of shipit.
pub(super) fn runs_file(
    name: &str,
    simple: &Simple,
    words: &[Word],
    runs: bool,
    surroundings: Surroundings<'_>,
) -> Option<String> {
    let mentions = surroundings.mentions;
    let compose = name == "docker" && words.get(1).is_some_and(|word| word.text == "compose");
    let files = RUNNERS.iter().find(|(runner, _)| *runner == name).map(|(_, files)| *files);
    if let Some(files) = files.or(compose.then_some(COMPOSE)) {
        let of_runner = |path: &&String| files.contains(&path.rsplit('/').next().unwrap_or(path));
        if let Some(file) = mentions.iter().find(of_runner) {
            return Some(file.clone());
        }
    }
    let candidates = if runs || files.is_some() { words } else { &words[..1] };
    // `npm run deploy` names no file.
    let candidates = candidates.iter().filter(|word| files.is_none() || word.text.contains(['/', '.']));
    let fed = simple.redirections.iter().filter(|one| one.sign == "<").map(|one| &one.target);
    candidates.chain(fed).find_map(|word| {
        let path = tidy(&word.text);
        // The folder that the step stands in by then is not known.
        let ends =
            |path: &str, end: &str| path.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
        // What lies below a link to a folder is called by the link's name.
        let below = |file: &str| path.strip_prefix(file).is_some_and(|rest| rest.starts_with('/'));
        let is_it = |file: &&String| ends(file, &path) || ends(&path, file) || below(file);
        mentions.iter().find(|file| !path.is_empty() && is_it(file)).cloned()
    })
}

/// The path without `.`, `..` and what they take back; of one that begins with a folder in a variable, the end.
pub(in crate::ci::file) fn tidy(path: &str) -> String {
    let path = if path.starts_with('$') { path.split_once('/').map_or("", |(_, rest)| rest) } else { path };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
