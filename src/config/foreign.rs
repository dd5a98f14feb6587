//! YAML that is not ours: a pipeline file, read as a tree that knows its lines, with aliases followed and merge keys
//! (`<<`) resolved. What the values mean is the caller's.

use crate::config::parse::parse;
use crate::config::tree::{Entry, Node, Value as Kind};

/// A document and where its lines begin.
#[derive(Debug)]
pub(crate) struct Document {
    text: String,
    root: Node,
    lines: Vec<usize>,
}

/// What is wrong with a text that is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Document {
    pub(crate) fn read(text: &str) -> Result<Self, Fault> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // GitLab's own tag; as a plain list it is still told apart by what it names.
        let text = text.replace("!reference", "          ");
        let lines: Vec<usize> = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        match parse(&text) {
            Ok(root) => Ok(Self { text, root, lines }),
            Err(fault) => Err(Fault { line: line(&lines, fault.start()), text: fault.message().to_owned() }),
        }
    }

    pub(crate) fn root(&self) -> Value<'_> {
        Value { document: self, node: &self.root, line: line(&self.lines, self.root.at.unwrap_or(0)) }
    }
}

fn line(lines: &[usize], at: usize) -> usize {
    lines.partition_point(|start| *start <= at)
}

/// A value of the document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'d> {
    document: &'d Document,
    node: &'d Node,
    /// Counted from 1; that of the key, where it has one.
    pub(crate) line: usize,
}

/// A key with its value.
pub(crate) struct Pair<'d> {
    pub(crate) key: &'d str,
    pub(crate) value: Value<'d>,
}

impl<'d> Value<'d> {
    fn of(self, node: &'d Node, key: Option<usize>) -> Self {
        let at = key.or(node.at);
        Self { document: self.document, node, line: at.map_or(self.line, |at| line(&self.document.lines, at)) }
    }

    /// Every key of a map once: its own come first and win over those that are merged in. Of one that is written twice the
    /// last holds, as with GitLab; the others refuse such a file.
    pub(crate) fn pairs(self) -> Vec<Pair<'d>> {
        let mut pairs = Vec::new();
        self.collect(&mut pairs);
        pairs
    }

    fn collect(self, pairs: &mut Vec<Pair<'d>>) {
        let Kind::Map(entries) = &self.node.value else { return };
        for Entry { name, .. } in entries.iter().filter(|entry| entry.name != "<<") {
            let last = entries.iter().rfind(|entry| entry.name == *name);
            if let Some(Entry { at, value, .. }) = last
                && !pairs.iter().any(|known| known.key == name)
            {
                pairs.push(Pair { key: name, value: self.of(value, *at) });
            }
        }
        for Entry { value, .. } in entries.iter().filter(|entry| entry.name == "<<") {
            match &value.value {
                Kind::List(items) => items.iter().for_each(|item| self.of(item, None).collect(pairs)),
                _ => self.of(value, None).collect(pairs),
            }
        }
    }

    pub(crate) fn get(self, key: &str) -> Option<Self> {
        self.pairs().into_iter().find(|pair| pair.key == key).map(|pair| pair.value)
    }

    /// The value behind these keys, one inside the other.
    pub(crate) fn find(self, keys: &[&str]) -> Option<Self> {
        keys.iter().try_fold(self, |value, key| value.get(key))
    }

    /// The items of a list; none for anything else.
    pub(crate) fn items(self) -> Vec<Self> {
        match &self.node.value {
            Kind::List(items) => items.iter().map(|item| self.of(item, None)).collect(),
            _ => Vec::new(),
        }
    }

    /// A scalar as written.
    pub(crate) fn text(self) -> Option<&'d str> {
        match &self.node.value {
            Kind::Text(text) | Kind::Number(text) => Some(text),
            Kind::Bool(true) => Some("true"),
            Kind::Bool(false) => Some("false"),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// One text, or all texts of a list.
    pub(crate) fn texts(self) -> Vec<&'d str> {
        match self.text() {
            Some(text) => vec![text],
            None => self.items().into_iter().filter_map(Self::text).collect(),
        }
    }

    pub(crate) fn is(self, text: &str) -> bool {
        self.text() == Some(text)
    }

    pub(crate) fn is_map(self) -> bool {
        matches!(self.node.value, Kind::Map(_))
    }

    pub(crate) fn is_list(self) -> bool {
        matches!(self.node.value, Kind::List(_))
    }

    /// The lines of a text with the line of the file that each stands on, as far as YAML's way of writing it tells.
    pub(crate) fn lines(self) -> Vec<(usize, &'d str)> {
        let Some(text) = self.text() else { return Vec::new() };
        let at = self.node.at.unwrap_or(0);
        let first = line(&self.document.lines, at);
        let block = self.document.text[at.min(self.document.text.len())..].starts_with(['|', '>']);
        // What is put behind it by the pipeline is not part of it, whatever its last line ends with.
        let text = text.trim_end().trim_end_matches('\\');
        text.lines().enumerate().map(|(index, text)| (first + usize::from(block) + index, text)).collect()
    }

    /// Every scalar in it, however deep, aliases and merged keys included.
    pub(crate) fn scalars(self) -> Vec<Self> {
        let inside = |value: Self| value.scalars();
        match &self.node.value {
            Kind::List(_) => self.items().into_iter().flat_map(inside).collect(),
            Kind::Map(_) => self.pairs().into_iter().flat_map(|pair| inside(pair.value)).collect(),
            _ => vec![self],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Document;

    #[test]
    fn lines_aliases_and_merge_keys() {
        let text = "a: &a\n  x: 1\n  y: [p, q]\nb:\n  <<: *a\n  x: 2\nc:\n  - |\n    one\n    two\n  - three\n";
        let document = Document::read(text).expect("YAML");
        let root = document.root();
        let b = root.get("b").expect("b");
        assert_eq!(b.get("x").and_then(super::Value::text), Some("2"));
        assert_eq!(b.get("y").map(super::Value::texts), Some(vec!["p", "q"]));
        assert_eq!((b.line, b.get("x").map(|x| x.line)), (4, Some(6)));
        let c: Vec<_> = root.get("c").expect("c").items().into_iter().flat_map(super::Value::lines).collect();
        assert_eq!(c, [(9, "one"), (10, "two"), (11, "three")]);
    }

    #[test]
    fn of_a_key_that_is_written_twice_the_last_holds() {
        let document = Document::read("a: { when: manual, when: always }\nb: 1\na: { when: never, <<: { x: 1 } }\n");
        let document = document.expect("YAML");
        let a = document.root().get("a").expect("a");
        assert_eq!((a.line, a.get("when").and_then(super::Value::text)), (3, Some("never")));
        assert_eq!(document.root().pairs().len(), 2);
    }

    #[test]
    fn what_is_no_yaml_has_a_line() {
        assert_eq!(Document::read("a: 1\nb: [\n").expect_err("no YAML").line, 3);
        assert!(Document::read("a: !reference [x, y]\n").is_ok());
    }
}
