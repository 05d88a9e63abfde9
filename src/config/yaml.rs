//! YAML as a tree whose every node knows where it stood. Values stay text: what `1500` or `on` means is decided where it is
//! used, so that no name or address is mistaken for a number or a truth value.

mod read;
mod write;

pub(crate) use read::read;
pub(crate) use write::{flow, write};

use crate::diagnostic::{Position, Reader};

/// A value as a command gives it: a list or mapping in its flow form, or else a single value. None after an error of syntax.
pub(crate) fn value(text: &str, reader: &mut Reader) -> Option<Node> {
    if text.starts_with(['[', '{']) { read(text, reader) } else { Some(Node::text(text)) }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub at: Position,
    pub value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Nothing after the key, `~` or `null`.
    Null,
    /// One word, number, quoted text, ...
    Text(String),
    List(Vec<Node>),
    /// In the order of the file, without duplicate keys.
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub key_at: Position,
    pub value: Node,
}

impl Node {
    fn new(value: Value) -> Self {
        Self { at: Position::default(), value }
    }

    /// A single value, for writing.
    pub fn text(value: impl ToString) -> Self {
        Self::new(Value::Text(value.to_string()))
    }

    /// A list, for writing.
    pub fn list(items: impl IntoIterator<Item = Node>) -> Self {
        Self::new(Value::List(items.into_iter().collect()))
    }

    /// An empty mapping, for writing.
    pub fn map() -> Self {
        Self::new(Value::Map(Vec::new()))
    }

    /// The mapping with one more key.
    pub fn with(mut self, key: impl ToString, value: Node) -> Self {
        if let Value::Map(entries) = &mut self.value {
            entries.push(Entry { key: key.to_string(), key_at: Position::default(), value });
        }
        self
    }

    /// The mapping with one more key, unless the value is the one that is meant without it.
    pub fn with_unless<T: PartialEq + ToString>(self, default: &T, key: &str, value: &T) -> Self {
        if value == default { self } else { self.with(key, Node::text(value.to_string())) }
    }

    /// Whether it is a mapping or list without anything in it.
    pub fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Text(_) => false,
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }

    /// The entries of a mapping.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The keys of two mappings whose values differ, as `key old -> new`; `default` where there is none.
    pub fn differences(&self, to: &Node) -> String {
        let value = |node: &Node, key: &str| node.entries().iter().find(|e| e.key == key).map(|e| e.value.clone());
        let mut keys: Vec<&str> = Vec::new();
        for entry in self.entries().iter().chain(to.entries()) {
            if !keys.contains(&entry.key.as_str()) {
                keys.push(&entry.key);
            }
        }
        let word = |value: Option<Node>| match value {
            None => "default".to_owned(),
            Some(Node { value: Value::Text(text), .. }) => text,
            Some(value) => flow(&value),
        };
        let differs = keys.into_iter().filter_map(|key| {
            let (from, to) = (value(self, key), value(to, key));
            (from != to).then(|| format!("{key} {} -> {}", word(from), word(to)))
        });
        differs.collect::<Vec<_>>().join(", ")
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Text(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
