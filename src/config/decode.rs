//! Tree to types: serde's own derive, but with errors that are data and know their path, and with every fault found
//! instead of the first.
//!
//! serde stops at a fault. So the fault is noted, its place in the tree is marked as faulty (which then decodes as "not
//! written"), and the tree is decoded again, until it goes through.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, Unexpected, Visitor};

use crate::config::tree::{Entry, Node, Path, Step, Value};

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// From the root to the value concerned; while the error travels up it is in reverse.
    pub(super) path: Path,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    UnknownKey { key: String, known: &'static [&'static str] },
    MissingKey(&'static str),
    WrongType { expected: String },
    UnknownWord { word: String, known: &'static [&'static str] },
    Other(String),
}

/// Decodes, and hands every fault to `note` while the tree still has it. `None` once `limit` faults were found.
pub(super) fn decode<T: DeserializeOwned>(
    tree: &mut Node,
    limit: usize,
    mut note: impl FnMut(&Node, &Fault),
) -> Option<T> {
    let mut found = 0;
    while found < limit {
        let mut fault = match T::deserialize(&*tree) {
            Ok(value) => return Some(value),
            Err(fault) => fault,
        };
        fault.path.reverse();
        // What is missing in a faulty value was never asked of the user.
        if !tree.is_faulty(&fault.path) {
            note(tree, &fault);
            found += 1;
        }
        mend(tree, &fault);
    }
    None
}

/// Changes the tree so that this fault does not come back.
fn mend(tree: &mut Node, fault: &Fault) {
    match (&fault.kind, fault.path.split_last()) {
        (FaultKind::UnknownKey { key, .. }, Some((_, parents))) => {
            if let Some(Value::Map(entries)) = tree.find_mut(parents).map(|node| &mut node.value) {
                entries.retain(|entry| entry.name != *key);
            }
        }
        (FaultKind::MissingKey(key), _) => {
            let missing = Entry { name: (*key).to_owned(), at: None, value: Node::missing() };
            match tree.find_mut(&fault.path).map(|node| &mut node.value) {
                Some(Value::Map(entries)) => entries.push(missing),
                Some(value) => *value = Value::Map(vec![missing]),
                None => {}
            }
        }
        _ => {
            if let Some(node) = tree.find_mut(&fault.path) {
                node.give_up();
            }
        }
    }
}

impl Fault {
    fn new(kind: FaultKind) -> Self {
        Self { kind, path: Path::new() }
    }

    fn under(mut self, step: impl Into<Step>) -> Self {
        self.path.push(step.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self::new(FaultKind::Other(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(FaultKind::WrongType { expected: expected.to_string() })
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::new(FaultKind::UnknownKey { key: key.to_owned(), known })
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Self::new(FaultKind::UnknownWord { word: word.to_owned(), known })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(FaultKind::MissingKey(key))
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(written) => match written.parse::<u64>() {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => visitor.visit_f64(written.parse().unwrap_or(f64::NAN)),
            },
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => visitor.visit_seq(Items { items: items.iter().enumerate() }),
            Value::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), current: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Null => visitor.visit_str(""),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Null => visitor.visit_u64(0),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Null => visitor.visit_seq(Items { items: [].iter().enumerate() }),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Null => visitor.visit_map(Entries { entries: [].iter(), current: None }),
            _ => self.deserialize_any(visitor),
        }
    }

    /// A struct is never read from a list of its fields.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.value {
            Value::List(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_map(visitor),
        }
    }

    /// Only plain words: no variant of deploy.yaml holds anything.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.value {
            // A required word that is missing or wrong was told already; any will do to go on.
            _ if self.faulty => {
                visitor.visit_enum(StrDeserializer::<Fault>::new(words.first().copied().unwrap_or_default()))
            }
            Value::Text(word) => visitor.visit_enum(StrDeserializer::<Fault>::new(word)),
            _ => Err(Fault::new(FaultKind::WrongType { expected: "a word".to_owned() })),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct tuple
        tuple_struct identifier ignored_any
    }
}

struct Items<'n> {
    items: std::iter::Enumerate<std::slice::Iter<'n, Node>>,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((index, item)) = self.items.next() else { return Ok(None) };
        seed.deserialize(item).map(Some).map_err(|fault| fault.under(index))
    }
}

struct Entries<'n> {
    entries: std::slice::Iter<'n, Entry>,
    current: Option<&'n Entry>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.current = Some(entry);
        let key = StrDeserializer::<Fault>::new(&entry.name);
        seed.deserialize(key).map(Some).map_err(|fault| fault.under(&entry.name))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let entry = self.current.take().ok_or_else(|| de::Error::custom("a value was asked for before its key"))?;
        seed.deserialize(&entry.value).map_err(|fault| fault.under(&entry.name))
    }
}
