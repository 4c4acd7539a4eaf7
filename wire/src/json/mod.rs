//! Looking into JSON objects without losing a byte of them.
//!
//! [`Object`] finds the top-level members of an object in one pass and borrows everything; [`Splice`] changes single
//! members and copies the rest as it stands: key order, number spelling, whitespace and unknown fields survive.
//! It deliberately builds no tree: `serde_json::Value` is for bodies that must be translated.

mod array;
mod check;
mod depth;
mod path;
mod raw;
mod scan;
mod splice;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::str;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

pub(crate) use check::has_no_control;
pub use path::MemberPath;
pub use raw::Raw;
use scan::Found;
pub(crate) use scan::{before_quote, elements, members};
pub use splice::Splice;
pub(crate) use splice::restamped;
pub(crate) use value::{filled, spelled_bytes, string};

/// How deeply arrays and objects may be nested, the outermost object being level 1.
pub const MAX_DEPTH: usize = 128;

/// Room for the members of nearly every body, so that one allocation does.
const USUAL_MEMBERS: usize = 12;

/// Members up to which a plain comparison of all pairs is cheaper than hashing.
const FEW_MEMBERS: usize = 24;

/// Why bytes are not an object this crate works on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The bytes are not UTF-8; `offset` is the first bad byte.
    #[error("invalid UTF-8 at byte {offset}")]
    NotUtf8 {
        /// Zero-based position of the first invalid byte.
        offset: usize,
    },
    /// The text is not JSON.
    #[error("{message} at line {line} column {column}")]
    Syntax {
        /// What the parser expected; never quotes the input.
        message: String,
        /// One-based line.
        line: usize,
        /// One-based column, in bytes.
        column: usize,
    },
    /// The text is JSON, but not an object.
    #[error("expected a JSON object, found {found}")]
    NotAnObject {
        /// What was there: `an array`, `a string`, …
        found: &'static str,
    },
    /// Two members of the object have the same name, so it is unclear which one counts.
    #[error("duplicate key `{key}`")]
    DuplicateKey {
        /// The name that occurs twice.
        key: String,
    },
    /// Arrays and objects are nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// The top-level members of a JSON object, in order, borrowed from its source.
///
/// ```
/// use trunkline_wire::json::Object;
/// let object = Object::parse(br#"{"model": "gpt-4o", "seed": 1.0}"#)?;
/// assert_eq!(object.get("seed").map(|value| value.get()), Some("1.0"));
/// # Ok::<(), trunkline_wire::json::JsonError>(())
/// ```
#[derive(Debug)]
pub struct Object<'a> {
    source: &'a str,
    // Not a `SmallVec`: that is invariant in 'a, and a `Splice` could not borrow an object for less than its source.
    members: Vec<Member<'a>>,
}

#[derive(Debug)]
struct Member<'a> {
    key: Cow<'a, str>,
    value: Raw<'a>,
}

/// A key that borrows unless it holds escapes (`Cow`'s own `Deserialize` always allocates).
struct Key<'a>(Cow<'a, str>);

struct Members<'a>(Vec<Member<'a>>);

// === impl JsonError ===

impl JsonError {
    fn syntax(err: &serde_json::Error) -> Self {
        let text = err.to_string();
        // serde_json appends the position; it is kept as numbers instead.
        let message = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(message, _)| message)
            .to_owned();
        Self::Syntax {
            message,
            line: err.line(),
            column: err.column(),
        }
    }
}

// === impl Object ===

