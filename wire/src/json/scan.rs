//! Walking through JSON whose syntax was checked: the elements of an array, the members of an object, as they are spelled.
//!
//! A parser looks at every byte of a value to skip it. Here strings, which are nearly all of a long prompt, are skipped by
//! searching for their end. On text that is not JSON the walk yields something or ends early, and never panics.

use std::borrow::Cow;
use std::iter::from_fn;

use super::depth::after_string;
use super::{Raw, USUAL_MEMBERS};

/// The elements of the array `text`; none when it is not an array.
pub(crate) fn elements(text: &str) -> impl Iterator<Item = Raw<'_>> {
    let mut rest = text
        .trim_ascii_start()
        .strip_prefix('[')
        .unwrap_or_default();
    from_fn(move || {
        rest = behind_comma(rest);
        take_value(&mut rest).map(Raw::of)
    })
}

/// The members of the object `text`: names without their escapes, values as they are spelled. None when it is not an
/// object.
pub(crate) fn members(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Raw<'_>)> {
    let mut rest = text
        .trim_ascii_start()
        .strip_prefix('{')
        .unwrap_or_default();
    from_fn(move || {
        rest = behind_comma(rest);
        let name = take_value(&mut rest).filter(|name| name.starts_with('"'))?;
        let behind = rest.trim_ascii_start().strip_prefix(':')?;
        rest = behind.trim_ascii_start();
        Some((unescaped(name)?, Raw::of(take_value(&mut rest)?)))
    })
}

/// The members of the object that `text` is, in order: `None` when it is none, a value begins like none, or something is between
/// or behind the members that does not belong there. Inside of values nothing is checked but that brackets close.
pub(super) fn object(text: &str) -> Option<Vec<(Cow<'_, str>, Raw<'_>)>> {
    let mut found = Vec::with_capacity(USUAL_MEMBERS);
    let mut rest = text
        .trim_ascii_start()
        .strip_prefix('{')?
        .trim_ascii_start();
    let end = if let Some(end) = rest.strip_prefix('}') {
        end
    } else {
        loop {
            let name = take_value(&mut rest).filter(|name| name.starts_with('"'))?;
            let behind = rest.trim_ascii_start().strip_prefix(':')?;
            rest = behind.trim_ascii_start();
            let value = take_value(&mut rest).filter(|value| begins_a_value(value))?;
            found.push((unescaped(name)?, Raw::of(value)));
            rest = rest.trim_ascii_start();
            match rest.strip_prefix(',') {
                Some(next) => rest = next.trim_ascii_start(),
                None => break rest.strip_prefix('}')?,
            }
        }
    };
    end.trim_ascii_start().is_empty().then_some(found)
}

/// What follows the space and the commas with which `rest` begins.
fn behind_comma(rest: &str) -> &str {
    let between = |byte: &u8| matches!(byte, b',' | b' ' | b'\t' | b'\n' | b'\r');
    let begins = rest.bytes().position(|byte| !between(&byte));
    rest.get(begins.unwrap_or(rest.len())..).unwrap_or_default()
}

fn unescaped(name: &str) -> Option<Cow<'_, str>> {
    if name.contains('\\') {
        return serde_json::from_str(name).ok().map(Cow::Owned);
    }
    let name = name.strip_prefix('"')?.strip_suffix('"')?;
    Some(Cow::Borrowed(name))
}

/// Cuts the value off with which `rest` begins; nothing at the end of what holds it.
fn take_value<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let bytes = rest.as_bytes();
    let (first, tail) = bytes.split_first()?;
    let behind = match first {
        b']' | b'}' => return None,
        b'"' => after_string(tail),
        b'[' | b'{' => after_nested(bytes),
        _ => {
            let ends =
                |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
            let len = tail.iter().position(ends).unwrap_or(tail.len());
            tail.get(len..).unwrap_or_default()
        }
    };
    let (value, after) = rest.split_at_checked(bytes.len().saturating_sub(behind.len()))?;
    *rest = after;
    Some(value)
}

fn begins_a_value(value: &str) -> bool {
    matches!(
        value.as_bytes().first(),
        Some(b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
    )
}

/// What follows the array or object with which `bytes` begins.
fn after_nested(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    let mut depth = 0_usize;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'"' => rest = after_string(tail),
            b'[' | b'{' => depth = depth.saturating_add(1),
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return rest;
                }
            }
            _ => {}
        }
    }
    rest
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
    fn what_is_neither_array_nor_object_has_nothing_in_it() {
        for text in ["", "1", "\"[1]\"", "null", "{\"a\":1}"] {
            assert_eq!(elements(text).count(), 0, "{text}");
        }
        for text in ["", "1", "[{}]", "{1:2}", "{\"a\"", "{\"a\":"] {
            assert_eq!(members(text).count(), 0, "{text}");
        }
    }
}
