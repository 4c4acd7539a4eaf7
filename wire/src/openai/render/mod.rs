//! Neutral answers as `OpenAI`'s clients read them, for providers of another dialect.
//!
//! [`response`] writes whole answers, [`StreamRenderer`] streams. What `OpenAI`'s format lacks goes where `LiteLLM` puts
//! it: `reasoning_content` and `thinking_blocks` beside the content, the rest into `provider_specific_fields`.
//! Source: `OpenAI` API reference, "The chat completion object" and "The chat completion chunk object", 2026-11-22, and
//! the contract, `endpoints.md` §1.2.

mod chunk;
mod stream;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

pub use self::stream::StreamRenderer;
use super::usage;
use crate::chat::{ChatResponse, Choice, Content, Message, ToolCall};
use crate::exchange::AnswerOptions;

#[derive(Serialize)]
struct Body<'a> {
    id: Cow<'a, str>,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<BodyChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
    #[serde(flatten)]
    rest: Members<'a>,
}

#[derive(Serialize)]
struct BodyChoice<'a> {
    index: u64,
    message: BodyMessage<'a>,
    finish_reason: Option<&'a str>,
    #[serde(flatten)]
    rest: Members<'a>,
}

/// As [`Message`], but with the members that clients find in every message.
#[derive(Serialize)]
struct BodyMessage<'a> {
    role: &'a str,
    content: Option<&'a Content>,
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_blocks: Option<&'a [Value]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<&'a [ToolCall]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a [Value]>,
    #[serde(flatten)]
    rest: Members<'a>,
}

/// Members that pass as they are, but for those that are written by the renderer itself.
struct Members<'a>(&'a Map<String, Value>, &'static [&'static str]);

/// Writes a whole answer.
///
/// `model` is the name that the client asked for, else the provider's. `created` is the provider's, else that of the
/// options.
pub fn response(answer: &ChatResponse, options: &AnswerOptions) -> Bytes {
    let body = Body {
        id: completion_id(answer.id.as_deref(), options.created),
        object: "chat.completion",
        created: answer.created.unwrap_or(options.created),
        model: options
            .requested_model
            .as_deref()
            .or(answer.model.as_deref())
            .unwrap_or_default(),
        choices: answer.choices.iter().map(BodyChoice::of).collect(),
        usage: answer.usage.as_ref().map(usage::render),
        rest: Members(&answer.rest, &["object", "usage"]),
    };
    // Cannot fail: every key is a string and nothing here refuses to be written.
    serde_json::to_vec(&body).map_or_else(|_| Bytes::new(), Bytes::from)
}

// === impl BodyChoice ===

impl<'a> BodyChoice<'a> {
    fn of(choice: &'a Choice) -> Self {
        Self {
            index: choice.index,
            message: BodyMessage::of(&choice.message),
            finish_reason: choice.finish_reason.as_deref(),
            rest: Members(&choice.rest, &[]),
        }
    }
}

// === impl BodyMessage ===

impl<'a> BodyMessage<'a> {
    fn of(message: &'a Message) -> Self {
        Self {
            role: &message.role,
            content: message.content.as_ref(),
            refusal: message.refusal.as_deref(),
            reasoning_content: message.reasoning_content.as_deref(),
            thinking_blocks: message.thinking_blocks.as_deref(),
            tool_calls: message.tool_calls.as_deref(),
            annotations: message.annotations.as_deref(),
            rest: Members(&message.rest, &[]),
        }
    }
}

// === impl Members ===

impl Serialize for Members<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(members, but) = self;
        serializer.collect_map(
            members
                .iter()
                .filter(|(key, _)| !but.contains(&key.as_str())),
        )
    }
}

/// The provider's id in the form that `OpenAI`'s clients know; made of the time when the provider gave none.
fn completion_id(id: Option<&str>, created: u64) -> Cow<'_, str> {
    match id {
        Some(id) if id.starts_with("chatcmpl-") => Cow::Borrowed(id),
        Some(id) => Cow::Owned(format!("chatcmpl-{id}")),
        None => Cow::Owned(format!("chatcmpl-{created}")),
    }
}
