//! The faults of form in words: what serde and our own sweep over the tree find before anything has a meaning.

use std::collections::HashMap;

use crate::config::decode::{Fault, FaultKind};
use crate::config::diagnostic::Diagnostic;
use crate::config::tree::{Entry, Node, Value};
use crate::config::{locate, suggest};

/// Finds duplicate keys, keys and items without a value, and control characters. The second of two equal keys is taken
/// out; a value that is nothing, or cannot be used, is marked as faulty.
pub(super) fn sweep(node: &mut Node, text: &str, faults: &mut Vec<Diagnostic>) {
    match &mut node.value {
        Value::Map(entries) => {
            drop_duplicates(entries, text, faults);
            for entry in entries {
                if matches!(entry.value.value, Value::Null) {
                    let span = entry.at.map_or(0..0, |at| locate::scalar(text, at, &entry.name));
                    faults.push(
                        Diagnostic::new(span, format!("`{}` has no value", entry.name))
                            .help("write a value, or leave the key out"),
                    );
                    entry.value.give_up();
                }
                sweep(&mut entry.value, text, faults);
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| sweep(item, text, faults)),
        Value::Null if !node.faulty => {
            let at = node.at.unwrap_or(0);
            faults.push(Diagnostic::new(at..at, "this item has no value"));
            node.give_up();
        }
        Value::Text(value) if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) => {
            let at = node.at.unwrap_or(0);
            let span = locate::scalar(text, at, value);
            faults.push(Diagnostic::new(span, "this text holds a control character").help("take it out"));
            node.give_up();
        }
        Value::Text(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

fn drop_duplicates(entries: &mut Vec<Entry>, text: &str, faults: &mut Vec<Diagnostic>) {
    let mut first: HashMap<String, Option<usize>> = HashMap::new();
    entries.retain(|entry| {
        let Some(before) = first.get(&entry.name) else {
            first.insert(entry.name.clone(), entry.at);
            return true;
        };
        let span = entry.at.map_or(0..0, |at| locate::scalar(text, at, &entry.name));
        let line = before.map_or(0, |at| text[..at].matches('\n').count()) + 1;
        faults.push(
            Diagnostic::new(span, format!("the key `{}` is there twice", entry.name))
                .help(format!("the first is on line {line}: keep one of them")),
        );
        false
    });
}

/// `tree` is the tree in which the fault was found.
pub(super) fn describe(fault: &Fault, tree: &Node, text: &str) -> Diagnostic {
    match &fault.kind {
        FaultKind::UnknownKey { key, known } => {
            let help = if key == "<<" {
                "merge keys are not read: write the keys out, or use the service's own `environments`".to_owned()
            } else {
                unknown_key_help(key, known)
            };
            Diagnostic::new(locate::key(tree, text, &fault.path), format!("unknown key `{key}`")).help(help)
        }
        FaultKind::MissingKey(key) => {
            Diagnostic::new(locate::key(tree, text, &fault.path), format!("`{key}` is missing here"))
        }
        FaultKind::WrongType { expected } => {
            let found = tree.find(&fault.path).map(|node| &node.value);
            let message =
                format!("expected {}, found {}", article(expected), found.map_or("nothing".to_owned(), words));
            let diagnostic = Diagnostic::new(locate::value(tree, text, &fault.path), message);
            match found {
                Some(Value::Number(written)) if expected == "a string" => {
                    diagnostic.help(format!("put it in quotes, so that it stays as it is: \"{written}\""))
                }
                Some(Value::Bool(value)) if expected == "a string" => {
                    diagnostic.help(format!("put it in quotes: \"{value}\""))
                }
                Some(Value::Text(value)) if expected == "a sequence" && value.len() <= 40 => {
                    diagnostic.help(format!("write a list: [{value}]"))
                }
                _ => diagnostic,
            }
        }
        FaultKind::UnknownWord { word, known } => {
            Diagnostic::new(locate::value(tree, text, &fault.path), format!("`{word}` cannot stand here"))
                .help(suggest::help(word, known))
        }
        FaultKind::Other(message) => Diagnostic::new(locate::value(tree, text, &fault.path), message.as_str()),
    }
}

fn unknown_key_help(key: &str, known: &[&str]) -> String {
    match suggest::nearest(key, known.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("the keys here are {}", suggest::list(known)),
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(written) => format!("the number {written}"),
        Value::Text(_) => "text".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
    }
}

/// serde's words for a type in ours.
fn article(expected: &str) -> &str {
    match expected {
        "a string" => "text",
        "a sequence" => "a list",
        "a boolean" => "`true` or `false`",
        "u64" => "a whole number",
        other => other,
    }
}
