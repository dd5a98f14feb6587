//! A Python helper that forces a deployment through boto3: its cluster and its service, as far as they are written in it.
//! It is read line by line, never run.

use std::sync::LazyLock;

use regex::Regex;

use super::evidence::Place;
use super::scope::ENV;

/// A cluster or a service, as the helper has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// The text, with `${env}` for the environment's name.
    Text(String),
    /// By environment.
    Table(Vec<(String, String)>),
    /// The nth argument of the command line, counted from 1.
    Argument(usize),
    /// It cannot be told from the file.
    Unknown,
}

/// One `update_service(…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Helper {
    pub(super) path: String,
    pub(super) cluster: Name,
    pub(super) service: Name,
    pub(super) at: Place,
}

static KEYWORD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"\b(cluster|service)\s*=\s*((?:[fF]?"[^"]*"|[fF]?'[^']*'|[\w.]+(?:\[[^\]]*\]|\.get\([^)]*\))*))"#).ok()
});
static PAIR: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"["']([\w-]+)["']\s*:\s*["']([^"']+)["']"#).ok());
static NESTED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"["']([\w-]+)["']\s*:\s*\{([^{}]*)\}"#).ok());

/// `None` where the file forces no deployment.
pub(super) fn read(path: &str, text: &str) -> Option<Helper> {
    let call = text.find("update_service(")?;
    let line = text[..call].matches('\n').count() + 1;
    let arguments = &text[call..];
    let arguments = &arguments[..matching(arguments, '(', ')')];
    let (mut cluster, mut service) = (Name::Unknown, Name::Unknown);
    for found in KEYWORD.iter().flat_map(|pattern| pattern.captures_iter(arguments)) {
        let name = expression(text, found[2].trim(), 4);
        if &found[1] == "cluster" { cluster = name } else { service = name }
    }
    Some(Helper { path: path.to_owned(), cluster, service, at: Place::at(path, line) })
}

fn expression(text: &str, written: &str, depth: usize) -> Name {
    let Some(depth) = depth.checked_sub(1) else { return Name::Unknown };
    if let Some(inner) = quoted(written) {
        let formatted = written.starts_with(['f', 'F']);
        return if formatted { template(text, inner, depth) } else { Name::Text(inner.to_owned()) };
    }
    if let Some(index) = written.strip_prefix("sys.argv[").and_then(|rest| rest.strip_suffix(']')) {
        return index.parse().map_or(Name::Unknown, Name::Argument);
    }
    if let Some((table, rest)) = written.split_once('[').or_else(|| written.split_once(".get(")) {
        // `TABLE[env]` or `TABLE[env]["cluster"]`.
        let inner = rest.rsplit(['[', '(']).next().unwrap_or_default();
        let key = quoted(inner.trim_end_matches([']', ')'])).filter(|_| rest.contains(['[', '(']));
        return assigned(text, table).map_or(Name::Unknown, |body| lookup(body, key));
    }
    match assigned(text, written) {
        Some(body) => expression(text, body.lines().next().unwrap_or_default().trim(), depth),
        None if is_environment(written) => Name::Text(ENV.to_owned()),
        None => Name::Unknown,
    }
}

/// The text of an f-string, with the environment's name as `${env}`.
fn template(text: &str, inner: &str, depth: usize) -> Name {
    let mut filled = String::new();
    let mut rest = inner;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { return Name::Unknown };
        filled.push_str(before);
        if is_environment(name) {
            filled.push_str(ENV);
        } else if let Name::Text(value) = expression(text, name, depth) {
            filled.push_str(&value);
        } else {
            return Name::Unknown;
        }
        rest = after;
    }
    filled.push_str(rest);
    Name::Text(filled)
}

fn is_environment(name: &str) -> bool {
    let name = name.trim().rsplit('.').next().unwrap_or_default();
    matches!(name, "env" | "environment" | "stage" | "ENV" | "ENVIRONMENT")
}

fn quoted(written: &str) -> Option<&str> {
    let written = written.trim().trim_start_matches(['f', 'F']);
    ['"', '\''].into_iter().find_map(|quote| written.strip_prefix(quote)?.strip_suffix(quote))
}

/// What stands behind `NAME =`, up to the end of the file.
fn assigned<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        if let Some(rest) = trimmed.strip_prefix(name)
            && let Some(value) = rest.trim_start().strip_prefix('=')
            && !value.starts_with('=')
        {
            return Some(&text[offset + (line.len() - value.len())..]);
        }
        offset += line.len();
    }
    None
}

/// The entries of the table that begins here; with a key, those of its inner tables.
fn lookup(body: &str, key: Option<&str>) -> Name {
    let body = body.trim_start();
    if !body.starts_with('{') {
        return Name::Unknown;
    }
    let end = matching(body, '{', '}');
    let body = &body[..end];
    let pairs = |text: &str| -> Vec<(String, String)> {
        let all = PAIR.iter().flat_map(|pattern| pattern.captures_iter(text));
        all.map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
    };
    let table = match key {
        None => pairs(body),
        Some(key) => NESTED
            .iter()
            .flat_map(|pattern| pattern.captures_iter(body))
            .filter_map(|found| {
                let value = pairs(&found[2]).into_iter().find(|(name, _)| name == key)?.1;
                Some((found[1].to_owned(), value))
            })
            .collect(),
    };
    if table.is_empty() { Name::Unknown } else { Name::Table(table) }
}

/// Where the first of these brackets closes.
fn matching(text: &str, open: char, close: char) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close && depth == 1 {
            return at + 1;
        } else if c == close {
            depth = depth.saturating_sub(1);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{Name, read};

    #[test]
    fn clusters_and_services_as_they_are_written() {
        let text = |text: &str| Name::Text(text.to_owned());
        let table = |pairs: &[(&str, &str)]| {
            Name::Table(pairs.iter().map(|(env, name)| ((*env).to_owned(), (*name).to_owned())).collect())
        };
        let cases = [
            ("ecs.update_service(cluster='c', service=\"s\", forceNewDeployment=True)", text("c"), text("s")),
            (
                "env = sys.argv[1]\necs.update_service(\n  cluster=f'{env}-cluster',\n  service=f\"api-{args.env}\",\n)",
                text("${env}-cluster"),
                text("api-${env}"),
            ),
            (
                "C = sys.argv[1]\nS = sys.argv[2]\nx.update_service(cluster=C, service=S)",
                Name::Argument(1),
                Name::Argument(2),
            ),
            (
                "CLUSTERS = {\n  'dev': 'a',\n  'prod': 'b',\n}\nx.update_service(cluster=CLUSTERS[env], service=NAMES.get(env))",
                table(&[("dev", "a"), ("prod", "b")]),
                Name::Unknown,
            ),
            (
                "T = {'dev': {'cluster': 'a', 'service': 's'}, 'prod': {'cluster': 'b', 'service': 's'}}\nx.update_service(cluster=T[env]['cluster'], service=T[env][\"service\"])",
                table(&[("dev", "a"), ("prod", "b")]),
                table(&[("dev", "s"), ("prod", "s")]),
            ),
        ];
        for (source, cluster, service) in cases {
            let helper = read("h.py", source).unwrap();
            assert_eq!((helper.cluster, helper.service), (cluster, service), "{source}");
        }
        assert!(read("h.py", "print('hello')").is_none());
    }
}
