//! Neutral answers and streams as Anthropic's clients read them.
//!
//! [`response`] writes a whole message, [`StreamRenderer`] the events of one. A message has one answer; other choices are
//! not shown, and a client of this dialect cannot ask for them.
//! Source: Anthropic API reference, "Create a message" (response) and "Streaming messages", 2026-11-23.

mod event;
mod message;
mod stream;
#[cfg(test)]
pub(crate) mod tests;

pub use message::response;
pub use stream::StreamRenderer;

use serde_json::{Map, Value, json};

use crate::event::FinishReason;

/// Why a message ended: `stop_reason` and `stop_sequence`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stop {
    reason: &'static str,
    sequence: Option<String>,
}

// === impl Stop ===

impl Stop {
    /// `called`: the answer holds tool calls; some servers then still say `stop`. `refused`: it holds a refusal.
    fn of(reason: Option<&FinishReason>, called: bool, refused: bool) -> Self {
        let plain = |reason| Self {
            reason,
            sequence: None,
        };
        match reason {
            Some(FinishReason::StopSequence(sequence)) => Self {
                reason: "stop_sequence",
                sequence: Some(sequence.clone()),
            },
            Some(FinishReason::Length) => plain("max_tokens"),
            Some(FinishReason::ToolCalls) => plain("tool_use"),
            Some(FinishReason::ContentFilter) => plain("refusal"),
            Some(FinishReason::Other(word)) => plain(own_word(word)),
            Some(FinishReason::Stop) | None if called => plain("tool_use"),
            Some(FinishReason::Stop) | None if refused => plain("refusal"),
            Some(FinishReason::Stop) | None => plain("end_turn"),
        }
    }
}

/// A reason that only Anthropic has, or what its clients take for any other end.
fn own_word(word: &str) -> &'static str {
    match word {
        "pause_turn" => "pause_turn",
        "model_context_window_exceeded" => "model_context_window_exceeded",
        _ => "end_turn",
    }
}

/// The message's id from the provider's.
fn message_id(id: Option<&str>) -> String {
    match id {
        Some(id) if id.starts_with("msg_") => id.to_owned(),
        Some(id) => format!("msg_{id}"),
        None => "msg_unknown".to_owned(),
    }
}

/// A source as Anthropic cites it. `text` is what was said so far, from which `OpenAI`'s citations take their span.
fn citation(citation: &Value, text: &str) -> Value {
    let Some(Value::Object(cited)) = citation.get("url_citation") else {
        return citation.clone();
    };
    let member = |key: &str| cited.get(key).cloned().unwrap_or(Value::Null);
    json!({
        "type": "web_search_result_location",
        "cited_text": cited_text(cited, text),
        "encrypted_index": "",
        "title": member("title"),
        "url": member("url"),
    })
}

/// The characters from `start_index` to `end_index`; nothing when they are not there.
fn cited_text(cited: &Map<String, Value>, text: &str) -> String {
    let place = |key: &str| {
        let at = cited.get(key).and_then(Value::as_u64)?;
        usize::try_from(at).ok()
    };
    let Some((start, end)) = place("start_index").zip(place("end_index")) else {
        return String::new();
    };
    let length = end.saturating_sub(start);
    text.chars().skip(start).take(length).collect()
}
