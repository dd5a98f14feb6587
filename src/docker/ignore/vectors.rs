//! The cases that moby's, fsutil's and BuildKit's own tests state, as data: `tests/data/dockerignore-vectors.json`. Every
//! item of every list is run, and the counts are held, so that none is passed over silently.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::pattern::{Translation, translate};
use super::{Matcher, clean, locate, parse};
use crate::docker::context::{Filter, follow, walk};

fn list<T: DeserializeOwned>(name: &str, count: usize) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/dockerignore-vectors.json");
    let mut file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let items: Vec<T> = serde_json::from_value(file[name].take()).unwrap();
    assert_eq!(items.len(), count, "{name}");
    items
}

#[test]
fn match_138() {
    #[derive(Deserialize)]
    struct Item {
        id: String,
        patterns: Vec<String>,
        path: String,
        expect: Value,
    }
    let mut failed = Vec::new();
    for item in list::<Item>("match", 138) {
        let ask = || match Matcher::new(&item.patterns).and_then(|matcher| matcher.matches(&item.path)) {
            Ok(matched) => Value::Bool(matched),
            Err(_) => Value::from("error"),
        };
        // Twice: a refusal must be the same the second time.
        for got in [ask(), ask()] {
            if got != item.expect {
                failed.push(format!("{}: {:?} on {:?}: {got}", item.id, item.patterns, item.path));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn compile_21() {
    #[derive(Deserialize)]
    struct Item {
        id: String,
        pattern: String,
        kind: String,
        regex_slash: Option<String>,
    }
    for item in list::<Item>("compile", 21) {
        let (kind, expression) = match translate(&item.pattern) {
            Translation::Exact => ("exact", None),
            Translation::Prefix => ("prefix", None),
            Translation::Suffix => ("suffix", None),
            Translation::Expression(expression) => ("regexp", Some(expression)),
        };
        assert_eq!((kind, expression), (item.kind.as_str(), item.regex_slash), "{}", item.id);
    }
}

#[test]
fn patterns_6() {
    #[derive(Deserialize)]
    struct Item {
        id: String,
        patterns: Vec<String>,
        active: Value,
        exclusions: Option<bool>,
    }
    for item in list::<Item>("patterns", 6) {
        let matcher = Matcher::new(&item.patterns).ok();
        let active = matcher.as_ref().map_or(Value::from("error"), |matcher| Value::from(matcher.patterns().len()));
        assert_eq!(active, item.active, "{}", item.id);
        assert_eq!(matcher.map(|matcher| matcher.has_exceptions()), item.exclusions, "{}", item.id);
    }
}

#[test]
fn parse_2() {
    #[derive(Deserialize)]
    struct Item {
        id: String,
        content: Option<String>,
        expect: Vec<String>,
    }
    for item in list::<Item>("parse", 2) {
        let content = item.content.unwrap_or_default();
        assert_eq!(parse(content.as_bytes()).unwrap(), item.expect, "{}", item.id);
    }
}

#[test]
fn walk_25() {
    #[derive(Deserialize)]
    struct Item {
        id: String,
        tree: Vec<String>,
        include: Vec<String>,
        exclude: Vec<String>,
        follow: Vec<String>,
        expect: Vec<String>,
    }
    for item in list::<Item>("walk", 25) {
        let root = tempfile::tempdir().unwrap();
        plant(root.path(), &item.tree);
        let mut include = item.include.clone();
        if let Some(paths) = follow(root.path(), &item.follow).unwrap() {
            include.extend(paths);
        }
        let mut found = Vec::new();
        walk(root.path(), &Filter::new(&include, &item.exclude).unwrap(), |stat| {
            found.push(match (stat.mode >> 31 == 1, stat.linkname.as_str()) {
                (true, _) => format!("dir {}", stat.path),
                (false, "") => format!("file {}", stat.path),
                (false, target) => format!("symlink:{target} {}", stat.path),
            });
            true
        })
        .unwrap();
        assert_eq!(found, item.expect, "{}", item.id);
    }
}

#[test]
fn open_7() {
    #[derive(Deserialize)]
    struct Item {
        id: String,
        include: Vec<String>,
        exclude: Vec<String>,
        path: String,
        visible: bool,
    }
    for item in list::<Item>("open", 7) {
        let filter = Filter::new(&item.include, &item.exclude).unwrap();
        assert_eq!(filter.shows(&item.path).unwrap(), item.visible, "{}", item.id);
    }
}

#[test]
fn build_20() {
    #[derive(Deserialize)]
    struct Item {
        id: String,
        dockerfile: String,
        dockerignore: Option<String>,
        #[serde(default)]
        ignore_files: std::collections::BTreeMap<String, String>,
        files: Vec<String>,
        present: Vec<String>,
        absent: Vec<String>,
        #[serde(default)]
        error: bool,
    }
    for item in list::<Item>("build", 20) {
        let root = tempfile::tempdir().unwrap();
        let tree: Vec<String> = item.files.iter().map(|file| format!("{file} file")).collect();
        plant(root.path(), &tree);
        for (name, text) in &item.ignore_files {
            std::fs::write(root.path().join(name), text).unwrap();
        }
        if let Some(text) = &item.dockerignore {
            std::fs::write(root.path().join(".dockerignore"), text).unwrap();
        }
        let ignore = locate(root.path(), &root.path().join(&item.dockerfile)).unwrap();
        let filter = Filter::new(&[], &ignore.map_or_else(Vec::new, |ignore| ignore.patterns));
        assert_eq!(filter.is_err(), item.error, "{}", item.id);
        let Ok(filter) = filter else { continue };
        let mut sent = BTreeSet::new();
        walk(root.path(), &filter, |stat| sent.insert(stat.path)).unwrap();
        for path in &item.present {
            assert!(sent.contains(path), "{}: {path} is missing of {sent:?}", item.id);
        }
        for path in &item.absent {
            assert!(!sent.contains(path), "{}: {path} was sent", item.id);
        }
    }
}

/// Makes the entries of a vector's tree: `PATH file`, `PATH dir`, `PATH symlink TARGET`.
fn plant(root: &Path, tree: &[String]) {
    for entry in tree {
        let mut words = entry.split(' ');
        let path = root.join(clean(words.next().unwrap()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match words.next().unwrap() {
            "dir" => std::fs::create_dir_all(&path).unwrap(),
            "file" => std::fs::write(&path, "").unwrap(),
            "symlink" => std::os::unix::fs::symlink(words.next().unwrap(), &path).unwrap(),
            other => panic!("{entry}: {other}"),
        }
    }
}
