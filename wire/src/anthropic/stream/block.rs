//! The content block that is open in a stream: what its start says, and what is left to say at its end.

use std::mem;

use serde_json::Value;

use super::{CHOICE, StreamDecoder};
use crate::anthropic::types::Block;
use crate::anthropic::{JSON_TOOL, decode};
use crate::event::ChatEvent;
use crate::json::Raw;
use crate::sse::MAX_EVENT_BYTES;
use crate::{UpstreamError, broken};

/// What the pieces of `input_json_delta` belong to.
#[derive(Debug)]
pub(super) enum OpenBlock {
    /// Nothing: no block, or one that is handed out piece by piece without help.
    None,
    /// A call of the client's tool.
    Call {
        /// Its number among the calls.
        index: u64,
        /// The arguments, should no piece of them come.
        default: Option<String>,
    },
    /// The wanted form of the answer: its input is the answer's text.
    JsonAnswer {
        /// The text, should no piece of it come.
        default: Option<String>,
    },
    /// A block without a word in the neutral form; handed out whole.
    Other {
        /// As its start spelled it.
        block: Value,
        /// Its input so far.
        input: String,
    },
}

// === impl OpenBlock ===

impl OpenBlock {
    /// A piece of the block's input.
    pub(super) fn input(&mut self, json: String) -> Result<Option<ChatEvent>, UpstreamError> {
        let choice = CHOICE;
        match self {
            Self::None => Ok(None),
            Self::Call { index, default } => {
                *default = None;
                let index = *index;
                Ok(Some(ChatEvent::ToolArguments {
                    choice,
                    index,
                    json,
                }))
            }
            Self::JsonAnswer { default } => {
                *default = None;
                Ok(Some(ChatEvent::Text { choice, text: json }))
            }
            Self::Other { input, .. } => {
                if input.len().saturating_add(json.len()) > MAX_EVENT_BYTES {
                    return Err(broken::answer("a content block of the stream is too large"));
                }
                input.push_str(&json);
                Ok(None)
            }
        }
    }

    /// What is left to say at the block's end.
    fn close(self) -> Option<ChatEvent> {
        let choice = CHOICE;
        match self {
            Self::None => None,
            Self::Call { index, default } => default.map(|json| ChatEvent::ToolArguments {
                choice,
                index,
                json,
            }),
            Self::JsonAnswer { default } => default.map(|text| ChatEvent::Text { choice, text }),
            Self::Other { mut block, input } => {
                if let Value::Object(members) = &mut block
                    && let Ok(input) = serde_json::from_str(&input)
                {
                    members.insert("input".to_owned(), input);
                }
                Some(ChatEvent::Other { choice, block })
            }
        }
    }
}

// === impl StreamDecoder ===

impl StreamDecoder {
    pub(super) fn open_block(&mut self, raw: Raw<'_>) -> Result<(), UpstreamError> {
        let choice = CHOICE;
        let Some(block) = Block::of(raw).map_err(|err| decode::odd(&err))? else {
            if let Some(block) = decode::value_of(raw) {
                let input = String::new();
                self.block = OpenBlock::Other { block, input };
            }
            return Ok(());
        };
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        match &*block.kind {
            "text" => {
                let text = filled(block.text).map(|text| ChatEvent::Text { choice, text });
                self.ready.extend(text);
            }
            "thinking" => {
                let text = filled(block.thinking).map(|text| ChatEvent::Reasoning { choice, text });
                self.ready.extend(text);
                let signature = filled(block.signature)
                    .map(|signature| ChatEvent::ReasoningSignature { choice, signature });
                self.ready.extend(signature);
            }
            "redacted_thinking" => {
                let data = block.data.unwrap_or_default();
                self.ready
                    .push_back(ChatEvent::OpaqueReasoning { choice, data });
            }
            // `tool_use`. Clients join the pieces and parse them, so a call without any gets its arguments as one piece at its end.
            _ => {
                let default = Some(block.input.map_or("{}", Raw::get).to_owned());
                if block.name.as_deref() == Some(JSON_TOOL) {
                    self.answered_as_tool = true;
                    self.block = OpenBlock::JsonAnswer { default };
                } else {
                    let index = self.tool_calls;
                    self.tool_calls = index.saturating_add(1);
                    self.ready.push_back(ChatEvent::ToolCall {
                        choice,
                        index,
                        id: block.id.unwrap_or_default(),
                        name: block.name.unwrap_or_default(),
                    });
                    self.block = OpenBlock::Call { index, default };
                }
            }
        }
        Ok(())
    }

    pub(super) fn close_block(&mut self) {
        let block = mem::replace(&mut self.block, OpenBlock::None);
        self.ready.extend(block.close());
    }
}
