//! What a scripted provider says: a head, parts of a body with gates between them, and how it ends.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use super::wait::PATIENCE;

/// Something the provider waits for in the middle of its answer, opened by the test.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    open: watch::Sender<bool>,
}

impl Gate {
    pub(crate) fn closed() -> Self {
        Self {
            open: watch::Sender::new(false),
        }
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Returns when the gate is open, or when a failed test left it closed for too long.
    pub(super) async fn passed(&self) {
        let mut seen = self.open.subscribe();
        let outcome = timeout(PATIENCE * 2, seen.wait_for(|open| *open)).await;
        drop(outcome);
    }
}

/// How the body's length is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `content-length` of what is sent.
    Length,
    /// `content-length` of this many bytes, whatever is sent.
    ClaimedLength(usize),
    /// `transfer-encoding: chunked`, one chunk a part.
    Chunked,
    /// Neither, in HTTP/1.0: the end of the connection is the end of the body.
    UntilClose,
}

/// What the provider does with the connection after its last part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Ends the body properly and waits for the next request.
    KeepAlive,
    /// Ends the body properly and closes the idle connection at once, without having announced it.
    CloseWhenIdle,
    /// Closes without ending the body: no last chunk, fewer bytes than claimed.
    Cut,
    /// As [`Ending::Cut`], with a TCP reset.
    Reset,
    /// Goes silent without ending the body, until the gateway leaves.
    Hang,
}

#[derive(Debug, Clone)]
pub(crate) enum Part {
    Bytes(Vec<u8>),
    Wait(Gate),
}

/// One scripted answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) framing: Framing,
    pub(crate) parts: Vec<Part>,
    pub(crate) ending: Ending,
    /// Waited for before the first byte of the head.
    pub(crate) before: Option<Gate>,
    /// No byte at all, not even a head; `ending` still applies.
    pub(crate) silent: bool,
}

/// The usage that every canned answer reports.
pub(crate) const PROMPT_TOKENS: u64 = 11;
/// See [`PROMPT_TOKENS`].
pub(crate) const COMPLETION_TOKENS: u64 = 7;
/// What the provider calls its model, unlike what clients ask for.
pub(crate) const PROVIDER_MODEL: &str = "provider-model-2026-11-01";

/// The canned usage as a provider writes it.
pub(crate) fn usage() -> Value {
    json!({
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
    })
}

/// A whole chat completion.
pub(crate) fn chat_body(text: &str) -> Value {
    json!({
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": PROVIDER_MODEL,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }],
        "usage": usage(),
    })
}

fn chunk(delta: &Value, finish_reason: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": PROVIDER_MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    })
}

/// One SSE event of a JSON value.
pub(crate) fn event(data: &Value) -> Vec<u8> {
    format!("data: {data}\n\n").into_bytes()
}

/// The role-only event that opens a chat stream.
pub(crate) fn opening_event() -> Vec<u8> {
    event(&chunk(&json!({"role": "assistant", "content": ""}), None))
}

/// An event with text.
pub(crate) fn text_event(text: &str) -> Vec<u8> {
    event(&chunk(&json!({"content": text}), None))
}

/// The event with the finish reason.
pub(crate) fn finish_event() -> Vec<u8> {
    event(&chunk(&json!({}), Some("stop")))
}

/// The event with the usage, as it comes when `stream_options.include_usage` was asked for.
pub(crate) fn usage_event() -> Vec<u8> {
    event(&json!({
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": PROVIDER_MODEL,
        "choices": [],
        "usage": usage(),
    }))
}

/// The terminal event.
pub(crate) const DONE_EVENT: &[u8] = b"data: [DONE]\n\n";

// === impl Reply ===

