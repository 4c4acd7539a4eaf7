//! From a key path to its line and column.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::path::{KeyPath, Segment};
use super::read::Duplicate;

/// The position of the key or list item at `path`, else that of the nearest value above it; line and column from 1.
///
/// Keys that came by a merge (`<<`) stand elsewhere: they get the position of the mapping that took them.
pub(in crate::config) fn locate(
    text: &str,
    path: &KeyPath,
    duplicates: &[Duplicate],
) -> Option<(usize, usize)> {
    let mut path = path.clone();
    while !path.0.is_empty() {
        if let Some(position) = exact(text, &path, duplicates, false) {
            return Some(position);
        }
        path = path.parent();
    }
    None
}

/// The position of the value at `path` itself, if it stands in the file.
pub(in crate::config) fn locate_value(
    text: &str,
    path: &KeyPath,
    duplicates: &[Duplicate],
) -> Option<(usize, usize)> {
    exact(text, path, duplicates, true)
}

fn exact(
    text: &str,
    path: &KeyPath,
    duplicates: &[Duplicate],
    value: bool,
) -> Option<(usize, usize)> {
    let mut prefix = KeyPath::default();
    let steps: Vec<Step<'_>> = path
        .0
        .iter()
        .map(|segment| {
            prefix.0.push(segment.clone());
            match segment {
                Segment::Index(index) => Step::Index(*index),
                Segment::Key(name) => {
                    let times = duplicates
                        .iter()
                        .find(|duplicate| duplicate.path == prefix)
                        .map_or(1, |d| d.times);
                    Step::Key {
                        name,
                        skip: times - 1,
                    }
                }
            }
        })
        .collect();
    let hit = Cell::new(false);
    let walk = Walk {
        steps: &steps,
        value,
        hit: &hit,
    };
    let stopped = walk
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .err()?;
    let location = stopped.location().filter(|_| hit.get())?;
    Some((location.line(), location.column()))
}

enum Step<'p> {
    /// The occurrence of `name` after `skip` earlier ones.
    Key {
        name: &'p str,
        skip: usize,
    },
    Index(usize),
}

/// Walks down `steps` and fails on purpose where they end.
#[derive(Clone, Copy)]
struct Walk<'p> {
    steps: &'p [Step<'p>],
    /// Stop at the value of the last key, not at the key.
    value: bool,
    hit: &'p Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.hit.set(self.steps.is_empty());
        // A scalar meets the visitor's default methods, which fail: at the end of the path that is the hit.
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the end of the path")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((Step::Index(wanted), rest)) = self.steps.split_first() else {
            return Err(A::Error::custom("here"));
        };
        for _ in 0..*wanted {
            seq.next_element::<IgnoredAny>()?;
        }
        seq.next_element_seed(Walk {
            steps: rest,
            value: self.value,
            hit: self.hit,
        })?;
        Err(A::Error::custom("too short"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Key { name, skip }, rest)) = self.steps.split_first() else {
            return Err(A::Error::custom("here"));
        };
        let mut seen = 0;
        loop {
            let stop = !self.value && seen == *skip && rest.is_empty();
            let Some(matches) = map.next_key_seed(KeyIs {
                name,
                hit: stop.then_some(self.hit),
            })?
            else {
                return Err(A::Error::custom("no such key"));
            };
            if matches && seen == *skip {
                map.next_value_seed(Walk {
                    steps: rest,
                    value: self.value,
                    hit: self.hit,
                })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            seen += usize::from(matches);
        }
    }
}

/// Whether a key is `name`; with `hit`, fails there.
struct KeyIs<'p> {
    name: &'p str,
    hit: Option<&'p Cell<bool>>,
}

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIs<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<bool, E> {
        match self.hit {
            Some(hit) if key == self.name => {
                hit.set(true);
                Err(E::custom("here"))
            }
            _ => Ok(key == self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{KeyPath, read};
    use super::locate;

    const TEXT: &str = "# comment\nmodel_list:\n  - model_name: a\n    litellm_params: {model: x, rpm: 'y'}\n  - model_name: b\n\
                        g:\n  k: 1\ng:\n  k: 2\n";

    #[test]
    fn keys_and_items_are_found_where_they_stand() {
        let duplicates = read(TEXT).unwrap().duplicates;
        let list = KeyPath::of(&["model_list"]);
        for (path, want) in [
            (list.clone(), (2, 1)),
            (list.index(0), (3, 5)),
            (list.index(0).key("litellm_params").key("rpm"), (4, 32)),
            (list.index(1).key("model_name"), (5, 5)),
            // The last of a repeated key is the one that counts.
            (KeyPath::of(&["g", "k"]), (9, 3)),
            // A missing key is reported at what should hold it.
            (list.index(1).key("litellm_params"), (5, 5)),
        ] {
            assert_eq!(locate(TEXT, &path, &duplicates), Some(want), "{path}");
        }
        assert_eq!(locate(TEXT, &KeyPath::default(), &duplicates), None);
    }
}
