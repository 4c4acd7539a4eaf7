//! From tree to typed struct, as lenient as the files of `PyYAML` users need: quoted numbers are numbers, `yes` and `on`
//! are true where a switch is wanted, an unquoted number is a text where a text is wanted, an empty section is an
//! empty section.
//!
//! One call reports every wrong value: the value that fails is struck out and the rest is read again.

use std::error::Error as StdError;
use std::fmt::{self, Display};

use serde::Deserialize;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_path_to_error::{Segment as ErrorSegment, Track};

use super::node::{Entry, Node};
use super::path::{KeyPath, Segment};

/// A value of the wrong kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct TypeError {
    /// What is wrong.
    pub(in crate::config) what: String,
    /// What to write.
    pub(in crate::config) fix: String,
}

/// So many wrong values are reported of one section.
const MOST_WRONG: usize = 50;

/// Reads `node` as `T`. Wrong values are given to `wrong` with their path below `node`, keys that `T` does not have to
/// `ignored`. `None` only if nothing can be read at all; a struct whose fields all have defaults can always be.
pub(in crate::config) fn typed<T: for<'de> Deserialize<'de>>(
    node: &Node,
    mut wrong: impl FnMut(&KeyPath, TypeError),
    mut ignored: impl FnMut(&KeyPath),
) -> Option<T> {
    let mut node = node.clone();
    let mut reported = Vec::new();
    loop {
        let mut track = Track::new();
        let mut unknown = Vec::new();
        let result = serde_ignored::deserialize(
            serde_path_to_error::Deserializer::new(&node, &mut track),
            |path: serde_ignored::Path<'_>| unknown.push(ignored_path(&path)),
        );
        match result {
            Ok(value) => {
                unknown.iter().for_each(&mut ignored);
                return Some(value);
            }
            Err(err) => {
                let path = error_path(&track.path());
                if reported.contains(&path) {
                    // What is in a list cannot be left out without moving the rest: the whole list goes.
                    strike_above(&mut node, path)?;
                } else if reported.len() >= MOST_WRONG {
                    // Each costs another pass; whoever has so many mends these first.
                    return None;
                } else {
                    wrong(&path, err);
                    if !node.strike(&path) {
                        strike_above(&mut node, path.clone())?;
                    }
                    reported.push(path);
                }
            }
        }
    }
}

/// Strikes the nearest value above `path` that can be struck; `None` at the root.
fn strike_above(node: &mut Node, mut path: KeyPath) -> Option<()> {
    while !path.0.is_empty() {
        path = path.parent();
        if !path.0.is_empty() && node.strike(&path) {
            return Some(());
        }
    }
    None
}

fn error_path(path: &serde_path_to_error::Path) -> KeyPath {
    KeyPath(
        path.iter()
            .filter_map(|segment| match segment {
                ErrorSegment::Seq { index } => Some(Segment::Index(*index)),
                ErrorSegment::Map { key } => Some(Segment::Key(key.clone())),
                ErrorSegment::Enum { .. } | ErrorSegment::Unknown => None,
            })
            .collect(),
    )
}

fn ignored_path(path: &serde_ignored::Path<'_>) -> KeyPath {
    use serde_ignored::Path;
    match path {
        Path::Root => KeyPath::default(),
        Path::Seq { parent, index } => ignored_path(parent).index(*index),
        Path::Map { parent, key } => ignored_path(parent).key(key),
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => ignored_path(parent),
    }
}

// === impl TypeError ===

impl TypeError {
    fn expected(wanted: &str, found: &Node, fix: &str) -> Self {
        Self {
            what: format!("expected {wanted}, found {}", found.describe()),
            fix: fix.to_owned(),
        }
    }
}

impl Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.fix)
    }
}

impl StdError for TypeError {}

impl Error for TypeError {
    fn custom<T: Display>(message: T) -> Self {
        let message = message.to_string();
        // Own `Deserialize` implementations say what to write behind a semicolon.
        match message.split_once("; ") {
            Some((what, fix)) => Self {
                what: what.to_owned(),
                fix: fix.to_owned(),
            },
            None => Self {
                what: message,
                fix: "correct the value or remove the key".to_owned(),
            },
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a mapping".to_owned(),
            Unexpected::Str(text) => format!("the text `{}`", text.escape_debug()),
            other => other.to_string(),
        };
        Self {
            what: format!("expected {expected}, found {found}"),
            fix: format!("write {expected}"),
        }
    }
}

