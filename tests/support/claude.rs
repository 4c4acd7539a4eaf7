//! What a provider that speaks Anthropic's Messages API says: canned bodies and events.
//!
//! Source: Anthropic API reference, "Messages" and "Streaming messages", 2026-11-23.

use serde_json::{Value, json};

use super::config::Deployment;
use super::reply::{PROVIDER_MODEL, Reply};
use super::upstream::Upstream;

/// A deployment of the group at this provider, priced at 1 and 2 USD for a million tokens, cache reads at 0.1, cache writes
/// at 1.25.
pub(crate) fn deployment(group: &str, upstream: &Upstream) -> Deployment {
    Deployment::of(group, upstream)
        .param("model: anthropic/claude-scripted")
        .param("cache_read_input_token_cost: 0.0000001")
        .param("cache_creation_input_token_cost: 0.00000125")
}

/// The canned counters: 11 tokens that were neither read from nor written to a cache, 5 read, 3 written, 7 answered.
pub(crate) fn usage() -> Value {
    json!({
        "input_tokens": 11,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 5,
        "output_tokens": 7,
    })
}

/// What [`usage`] costs at [`deployment`]'s prices, in 1e-12 USD: 11 + 0.5 + 3.75 + 14 millionths.
pub(crate) const COST_PICO: i64 = 29_250_000;

/// A whole message that says `text`.
pub(crate) fn message(text: &str) -> Value {
    json!({
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": PROVIDER_MODEL,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": null,
        "usage": usage(),
    })
}

/// One event: its name is the data's type.
pub(crate) fn event(data: &Value) -> Vec<u8> {
    let name = data["type"].as_str().expect("events have a type");
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

/// The events of a message that says these texts in one block.
pub(crate) fn events(texts: &[&str]) -> Vec<Vec<u8>> {
    let mut all = vec![
        event(&json!({"type": "message_start", "message": {
            "id": "msg_scripted", "type": "message", "role": "assistant", "model": PROVIDER_MODEL, "content": [],
            "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 11, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 5, "output_tokens": 1},
        }})),
        event(
            &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        event(&json!({"type": "ping"})),
    ];
    all.extend(texts.iter().map(|text| {
        event(&json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}))
    }));
    all.extend([
        event(&json!({"type": "content_block_stop", "index": 0})),
        event(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"output_tokens": 7}})),
        event(&json!({"type": "message_stop"})),
    ]);
    all
}

/// Says `text`, whole or streamed as asked.
pub(crate) fn says(text: &'static str) -> Upstream {
    Upstream::answering(move |request| {
        if request.json()["stream"] == true {
            Reply::events(events(&[text]))
        } else {
            Reply::json(200, &message(text)).header("request-id", "req_scripted")
        }
    })
}

/// An error in Anthropic's shape.
pub(crate) fn error(status: u16, kind: &str, message: &str) -> Reply {
    Reply::json(
        status,
        &json!({"type": "error", "error": {"type": kind, "message": message}}),
    )
}
