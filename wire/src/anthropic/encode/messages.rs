//! The conversation: system prompts taken out, roles mapped to the two there are, neighbours merged.
//!
//! Order is kept: every text, tool call and result stands where it stood. A conversation that does not begin with the
//! user is the provider's to refuse.

use std::borrow::Cow;
use std::mem;

use serde_json::Value;
use serde_json::value::RawValue;

use super::blocks::{Block, Output, Turn};
use super::parts;
use super::target::Target;
use crate::BadRequest;
use crate::chat::{Content, Message, ToolCall};

/// What is said, and what the model was told before.
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    pub(super) turns: Vec<Turn<'a>>,
}

pub(super) fn conversation<'a>(
    messages: &'a [Message],
    target: &mut Target<'_>,
) -> Result<Conversation<'a>, BadRequest> {
    let mut conversation = Conversation {
        system: Vec::new(),
        turns: Vec::new(),
    };
    for (at, message) in messages.iter().enumerate() {
        let path = format!("messages[{at}]");
        match message.role.as_str() {
            "system" | "developer" => {
                let blocks = system(message, &path, target)?;
                conversation.system.extend(blocks);
            }
            "user" => {
                let blocks = marked(
                    parts::blocks(message.content.as_ref(), &path, target)?,
                    message,
                );
                conversation.add("user", blocks);
            }
            "assistant" => conversation.add("assistant", assistant(message, &path, target)?),
            "tool" => conversation.add("user", vec![tool_result(message, &path, target)?]),
            other => {
                let param = format!("{path}.role");
                let roles = "\"system\", \"developer\", \"user\", \"assistant\" or \"tool\"";
                let message = format!("'{param}' is {other:?}; write one of {roles}.");
                return Err(BadRequest::new(param, message));
            }
        }
    }
    conversation.strip_prefill();
    Ok(conversation)
}

// === impl Conversation ===

impl<'a> Conversation<'a> {
    fn add(&mut self, role: &'static str, mut content: Vec<Block<'a>>) {
        if content.is_empty() {
            return;
        }
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.content.append(&mut content),
            _ => self.turns.push(Turn { role, content }),
        }
    }

    /// Anthropic refuses an answer's beginning that ends in white space.
    fn strip_prefill(&mut self) {
        let Some(turn) = self
            .turns
            .last_mut()
            .filter(|turn| turn.role == "assistant")
        else {
            return;
        };
        if let Some(Block::Text { text, .. }) = turn.content.last_mut() {
            *text = text.trim_end();
            if text.is_empty() {
                turn.content.pop();
            }
        }
        if turn.content.is_empty() {
            self.turns.pop();
        }
    }
}

fn system<'a>(
    message: &'a Message,
    path: &str,
    target: &mut Target<'_>,
) -> Result<Vec<Block<'a>>, BadRequest> {
    if let Some(Content::Parts(parts)) = &message.content
        && let Some(at) = parts.iter().position(|part| part.kind != "text")
    {
        let param = format!("{path}.content[{at}]");
        let message = format!("'{param}' must be of the type \"text\" in a system prompt.");
        return Err(BadRequest::new(param, message));
    }
    let blocks = parts::blocks(message.content.as_ref(), path, target)?;
    Ok(marked(blocks, message))
}

fn assistant<'a>(
    message: &'a Message,
    path: &str,
    target: &mut Target<'_>,
) -> Result<Vec<Block<'a>>, BadRequest> {
    let mut blocks = thinking(message.thinking_blocks.as_deref().unwrap_or_default());
    blocks.extend(parts::blocks(message.content.as_ref(), path, target)?);
    let refusal = message.refusal.as_deref().filter(|text| !text.is_empty());
    blocks.extend(refusal.map(|text| Block::text(text, None)));
    for (at, call) in message.tool_calls.iter().flatten().enumerate() {
        blocks.push(tool_use(call, &format!("{path}.tool_calls[{at}]"), target)?);
    }
    if message
        .rest
        .get("function_call")
        .is_some_and(|call| !call.is_null())
    {
        let param = format!("{path}.function_call");
        let message = format!("'{param}' is not supported; write it as an entry of 'tool_calls'.");
        return Err(BadRequest::new(param, message));
    }
    Ok(marked(blocks, message))
}

