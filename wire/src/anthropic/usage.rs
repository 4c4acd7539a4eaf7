//! Anthropic's usage counters ↔ the disjoint vector.
//!
//! Its input counters are disjoint already: `input_tokens` is what was neither read from nor written to a cache. Thinking
//! lies inside `output_tokens`.
//!
//! ```json
//! {"input_tokens": 12, "cache_read_input_tokens": 2048, "cache_creation_input_tokens": 256,
//!  "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 56},
//!  "output_tokens": 90, "output_tokens_details": {"thinking_tokens": 40}}
//! ```
//!
//! `server_tool_use` counts requests, not tokens, and has no place in the vector.
//! Source: Anthropic API reference, "Messages", `usage`, and "Streaming messages", `message_delta`, 2026-11-23.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::json::Raw;
use crate::openai::usage::count;
use crate::usage::{Served, Usage};

#[derive(Debug, Deserialize)]
struct Spelled<'a> {
    #[serde(borrow)]
    input_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    cache_read_input_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    cache_creation_input_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    cache_creation: Option<Raw<'a>>,
    #[serde(borrow)]
    output_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    output_tokens_details: Option<Raw<'a>>,
    #[serde(borrow)]
    service_tier: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct SpelledDetails<'a> {
    #[serde(borrow)]
    ephemeral_5m_input_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    ephemeral_1h_input_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    thinking_tokens: Option<Raw<'a>>,
}

/// The counters of a stream so far: cumulative, each one replacing the one before where it is present.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counters {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
    served: Option<Served>,
}

/// Reads a `usage` object; nothing when it holds no count.
pub fn parse(usage: Raw<'_>) -> Option<Usage> {
    let mut counters = Counters::default();
    counters.update(usage);
    counters.usage()
}

/// Writes a `usage` object as Anthropic does in whole answers and in `message_delta`: every counter, 0 when unknown.
pub fn render(usage: &Usage) -> Value {
    let known = |parts: &[Option<u64>]| {
        parts
            .iter()
            .flatten()
            .fold(0_u64, |sum, part| sum.saturating_add(*part))
    };
    let mut out = Map::new();
    let input = [usage.input_uncached, usage.audio_input, usage.image_input];
    out.insert("input_tokens".to_owned(), known(&input).into());
    let written = known(&[usage.cache_write_5m, usage.cache_write_1h]);
    out.insert("cache_creation_input_tokens".to_owned(), written.into());
    let read = known(&[usage.cache_read]);
    out.insert("cache_read_input_tokens".to_owned(), read.into());
    if let Some(hour) = usage.cache_write_1h {
        let mut split = Map::new();
        let minutes = known(&[usage.cache_write_5m]);
        split.insert("ephemeral_5m_input_tokens".to_owned(), minutes.into());
        split.insert("ephemeral_1h_input_tokens".to_owned(), hour.into());
        out.insert("cache_creation".to_owned(), split.into());
    }
    let output = usage.completion_tokens();
    out.insert("output_tokens".to_owned(), output.into());
    if let Some(thinking) = usage.reasoning {
        let mut details = Map::new();
        details.insert("thinking_tokens".to_owned(), thinking.into());
        out.insert("output_tokens_details".to_owned(), details.into());
    }
    Value::Object(out)
}

// === impl Counters ===

