//! Values that may be written in several ways.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A group name, or a mapping that holds one under `model`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct ModelRef {
    pub(in crate::config) name: String,
    /// An alias that is not listed.
    pub(in crate::config) hidden: bool,
}

/// One text or a list of them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::config) struct OneOrMany(pub(in crate::config) Vec<String>);

/// A text, or a whole response of which the text is taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct MockResponse(pub(in crate::config) Option<String>);

// === impl ModelRef ===

impl<'de> Deserialize<'de> for ModelRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ModelRefVisitor)
    }
}

struct ModelRefVisitor;

impl<'de> Visitor<'de> for ModelRefVisitor {
    type Value = ModelRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a model group")
    }

    fn visit_str<E>(self, name: &str) -> Result<ModelRef, E> {
        Ok(ModelRef {
            name: name.to_owned(),
            hidden: false,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ModelRef, A::Error> {
        let mut name = None;
        let mut hidden = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "model" => name = Some(map.next_value()?),
                "hidden" => hidden = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        name.map(|name| ModelRef { name, hidden })
            .ok_or_else(|| Error::custom("the mapping names no model; write `model: GROUP`"))
    }
}

// === impl OneOrMany ===

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

struct OneOrManyVisitor;

impl<'de> Visitor<'de> for OneOrManyVisitor {
    type Value = OneOrMany;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_unit<E>(self) -> Result<OneOrMany, E> {
        Ok(OneOrMany::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<OneOrMany, E> {
        Ok(OneOrMany(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = seq.next_element()? {
            texts.push(text);
        }
        Ok(OneOrMany(texts))
    }
}

// === impl MockResponse ===

impl<'de> Deserialize<'de> for MockResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let content = value
            .pointer("/choices/0/message/content")
            .and_then(Value::as_str);
        Ok(Self(match &value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            _ => Some(content.map_or_else(|| value.to_string(), str::to_owned)),
        }))
    }
}