/// Thinking as it came. A client of a stream may have kept the pieces apart: texts without a signature belong to the next
/// block with one. What has none at all, nobody would believe.
fn thinking(kept: &[Value]) -> Vec<Block<'_>> {
    let mut blocks = Vec::with_capacity(kept.len());
    let mut pieces = String::new();
    for block in kept {
        let member = |key: &str| block.get(key).and_then(Value::as_str).unwrap_or_default();
        if member("type") == "thinking" && member("signature").is_empty() {
            pieces.push_str(member("thinking"));
        } else if member("type") == "thinking" && !pieces.is_empty() {
            pieces.push_str(member("thinking"));
            let mut whole = block.clone();
            if let Value::Object(members) = &mut whole {
                members.insert("thinking".to_owned(), mem::take(&mut pieces).into());
            }
            blocks.push(Block::Thinking(Cow::Owned(whole)));
        } else {
            blocks.push(Block::Thinking(Cow::Borrowed(block)));
        }
    }
    blocks
}

fn tool_use<'a>(
    call: &'a ToolCall,
    path: &str,
    target: &mut Target<'_>,
) -> Result<Block<'a>, BadRequest> {
    let function = call.function.as_ref();
    let name = function.and_then(|function| function.name.as_deref());
    let (Some(function), Some(name)) = (function, name) else {
        let param = format!("{path}.function");
        let message = format!("'{param}' must be an object with 'name' and 'arguments'.");
        return Err(BadRequest::new(param, message));
    };
    let id = present(call.id.as_deref(), path, "id")?;
    let arguments = function.arguments.as_deref().unwrap_or_default();
    let arguments = if arguments.trim().is_empty() {
        "{}"
    } else {
        arguments
    };
    let input = serde_json::from_str(arguments)
        .ok()
        .filter(|input: &&RawValue| input.get().starts_with('{'))
        .ok_or_else(|| {
            let param = format!("{path}.function.arguments");
            let message = format!("'{param}' must be the text of a JSON object such as \"{{\\\"city\\\": \\\"Oslo\\\"}}\".");
            BadRequest::new(param, message)
        })?;
    Ok(Block::ToolUse {
        id: call_id(id),
        name: target.tool_name(name),
        input,
        cache_control: call.rest.get("cache_control"),
    })
}

fn tool_result<'a>(
    message: &'a Message,
    path: &str,
    target: &mut Target<'_>,
) -> Result<Block<'a>, BadRequest> {
    let id = present(message.tool_call_id.as_deref(), path, "tool_call_id")?;
    let content = match &message.content {
        Some(Content::Text(text)) => (!text.is_empty()).then_some(Output::Text(text)),
        parts => {
            let blocks = parts::blocks(parts.as_ref(), path, target)?;
            (!blocks.is_empty()).then_some(Output::Blocks(blocks))
        }
    };
    Ok(Block::ToolResult {
        tool_use_id: call_id(id),
        content,
        is_error: message.rest.get("is_error").filter(|is| !is.is_null()),
        cache_control: message.cache_control.as_ref(),
    })
}

fn present<'a>(value: Option<&'a str>, path: &str, key: &str) -> Result<&'a str, BadRequest> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| {
        let param = format!("{path}.{key}");
        let message = format!("'{param}' is missing; write the id of the tool call.");
        BadRequest::new(param, message)
    })
}

/// Anthropic's rule for ids is `^[a-zA-Z0-9_-]+$`; call and result of another provider change in the same way.
fn call_id(id: &str) -> Cow<'_, str> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if id.chars().all(fits) {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(id.replace(|letter| !fits(letter), "_"))
    }
}

/// A marker on the message is one on its last block.
fn marked<'a>(mut blocks: Vec<Block<'a>>, message: &'a Message) -> Vec<Block<'a>> {
    let marker: Option<&'a Value> = message.cache_control.as_ref();
    if let (Some(block), Some(marker)) = (blocks.last_mut(), marker) {
        block.mark(marker);
    }
    blocks
}