impl Counters {
    /// Takes over what a `usage` object says.
    pub(super) fn update(&mut self, usage: Raw<'_>) {
        let Some(spelled) = object::<Spelled<'_>>(Some(usage)) else {
            return;
        };
        self.served = spelled.service_tier.and_then(Served::read).or(self.served);
        let split = object::<SpelledDetails<'_>>(spelled.cache_creation).unwrap_or_default();
        let details =
            object::<SpelledDetails<'_>>(spelled.output_tokens_details).unwrap_or_default();
        for (counter, value) in [
            (&mut self.input, spelled.input_tokens),
            (&mut self.cache_read, spelled.cache_read_input_tokens),
            (&mut self.cache_write, spelled.cache_creation_input_tokens),
            (&mut self.cache_write_5m, split.ephemeral_5m_input_tokens),
            (&mut self.cache_write_1h, split.ephemeral_1h_input_tokens),
            (&mut self.output, spelled.output_tokens),
            (&mut self.thinking, details.thinking_tokens),
        ] {
            *counter = count(value).or(*counter);
        }
    }

    /// The vector; nothing while neither input nor output was counted.
    pub(super) fn usage(&self) -> Option<Usage> {
        if self.input.is_none() && self.output.is_none() {
            return None;
        }
        // The total is what is billed; the split says how much of it lives for an hour.
        let total = self.cache_write.or_else(|| {
            let split = [self.cache_write_5m, self.cache_write_1h];
            split.iter().flatten().copied().reduce(u64::saturating_add)
        });
        let hour = self
            .cache_write_1h
            .map(|hour| hour.min(total.unwrap_or(hour)));
        let thinking = self
            .thinking
            .map(|thinking| thinking.min(self.output.unwrap_or(0)));
        Some(Usage {
            input_uncached: self.input,
            cache_read: self.cache_read,
            cache_write_5m: total.map(|total| total.saturating_sub(hour.unwrap_or(0))),
            cache_write_1h: hour,
            output_text: self
                .output
                .map(|output| output.saturating_sub(thinking.unwrap_or(0))),
            reasoning: thinking,
            served: self.served,
            inconsistent: hour != self.cache_write_1h || thinking != self.thinking,
            ..Usage::default()
        })
    }
}

fn object<'a, T: Deserialize<'a>>(value: Option<Raw<'a>>) -> Option<T> {
    let text = value?.get();
    text.starts_with('{')
        .then(|| serde_json::from_str(text).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;
    use crate::openai;

    fn read(usage: &Value) -> Option<Usage> {
        parse(Raw::from(&*to_raw_value(usage).unwrap()))
    }

    #[test]
    fn counters_become_disjoint_parts() {
        let usage = read(&json!({
            "input_tokens": 9, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            "output_tokens": 15, "output_tokens_details": {"thinking_tokens": 5}
        }));
        let expected = Usage {
            input_uncached: Some(9),
            cache_read: Some(100),
            cache_write_5m: Some(10),
            cache_write_1h: Some(20),
            output_text: Some(10),
            reasoning: Some(5),
            ..Usage::default()
        };
        assert_eq!(usage, Some(expected));
    }

    #[test]
    fn what_was_not_counted_is_not_zero() {
        let plain = read(&json!({"input_tokens": 1, "output_tokens": 2, "cache_creation": null}));
        assert_eq!(plain, Some(Usage::plain(1, 2)));
        for nothing in [
            json!({}),
            json!(null),
            json!([]),
            json!({"cache_read_input_tokens": 1}),
        ] {
            assert_eq!(read(&nothing), None, "{nothing}");
        }
    }

    #[test]
    fn details_over_their_total_are_cut_and_said_to_be() {
        let usage = read(&json!({
            "input_tokens": 1, "cache_creation_input_tokens": 5,
            "cache_creation": {"ephemeral_1h_input_tokens": 7},
            "output_tokens": 3, "output_tokens_details": {"thinking_tokens": 4}
        }));
        let usage = usage.unwrap();
        assert!(usage.inconsistent);
        assert_eq!((usage.prompt_tokens(), usage.completion_tokens()), (6, 3));
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read_back_to_the_same_sums(
            parts in prop::array::uniform6(option::of(0_u64..1 << 40)),
        ) {
            let [input_uncached, cache_read, cache_write_5m, cache_write_1h, output_text, reasoning] = parts;
            let usage = Usage {
                input_uncached,
                cache_read,
                cache_write_5m,
                cache_write_1h,
                output_text,
                reasoning,
                ..Usage::default()
            };
            let own = read(&render(&usage)).unwrap();
            let openais = openai::usage::render(&usage);
            let openais = openai::usage::parse(Raw::from(&*to_raw_value(&openais).unwrap())).unwrap();
            for (name, back) in [("Anthropic", own), ("OpenAI", openais)] {
                prop_assert!(!back.inconsistent, "{}", name);
                prop_assert_eq!(back.prompt_tokens(), usage.prompt_tokens(), "{}", name);
                prop_assert_eq!(back.completion_tokens(), usage.completion_tokens(), "{}", name);
                prop_assert_eq!(back.cache_read.unwrap_or(0), cache_read.unwrap_or(0), "{}", name);
                prop_assert_eq!(back.reasoning.unwrap_or(0), reasoning.unwrap_or(0), "{}", name);
            }
            prop_assert_eq!(own.cache_write_1h.unwrap_or(0), cache_write_1h.unwrap_or(0));
        }
    }
}
