//! Answers that the gateway gives itself, in `OpenAI`'s shapes: mock answers, and the error event of a broken stream.
//!
//! Times and ids are arguments; this crate has neither clock nor randomness.

use bytes::Bytes;
use serde::Serialize;

use crate::Usage;
use crate::json::{Object, Splice};
use crate::sse::SseDecoder;

/// The terminal event of a stream.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// A streamed event whose `usage` also says what the answer costs, a number in USD; `None` for an event without `usage`.
///
/// Source: `LiteLLM`, `cost` in the `usage` of its last chunk, 2026-11-22.
pub fn with_cost(event: &Bytes, usd: &str) -> Option<Bytes> {
    let mut decoder = SseDecoder::new();
    decoder.push(event.clone());
    let event = decoder.next_event().ok()??;
    let object = Object::parse(event.data.as_deref()?).ok()?;
    if !object.get("usage")?.get().starts_with('{') {
        return None;
    }
    let mut splice = Splice::new(&object);
    splice.set_within("usage", "cost", usd.as_bytes());
    Some(event.with_data(&splice.finish()))
}

/// What every object of an answer carries.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// `id`, such as `chatcmpl-…`.
    pub id: &'a str,
    /// `created`, in Unix seconds.
    pub created: u64,
    /// `model`, as the client asked for it.
    pub model: &'a str,
}

#[derive(Serialize)]
struct Body<'a, C> {
    id: &'a str,
    object: &'a str,
    created: u64,
    model: &'a str,
    choices: C,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Counters>,
}

#[derive(Serialize)]
struct Counters {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

#[derive(Serialize)]
struct ChatChoice<'a> {
    index: u32,
    message: Message<'a>,
    logprobs: Option<()>,
    finish_reason: &'a str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
    refusal: Option<()>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: u32,
    delta: Delta<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'a str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

#[derive(Serialize)]
struct TextChoice<'a> {
    text: &'a str,
    index: u32,
    logprobs: Option<()>,
    finish_reason: Option<&'a str>,
}

#[derive(Serialize)]
struct EmbeddingList<'a> {
    object: &'a str,
    data: Vec<Embedding<'a>>,
    model: &'a str,
    usage: EmbeddingCounters,
}

#[derive(Serialize)]
struct Embedding<'a> {
    object: &'a str,
    index: usize,
    embedding: &'a [f32],
}

#[derive(Serialize)]
struct EmbeddingCounters {
    prompt_tokens: u64,
    total_tokens: u64,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorFields<'a>,
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    error_type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

/// A whole chat answer with one choice.
pub fn chat_response(envelope: Envelope<'_>, text: &str, usage: &Usage) -> Bytes {
    let choice = ChatChoice {
        index: 0,
        message: Message {
            role: "assistant",
            content: text,
            refusal: None,
        },
        logprobs: None,
        finish_reason: "stop",
    };
    json(&body(envelope, "chat.completion", [choice], Some(usage)))
}

/// A chat answer as the events of a stream: the role, each piece, the finish reason, with `include_usage` the usage, then
/// [`DONE`].
pub fn chat_stream(
    envelope: Envelope<'_>,
    pieces: &[&str],
    usage: &Usage,
    include_usage: bool,
) -> Vec<Bytes> {
    let chunk = |delta, finish_reason| {
        let choice = ChunkChoice {
            index: 0,
            delta,
            logprobs: None,
            finish_reason,
        };
        event(&body(envelope, "chat.completion.chunk", [choice], None))
    };
    let opening = Delta {
        role: Some("assistant"),
        content: Some(""),
    };
    let mut events = vec![chunk(opening, None)];
    events.extend(pieces.iter().map(|piece| {
        let delta = Delta {
            role: None,
            content: Some(piece),
        };
        chunk(delta, None)
    }));
    events.push(chunk(Delta::default(), Some("stop")));
    if include_usage {
        let none: [ChunkChoice<'_>; 0] = [];
        events.push(event(&body(
            envelope,
            "chat.completion.chunk",
            none,
            Some(usage),
        )));
    }
    events.push(Bytes::from_static(DONE));
    events
}

/// A whole text completion with one choice.
pub fn completion_response(envelope: Envelope<'_>, text: &str, usage: &Usage) -> Bytes {
    let choice = text_choice(text, Some("stop"));
    json(&body(envelope, "text_completion", [choice], Some(usage)))
}

/// A text completion as the events of a stream, as [`chat_stream`].
pub fn completion_stream(
    envelope: Envelope<'_>,
    pieces: &[&str],
    usage: &Usage,
    include_usage: bool,
) -> Vec<Bytes> {
    let chunk = |text, finish| {
        let choice = text_choice(text, finish);
        event(&body(envelope, "text_completion", [choice], None))
    };
    let mut events: Vec<Bytes> = pieces.iter().map(|piece| chunk(piece, None)).collect();
    events.push(chunk("", Some("stop")));
    if include_usage {
        let none: [TextChoice<'_>; 0] = [];
        events.push(event(&body(envelope, "text_completion", none, Some(usage))));
    }
    events.push(Bytes::from_static(DONE));
    events
}

/// An embeddings answer.
pub fn embeddings_response(model: &str, embeddings: &[Vec<f32>], prompt_tokens: u64) -> Bytes {
    let data = embeddings
        .iter()
        .enumerate()
        .map(|(index, embedding)| Embedding {
            object: "embedding",
            index,
            embedding,
        });
    json(&EmbeddingList {
        object: "list",
        data: data.collect(),
        model,
        usage: EmbeddingCounters {
            prompt_tokens,
            total_tokens: prompt_tokens,
        },
    })
}

/// An error in `OpenAI`'s shape: `{"error": {"message", "type", "param", "code"}}`.
pub fn error_body(
    message: &str,
    error_type: &str,
    param: Option<&str>,
    code: Option<&str>,
) -> Bytes {
    json(&ErrorBody {
        error: ErrorFields {
            message,
            error_type,
            param,
            code,
        },
    })
}

/// [`error_body`] as the last event of a stream that broke; no [`DONE`] follows it.
pub fn error_event(
    message: &str,
    error_type: &str,
    param: Option<&str>,
    code: Option<&str>,
) -> Bytes {
    framed(&error_body(message, error_type, param, code))
}

fn body<'a, C>(
    envelope: Envelope<'a>,
    object: &'a str,
    choices: C,
    usage: Option<&Usage>,
) -> Body<'a, C> {
    Body {
        id: envelope.id,
        object,
        created: envelope.created,
        model: envelope.model,
        choices,
        usage: usage.map(|usage| Counters {
            prompt_tokens: usage.prompt_tokens(),
            completion_tokens: usage.completion_tokens(),
            total_tokens: usage.total_tokens(),
        }),
    }
}

fn text_choice<'a>(text: &'a str, finish_reason: Option<&'a str>) -> TextChoice<'a> {
    TextChoice {
        text,
        index: 0,
        logprobs: None,
        finish_reason,
    }
}

fn json<T: Serialize>(value: &T) -> Bytes {
    // Strings, numbers and struct fields always serialise; an empty body would be noticed by every client.
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}

fn event<T: Serialize>(value: &T) -> Bytes {
    framed(&json(value))
}

fn framed(data: &[u8]) -> Bytes {
    Bytes::from([b"data: ", data, b"\n\n"].concat())
}
