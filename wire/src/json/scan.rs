//! Walking through JSON whose syntax was checked: the elements of an array, the members of an object, as they are spelled.
//!
//! A parser looks at every byte of a value to skip it. Here strings, which are nearly all of a long prompt, are skipped by
//! searching for their end. On text that is not JSON the walk yields something or ends early, and never panics.

use std::borrow::Cow;
use std::iter::from_fn;

use memchr::memchr2;

use super::{Raw, USUAL_MEMBERS};

/// Strings up to about this long are looked through byte by byte: a search that compares many at a time would have to be
/// set up for each of them, and names are short.
const SHORT: usize = 16;

/// The elements of the array `text`; none when it is not an array.
pub(crate) fn elements(text: &str) -> impl Iterator<Item = Raw<'_>> {
    let mut walk = Walk::within(text, b'[');
    from_fn(move || {
        walk.skip_between();
        walk.value().map(Raw::of)
    })
}

/// The members of the object `text`: names without their escapes, values as they are spelled. None when it is not an
/// object.
pub(crate) fn members(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Raw<'_>)> {
    let mut walk = Walk::within(text, b'{');
    from_fn(move || {
        walk.skip_between();
        walk.member()
    })
}

/// The members of the object that `text` is, in order: `None` when it is none, a value begins like none, or something is between
/// or behind the members that does not belong there. Inside of values nothing is checked but that brackets close.
pub(super) fn object(text: &str) -> Option<Found<'_>> {
    object_of(text, |walk| {
        walk.value().filter(|value| begins_a_value(value))
    })
}

/// The same with values that `value` takes.
pub(super) fn object_of<'a>(
    text: &'a str,
    value: impl Fn(&mut Walk<'a>) -> Option<&'a str>,
) -> Option<Found<'a>> {
    let mut walk = Walk::new(text);
    walk.skip_space();
    walk.take(b'{')?;
    walk.skip_space();
    let mut found = Vec::with_capacity(USUAL_MEMBERS);
    if walk.take(b'}').is_none() {
        loop {
            found.push(walk.member_of(&value)?);
            walk.skip_space();
            if walk.take(b',').is_none() {
                break walk.take(b'}')?;
            }
            walk.skip_space();
        }
    }
    walk.skip_space();
    walk.next().is_none().then_some(found)
}

