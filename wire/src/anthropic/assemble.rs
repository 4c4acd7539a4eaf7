//! The events of a stream, as a client got them, put together into the message that it would have got in one piece.
//!
//! For those who keep answers, not for those who pass them on.
//! Source: Anthropic API reference, "Streaming messages", section "Event types", 2026-11-23.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::sse::data_of;

/// A block of content under way.
#[derive(Default)]
struct Block {
    known: Map<String, Value>,
    /// The pieces of a tool's input, JSON as text.
    input: String,
}

/// The whole message; `None` where none began. An error event in the stream becomes a member `error`.
///
/// ```json
/// {"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn",
///  "usage":{"input_tokens":1,"output_tokens":1}}
/// ```
pub fn answer(stream: Bytes) -> Option<Value> {
    let mut message = Map::new();
    let mut blocks: BTreeMap<u64, Block> = BTreeMap::new();
    for event in data_of(stream) {
        let Ok(Value::Object(mut event)) = serde_json::from_slice(&event) else {
            continue;
        };
        let index = event.get("index").and_then(Value::as_u64).unwrap_or(0);
        let kind = event.remove("type");
        match kind.as_ref().and_then(Value::as_str) {
            Some("message_start") => replace(&mut message, event.remove("message")),
            Some("content_block_start") => {
                replace(
                    &mut blocks.entry(index).or_default().known,
                    event.remove("content_block"),
                );
            }
            Some("content_block_delta") => {
                if let (Some(block), Some(Value::Object(delta))) =
                    (blocks.get_mut(&index), event.remove("delta"))
                {
                    block.add(delta);
                }
            }
            Some("message_delta") => {
                replace(&mut message, event.remove("delta"));
                let usage = message
                    .entry("usage")
                    .or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(usage) = usage {
                    replace(usage, event.remove("usage"));
                }
            }
            Some("error") => replace(&mut message, Some(Value::Object(event))),
            _ => {}
        }
    }
    if message.is_empty() {
        return None;
    }
    let content = blocks.into_values().map(Block::whole).collect();
    message.insert("content".to_owned(), content);
    Some(Value::Object(message))
}

/// Says members anew.
fn replace(known: &mut Map<String, Value>, new: Option<Value>) {
    if let Some(Value::Object(new)) = new {
        known.extend(new);
    }
}

// === impl Block ===

impl Block {
    fn add(&mut self, mut delta: Map<String, Value>) {
        let kind = delta.remove("type");
        let (from, to) = match kind.as_ref().and_then(Value::as_str) {
            Some("text_delta") => ("text", "text"),
            Some("thinking_delta") => ("thinking", "thinking"),
            Some("signature_delta") => ("signature", "signature"),
            Some("input_json_delta") => {
                if let Some(Value::String(piece)) = delta.remove("partial_json") {
                    self.input.push_str(&piece);
                }
                return;
            }
            Some("citations_delta") => ("citation", "citations"),
            _ => return,
        };
        match (self.known.get_mut(to), delta.remove(from)) {
            (Some(Value::String(text)), Some(Value::String(piece))) => text.push_str(&piece),
            (Some(Value::Array(all)), Some(one)) => all.push(one),
            (_, Some(one)) if to == "citations" => {
                self.known.insert(to.to_owned(), Value::Array(vec![one]));
            }
            (_, Some(value)) => {
                self.known.insert(to.to_owned(), value);
            }
            (_, None) => {}
        }
    }

    fn whole(mut self) -> Value {
        if !self.input.is_empty() {
            // A stream that was cut leaves half an input, which is no JSON: it is shown as the text it is.
            let input = serde_json::from_str(&self.input).unwrap_or(Value::String(self.input));
            self.known.insert("input".to_owned(), input);
        }
        Value::Object(self.known)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(events: &[Value]) -> Option<Value> {
        let frames = events.iter().map(|event| {
            let name = event["type"].as_str().unwrap();
            format!("event: {name}\ndata: {event}\n\n")
        });
        answer(Bytes::from(frames.collect::<Vec<_>>().concat()))
    }

    fn delta(index: u64, delta: &Value) -> Value {
        json!({"type": "content_block_delta", "index": index, "delta": delta})
    }

    #[test]
    fn events_become_the_message() {
        let whole = of(&[
            json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "content": [],
                "stop_reason": null, "usage": {"input_tokens": 9, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
            json!({"type": "ping"}),
            delta(0, &json!({"type": "thinking_delta", "thinking": "hm"})),
            delta(0, &json!({"type": "signature_delta", "signature": "s1"})),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
            delta(1, &json!({"type": "text_delta", "text": "Hel"})),
            delta(1, &json!({"type": "text_delta", "text": "lo"})),
            delta(
                1,
                &json!({"type": "citations_delta", "citation": {"cited_text": "x"}}),
            ),
            json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
            delta(
                2,
                &json!({"type": "input_json_delta", "partial_json": "{\"a\""}),
            ),
            delta(
                2,
                &json!({"type": "input_json_delta", "partial_json": ":1}"}),
            ),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}}),
            json!({"type": "message_stop"}),
        ]);
        let want = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "stop_reason": "tool_use",
            "usage": {"input_tokens": 9, "output_tokens": 7},
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s1"},
                {"type": "text", "text": "Hello", "citations": [{"cited_text": "x"}]},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            ],
        });
        assert_eq!(whole, Some(want));
    }

    #[test]
    fn a_cut_message_keeps_what_came_and_its_error() {
        let whole = of(&[
            json!({"type": "message_start", "message": {"id": "msg_1", "content": []}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "input": {}}}),
            delta(
                0,
                &json!({"type": "input_json_delta", "partial_json": "{\"a"}),
            ),
            delta(9, &json!({"type": "text_delta", "text": "of no block"})),
            json!({"type": "error", "error": {"type": "overloaded_error"}}),
        ]);
        let whole = whole.unwrap();
        assert_eq!(whole["content"][0]["input"], "{\"a");
        assert_eq!(whole["error"]["type"], "overloaded_error");
        assert_eq!(
            answer(Bytes::from_static(b"event: ping\ndata: {}\n\n")),
            None
        );
    }
}