impl<'a> Object<'a> {
    /// Parses the top level of one JSON object; nested values are checked for syntax and skipped.
    ///
    /// # Errors
    /// [`JsonError`], one variant for each way of not being an object with distinct keys and bounded depth.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let source = str::from_utf8(bytes).map_err(|err| JsonError::NotUtf8 {
            offset: err.valid_up_to(),
        })?;
        Self::parse_str(source)
    }

    /// [`Object::parse`] for text that is known to be UTF-8.
    ///
    /// # Errors
    /// As [`Object::parse`].
    pub fn parse_str(source: &'a str) -> Result<Self, JsonError> {
        // Before anything else looks at it: no parser may see unbounded nesting.
        if depth::exceeds(source.as_bytes(), MAX_DEPTH) {
            return Err(JsonError::TooDeep);
        }
        let members = match check::object(source) {
            Some(found) => members_of(found),
            None => parsed(source)?,
        };
        if let Some(key) = first_duplicate(&members) {
            return Err(JsonError::DuplicateKey {
                key: key.to_owned(),
            });
        }
        Ok(Self { source, members })
    }

    /// [`Object::parse`] without looking into the values, for bytes that are passed on as they came even if something in them is
    /// wrong. `None` when they are no object with distinct keys.
    pub fn walk(bytes: &'a [u8]) -> Option<Self> {
        let source = str::from_utf8(bytes).ok()?;
        let members = members_of(scan::object(source)?);
        first_duplicate(&members)
            .is_none()
            .then_some(Self { source, members })
    }

    /// [`Object::parse`] for bytes whose syntax was checked before.
    ///
    /// # Errors
    /// As [`Object::parse`], if it was not.
    pub fn checked(bytes: &'a [u8]) -> Result<Self, JsonError> {
        Self::walk(bytes).map_or_else(|| Self::parse(bytes), Ok)
    }

    /// The value of a member, as it is spelled in the source.
    pub fn get(&self, key: &str) -> Option<Raw<'a>> {
        self.position(key).and_then(|at| self.value(at))
    }

    /// All members in source order.
    pub fn members(&self) -> impl Iterator<Item = (&str, Raw<'a>)> {
        self.members
            .iter()
            .map(|member| (member.key.as_ref(), member.value))
    }

    /// The text this object was parsed from.
    pub fn source(&self) -> &'a str {
        self.source
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.members.iter().position(|member| member.key == key)
    }

    fn value(&self, at: usize) -> Option<Raw<'a>> {
        self.members.get(at).map(|member| member.value)
    }

    fn len(&self) -> usize {
        self.members.len()
    }

    /// Where the value of member `at` lies in the source.
    fn span(&self, at: usize) -> Option<Range<usize>> {
        self.value(at)
            .and_then(|value| span_within(self.source, value.get()))
    }
}

fn members_of(found: Found<'_>) -> Vec<Member<'_>> {
    let found = found.into_iter();
    found.map(|(key, value)| Member { key, value }).collect()
}

/// The members by a parser, which says what is wrong.
fn parsed(source: &str) -> Result<Vec<Member<'_>>, JsonError> {
    if let Some(found) = other_than_object(source) {
        serde_json::from_str::<IgnoredAny>(source).map_err(|err| JsonError::syntax(&err))?;
        return Err(JsonError::NotAnObject { found });
    }
    let Members(members) = serde_json::from_str(source).map_err(|err| JsonError::syntax(&err))?;
    Ok(members)
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(USUAL_MEMBERS);
                while let Some(Key(key)) = map.next_key()? {
                    members.push(Member {
                        key,
                        value: map.next_value()?,
                    });
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The position of `part` within `whole`, when it is a slice of it.
pub(crate) fn span_within(whole: &str, part: &str) -> Option<Range<usize>> {
    let start = part
        .as_ptr()
        .addr()
        .checked_sub(whole.as_ptr().addr())
        .filter(|start| *start <= whole.len())?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

/// What the text begins with, if it can be JSON but not an object.
fn other_than_object(source: &str) -> Option<&'static str> {
    let first = source
        .bytes()
        .find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    match first {
        Some(b'{') => None,
        Some(b'[') => Some("an array"),
        Some(b'"') => Some("a string"),
        Some(b't' | b'f') => Some("a boolean"),
        Some(b'n') => Some("null"),
        Some(_) => Some("a number"),
        None => Some("nothing"),
    }
}

fn first_duplicate<'m>(members: &'m [Member<'_>]) -> Option<&'m str> {
    if members.len() <= FEW_MEMBERS {
        return members.iter().enumerate().find_map(|(at, member)| {
            members
                .iter()
                .take(at)
                .any(|earlier| earlier.key == member.key)
                .then_some(member.key.as_ref())
        });
    }
    let mut seen = HashSet::with_capacity(members.len());
    members
        .iter()
        .find_map(|member| (!seen.insert(member.key.as_ref())).then_some(member.key.as_ref()))
}

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let hex = |nibble: u8| HEX.get(usize::from(nibble & 0xf)).copied().unwrap_or(b'0');
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[hex(byte >> 4), hex(byte)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// `text` as a JSON string, quotes included.
pub(crate) fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len().saturating_add(2));
    push_string(&mut out, text);
    out
}
