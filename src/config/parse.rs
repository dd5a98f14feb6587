//! Text to tree: the only place that knows the YAML library.
//!
//! The library has no positions to give for what it has read, but it puts one on every error. So each scalar is taken
//! down and then answered with an error, whose position is where the scalar stands; the library has consumed the scalar
//! by then, so reading goes on behind it. Maps and lists cannot be refused in that way, and need not be: their first key
//! or item has a position.
//!
//! Bounds are kept here, because a file may be hostile: depth, length of keys, and the number of values after aliases
//! are followed. The size of the file is the caller's to limit.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor};

use crate::config::diagnostic::Diagnostic;
use crate::config::positions::Positions;
use crate::config::tree::{Entry, Node, Value};

/// The deepest level that any key of deploy.yaml has is 5.
const MAX_DEPTH: usize = 16;
/// In bytes.
const MAX_KEY: usize = 256;
/// A hundred services with all their keys are a quarter of it.
const MAX_VALUES: usize = 20_000;
/// Bytes of text, aliases followed.
const MAX_TEXT: usize = 8 << 20;
/// libyaml takes quadratic time over brackets in brackets, so they are counted before it sees them.
const MAX_OPEN_BRACKETS: usize = 1_000;

/// Reads the one document of `text`. On a fault of syntax there is nothing but that fault.
pub(super) fn parse(text: &str) -> Result<Node, Diagnostic> {
    if let Some(at) = too_many_brackets(text) {
        return Err(Diagnostic::new(at..at + 1, "brackets are nested too deeply"));
    }
    let reader = Reader::new(text);
    let document = serde_yaml::Deserializer::from_str(text);
    Seed { reader: &reader, depth: 0 }.deserialize(document).map_err(|error| reader.fault(&error))
}

struct Reader<'t> {
    text: &'t str,
    positions: Positions,
    values: Cell<usize>,
    bytes: Cell<usize>,
    /// What a bound was broken by, in our words; the library's error has the position.
    refusal: RefCell<Option<String>>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            positions: Positions::of(text),
            values: Cell::new(0),
            bytes: Cell::new(0),
            refusal: RefCell::new(None),
        }
    }

    /// The position that the library put at the end of an error's text; the very first one has none.
    fn position(&self, error: &str) -> usize {
        fn numbers(error: &str) -> Option<(usize, usize)> {
            let (_, place) = error.rsplit_once(" at line ")?;
            let (line, column) = place.split_once(" column ")?;
            Some((line.parse().ok().filter(|n| *n > 0)?, column.parse().ok().filter(|n| *n > 0)?))
        }
        let at = numbers(error).map_or(0, |(line, column)| self.positions.offset(line, column));
        self.behind_properties(at)
    }

    /// The position of a value begins at its anchor or tag, where it has one.
    fn behind_properties(&self, mut at: usize) -> usize {
        loop {
            let rest = &self.text[at..];
            if !rest.starts_with(['&', '!']) {
                return at;
            }
            let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let blank = rest[word..].find(|c: char| !c.is_whitespace()).unwrap_or(0);
            at += word + blank;
            if blank == 0 {
                return at.min(self.text.len());
            }
        }
    }

    /// An unquoted scalar on one line, as written.
    fn token(&self, at: usize) -> String {
        let rest = &self.text[at..];
        let end = rest.find(|c: char| c.is_whitespace() || ",]}".contains(c)).unwrap_or(rest.len());
        rest[..end].to_owned()
    }

    fn count_text<E: serde::de::Error>(&self, text: &str) -> Result<(), E> {
        self.bytes.set(self.bytes.get() + text.len());
        if self.bytes.get() > MAX_TEXT {
            return Err(self.refuse("the file holds too much text, aliases followed"));
        }
        Ok(())
    }

    fn refuse<E: serde::de::Error>(&self, words: impl Into<String>) -> E {
        let words = words.into();
        let error = E::custom(&words);
        *self.refusal.borrow_mut() = Some(words);
        error
    }

    fn fault(&self, error: &serde_yaml::Error) -> Diagnostic {
        let at = error.location().map_or(0, |place| self.positions.offset(place.line(), place.column()));
        let line = self.text[..at].rfind('\n').map_or(0, |index| index + 1);
        let words = self.refusal.take().unwrap_or_else(|| without_positions(&error.to_string()));
        let fault = Diagnostic::new(at..at, words);
        if self.text[line..].trim_start_matches(' ').starts_with('\t') {
            return fault.help("indent with spaces: YAML has no tabs there");
        }
        fault
    }
}

