//! One chunk of a stream: `data: {"id", "object": "chat.completion.chunk", "created", "model", "choices": [{"index",
//! "delta", "logprobs", "finish_reason"}]}`. Only what differs between chunks is written anew.

use serde::Serialize;
use serde_json::Value;

use crate::event::ChatEvent;
use crate::relay::FrameKind;

/// What an event adds to which choice.
pub(super) struct Addition<'a> {
    pub(super) choice: u64,
    pub(super) delta: Delta<'a>,
    pub(super) kind: FrameKind,
}

/// The new members of one choice.
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

#[derive(Debug, Serialize)]
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

// === impl Addition ===

impl<'a> Addition<'a> {
    /// What the event adds; nothing for those that are about the stream as a whole.
    pub(super) fn of(event: &'a ChatEvent) -> Option<Self> {
        let mut delta = Delta::default();
        let mut kind = FrameKind::Content;
        let choice = match event {
            ChatEvent::Text { choice, text } => {
                delta.content = Some(text);
                choice
            }
            ChatEvent::Reasoning { choice, text } => {
                delta.reasoning_content = Some(text);
                delta.thinking_blocks = Some([ThinkingBlock::Thinking {
                    thinking: text,
                    signature: None,
                }]);
                choice
            }
            ChatEvent::ReasoningSignature { choice, signature } => {
                kind = FrameKind::Other;
                delta.thinking_blocks = Some([ThinkingBlock::Thinking {
                    thinking: "",
                    signature: Some(signature),
                }]);
                choice
            }
            ChatEvent::OpaqueReasoning { choice, data } => {
                kind = FrameKind::Other;
                delta.thinking_blocks = Some([ThinkingBlock::RedactedThinking { data }]);
                choice
            }
            ChatEvent::Refusal { choice, text } => {
                delta.refusal = Some(text);
                choice
            }
            ChatEvent::ToolCall {
                choice,
                index,
                id,
                name,
            } => {
                delta.tool_calls = Some([CallDelta::first(*index, id, name)]);
                choice
            }
            ChatEvent::ToolArguments {
                choice,
                index,
                json,
            } => {
                delta.tool_calls = Some([CallDelta::next(*index, json)]);
                choice
            }
            ChatEvent::Citation { choice, citation } => {
                kind = FrameKind::Other;
                delta.provider_specific_fields = Some(SpecificFields {
                    citation: Some(citation),
                    content_blocks: None,
                });
                choice
            }
            ChatEvent::Other { choice, block } => {
                kind = FrameKind::Other;
                delta.provider_specific_fields = Some(SpecificFields {
                    citation: None,
                    content_blocks: Some([block]),
                });
                choice
            }
            ChatEvent::Start { .. }
            | ChatEvent::Finish { .. }
            | ChatEvent::Usage(_)
            | ChatEvent::KeepAlive
            | ChatEvent::End => return None,
        };
        Some(Self {
            choice: *choice,
            delta,
            kind,
        })
    }
}

// === impl CallDelta ===

impl<'a> CallDelta<'a> {
    fn first(index: u64, id: &'a str, name: &'a str) -> Self {
        Self {
            index,
            id: Some(id),
            kind: Some("function"),
            function: FunctionDelta {
                name: Some(name),
                arguments: "",
            },
        }
    }

    fn next(index: u64, arguments: &'a str) -> Self {
        Self {
            index,
            id: None,
            kind: None,
            function: FunctionDelta {
                name: None,
                arguments,
            },
        }
    }
}