impl Reply {
    /// Any bytes with a content type.
    pub(crate) fn bytes(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            framing: Framing::Length,
            parts: vec![Part::Bytes(body.into())],
            ending: Ending::KeepAlive,
            before: None,
            silent: false,
        }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json", body.to_string())
    }

    /// A chat completion that says `text`.
    pub(crate) fn chat(text: &str) -> Self {
        Self::json(200, &chat_body(text))
    }

    /// A text completion that says `text`.
    pub(crate) fn completion(text: &str) -> Self {
        Self::json(
            200,
            &json!({
                "id": "cmpl-scripted",
                "object": "text_completion",
                "created": 1_700_000_000,
                "model": PROVIDER_MODEL,
                "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": "stop"}],
                "usage": usage(),
            }),
        )
    }

    /// Embeddings, one vector for each input.
    pub(crate) fn embeddings(vectors: &[[f64; 3]]) -> Self {
        let data: Vec<Value> = vectors
            .iter()
            .enumerate()
            .map(|(index, vector)| json!({"object": "embedding", "index": index, "embedding": vector}))
            .collect();
        Self::json(
            200,
            &json!({
                "object": "list",
                "data": data,
                "model": PROVIDER_MODEL,
                "usage": {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS},
            }),
        )
    }

    /// An error in OpenAI's shape.
    pub(crate) fn error(status: u16, kind: &str, message: &str) -> Self {
        Self::json(
            status,
            &json!({"error": {"message": message, "type": kind, "param": null, "code": null}}),
        )
    }

    /// A stream of exactly these events, each its own chunk on the wire.
    pub(crate) fn events(events: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut reply = Self::bytes(200, "text/event-stream; charset=utf-8", Vec::new());
        reply.framing = Framing::Chunked;
        reply.parts = events.into_iter().map(Part::Bytes).collect();
        reply
    }

    /// A whole chat stream with usage.
    pub(crate) fn stream(texts: &[&str]) -> Self {
        let mut events = vec![opening_event()];
        events.extend(texts.iter().map(|text| text_event(text)));
        events.extend([finish_event(), usage_event(), DONE_EVENT.to_vec()]);
        Self::events(events)
    }

    /// Takes the request and never answers it.
    pub(crate) fn never() -> Self {
        let mut reply = Self::bytes(200, "application/json", Vec::new());
        reply.silent = true;
        reply.ending = Ending::Hang;
        reply
    }

    /// Takes the request and closes the connection without a byte.
    pub(crate) fn closes_without_a_byte() -> Self {
        let mut reply = Self::never();
        reply.ending = Ending::Cut;
        reply
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    pub(crate) fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// Not a byte before the gate is open.
    pub(crate) fn after(mut self, gate: &Gate) -> Self {
        self.before = Some(gate.clone());
        self
    }

    /// Holds back the part at `index` and all after it until the gate is open.
    pub(crate) fn gate_before_part(mut self, index: usize, gate: &Gate) -> Self {
        self.parts.insert(index, Part::Wait(gate.clone()));
        self
    }

    pub(super) fn head(&self) -> Vec<u8> {
        let version = match self.framing {
            Framing::UntilClose => "HTTP/1.0",
            Framing::Length | Framing::ClaimedLength(_) | Framing::Chunked => "HTTP/1.1",
        };
        let mut lines = vec![format!("{version} {} Scripted", self.status)];
        lines.extend(
            self.headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}")),
        );
        lines.push(match self.framing {
            Framing::Length => {
                let length: usize = self
                    .parts
                    .iter()
                    .map(|part| match part {
                        Part::Bytes(bytes) => bytes.len(),
                        Part::Wait(_) => 0,
                    })
                    .sum();
                format!("content-length: {length}")
            }
            Framing::ClaimedLength(length) => format!("content-length: {length}"),
            Framing::Chunked => "transfer-encoding: chunked".to_owned(),
            Framing::UntilClose => "connection: close".to_owned(),
        });
        let mut head = lines.join("\r\n");
        head.push_str("\r\n\r\n");
        head.into_bytes()
    }

    pub(super) fn frame(&self, bytes: &[u8]) -> Vec<u8> {
        if self.framing != Framing::Chunked {
            return bytes.to_vec();
        }
        if bytes.is_empty() {
            return Vec::new();
        }
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        framed
    }

    pub(super) fn last_chunk(&self) -> &'static [u8] {
        if self.framing == Framing::Chunked {
            b"0\r\n\r\n"
        } else {
            b""
        }
    }
}

/// How long the provider lets one connection live, so that a failed test leaves no thread behind.
pub(super) const CONNECTION_LIFETIME: Duration = Duration::from_mins(2);