/// Offset of the bracket that is one too many. Text in quotes may hold some too; no sane file comes near the bound.
fn too_many_brackets(text: &str) -> Option<usize> {
    let mut open: usize = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_OPEN_BRACKETS {
            return Some(at);
        }
    }
    None
}

/// The excerpt shows where; the library's "at line 3 column 4" would say it twice.
fn without_positions(message: &str) -> String {
    let mut words = String::new();
    let mut rest = message;
    while let Some((before, after)) = rest.split_once(" at line ") {
        words.push_str(before);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        rest = rest.strip_prefix(" column ").unwrap_or(rest).trim_start_matches(|c: char| c.is_ascii_digit());
    }
    words.push_str(rest);
    words
}

#[derive(Clone, Copy)]
struct Seed<'r, 't> {
    reader: &'r Reader<'t>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let mut scalar = None;
        match deserializer.deserialize_any(NodeVisitor { seed: self, scalar: &mut scalar }) {
            Ok(node) => Ok(node),
            Err(error) => {
                let Some(value) = scalar else { return Err(error) };
                let at = self.reader.position(&error.to_string());
                let value = match value {
                    Value::Number(_) => Value::Number(self.reader.token(at)),
                    value => value,
                };
                if let Value::Number(text) | Value::Text(text) = &value {
                    self.reader.count_text(text)?;
                }
                Ok(Node { at: Some(at), value, faulty: false })
            }
        }
    }
}

struct NodeVisitor<'r, 't, 's> {
    seed: Seed<'r, 't>,
    /// Set when the error that follows only carries a position.
    scalar: &'s mut Option<Value>,
}

impl<'r, 't> NodeVisitor<'r, 't, '_> {
    fn count<E: serde::de::Error>(&self) -> Result<(), E> {
        let reader = self.seed.reader;
        reader.values.set(reader.values.get() + 1);
        if reader.values.get() > MAX_VALUES {
            return Err(reader.refuse(format!("the file holds more than {MAX_VALUES} values, aliases followed")));
        }
        Ok(())
    }

    fn scalar<E: serde::de::Error>(self, value: Value) -> Result<Node, E> {
        self.count()?;
        *self.scalar = Some(value);
        Err(E::custom(""))
    }

    fn deeper<E: serde::de::Error>(&self) -> Result<Seed<'r, 't>, E> {
        self.count()?;
        if self.seed.depth == MAX_DEPTH {
            return Err(self.seed.reader.refuse("values are nested too deeply"));
        }
        Ok(Seed { depth: self.seed.depth + 1, ..self.seed })
    }
}

