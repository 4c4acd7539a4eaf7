//! Where a value stands in the file: `model_list[0].litellm_params.model`.

use std::fmt;

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) enum Segment {
    /// Into a mapping.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// A path from the root; empty for the whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) struct KeyPath(pub(in crate::config) Vec<Segment>);

impl KeyPath {
    /// A path of keys only.
    pub(in crate::config) fn of(keys: &[&str]) -> Self {
        Self(
            keys.iter()
                .map(|key| Segment::Key((*key).to_owned()))
                .collect(),
        )
    }

    /// This path and one key more.
    pub(in crate::config) fn key(&self, key: &str) -> Self {
        let mut longer = self.clone();
        longer.0.push(Segment::Key(key.to_owned()));
        longer
    }

    /// This path and one list index more.
    pub(in crate::config) fn index(&self, index: usize) -> Self {
        let mut longer = self.clone();
        longer.0.push(Segment::Index(index));
        longer
    }

    /// This path with `tail` below it.
    pub(in crate::config) fn join(&self, tail: &Self) -> Self {
        Self(self.0.iter().chain(&tail.0).cloned().collect())
    }

    /// The path without its last step.
    pub(in crate::config) fn parent(&self) -> Self {
        let mut shorter = self.clone();
        shorter.0.pop();
        shorter
    }

    /// The last step, if it is a key.
    pub(in crate::config) fn last_key(&self) -> Option<&str> {
        match self.0.last() {
            Some(Segment::Key(key)) => Some(key),
            _ => None,
        }
    }

    /// Whether one of `names` is a step of it.
    pub(in crate::config) fn has_key(&self, names: &[&str]) -> bool {
        self.0
            .iter()
            .any(|segment| matches!(segment, Segment::Key(key) if names.contains(&key.as_str())))
    }

    /// The keys with dots between and without list indices, to look a key up in a table.
    pub(in crate::config) fn keys_only(&self) -> String {
        let keys: Vec<&str> = self
            .0
            .iter()
            .filter_map(|segment| match segment {
                Segment::Key(key) => Some(key.as_str()),
                Segment::Index(_) => None,
            })
            .collect();
        keys.join(".")
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if depth > 0 => write!(f, ".{key}")?,
                Segment::Key(key) => f.write_str(key)?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
