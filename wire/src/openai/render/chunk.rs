//! One chunk of a stream: `data: {"id", "object": "chat.completion.chunk", "created", "model", "choices": [{"index",
//! "delta", "logprobs", "finish_reason"}]}`. Only what differs between chunks is written anew.

use serde::Serialize;
use serde_json::Value;

/// What is added to one choice.
#[derive(Debug, Default, Serialize)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thinking_blocks: Option<[ThinkingBlock<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_calls: Option<[CallDelta<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) provider_specific_fields: Option<SpecificFields<'a>>,
}

/// A piece of reasoning, its signature, or a block that only the provider can read.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ThinkingBlock<'a> {
    Thinking {
        thinking: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        signature: Option<&'a str>,
    },
    RedactedThinking {
        data: &'a str,
    },
}

/// A piece of a tool call; id, type and name are on its first.
#[derive(Debug, Serialize)]
pub(super) struct CallDelta<'a> {
    pub(super) index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<&'static str>,
    pub(super) function: FunctionDelta<'a>,
}

#[derive(Debug, Serialize)]
pub(super) struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) arguments: &'a str,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct SpecificFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) citation: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_blocks: Option<[&'a Value; 1]>,
}

#[derive(Debug, Serialize)]
pub(super) struct ChunkChoice<'a> {
    pub(super) index: u64,
    pub(super) delta: Delta<'a>,
    /// Always null: no provider of another dialect gives any.
    pub(super) logprobs: Option<()>,
    pub(super) finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stop_sequence: Option<&'a str>,
}
