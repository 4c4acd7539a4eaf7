//! A client's Messages request in the neutral form, for providers of another dialect.
//!
//! What the neutral form has a word for is moved there; every other member stays as it is, in `rest`, and the provider's
//! encoder decides. Errors name the place as Anthropic does: `messages.1.content.0.source.data: Field required`.
//! Source: Anthropic API reference, "Create a message" (body parameters), 2026-11-23.

mod blocks;
mod messages;
mod place;
#[cfg(test)]
mod tests;
mod tools;

use serde_json::{Map, Value};

use self::place::{Members, Place};
use crate::chat::{ChatRequest, Content, Message};
use crate::json::Object;
use crate::request::BadRequest;

/// Reads a body.
///
/// # Errors
/// [`BadRequest`] for broken JSON and for a member that does not have the shape of the reference.
pub fn request(body: &[u8]) -> Result<ChatRequest, BadRequest> {
    // Depth, duplicates and syntax first, so that the errors are the same as on the pass-through path.
    let object = Object::parse(body)?;
    let members: Map<String, Value> = serde_json::from_str(object.source())
        .map_err(|err| BadRequest::new("request_body", format!("Invalid JSON payload: {err}")))?;
    let mut members = Members::new(members, Place::ROOT);

    let model = members.string("model")?;
    let max_tokens = members.count("max_tokens")?;
    let stream = members.boolean("stream")?;
    let system = system(&mut members)?;
    let turns = members.required_list("messages")?;
    let mut messages: Vec<Message> = system.into_iter().collect();
    messages::append(turns, &mut messages)?;
    let tools = tools::tools(&mut members)?;
    let choice = tools::choice(&mut members)?;
    let stop = members.strings("stop_sequences")?;
    let user = user(&mut members)?;

    let mut rest = members.into_rest();
    if let Some(stop) = stop {
        rest.insert("stop".to_owned(), stop.into());
    }
    if let Some(user) = user {
        rest.insert("user".to_owned(), user.into());
    }
    if choice.one_at_a_time {
        rest.insert("parallel_tool_calls".to_owned(), false.into());
    }
    Ok(ChatRequest {
        model,
        messages,
        tools,
        tool_choice: choice.choice,
        response_format: None,
        max_completion_tokens: None,
        max_tokens,
        stream,
        rest,
    })
}

/// `system`, text or text blocks, as the first message; an empty one says nothing.
fn system(members: &mut Members<'_>) -> Result<Option<Message>, BadRequest> {
    let Some(system) = members.take("system") else {
        return Ok(None);
    };
    let content = match system {
        Value::String(text) => Content::Text(text),
        Value::Array(texts) => blocks::content(texts, &Place::ROOT.member("system"))?,
        _ => {
            return Err(Place::ROOT
                .member("system")
                .error("Input should be a string or an array of text blocks"));
        }
    };
    let silent = match &content {
        Content::Text(text) => text.is_empty(),
        Content::Parts(parts) => parts.is_empty(),
    };
    Ok((!silent).then(|| Message {
        role: "system".to_owned(),
        content: Some(content),
        ..Message::default()
    }))
}

/// `metadata.user_id`; what else `metadata` holds stays there.
fn user(members: &mut Members<'_>) -> Result<Option<String>, BadRequest> {
    let Some(metadata) = members.take("metadata") else {
        return Ok(None);
    };
    let place = Place::ROOT.member("metadata");
    let mut metadata = Members::of(metadata, place)?;
    let user = metadata.string("user_id")?;
    let others = metadata.into_rest();
    if !others.is_empty() {
        members.put("metadata", Value::Object(others));
    }
    Ok(user)
}