impl<'de> Visitor<'de> for NodeVisitor<'_, '_, '_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        self.scalar(Value::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Node, E> {
        self.scalar(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Node, E> {
        self.scalar(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Node, E> {
        self.scalar(Value::Number(String::new()))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Node, E> {
        self.scalar(Value::Number(String::new()))
    }

    fn visit_u128<E: serde::de::Error>(self, _: u128) -> Result<Node, E> {
        self.scalar(Value::Number(String::new()))
    }

    fn visit_i128<E: serde::de::Error>(self, _: i128) -> Result<Node, E> {
        self.scalar(Value::Number(String::new()))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Node, E> {
        self.scalar(Value::Number(String::new()))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Node, E> {
        self.scalar(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let seed = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(seed)? {
            items.push(item);
        }
        Ok(Node { at: items.first().and_then(|item| item.at), value: Value::List(items), faulty: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let seed = self.deeper()?;
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(key) = access.next_key_seed(seed)? {
            let name = match key.value {
                Value::Text(name) | Value::Number(name) if name.len() <= MAX_KEY => name,
                Value::Bool(value) => value.to_string(),
                Value::Text(_) | Value::Number(_) => return Err(seed.reader.refuse("a key is too long")),
                _ => return Err(seed.reader.refuse("a key has to be a word")),
            };
            let mut value = access.next_value_seed(seed)?;
            value.at = value.at.or(key.at);
            entries.push(Entry { name, at: key.at, value });
        }
        Ok(Node { at: entries.first().and_then(|entry| entry.at), value: Value::Map(entries), faulty: false })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Node, A::Error> {
        Err(self.seed.reader.refuse("tags are not read: leave the `!…` out"))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::parse;
    use crate::config::tree::{Node, Step, Value, steps};

    fn rest<'t>(text: &'t str, path: &[Step]) -> &'t str {
        let tree = parse(text).unwrap();
        &text[tree.find(path).unwrap().at.unwrap()..]
    }

    #[test]
    fn every_scalar_knows_where_it_stands() {
        let text = "a: 1\nb:\n  - x\n  - {é: \"q\", k: 'z' }\nc: &n\n  d: &m !!str 7\ne: *n\nf: |\n  lines\n";
        assert!(rest(text, &steps!["a"]).starts_with("1\n"));
        assert!(rest(text, &steps!["b", 0]).starts_with("x\n"));
        assert!(rest(text, &steps!["b", 1, "é"]).starts_with("\"q\""));
        assert!(rest(text, &steps!["b", 1, "k"]).starts_with("'z'"));
        assert!(rest(text, &steps!["c", "d"]).starts_with("7\n"));
        assert!(rest(text, &steps!["e", "d"]).starts_with("7\n"));
        assert!(rest(text, &steps!["f"]).starts_with("|\n"));
        assert!(rest(text, &steps!["b"]).starts_with("x\n"));
    }

    #[test]
    fn unusual_line_ends_do_not_move_positions() {
        for text in ["a: 1\r\nb: here\r\n", "a: 1\rb: here\r", "a: \"x\u{85}y\"\nb: here\n", "# \u{2028}\nb: here\n"] {
            assert!(rest(text, &steps!["b"]).starts_with("here"), "{text:?}");
        }
    }

    #[test]
    fn both_of_two_equal_keys_are_kept() {
        let tree = parse("a: 1\na: 2\n").unwrap();
        let Value::Map(entries) = tree.value else { panic!("{tree:?}") };
        assert_eq!(entries.iter().map(|entry| entry.at).collect::<Vec<_>>(), [Some(0), Some(5)]);
    }

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().message().to_owned()
    }

    #[test]
    fn bounds_hold() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            writeln!(bomb, "a{level}: &a{level} [{}]", vec![alias; 10].join(", ")).unwrap();
        }
        assert!(refusal(&bomb).contains("more than 20000 values"), "{}", refusal(&bomb));
        assert!(refusal(&"[".repeat(1 << 20)).contains("too deeply"));
        assert!(refusal(&"[".repeat(900)).contains("too deeply"));
        assert!(refusal(&"- ".repeat(1 << 19)).contains("too deeply"));
        assert!(refusal(&"? ".repeat(1 << 19)).contains("too deeply"));
        assert!(refusal(&"{a: ".repeat(500)).contains("too deeply"));
        assert!(refusal(&format!("[{}]", "1,".repeat(1 << 19))).contains("more than 20000 values"));
        assert!(refusal(&format!("? {}\n: 1\n", "k".repeat(1 << 20))).contains("too long"));
        let text = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(500_000), "*a, ".repeat(40_000));
        assert!(refusal(&text).contains("too much text"));
        let text = format!("a: &a 0x{}1\nb: [{}]\n", "0".repeat(500_000), "*a, ".repeat(40_000));
        assert!(refusal(&text).contains("too much text"));
        assert!(refusal("a: &a [*a]").contains("too deeply"));
    }

    #[test]
    fn other_syntax_is_refused_in_words() {
        for (text, words) in [
            ("a: 1\n---\nb: 2\n", "more than one document"),
            ("a: !thing x\n", "tags are not read"),
            ("? [a]\n: 1\n", "a key has to be a word"),
            ("a: b: c\n", "mapping values are not allowed"),
            ("a:\n\tb: 1\n", "cannot start any token"),
            ("a: [1\n", "did not find expected"),
            ("a: *nowhere\n", "unknown anchor"),
        ] {
            assert!(refusal(text).contains(words), "{text:?}: {}", refusal(text));
            assert!(!refusal(text).contains("at line"), "{text:?}: {}", refusal(text));
        }
    }

    /// Not random, but far from sense: no input may panic.
    #[test]
    fn noise_is_answered() {
        let alphabet: Vec<char> =
            "ab:-[]{}&*!|>'\"%@`#?,~ \n\r\t\u{85}\u{2028}é\u{1f980}\u{0}\u{7f}\u{feff}".chars().collect();
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..24 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                text.push(alphabet[usize::try_from(state >> 33).unwrap() % alphabet.len()]);
            }
            let (Ok(Node { at: None | Some(0..=100), .. }) | Err(_)) = parse(&text) else { panic!("{text:?}") };
        }
    }
}
