//! Turns of the conversation as neutral messages.
//!
//! A user turn may answer several tool calls and say more besides; neutrally these are one `tool` message for each result,
//! then a `user` message. An assistant turn's reasoning and calls have members of their own.

use serde_json::Value;

use super::blocks::{self, content_of};
use super::place::{Members, Place};
use crate::chat::{Content, ContentPart, FunctionCall, Message, ToolCall};
use crate::request::BadRequest;

/// Appends what `turns` say, in order.
pub(super) fn append(turns: Vec<Value>, messages: &mut Vec<Message>) -> Result<(), BadRequest> {
    let list = Place::ROOT.member("messages");
    for (at, turn) in turns.into_iter().enumerate() {
        let place = list.element(at);
        let mut turn = Members::of(turn, place)?;
        let role = turn.required_string("role")?;
        let content = turn.required("content")?;
        let place = turn.place();
        match (role.as_str(), content) {
            ("user" | "assistant" | "system", Value::String(text)) => messages.push(Message {
                role,
                content: Some(Content::Text(text)),
                ..Message::default()
            }),
            ("user" | "system", Value::Array(list)) => user(role, list, &place, messages)?,
            ("assistant", Value::Array(list)) => messages.push(assistant(list, &place)?),
            ("user" | "assistant" | "system", _) => {
                let problem = "Input should be a string or an array of content blocks";
                return Err(place.member("content").error(problem));
            }
            _ => {
                let problem = "Input should be 'user' or 'assistant'";
                return Err(place.member("role").error(problem));
            }
        }
    }
    Ok(())
}

fn user(
    role: String,
    list: Vec<Value>,
    place: &Place<'_>,
    messages: &mut Vec<Message>,
) -> Result<(), BadRequest> {
    let place = place.member("content");
    let mut parts = Vec::with_capacity(list.len());
    let empty = list.is_empty();
    let before = messages.len();
    for (at, block) in list.into_iter().enumerate() {
        let place = place.element(at);
        let (kind, mut block) = blocks::open(block, place)?;
        if kind == "tool_result" {
            messages.push(tool_result(&mut block)?);
        } else {
            parts.push(blocks::part(kind, block)?);
        }
    }
    if !parts.is_empty() || (empty && messages.len() == before) {
        messages.push(Message {
            role,
            content: Some(content_of(parts)),
            ..Message::default()
        });
    }
    Ok(())
}

fn tool_result(block: &mut Members<'_>) -> Result<Message, BadRequest> {
    let id = block.required_string("tool_use_id")?;
    let content = match block.take("content") {
        None => Content::Text(String::new()),
        Some(Value::String(text)) => Content::Text(text),
        Some(Value::Array(list)) => blocks::content(list, &block.place().member("content"))?,
        Some(_) => {
            let problem = "Input should be a string or an array of content blocks";
            return Err(block.wrong("content", problem));
        }
    };
    let mut message = Message {
        role: "tool".to_owned(),
        content: Some(content),
        tool_call_id: Some(id),
        cache_control: block.take("cache_control"),
        ..Message::default()
    };
    if block.boolean("is_error")? == Some(true) {
        message.rest.insert("is_error".to_owned(), true.into());
    }
    Ok(message)
}

fn assistant(list: Vec<Value>, place: &Place<'_>) -> Result<Message, BadRequest> {
    let place = place.member("content");
    let mut parts: Vec<ContentPart> = Vec::new();
    let mut calls = Vec::new();
    let mut thoughts = Vec::new();
    let mut reasoning = String::new();
    for (at, block) in list.into_iter().enumerate() {
        let place = place.element(at);
        if let Some("thinking" | "redacted_thinking") = block.get("type").and_then(Value::as_str) {
            // Signed: it goes back as it came.
            reasoning.push_str(
                block
                    .get("thinking")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            );
            thoughts.push(block);
            continue;
        }
        let (kind, block) = blocks::open(block, place)?;
        if kind == "tool_use" {
            calls.push(tool_use(block)?);
        } else {
            parts.push(blocks::part(kind, block)?);
        }
    }
    let speechless = parts.is_empty() && !(calls.is_empty() && thoughts.is_empty());
    Ok(Message {
        role: "assistant".to_owned(),
        content: (!speechless).then(|| content_of(parts)),
        tool_calls: (!calls.is_empty()).then_some(calls),
        reasoning_content: (!reasoning.is_empty()).then_some(reasoning),
        thinking_blocks: (!thoughts.is_empty()).then_some(thoughts),
        ..Message::default()
    })
}

fn tool_use(mut block: Members<'_>) -> Result<ToolCall, BadRequest> {
    let id = block.required_string("id")?;
    let name = block.required_string("name")?;
    let input = block.required("input")?;
    Ok(ToolCall {
        index: None,
        id: Some(id),
        kind: Some("function".to_owned()),
        function: Some(FunctionCall {
            name: Some(name),
            arguments: Some(input.to_string()),
            ..FunctionCall::default()
        }),
        rest: block.into_rest(),
    })
}
