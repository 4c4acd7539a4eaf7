//! What Anthropic answers with: whole messages, stream events, content blocks.
//!
//! Members are optional, and unknown ones are skipped: types of events and blocks are added over time ("Versions"). Source: Anthropic API reference, "Messages" and "Streaming messages", 2026-11-23.

use std::borrow::Cow;

use serde::Deserialize;

use crate::json::Raw;

/// A whole answer: `{"id", "type": "message", "role", "model", "content": […], "stop_reason", "stop_sequence", "usage"}`.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<'a> {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    #[serde(borrow)]
    pub(super) content: Option<Vec<Raw<'a>>>,
    pub(super) stop_reason: Option<String>,
    pub(super) stop_sequence: Option<String>,
    pub(super) stop_details: Option<StopDetails>,
    #[serde(borrow)]
    pub(super) usage: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(super) container: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(super) context_management: Option<Raw<'a>>,
}

/// `{"type": "refusal", "category", "explanation"}`.
#[derive(Debug, Deserialize)]
pub(super) struct StopDetails {
    pub(super) explanation: Option<String>,
}

/// One event of a stream, whichever it is: its `type` says which members it has, and what they are.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    /// Of `message_start`.
    #[serde(borrow)]
    pub(super) message: Option<Raw<'a>>,
    /// Of `content_block_start`.
    #[serde(borrow)]
    pub(super) content_block: Option<Raw<'a>>,
    /// Of `content_block_delta` and `message_delta`.
    #[serde(borrow)]
    pub(super) delta: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(super) usage: Option<Raw<'a>>,
}

/// The message of `message_start`: as yet without content.
#[derive(Debug, Deserialize)]
pub(super) struct Started<'a> {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    #[serde(borrow)]
    pub(super) usage: Option<Raw<'a>>,
}

/// The `delta` of an event.
#[derive(Debug, Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) text: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) partial_json: Option<String>,
    #[serde(borrow)]
    pub(super) citation: Option<Raw<'a>>,
    pub(super) stop_reason: Option<String>,
    pub(super) stop_sequence: Option<String>,
    pub(super) stop_details: Option<StopDetails>,
}

/// One block of content, of a type that the neutral form has a word for.
#[derive(Debug, Deserialize)]
pub(super) struct Block<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    pub(super) text: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) signature: Option<String>,
    /// Of `redacted_thinking`.
    pub(super) data: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    #[serde(borrow)]
    pub(super) input: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(super) citations: Option<Raw<'a>>,
}

/// The type of a block or a delta, whatever else it holds.
#[derive(Debug, Deserialize)]
struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

// === impl Delta ===

impl<'a> Delta<'a> {
    const KINDS: &'static [&'static str] = &[
        "text_delta",
        "thinking_delta",
        "signature_delta",
        "citations_delta",
        "input_json_delta",
    ];

    /// The delta of a content block; nothing for a type that is not known, whatever its shape.
    pub(super) fn of_block(raw: Raw<'a>) -> Result<Option<Self>, serde_json::Error> {
        known(raw, Self::KINDS)
    }
}

// === impl Block ===

impl<'a> Block<'a> {
    const KINDS: &'static [&'static str] = &["text", "thinking", "redacted_thinking", "tool_use"];

    /// The block; nothing for a type that is not known, whatever its shape.
    pub(super) fn of(raw: Raw<'a>) -> Result<Option<Self>, serde_json::Error> {
        known(raw, Self::KINDS)
    }
}

fn known<'a, T: Deserialize<'a>>(
    raw: Raw<'a>,
    kinds: &[&str],
) -> Result<Option<T>, serde_json::Error> {
    let typed: Typed<'_> = serde_json::from_str(raw.get())?;
    if kinds.contains(&&*typed.kind) {
        serde_json::from_str(raw.get()).map(Some)
    } else {
        Ok(None)
    }
}
