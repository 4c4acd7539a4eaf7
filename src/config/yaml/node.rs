//! The tree of a parsed file.

use std::mem;

use serde_json::{Map, Value};

use super::path::{KeyPath, Segment};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::config) enum Node {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An unquoted number.
    Number(Number),
    /// Any other scalar.
    Text(String),
    /// A sequence.
    List(Vec<Self>),
    /// A mapping.
    Map(Mapping),
}

/// A number and how it was written, so that money never passes through a float.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::config) struct Number {
    /// As written: `1e-06`.
    pub(in crate::config) text: String,
    /// As JSON, for bodies.
    pub(in crate::config) value: serde_json::Number,
}

/// A mapping in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::config) struct Mapping(pub(in crate::config) Vec<Entry>);

/// One key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::config) struct Entry {
    /// The key as written.
    pub(in crate::config) key: String,
    /// Its value.
    pub(in crate::config) value: Node,
}

impl Mapping {
    /// The value of `key`.
    pub(in crate::config) fn get(&self, key: &str) -> Option<&Node> {
        self.0
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }
}

impl Mapping {
    /// The value of `key`, to change it.
    pub(in crate::config) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0
            .iter_mut()
            .find(|entry| entry.key == key)
            .map(|entry| &mut entry.value)
    }

    /// Sets `key`, whether it was there or not.
    pub(in crate::config) fn set(&mut self, key: &str, value: Node) {
        match self.get_mut(key) {
            Some(place) => *place = value,
            None => self.0.push(Entry {
                key: key.to_owned(),
                value,
            }),
        }
    }
}

impl Node {
    /// The value of `key`, if this is a mapping that has it.
    pub(in crate::config) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// As a switch, in YAML 1.1's words too.
    pub(in crate::config) fn switch(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Some(true),
                "false" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value at `path` below this one.
    pub(in crate::config) fn at(&self, path: &KeyPath) -> Option<&Self> {
        path.0
            .iter()
            .try_fold(self, |node, segment| match (segment, node) {
                (Segment::Key(key), Self::Map(map)) => map.get(key),
                (Segment::Index(index), Self::List(items)) => items.get(*index),
                _ => None,
            })
    }

    /// [`Self::at`], to change it.
    pub(in crate::config) fn at_mut(&mut self, path: &KeyPath) -> Option<&mut Self> {
        path.0
            .iter()
            .try_fold(self, |node, segment| match (segment, node) {
                (Segment::Key(key), Self::Map(map)) => map.get_mut(key),
                (Segment::Index(index), Self::List(items)) => items.get_mut(*index),
                _ => None,
            })
    }

    /// Takes the value at `path` out: a key is removed, a list item becomes null so that the others keep their places.
    /// `false` when there was nothing to take.
    pub(in crate::config) fn strike(&mut self, path: &KeyPath) -> bool {
        let Some((last, above)) = path.0.split_last() else {
            return false;
        };
        let above = KeyPath(above.to_vec());
        let Some(node) = self.at_mut(&above) else {
            return false;
        };
        match (last, node) {
            (Segment::Key(key), Self::Map(map)) => {
                let before = map.0.len();
                map.0.retain(|entry| entry.key != *key);
                map.0.len() < before
            }
            (Segment::Index(index), Self::List(items)) => items
                .get_mut(*index)
                .is_some_and(|item| mem::replace(item, Self::Null) != Self::Null),
            _ => false,
        }
    }

    /// A value that came as JSON.
    pub(in crate::config) fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(value) => Self::Number(Number {
                text: value.to_string(),
                value: value.clone(),
            }),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Value::Object(members) => {
                let entry = |(key, value): (&String, &Value)| Entry {
                    key: key.clone(),
                    value: Self::from_json(value),
                };
                Self::Map(Mapping(members.iter().map(entry).collect()))
            }
        }
    }

    /// The same value as JSON.
    pub(in crate::config) fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.value.clone()),
            Self::Text(text) => Value::String(text.clone()),
            Self::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Self::Map(map) => Value::Object(
                map.0
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// What it is, for a message: `the text "abc"`, `a list`. Long texts are cut.
    pub(in crate::config) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Number(number) => format!("the number `{}`", number.text),
            Self::Text(text) if text.chars().count() > 40 => "a long text".to_owned(),
            Self::Text(text) => format!("the text `{}`", text.escape_debug()),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}
