//! The conversation as `OpenAI`-compatible servers take it.
//!
//! Left out without a word: cache control (a hint), reasoning (signed for another provider), `is_error` of a tool's result
//! (its text says so). A tool's result may hold only text, so its other parts follow the results in a user message.

use std::mem;

use super::parts;
use super::target::Target;
use crate::chat::{Content, ContentPart, FunctionCall, Message, ToolCall};
use crate::request::BadRequest;

/// Translates all messages.
///
/// # Errors
/// [`BadRequest`] for blocks of another provider's own kind.
pub(super) fn of(
    messages: &[Message],
    target: &mut Target<'_>,
) -> Result<Vec<Message>, BadRequest> {
    let mut sent = Vec::with_capacity(messages.len());
    let mut shown = Vec::new();
    for message in messages {
        if message.role != "tool" {
            show(&mut shown, &mut sent);
        }
        let mut message = translated(message, target)?;
        if message.role == "tool" {
            shown.append(&mut other_than_text(&mut message));
        }
        sent.push(message);
    }
    show(&mut shown, &mut sent);
    Ok(sent)
}

fn translated(message: &Message, target: &mut Target<'_>) -> Result<Message, BadRequest> {
    let content = match &message.content {
        Some(content) => Some(parts::content(content, target)?),
        None => None,
    };
    let calls = message.tool_calls.as_ref();
    let calls = calls.map(|calls| calls.iter().map(|own| call(own, target)).collect());
    let name = message.rest.get("name").cloned();
    Ok(Message {
        role: message.role.clone(),
        content,
        refusal: message.refusal.clone(),
        tool_calls: calls,
        tool_call_id: message.tool_call_id.clone(),
        rest: name
            .map(|name| ("name".to_owned(), name))
            .into_iter()
            .collect(),
        ..Message::default()
    })
}

fn call(call: &ToolCall, target: &mut Target<'_>) -> ToolCall {
    let function = call.function.as_ref().map(|function| FunctionCall {
        name: function.name.as_deref().map(|name| target.tool_name(name)),
        ..function.clone()
    });
    ToolCall {
        id: call.id.clone(),
        kind: call.kind.clone(),
        function,
        ..ToolCall::default()
    }
}

/// Takes images and files out of a tool's result.
fn other_than_text(message: &mut Message) -> Vec<ContentPart> {
    let Some(Content::Parts(parts)) = &mut message.content else {
        return Vec::new();
    };
    let (texts, others): (Vec<_>, Vec<_>) = mem::take(parts)
        .into_iter()
        .partition(|part| part.kind == "text");
    if others.is_empty() || !texts.is_empty() {
        *parts = texts;
    } else {
        message.content = Some(Content::Text("(shown in the next message)".to_owned()));
    }
    others
}

/// Appends what tools showed, once all results of the turn are there.
fn show(shown: &mut Vec<ContentPart>, sent: &mut Vec<Message>) {
    if shown.is_empty() {
        return;
    }
    sent.push(Message {
        role: "user".to_owned(),
        content: Some(Content::Parts(mem::take(shown))),
        ..Message::default()
    });
}
