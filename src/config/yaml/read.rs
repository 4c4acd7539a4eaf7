//! From text to tree: every key is read, a repeated one is noted and the last wins (as `PyYAML` does), `<<` merges.
//!
//! What a text may cost is bounded: its length, its depth (by the parser), and the number of values that its aliases
//! unfold to.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Deserialize as _;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess as _, Visitor,
};

use super::node::{Entry, Mapping, Node, Number};
use super::path::KeyPath;

/// A parsed file.
#[derive(Debug)]
pub(in crate::config) struct Read {
    /// The tree, each key once.
    pub(in crate::config) root: Node,
    /// The keys that stood there more than once.
    pub(in crate::config) duplicates: Vec<Duplicate>,
}

/// A repeated key.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) struct Duplicate {
    /// The key.
    pub(in crate::config) path: KeyPath,
    /// How often it stands there; the last counts.
    pub(in crate::config) times: usize,
}

/// Longer texts are refused: the largest real configurations are a tenth of this.
pub(in crate::config) const MOST_BYTES: usize = 4 * 1024 * 1024;
/// So many values may a text unfold to.
const MOST_VALUES: usize = 1_000_000;

/// Parses `text`.
///
/// # Errors
/// The parser's, with its position where it knows one; also for a text that is too long or unfolds to too much.
pub(in crate::config) fn read(text: &str) -> Result<Read, serde_yaml::Error> {
    if text.len() > MOST_BYTES {
        return Err(serde_yaml::Error::custom(format!(
            "it is longer than {MOST_BYTES} bytes"
        )));
    }
    let left = Cell::new(MOST_VALUES);
    let mut root = ReadNode(&left).deserialize(serde_yaml::Deserializer::from_str(text))?;
    // The first pass tells numbers from texts; the second asks for the same scalars as text.
    SourceText(&mut root).deserialize(serde_yaml::Deserializer::from_str(text))?;
    let mut duplicates = Vec::new();
    settle(&mut root, &KeyPath::default(), &mut duplicates);
    Ok(Read { root, duplicates })
}

/// Leaves each key once and applies merge keys, from the root down.
fn settle(node: &mut Node, path: &KeyPath, duplicates: &mut Vec<Duplicate>) {
    match node {
        Node::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                settle(item, &path.index(index), duplicates);
            }
        }
        Node::Map(map) => {
            let mut kept: Vec<Entry> = Vec::with_capacity(map.0.len());
            let mut places: HashMap<String, (usize, usize)> = HashMap::new();
            for entry in map.0.drain(..) {
                let (at, times) = places.entry(entry.key.clone()).or_insert((kept.len(), 0));
                *times += 1;
                match kept.get_mut(*at) {
                    Some(earlier) => earlier.value = entry.value,
                    None => kept.push(entry),
                }
            }
            // In the order of the file.
            for entry in &kept {
                if let Some((_, times @ 2..)) = places.get(&entry.key) {
                    let path = path.key(&entry.key);
                    duplicates.push(Duplicate {
                        path,
                        times: *times,
                    });
                }
            }
            map.0 = kept;
            merge(map);
            for entry in &mut map.0 {
                settle(&mut entry.value, &path.key(&entry.key), duplicates);
            }
        }
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => {}
    }
}

/// `<<: *base` brings the keys of `base` that are not there already.
fn merge(map: &mut Mapping) {
    let Some(position) = map.0.iter().position(|entry| entry.key == "<<") else {
        return;
    };
    let sources = match map.0.remove(position).value {
        Node::List(items) => items,
        one => vec![one],
    };
    let mut known: HashSet<String> = map.0.iter().map(|entry| entry.key.clone()).collect();
    for source in sources {
        let Node::Map(mut source) = source else {
            continue;
        };
        merge(&mut source);
        for entry in source.0 {
            if known.insert(entry.key.clone()) {
                map.0.push(entry);
            }
        }
    }
}

// === impl ReadNode ===

/// Builds the tree as long as values are left.
#[derive(Clone, Copy)]
struct ReadNode<'b>(&'b Cell<usize>);

impl<'de> DeserializeSeed<'de> for ReadNode<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let left = self.0.get().checked_sub(1);
        self.0.set(left.ok_or_else(|| {
            D::Error::custom(format!("it unfolds to more than {MOST_VALUES} values"))
        })?);
        deserializer.deserialize_any(self)
    }
}

