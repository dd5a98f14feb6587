//! The file as a tree of values that know where they stand. Unlike a YAML library's own tree it keeps duplicate keys, so
//! that they can be refused, and a value can be marked as faulty without being taken out.

/// A value and the byte offset at which it begins. A map or a list has the offset of the first thing in it, or that of
/// its key when it is empty.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Option<usize>,
    pub(super) value: Value,
    /// A fault was reported here already, and nothing more is to be said about it.
    pub(super) faulty: bool,
}

#[derive(Debug)]
pub(super) enum Value {
    /// Nothing is written, or nothing that could be used.
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Byte offset of the key; `None` for a key that is missing in the file and was put there as faulty.
    pub(super) at: Option<usize>,
    pub(super) value: Node,
}

/// One step from a value to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<&String> for Step {
    fn from(key: &String) -> Self {
        Self::Key(key.clone())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// The way from the root to a value.
pub(super) type Path = Vec<Step>;

/// `steps!["environments", name, "branch"]`
macro_rules! steps {
    ($($step:expr),* $(,)?) => { [$($crate::config::tree::Step::from($step)),*] };
}
pub(super) use steps;

/// `services.api.secrets[0]`
pub(super) fn describe_path(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.extend([".", key]),
            Step::Index(index) => text.extend(["[", index.to_string().as_str(), "]"]),
        }
    }
    text
}

impl Node {
    /// What stands for a value that is missing in the file.
    pub(super) fn missing() -> Self {
        Self { at: None, value: Value::Null, faulty: true }
    }

    /// From now on it decodes as "not written".
    pub(super) fn give_up(&mut self) {
        self.value = Value::Null;
        self.faulty = true;
    }

    pub(super) fn child(&self, step: &Step) -> Option<&Self> {
        match (&self.value, step) {
            (Value::Map(entries), Step::Key(key)) => entries.iter().find(|e| e.name == *key).map(|e| &e.value),
            (Value::List(items), Step::Index(index)) => items.get(*index),
            _ => None,
        }
    }

    fn child_mut(&mut self, step: &Step) -> Option<&mut Self> {
        match (&mut self.value, step) {
            (Value::Map(entries), Step::Key(key)) => entries.iter_mut().find(|e| e.name == *key).map(|e| &mut e.value),
            (Value::List(items), Step::Index(index)) => items.get_mut(*index),
            _ => None,
        }
    }

    pub(super) fn find(&self, path: &[Step]) -> Option<&Self> {
        path.iter().try_fold(self, |node, step| node.child(step))
    }

    pub(super) fn find_mut(&mut self, path: &[Step]) -> Option<&mut Self> {
        path.iter().try_fold(self, |node, step| node.child_mut(step))
    }

    /// Whether this path leads to or through a value that was reported already.
    pub(super) fn is_faulty(&self, path: &[Step]) -> bool {
        let mut node = self;
        for step in path {
            match node.child(step) {
                Some(child) => node = child,
                None => break,
            }
        }
        node.faulty
    }

    /// The entry that the last step of the path names.
    pub(super) fn entry(&self, path: &[Step]) -> Option<&Entry> {
        let (Step::Key(key), parents) = path.split_last()? else { return None };
        match &self.find(parents)?.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.name == *key),
            _ => None,
        }
    }

    /// The names of a map, in order; none for anything else.
    pub(super) fn names(&self, path: &[Step]) -> Vec<&str> {
        match self.find(path).map(|node| &node.value) {
            Some(Value::Map(entries)) => entries.iter().map(|entry| entry.name.as_str()).collect(),
            _ => Vec::new(),
        }
    }
}
