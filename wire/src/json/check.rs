//! Checks an object as a parser does, several times as fast where texts are long: strings are passed over by searching for
//! their end and looking for control characters many bytes at a time.
//!
//! It says that a text is JSON, or nothing: what is wrong, and where, is the parser's to tell.

use std::borrow::Cow;

use memchr::memchr2;

use super::scan::{Found, Walk, object_of};

/// The members of the object that `text` is; `None` when a parser would not take it.
///
/// Precondition: it nests no deeper than [`MAX_DEPTH`](super::MAX_DEPTH), for this recurses.
pub(super) fn object(text: &str) -> Option<Found<'_>> {
    let found = object_of(text, |walk| {
        let from = walk.at;
        walk.check()?;
        walk.text.get(from..walk.at)
    })?;
    // The names that a parser has not seen.
    let are_checked = found
        .iter()
        .all(|(name, _)| matches!(name, Cow::Owned(_)) || has_no_control(name.as_bytes()));
    are_checked.then_some(found)
}

/// JSON allows none within strings.
pub(crate) fn has_no_control(bytes: &[u8]) -> bool {
    // Without a way out, so that many are compared at a time.
    let least = bytes.iter().fold(u8::MAX, |least, byte| least.min(*byte));
    least >= b' '
}

// === impl Walk ===

impl Walk<'_> {
    /// Passes over one value, if it is one.
    fn check(&mut self) -> Option<()> {
        match self.next()? {
            b'"' => self.check_string(),
            b'{' => self.check_all(b'}', |walk| {
                walk.check_string()?;
                walk.skip_space();
                walk.take(b':')?;
                walk.skip_space();
                walk.check()
            }),
            b'[' => self.check_all(b']', Self::check),
            b't' => self.check_word("true"),
            b'f' => self.check_word("false"),
            b'n' => self.check_word("null"),
            _ => self.check_number(),
        }
    }

    /// What is between brackets.
    fn check_all(&mut self, end: u8, one: impl Fn(&mut Self) -> Option<()>) -> Option<()> {
        self.pass(1);
        self.skip_space();
        if self.take(end).is_some() {
            return Some(());
        }
        loop {
            one(self)?;
            self.skip_space();
            if self.take(b',').is_none() {
                return self.take(end);
            }
            self.skip_space();
        }
    }

    fn check_word(&mut self, word: &str) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        rest.starts_with(word.as_bytes())
            .then(|| self.pass(word.len()))
    }

    fn check_string(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let length = memchr2(b'"', b'\\', rest)?;
            if !has_no_control(rest.get(..length)?) {
                return None;
            }
            self.pass(length);
            if self.take(b'"').is_some() {
                return Some(());
            }
            self.pass(1);
            match self.next()? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.pass(1),
                b'u' => {
                    let digits = rest.get(length + 2..length + 6)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    self.pass(5);
                }
                _ => return None,
            }
        }
    }

    fn check_number(&mut self) -> Option<()> {
        self.take(b'-').unwrap_or_default();
        // No other digit behind a leading zero.
        if self.take(b'0').is_none() {
            self.check_digits()?;
        }
        if self.take(b'.').is_some() {
            self.check_digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            self.take(b'+')
                .or_else(|| self.take(b'-'))
                .unwrap_or_default();
            self.check_digits()?;
        }
        Some(())
    }

    /// At least one digit.
    fn check_digits(&mut self) -> Option<()> {
        let from = self.at;
        while self.next().is_some_and(|byte| byte.is_ascii_digit()) {
            self.pass(1);
        }
        (self.at > from).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::Members;

    /// The members as a parser finds them.
    fn parsed(text: &str) -> Option<Found<'_>> {
        let parsed: Members<'_> = serde_json::from_str(text).ok()?;
        let members = parsed.0.into_iter();
        Some(members.map(|member| (member.key, member.value)).collect())
    }

    #[track_caller]
    fn is_as_parsed(text: &str) {
        assert_eq!(object(text), parsed(text), "{text}");
    }

    #[test]
    fn what_a_parser_takes_is_taken_and_nothing_else() {
        let values = [
            "0",
            "-0",
            "01",
            "-",
            "1.",
            "1.5",
            ".5",
            "1e5",
            "1E+5",
            "1e-05",
            "1e",
            "1e+",
            "+1",
            "0x1",
            "1_0",
            "NaN",
            "true",
            "tru",
            "truer",
            "null",
            "nul",
            "False",
            "\"\"",
            "\"a",
            "\"\\u00e9\"",
            "\"\\u00g9\"",
            "\"\\u00e\"",
            "\"\\u\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"\\\"",
            "\"\\\\\"",
            "\"\\/\\b\\f\\n\\r\\t\"",
            "\"\u{1}\"",
            "\"\u{7f}é😀\"",
            "\"\t\"",
            "[]",
            "[ ]",
            "[1]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1,2]",
            "[[]",
            "[[]]]",
            "{}",
            "{ }",
            "{\"a\":1}",
            "{\"a\" : [ {} ] }",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1,\"a\":2}",
            "{\"\u{1}\":1}",
            "{1:1}",
            "",
            " ",
            "'a'",
            "//",
            "\u{a0}1",
            "1\u{c}",
        ];
        for value in values {
            is_as_parsed(&format!("{{\"a\":{value}}}"));
            is_as_parsed(&format!("{{\"b\":1, \"a\" : {value} , \"c\":[{value}]}}"));
            is_as_parsed(value);
        }
        for text in [
            "{\"\u{1}\":1}",
            "{\"\\u0001\":1}",
            "{\"\\ud800\":1}",
            "{} x",
            "\u{feff}{}",
            "{}\n",
            "{\"a\":1}}",
        ] {
            is_as_parsed(text);
        }
        let long = "é \\n \\u00e9 ".repeat(40);
        is_as_parsed(&format!("{{\"a\":\"{long}\"}}"));
        is_as_parsed(&format!("{{\"a\":\"{long}\u{1f}{long}\"}}"));
        is_as_parsed(&format!("{{\"a\":\"{long}"));
    }

    /// JSON with spaces in all places, and some of it broken.
    fn texts() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f64>().prop_map(|number| serde_json::json!(number).to_string()),
            any::<String>().prop_map(|text| serde_json::json!(text).to_string()),
            "[0-9.eE+-]{1,6}",
            r#""[ -~]{0,8}""#,
        ];
        let value = leaf.prop_recursive(4, 40, 5, |inner| {
            let name = any::<String>().prop_map(|text| serde_json::json!(text).to_string());
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5)
                    .prop_map(|all| format!("[ {} ]", all.join(" ,\n"))),
                prop::collection::vec((name, inner), 0..5).prop_map(|all| {
                    let all: Vec<String> = all
                        .iter()
                        .map(|(name, value)| format!("{name}\t: {value}"))
                        .collect();
                    format!("{{{}}}", all.join(","))
                }),
            ]
        });
        let change = prop::option::of((
            any::<prop::sample::Index>(),
            prop::sample::select(&b"\"\\{}[],:0 u\x01"[..]),
        ));
        (value, change).prop_map(|(value, change)| {
            let mut text = format!("{{\"a\":{value}}}");
            if let Some((at, byte)) = change {
                let at = at.index(text.len());
                if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
                    text.replace_range(at..=at, str::from_utf8(&[byte]).unwrap());
                }
            }
            text
        })
    }

    proptest! {
        #[test]
        fn any_text_is_taken_as_a_parser_takes_it(text in texts()) {
            prop_assert_eq!(object(&text), parsed(&text));
        }
    }
}
