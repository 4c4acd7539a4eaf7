//! `OpenAI`'s overlapping usage counters as disjoint parts.
//!
//! Details lie inside the totals: `cached_tokens` and `audio_tokens` are part of `prompt_tokens`, `reasoning_tokens` of
//! `completion_tokens`. Some servers (xAI, Gemini's compatible endpoint) report reasoning beside `completion_tokens`;
//! `total_tokens` tells which. Source: `OpenAI` API reference, "The chat completion object", `usage`, 2026-11-22.

use serde::Deserialize;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value};

use crate::json::Raw;
use crate::usage::{Served, Usage};

#[derive(Debug, Deserialize)]
struct Counters<'a> {
    #[serde(borrow)]
    prompt_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    completion_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    total_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    prompt_tokens_details: Option<Raw<'a>>,
    #[serde(borrow)]
    completion_tokens_details: Option<Raw<'a>>,
    /// `DeepSeek`.
    #[serde(borrow)]
    prompt_cache_hit_tokens: Option<Raw<'a>>,
    /// Anthropic-like providers behind a `LiteLLM` proxy.
    #[serde(borrow)]
    cache_read_input_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    cache_creation_input_tokens: Option<Raw<'a>>,
    /// Gateways that put it here.
    #[serde(borrow)]
    service_tier: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Details<'a> {
    #[serde(borrow)]
    cached_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    cache_creation_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    cache_write_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    audio_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    image_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    reasoning_tokens: Option<Raw<'a>>,
}

/// A total from which the details are taken; what is left is plain text.
struct Remainder {
    left: u64,
    overdrawn: bool,
}

/// Reads a `usage` object; nothing when it holds no count.
///
/// ```json
/// {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29, "prompt_tokens_details": {"cached_tokens": 8}}
/// ```
pub fn parse(usage: Raw<'_>) -> Option<Usage> {
    if !usage.get().starts_with('{') {
        return None;
    }
    let counters: Counters<'_> = serde_json::from_str(usage.get()).ok()?;
    let total = count(counters.total_tokens);
    let completion = count(counters.completion_tokens);
    let prompt = count(counters.prompt_tokens)
        .or_else(|| total.map(|total| total.saturating_sub(completion.unwrap_or(0))));
    if prompt.is_none() && completion.is_none() {
        return None;
    }
    let input = details(counters.prompt_tokens_details);
    let output = details(counters.completion_tokens_details);
    let reasoning = count(output.reasoning_tokens);
    let (prompt_total, mut completion_total) = (prompt.unwrap_or(0), completion.unwrap_or(0));
    let unexplained =
        total.and_then(|total| total.checked_sub(prompt_total.saturating_add(completion_total)));
    if unexplained.is_some_and(|tokens| tokens > 0 && Some(tokens) == reasoning) {
        completion_total = completion_total.saturating_add(reasoning.unwrap_or(0));
    }

    let mut remaining = Remainder::new(prompt_total);
    let cache_read = remaining.take(
        count(input.cached_tokens)
            .or_else(|| count(counters.cache_read_input_tokens))
            .or_else(|| count(counters.prompt_cache_hit_tokens)),
    );
    let cache_write = remaining.take(
        count(input.cache_creation_tokens)
            .or_else(|| count(input.cache_write_tokens))
            .or_else(|| count(counters.cache_creation_input_tokens)),
    );
    let audio_input = remaining.take(count(input.audio_tokens));
    let image_input = remaining.take(count(input.image_tokens));
    let mut written = Remainder::new(completion_total);
    let reasoning = written.take(reasoning);
    let audio_output = written.take(count(output.audio_tokens));
    Some(Usage {
        input_uncached: prompt.map(|_| remaining.left),
        cache_read,
        cache_write_5m: cache_write,
        cache_write_1h: None,
        audio_input,
        image_input,
        // Reasoning alone may have been reported, and then the text is what is left of the total.
        output_text: completion.or(reasoning).map(|_| written.left),
        reasoning,
        audio_output,
        served: counters.service_tier.and_then(Served::read),
        estimated: false,
        inconsistent: remaining.overdrawn || written.overdrawn,
    })
}

/// [`parse`] for counters that were read as a value.
pub(super) fn parse_value(usage: &Value) -> Option<Usage> {
    let raw = to_raw_value(usage).ok()?;
    parse(Raw::from(&*raw))
}

/// Writes a `usage` object: the totals, details only where they are known, and the two counters at the top level by which
/// `LiteLLM` tells of prompt caches.
pub fn render(usage: &Usage) -> Value {
    let mut out = Map::new();
    let mut total = |key: &str, tokens: u64| out.insert(key.to_owned(), tokens.into());
    total("prompt_tokens", usage.prompt_tokens());
    total("completion_tokens", usage.completion_tokens());
    total("total_tokens", usage.total_tokens());
    let cache_write = [usage.cache_write_5m, usage.cache_write_1h]
        .into_iter()
        .flatten()
        .reduce(u64::saturating_add);
    let cached = usage.cache_read.is_some() || cache_write.is_some();
    let input = details_of(&[
        ("cached_tokens", usage.cache_read),
        ("cache_creation_tokens", cache_write),
        ("text_tokens", usage.input_uncached.filter(|_| cached)),
        ("audio_tokens", usage.audio_input),
        ("image_tokens", usage.image_input),
    ]);
    let output = details_of(&[
        ("reasoning_tokens", usage.reasoning),
        (
            "text_tokens",
            usage.output_text.filter(|_| usage.reasoning.is_some()),
        ),
        ("audio_tokens", usage.audio_output),
    ]);
    for (key, details) in [
        ("prompt_tokens_details", input),
        ("completion_tokens_details", output),
    ] {
        if !details.is_empty() {
            out.insert(key.to_owned(), details.into());
        }
    }
    out.append(&mut details_of(&[
        ("cache_creation_input_tokens", cache_write),
        ("cache_read_input_tokens", usage.cache_read),
    ]));
    Value::Object(out)
}

fn details_of(parts: &[(&str, Option<u64>)]) -> Map<String, Value> {
    parts
        .iter()
        .filter_map(|(key, tokens)| Some(((*key).to_owned(), (*tokens)?.into())))
        .collect()
}

impl Remainder {
    fn new(total: u64) -> Self {
        Self {
            left: total,
            overdrawn: false,
        }
    }

    /// Takes a part out, at most what is left.
    fn take(&mut self, part: Option<u64>) -> Option<u64> {
        let part = part?;
        let taken = part.min(self.left);
        self.overdrawn |= taken < part;
        self.left = self.left.saturating_sub(taken);
        Some(taken)
    }
}

/// A token count; some servers spell it as a float.
pub(crate) fn count(value: Option<Raw<'_>>) -> Option<u64> {
    let text = value?.get();
    let integral = match text.split_once('.') {
        Some((integral, zeros)) if zeros.bytes().all(|digit| digit == b'0') => integral,
        Some(_) => return None,
        None => text,
    };
    integral.parse().ok()
}

fn details(value: Option<Raw<'_>>) -> Details<'_> {
    value
        .filter(|value| value.get().starts_with('{'))
        .and_then(|value| serde_json::from_str(value.get()).ok())
        .unwrap_or_default()
}
