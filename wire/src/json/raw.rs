//! A value as it is spelled.

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The text of one JSON value, without the space around it.
///
/// Serde reads it like `serde_json`'s `&RawValue`, which only serde can make; this one is cut out of text as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

// === impl Raw ===

impl<'a> Raw<'a> {
    /// `text` must be one value, or text about whose syntax the caller need not care.
    pub(super) fn of(text: &'a str) -> Self {
        Self(text)
    }

    /// The text: `"a"`, `[1, 2]`, `null`.
    pub fn get(self) -> &'a str {
        self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Self(raw.get()))
    }
}

impl<'a> From<&'a RawValue> for Raw<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self(raw.get())
    }
}