fn begins_a_value(value: &str) -> bool {
    matches!(
        value.as_bytes().first(),
        Some(b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
    )
}

/// What is before the closing quote of a string whose opening quote was passed, as it is spelled. `None` when nothing closes it.
pub(crate) fn before_quote(text: &str) -> Option<&str> {
    let mut at = 0_usize;
    loop {
        let rest = text.as_bytes().get(at..)?;
        let found = memchr2(b'"', b'\\', rest)?;
        at = at.saturating_add(found);
        if rest.get(found) == Some(&b'"') {
            return text.get(..at);
        }
        at = at.saturating_add(2);
    }
}

/// Members of an object in order: names without their escapes, values as they are spelled.
pub(super) type Found<'a> = Vec<(Cow<'a, str>, Raw<'a>)>;

/// A place in a text.
pub(super) struct Walk<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Behind the bracket with which the text begins; at its end when it begins with something else.
    fn within(text: &'a str, bracket: u8) -> Self {
        let mut walk = Self::new(text);
        walk.skip_space();
        if walk.take(bracket).is_none() {
            walk.at = text.len();
        }
        walk
    }

    pub(super) fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn pass(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    pub(super) fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.pass(1))
    }

    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.next() {
            self.pass(1);
        }
    }

    /// Passes over the comma in front of an element or member, if it has one.
    fn skip_between(&mut self) {
        while let Some(b',' | b' ' | b'\t' | b'\n' | b'\r') = self.next() {
            self.pass(1);
        }
    }

    /// Passes over a name and its value.
    fn member(&mut self) -> Option<(Cow<'a, str>, Raw<'a>)> {
        self.member_of(Self::value)
    }

    /// The same with a value that `value` takes.
    fn member_of(
        &mut self,
        value: impl Fn(&mut Self) -> Option<&'a str>,
    ) -> Option<(Cow<'a, str>, Raw<'a>)> {
        let from = self.at;
        self.take(b'"')?;
        let is_plain = self.pass_string();
        let quoted = self.text.get(from..self.at)?;
        let name = if is_plain {
            let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
            Cow::Borrowed(inner)
        } else {
            Cow::Owned(serde_json::from_str(quoted).ok()?)
        };
        self.skip_space();
        self.take(b':')?;
        self.skip_space();
        Some((name, Raw::of(value(self)?)))
    }

    /// Passes over a value; nothing at the end of what holds it.
    fn value(&mut self) -> Option<&'a str> {
        let from = self.at;
        match self.next()? {
            b']' | b'}' => return None,
            b'"' => {
                self.pass(1);
                self.pass_string();
            }
            b'[' | b'{' => self.pass_nested(),
            _ => {
                self.pass(1);
                while let Some(byte) = self.next()
                    && !matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r')
                {
                    self.pass(1);
                }
            }
        }
        self.text.get(from..self.at)
    }

    /// Goes behind the end of the string whose opening quote was passed; says whether it has no escapes.
    fn pass_string(&mut self) -> bool {
        let mut is_plain = true;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let (near, far) = rest.split_at(rest.len().min(SHORT));
            let found = near.iter().position(|byte| matches!(byte, b'"' | b'\\'));
            let found = found.or_else(|| Some(memchr2(b'"', b'\\', far)?.saturating_add(SHORT)));
            self.pass(found.unwrap_or(rest.len()));
            if self.take(b'"').is_some() || self.next().is_none() {
                return is_plain;
            }
            is_plain = false;
            self.pass(2);
        }
    }

    /// Goes behind the array or object that begins here.
    fn pass_nested(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.next() {
            self.pass(1);
            match byte {
                b'"' => {
                    self.pass_string();
                }
                b'[' | b'{' => depth = depth.saturating_add(1),
                b']' | b'}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return;
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_as_a_parser_finds_them() {
        let text = r#" [ 1 , "a]\"\\", {"x":["}",[{}]], "y": -2.5e3}, [] ,{},null , "\u005d" ,[[1],[2]] ] "#;
        let parsed: Vec<Raw<'_>> = serde_json::from_str(text).unwrap();
        assert_eq!(elements(text).collect::<Vec<_>>(), parsed);

        let text = "{ \"role\" : \"user\",\n\"r\\u006fle\":1, \"a\\\"b\":[1, 2],\"\":{\"role\":2}}";
        let found: Vec<_> = members(text).collect();
        let expected = [
            ("role", "\"user\""),
            ("role", "1"),
            ("a\"b", "[1, 2]"),
            ("", "{\"role\":2}"),
        ];
        assert_eq!(
            found,
            expected.map(|(name, value)| (name.into(), Raw::of(value)))
        );
    }

    #[test]
    fn what_is_no_object_as_a_whole_has_no_members_to_walk() {
        assert_eq!(object(" { } "), Some(Vec::new()));
        let found = object("\n{\"a\" : 1.5e0 , \"\\u0062\":[{\"c\":\"]}\"}], \"d\":\"\"}\t");
        let expected = [("a", "1.5e0"), ("b", "[{\"c\":\"]}\"}]"), ("d", "\"\"")];
        assert_eq!(
            found,
            Some(
                expected
                    .map(|(name, value)| (name.into(), Raw::of(value)))
                    .into()
            )
        );
        for text in [
            "",
            "{",
            "[]",
            "{} {}",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1",
            "{\"a\":1,}",
            "{\"a\":1 2}",
            "{\"a\"::1}",
            "{\"a\":[1}",
            "{\"a\":\"}",
            "{a:1}",
            "{1:1}",
        ] {
            assert_eq!(object(text), None, "{text}");
        }
    }

    #[test]
    fn a_string_ends_at_the_first_quote_that_is_not_escaped() {
        for (text, found) in [
            ("\"", Some("")),
            ("a\" b\"", Some("a")),
            (r#"a\"b\\" c""#, Some(r#"a\"b\\"#)),
            ("é\\u00e9\"", Some("é\\u00e9")),
            ("", None),
            ("a", None),
            ("a\\", None),
            ("a\\\"", None),
        ] {
            assert_eq!(before_quote(text), found, "{text}");
        }
    }

    #[test]
    fn what_is_neither_array_nor_object_has_nothing_in_it() {
        for text in ["", "1", "\"[1]\"", "null", "{\"a\":1}"] {
            assert_eq!(elements(text).count(), 0, "{text}");
        }
        for text in ["", "1", "[{}]", "{1:2}", "{\"a\"", "{\"a\":"] {
            assert_eq!(members(text).count(), 0, "{text}");
        }
    }
}
