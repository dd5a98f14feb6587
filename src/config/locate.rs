//! Where something stands in the text: a path through the tree becomes the bytes to underline.

use std::ops::Range;

use crate::config::tree::{Node, Step, Value};

/// The key that the path ends with. What has no key of its own (the root, an item, a key that is not there) is shown by
/// the nearest thing around it that has a place.
pub(super) fn key(tree: &Node, text: &str, path: &[Step]) -> Range<usize> {
    if let Some(entry) = tree.entry(path)
        && let Some(at) = entry.at
    {
        return scalar(text, at, &entry.name);
    }
    match path.split_last() {
        Some((Step::Index(_), _)) if tree.find(path).is_some_and(|node| node.at.is_some()) => value(tree, text, path),
        Some((_, parents)) => key(tree, text, parents),
        None => {
            let start = text.len() - text.trim_start().len();
            start..start
        }
    }
}

/// The value at the path; a map or a list is shown by its key.
pub(super) fn value(tree: &Node, text: &str, path: &[Step]) -> Range<usize> {
    let Some(node) = tree.find(path) else { return key(tree, text, path) };
    let written = match (&node.value, path.last()) {
        (Value::Text(value) | Value::Number(value), _) => value.as_str(),
        (Value::Bool(_), _) => "",
        (Value::Null | Value::List(_) | Value::Map(_), Some(Step::Index(_))) => {
            return node.at.map_or_else(|| key(tree, text, &path[..path.len() - 1]), |at| at..at);
        }
        (Value::Null | Value::List(_) | Value::Map(_), _) => return key(tree, text, path),
    };
    node.at.map_or_else(|| key(tree, text, path), |at| scalar(text, at, written))
}

/// `part` inside the text at the path, where it is written there just so; else the whole value.
pub(super) fn within(tree: &Node, text: &str, path: &[Step], part: &str) -> Range<usize> {
    let whole = value(tree, text, path);
    match text[whole.clone()].find(part) {
        Some(index) => whole.start + index..whole.start + index + part.len(),
        None => whole,
    }
}

/// The scalar that begins at `at` and means `value`, quotes included.
pub(super) fn scalar(text: &str, at: usize, value: &str) -> Range<usize> {
    at..at + extent(text, at, value)
}

/// Length in bytes of the scalar that begins at `at` and means `value`.
fn extent(text: &str, at: usize, value: &str) -> usize {
    let rest = &text[at..];
    let line = rest.find(['\n', '\r']).unwrap_or(rest.len());
    match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let mut escaped = false;
            for (index, char) in rest.char_indices().skip(1) {
                match char {
                    _ if escaped => escaped = false,
                    '\\' if quote == '"' => escaped = true,
                    _ if char == quote => return index + 1,
                    _ => {}
                }
            }
            line
        }
        _ if !value.is_empty() && rest.starts_with(value) => value.len(),
        _ => rest[..line].find([' ', '\t', ',', ']', '}']).unwrap_or(line),
    }
}

#[cfg(test)]
mod tests {
    use super::{key, value, within};
    use crate::config::parse::parse;
    use crate::config::tree::steps;

    #[test]
    fn places_are_what_one_would_underline() {
        let text = "a: two words # not this\n\"k\\\"\": 'it''s'\nc: [x, {d: }, 3]\ne: |\n  ${NAME}\nf: {}\n";
        let tree = parse(text).unwrap();
        for (path, of_key, of_value) in [
            (steps!["a"].to_vec(), "a", "two words"),
            (steps!["k\""].to_vec(), "\"k\\\"\"", "'it'"),
            (steps!["c"].to_vec(), "c", "c"),
            (steps!["c", 0].to_vec(), "x", "x"),
            (steps!["c", 1, "d"].to_vec(), "d", "d"),
            (steps!["c", 2].to_vec(), "3", "3"),
            (steps!["f"].to_vec(), "f", "f"),
            (steps!["f", "missing"].to_vec(), "f", "f"),
            (steps!["missing"].to_vec(), "", ""),
        ] {
            assert_eq!(&text[key(&tree, text, &path)], of_key, "{path:?}");
            assert_eq!(&text[value(&tree, text, &path)], of_value, "{path:?}");
        }
        assert_eq!(&text[within(&tree, text, &steps!["a"], "words")], "words");
    }
}