/// A bounded whole number.
fn whole<T: TryFrom<i128>>(node: &Node, max: u64) -> Result<T, TypeError> {
    let text = match node {
        Node::Number(number) => number.value.to_string(),
        Node::Text(text) => text.trim().to_owned(),
        _ => String::new(),
    };
    // `1e3` and `10.0` are whole numbers too.
    let digits = text.strip_suffix(".0").unwrap_or(&text);
    let value: Option<i128> = digits.parse().ok();
    value
        .filter(|value| (0..=i128::from(max)).contains(value))
        .and_then(|value| T::try_from(value).ok())
        .ok_or_else(|| {
            let fix = if value.is_some_and(|value| value > i128::from(max)) {
                format!("write at most {max}")
            } else {
                "write a number such as 10".to_owned()
            };
            TypeError::expected("a whole number, 0 or more", node, &fix)
        })
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = TypeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Text(text) => visitor.visit_str(text),
            Node::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter())),
            Node::Map(map) => visitor.visit_map(MapDeserializer::new(map.0.iter().map(pair))),
            Node::Number(number) => number
                .value
                .clone()
                .deserialize_any(visitor)
                .map_err(TypeError::custom),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.switch() {
            Some(value) => visitor.visit_bool(value),
            None => Err(TypeError::expected(
                "true or false",
                self,
                "write true or false without quotes",
            )),
        }
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        visitor.visit_u16(whole(self, u64::from(u16::MAX))?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        visitor.visit_u32(whole(self, u64::from(u32::MAX))?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        visitor.visit_u64(whole(self, u64::MAX)?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let value = match self {
            Node::Number(number) => number.value.as_f64(),
            Node::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        match value.filter(|value: &f64| value.is_finite()) {
            Some(value) => visitor.visit_f64(value),
            None => Err(TypeError::expected(
                "a number",
                self,
                "write a number such as 1.5",
            )),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self {
            Node::Text(text) => visitor.visit_str(text),
            Node::Number(number) => visitor.visit_str(&number.text),
            Node::Bool(value) => visitor.visit_str(if *value { "true" } else { "false" }),
            Node::Null | Node::List(_) | Node::Map(_) => Err(TypeError::expected(
                "a text",
                self,
                "write one text, in quotes where in doubt",
            )),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self {
            Node::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self {
            Node::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter())),
            Node::Null => visitor.visit_seq(SeqDeserializer::new(<[Node]>::iter(&[]))),
            _ => Err(TypeError::expected(
                "a list",
                self,
                "write a list: one `- item` a line, or [a, b]",
            )),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self {
            Node::Map(map) => visitor.visit_map(MapDeserializer::new(map.0.iter().map(pair))),
            Node::Null => visitor.visit_map(MapDeserializer::new(<[Entry]>::iter(&[]).map(pair))),
            _ => Err(TypeError::expected(
                "a mapping",
                self,
                "write `key: value` lines, indented",
            )),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct enum
    }
}

fn pair(entry: &Entry) -> (&str, &Node) {
    (entry.key.as_str(), &entry.value)
}

impl<'de> IntoDeserializer<'de, TypeError> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::read;
    use super::typed;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Sample {
        on: Option<bool>,
        port: Option<u16>,
        rate: Option<f64>,
        name: Option<String>,
        list: Vec<u32>,
        inner: Inner,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Inner {
        deep: Option<u64>,
    }

    fn sample(text: &str) -> (Option<Sample>, Vec<String>, Vec<String>) {
        let (mut wrong, mut ignored) = (Vec::new(), Vec::new());
        let read = read(text).unwrap();
        let value = typed(
            &read.root,
            |path, err| wrong.push(format!("{path}: {err}")),
            |path| ignored.push(path.to_string()),
        );
        (value, wrong, ignored)
    }

    #[test]
    fn the_spellings_of_yaml_users_are_understood() {
        let (value, wrong, ignored) =
            sample("on: yes\nport: '80'\nrate: 1e3\nname: 42\nlist:\ninner:\nmore: {x: 1}\n");
        let want = Sample {
            on: Some(true),
            port: Some(80),
            rate: Some(1000.0),
            name: Some("42".to_owned()),
            ..Sample::default()
        };
        assert_eq!(value, Some(want));
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(ignored, ["more"]);
    }

    #[test]
    fn a_wrong_item_costs_its_list_and_nothing_else() {
        let (value, wrong, _) = sample("list: [1, x, 3]\nport: 80\n");
        assert_eq!(value.unwrap().port, Some(80));
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        let (value, wrong, _) = sample("[1, 2]");
        assert_eq!((value, wrong.len()), (None, 1));
    }

    #[test]
    fn every_wrong_value_is_reported_once() {
        let (value, wrong, _) = sample(
            "on: perhaps\nport: 70000\nrate: [1]\nname: {a: 1}\nlist: x\ninner: {deep: -1}\n",
        );
        assert!(value.is_some());
        assert_eq!(
            wrong,
            [
                "on: expected true or false, found the text `perhaps`; write true or false without quotes",
                "port: expected a whole number, 0 or more, found the number `70000`; write at most 65535",
                "rate: expected a number, found a list; write a number such as 1.5",
                "name: expected a text, found a mapping; write one text, in quotes where in doubt",
                "list: expected a list, found the text `x`; write a list: one `- item` a line, or [a, b]",
                "inner.deep: expected a whole number, 0 or more, found the number `-1`; write a number such as 10",
            ]
        );
    }
}