impl ReadNode<'_> {
    fn number(value: impl Into<serde_json::Number>) -> Node {
        let value = value.into();
        Node::Number(Number {
            text: value.to_string(),
            value,
        })
    }
}

impl<'de> Visitor<'de> for ReadNode<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    /// A tag of somebody's own (`!Secret x`) says nothing here; the value behind it counts.
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Node, A::Error> {
        let (_tag, value): (IgnoredAny, _) = data.variant()?;
        value.newtype_variant_seed(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Self::number(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Self::number(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        // `.inf` and `.nan` are no numbers that a setting could hold.
        Ok(serde_json::Number::from_f64(value)
            .map_or_else(|| Node::Text(value.to_string()), Self::number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            entries.push(Entry {
                key,
                value: map.next_value_seed(self)?,
            });
        }
        Ok(Node::Map(Mapping(entries)))
    }
}

/// Second pass: writes the source text of each number into the tree of the first.
struct SourceText<'n>(&'n mut Node);

impl<'de> DeserializeSeed<'de> for SourceText<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            Node::Number(_) => deserializer.deserialize_str(self),
            Node::List(_) => deserializer.deserialize_seq(self),
            Node::Map(_) => deserializer.deserialize_map(self),
            Node::Null | Node::Bool(_) | Node::Text(_) => {
                IgnoredAny::deserialize(deserializer).map(|IgnoredAny| ())
            }
        }
    }
}

impl<'de> Visitor<'de> for SourceText<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the same file as before")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if let Node::Number(number) = self.0 {
            text.clone_into(&mut number.text);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Node::List(items) = self.0 else {
            return Err(A::Error::custom("not a list"));
        };
        for item in items {
            seq.next_element_seed(SourceText(item))?;
        }
        // The parser wants to be asked for the end.
        seq.next_element::<IgnoredAny>()?;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Node::Map(mapping) = self.0 else {
            return Err(A::Error::custom("not a mapping"));
        };
        for entry in &mut mapping.0 {
            map.next_key::<IgnoredAny>()?;
            map.next_value_seed(SourceText(&mut entry.value))?;
        }
        map.next_key::<IgnoredAny>()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::super::{KeyPath, Node};
    use super::{Duplicate, read};

    #[test]
    fn numbers_keep_their_source_text() {
        let read = read("a: 1e-06\nb: [0.0000025, 10, '7']\nc: {d: 1.50}").unwrap();
        let texts: Vec<String> = [
            read.root.get("a").unwrap(),
            read.root.get("c").unwrap().get("d").unwrap(),
        ]
        .into_iter()
        .map(Node::describe)
        .collect();
        assert_eq!(texts, ["the number `1e-06`", "the number `1.50`"]);
        let Some(Node::List(items)) = read.root.get("b") else {
            panic!("no list")
        };
        let items: Vec<String> = items.iter().map(Node::describe).collect();
        assert_eq!(
            items,
            ["the number `0.0000025`", "the number `10`", "the text `7`"]
        );
    }

    #[test]
    fn the_last_of_a_repeated_key_wins_and_is_noted() {
        let read = read("g: {a: 1}\nx: 2\ng: {b: 3, b: 4, b: 5}\n").unwrap();
        assert_eq!(
            read.root.to_json(),
            serde_json::json!({"g": {"b": 5}, "x": 2})
        );
        assert_eq!(
            read.duplicates,
            [
                Duplicate {
                    path: KeyPath::of(&["g"]),
                    times: 2
                },
                Duplicate {
                    path: KeyPath::of(&["g", "b"]),
                    times: 3
                },
            ]
        );
    }

    #[test]
    fn merge_keys_bring_what_is_missing() {
        let read = read("base: &b {a: 1, c: 2}\nuse: {<<: *b, a: 9}\n").unwrap();
        assert_eq!(
            read.root.get("use").unwrap().to_json(),
            serde_json::json!({"a": 9, "c": 2})
        );
    }

    #[test]
    fn bombs_and_deep_nesting_are_errors() {
        let mut bomb = String::from("a0: &a0 [x, x]\n");
        for level in 1..40 {
            let before = level - 1;
            writeln!(
                bomb,
                "a{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}]"
            )
            .unwrap();
        }
        assert!(read(&bomb).is_err());
        assert!(read(&"[".repeat(100_000)).is_err());
    }
}
