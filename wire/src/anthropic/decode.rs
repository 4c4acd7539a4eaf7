//! Anthropic's whole answers in the neutral form. Streams are [`super::stream`]'s, error statuses [`super::error`]'s.

use std::fmt::Display;

use serde_json::{Map, Value, json};

use super::types::{Answer, Block};
use super::{JSON_TOOL, error, finish, usage};
use crate::chat::{ChatResponse, Choice, Content, FunctionCall, Message, ToolCall};
use crate::event::FinishReason;
use crate::json::{Object, Raw};
use crate::{UpstreamError, broken};

/// Where the blocks of an answer go.
#[derive(Debug, Default)]
struct Parts {
    text: String,
    /// The input of [`JSON_TOOL`]: the answer in the form that the request asked for.
    json_answer: Option<String>,
    reasoning: String,
    thinking_blocks: Vec<Value>,
    tool_calls: Vec<ToolCall>,
    /// A list for each text block that has citations.
    citations: Vec<Value>,
    /// Blocks without a place in the neutral form: server tools and their results.
    others: Vec<Value>,
}

/// Reads an answer with a success status.
///
/// Text blocks are joined. What `OpenAI`'s format has no member for is in the message's `provider_specific_fields`:
/// `citations` (a list for each cited text), `content_blocks` (server tools and their results, whole), `container`,
/// `context_management`.
///
/// # Errors
/// [`UpstreamError`]: of the kind `BrokenAnswer` for HTML, cut JSON, and anything but a message with content; the
/// classified error for `{"type": "error", …}`.
pub fn response(body: &[u8]) -> Result<ChatResponse, UpstreamError> {
    // Depth, duplicates and syntax first: nothing below may meet them.
    let object = Object::parse(body).map_err(|err| broken::body(body, &err))?;
    if let Some(err) = object.get("error").filter(|err| err.get() != "null") {
        return Err(error::classify_inside(err));
    }
    let answer: Answer<'_> = serde_json::from_str(object.source()).map_err(|err| odd(&err))?;
    let content = answer
        .content
        .ok_or_else(|| broken::answer("the provider's answer has no 'content'"))?;
    let mut parts = Parts::default();
    for block in content {
        parts.add(block)?;
    }
    let reason = answer.stop_reason.as_deref().map(|reason| {
        let reason = finish::reason(reason, answer.stop_sequence.as_deref());
        parts.settled(reason)
    });
    let mut message = parts.into_message();
    message.refusal = answer.stop_details.and_then(|details| details.explanation);
    for (key, value) in [
        ("container", answer.container),
        ("context_management", answer.context_management),
    ] {
        if let Some(value) = value.and_then(value_of) {
            specific(&mut message, key, value);
        }
    }
    let mut rest = Map::new();
    if let Some(FinishReason::StopSequence(sequence)) = &reason {
        rest.insert("stop_sequence".to_owned(), sequence.as_str().into());
    }
    Ok(ChatResponse {
        id: answer.id,
        created: None,
        model: answer.model,
        choices: vec![Choice {
            index: 0,
            message,
            finish_reason: reason.map(|reason| reason.as_openai().to_owned()),
            rest,
        }],
        usage: answer.usage.and_then(usage::parse),
        rest: Map::new(),
    })
}

// === impl Parts ===

impl Parts {
    fn add(&mut self, raw: Raw<'_>) -> Result<(), UpstreamError> {
        let Some(block) = Block::of(raw).map_err(|err| odd(&err))? else {
            self.others.extend(value_of(raw));
            return Ok(());
        };
        match &*block.kind {
            "text" => {
                self.text
                    .push_str(block.text.as_deref().unwrap_or_default());
                let citations = block.citations.and_then(value_of);
                let citations =
                    citations.filter(|list| list.as_array().is_some_and(|list| !list.is_empty()));
                self.citations.extend(citations);
            }
            "thinking" => {
                self.reasoning
                    .push_str(block.thinking.as_deref().unwrap_or_default());
                self.thinking_blocks.extend(value_of(raw));
            }
            "redacted_thinking" => self.thinking_blocks.extend(value_of(raw)),
            // `tool_use`.
            _ => self.add_call(block),
        }
        Ok(())
    }

    fn add_call(&mut self, block: Block<'_>) {
        let arguments = block.input.map_or("{}", Raw::get);
        if block.name.as_deref() == Some(JSON_TOOL) {
            self.json_answer.get_or_insert_default().push_str(arguments);
            return;
        }
        self.tool_calls.push(ToolCall {
            id: block.id,
            kind: Some("function".to_owned()),
            function: Some(FunctionCall {
                name: block.name,
                arguments: Some(arguments.to_owned()),
                rest: Map::new(),
            }),
            ..ToolCall::default()
        });
    }

    /// The reason as the client sees it: an answer given through [`JSON_TOOL`] is no tool call.
    fn settled(&self, reason: FinishReason) -> FinishReason {
        match reason {
            FinishReason::ToolCalls if self.json_answer.is_some() && self.tool_calls.is_empty() => {
                FinishReason::Stop
            }
            reason => reason,
        }
    }

    fn into_message(self) -> Message {
        // What the model says around an answer in JSON is not part of it.
        let text = self.json_answer.unwrap_or(self.text);
        let says_nothing = text.is_empty() && !self.tool_calls.is_empty();
        let mut message = Message {
            role: "assistant".to_owned(),
            content: (!says_nothing).then_some(Content::Text(text)),
            tool_calls: some(self.tool_calls),
            reasoning_content: (!self.reasoning.is_empty()).then_some(self.reasoning),
            thinking_blocks: some(self.thinking_blocks),
            ..Message::default()
        };
        for (key, list) in [
            ("citations", self.citations),
            ("content_blocks", self.others),
        ] {
            if !list.is_empty() {
                specific(&mut message, key, list.into());
            }
        }
        message
    }
}

fn specific(message: &mut Message, key: &str, value: Value) {
    let fields = message
        .rest
        .entry("provider_specific_fields")
        .or_insert_with(|| json!({}));
    if let Value::Object(fields) = fields {
        fields.insert(key.to_owned(), value);
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// A value that the whole body's check has already bounded in depth; nothing for null.
pub(super) fn value_of(raw: Raw<'_>) -> Option<Value> {
    serde_json::from_str(raw.get())
        .ok()
        .filter(|value: &Value| !value.is_null())
}

pub(super) fn odd(err: &impl Display) -> UpstreamError {
    broken::answer(format!("the provider's answer has an unknown shape: {err}"))
}
