//! A chat answer that broke, carried on by asking for its rest: what was said so far, and the request for what follows.
//!
//! The request is the client's with the text so far as the assistant's last message, which servers that can continue such
//! a message take as a beginning ("prefill"). Some want to be told that it is one. Only plain text can be carried on:
//! reasoning, refusals and tool calls cannot be cut and joined.
//! Source: the API references of Mistral ("Chat", `prefix`), `DeepSeek` ("Chat prefix completion") and vLLM
//! (`continue_final_message`), 2026-11-23.

use std::fmt;

use bytes::Bytes;

use super::stream::StreamDecoder;
use crate::event::ChatEvent;
use crate::json::{Object, Splice, quoted};

/// The most text that is kept, in bytes: an answer that is longer is not carried on.
const MAX_TEXT: usize = 1024 * 1024;

/// What a streamed chat answer with one choice has said, read from the events that the client gets.
#[derive(Default)]
pub struct Transcript {
    decoder: StreamDecoder,
    text: String,
    /// Something came that cannot be carried on.
    other: bool,
}

// === impl Transcript ===

impl Transcript {
    /// Notes one event, framed as it goes to the client.
    pub fn note(&mut self, frame: &Bytes) {
        if self.other {
            return;
        }
        self.decoder.push(frame.clone());
        while let Some(event) = self.decoder.next_event().transpose() {
            match event {
                Ok(ChatEvent::Text { text, .. }) if self.text.len() + text.len() <= MAX_TEXT => {
                    self.text.push_str(&text);
                }
                Ok(
                    ChatEvent::Start { .. }
                    | ChatEvent::Citation { .. }
                    | ChatEvent::KeepAlive
                    | ChatEvent::Usage(_),
                ) => {}
                _ => {
                    self.other = true;
                    return;
                }
            }
        }
    }

    /// All of it, if it is text and nothing else.
    pub fn text(&self) -> Option<&str> {
        (!self.other && !self.text.is_empty()).then_some(&self.text)
    }
}

impl fmt::Debug for Transcript {
    /// Without the text: it is what a model answered.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Transcript")
            .field("bytes", &self.text.len())
            .field("other", &self.other)
            .finish_non_exhaustive()
    }
}

/// The client's request again, asking `provider` for what follows on `said`, which was about `said_tokens` tokens long.
///
/// `None` when the body is no chat request.
pub fn request(body: &[u8], provider: &str, said: &str, said_tokens: u64) -> Option<Bytes> {
    let object = Object::parse(body).ok()?;
    let messages = object.get("messages")?.get().trim_end().strip_suffix(']')?;
    let mut with_said = messages.as_bytes().to_vec();
    with_said.extend_from_slice(b",{\"role\":\"assistant\",\"content\":");
    with_said.extend_from_slice(&quoted(said));
    if matches!(provider, "deepseek" | "mistral" | "codestral") {
        with_said.extend_from_slice(b",\"prefix\":true");
    }
    with_said.extend_from_slice(b"}]");
    let mut splice = Splice::new(&object);
    splice.set("messages", with_said);
    if provider == "hosted_vllm" {
        splice.set("continue_final_message", b"true".as_slice());
        splice.set("add_generation_prompt", b"false".as_slice());
    }
    for key in ["max_tokens", "max_completion_tokens"] {
        let limit: Option<u64> = object.get(key).and_then(|limit| limit.get().parse().ok());
        if let Some(limit) = limit {
            let left = limit.saturating_sub(said_tokens).max(1);
            splice.set(key, left.to_string().into_bytes());
        }
    }
    Some(splice.finish())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn frame(delta: &Value) -> Bytes {
        let chunk = json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
        format!("data: {chunk}\n\n").into()
    }

    #[test]
    fn text_is_joined_and_anything_else_ends_it() {
        let mut transcript = Transcript::default();
        assert_eq!(transcript.text(), None);
        transcript.note(&frame(&json!({"role": "assistant", "content": "Hel"})));
        transcript.note(&frame(&json!({"content": "lo \"you\""})));
        assert_eq!(transcript.text(), Some("Hello \"you\""));
        transcript.note(&frame(&json!({"tool_calls": [{"index": 0}]})));
        assert_eq!(transcript.text(), None);
        transcript.note(&frame(&json!({"content": "more"})));
        assert_eq!(transcript.text(), None);
    }

    #[test]
    fn the_request_goes_on_from_what_was_said_and_asks_for_no_more_than_is_left() {
        let body =
            br#"{ "messages":[{"role":"user","content":"Count"} ],"max_tokens":10,"zz":1.0}"#;
        let plain = request(body, "openai", "1, 2, ", 4).unwrap();
        assert_eq!(
            plain,
            r#"{ "messages":[{"role":"user","content":"Count"} ,{"role":"assistant","content":"1, 2, "}],"max_tokens":6,"zz":1.0}"#
        );
        let marked = request(body, "mistral", "1", 40).unwrap();
        let marked: Value = serde_json::from_slice(&marked).unwrap();
        assert_eq!(marked["messages"][1]["prefix"], true);
        assert_eq!(marked["max_tokens"], 1);
        let vllm = request(body, "hosted_vllm", "1", 1).unwrap();
        let vllm: Value = serde_json::from_slice(&vllm).unwrap();
        assert_eq!(vllm["continue_final_message"], true);
        assert_eq!(request(b"{}", "openai", "1", 1), None);
    }
}
