//! Stand-in until the provider side lands.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::Usage;

/// Reads.
pub fn parse(usage: &RawValue) -> Option<Usage> {
    let value: Value = serde_json::from_str(usage.get()).ok()?;
    let count = |key: &str| value.get(key).and_then(Value::as_u64);
    let usage = Usage {
        input_uncached: count("input_tokens"),
        cache_read: count("cache_read_input_tokens"),
        cache_write_5m: count("cache_creation_input_tokens"),
        output_text: count("output_tokens"),
        ..Usage::default()
    };
    (usage != Usage::default()).then_some(usage)
}

/// Writes.
pub fn render(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input_uncached.unwrap_or(0),
        "cache_creation_input_tokens": usage.cache_write_5m.unwrap_or(0),
        "cache_read_input_tokens": usage.cache_read.unwrap_or(0),
        "output_tokens": usage.completion_tokens(),
    })
}

/// Counters of `message_delta` over those of `message_start`.
pub(super) fn later(earlier: Option<Usage>, later: Usage) -> Usage {
    let earlier = earlier.unwrap_or_default();
    Usage {
        input_uncached: later.input_uncached.or(earlier.input_uncached),
        cache_read: later.cache_read.or(earlier.cache_read),
        cache_write_5m: later.cache_write_5m.or(earlier.cache_write_5m),
        cache_write_1h: later.cache_write_1h.or(earlier.cache_write_1h),
        output_text: later.output_text.or(earlier.output_text),
        ..later
    }
}
