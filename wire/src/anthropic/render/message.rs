//! A whole neutral answer as a message.
//!
//! ```json
//! {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Hi"}],
//!  "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 5, "output_tokens": 2}}
//! ```

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Stop, citation, message_id};
use crate::Usage;
use crate::anthropic::usage;
use crate::chat::{ChatResponse, Choice, Content, Message, ToolCall};
use crate::event::FinishReason;
use crate::exchange::AnswerOptions;

#[derive(Serialize)]
struct Body<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Value>,
    stop_reason: &'static str,
    stop_sequence: Option<String>,
    usage: Value,
}

/// Writes an answer: reasoning first, then text, then blocks that only Anthropic has, then tool calls.
pub fn response(answer: &ChatResponse, options: &AnswerOptions) -> Bytes {
    let choice = answer.choices.first();
    let content = choice.map_or_else(Vec::new, |choice| blocks(&choice.message));
    let stop = stop(choice);
    let requested = options.requested_model.as_deref();
    let body = Body {
        id: message_id(answer.id.as_deref()),
        kind: "message",
        role: "assistant",
        model: requested.or(answer.model.as_deref()).unwrap_or_default(),
        content,
        stop_reason: stop.reason,
        stop_sequence: stop.sequence,
        usage: usage::render(&answer.usage.unwrap_or(Usage::plain(0, 0))),
    };
    // Strings, numbers and values always serialise; an empty body would be noticed by every client.
    Bytes::from(serde_json::to_vec(&body).unwrap_or_default())
}

fn stop(choice: Option<&Choice>) -> Stop {
    let Some(choice) = choice else {
        return Stop::of(None, false, false);
    };
    let sequence = choice.rest.get("stop_sequence").and_then(Value::as_str);
    let reason = choice.finish_reason.as_deref().map(FinishReason::from_word);
    let reason = match (reason, sequence) {
        (Some(FinishReason::Stop) | None, Some(sequence)) => {
            Some(FinishReason::StopSequence(sequence.to_owned()))
        }
        (reason, _) => reason,
    };
    let message = &choice.message;
    let called = message
        .tool_calls
        .as_ref()
        .is_some_and(|calls| !calls.is_empty());
    Stop::of(reason.as_ref(), called, message.refusal.is_some())
}

fn blocks(message: &Message) -> Vec<Value> {
    let mut blocks = reasoning(message);
    let extras = message.rest.get("provider_specific_fields");
    texts(message, extras, &mut blocks);
    if let Some(Value::Array(own)) = extras.and_then(|extras| extras.get("content_blocks")) {
        blocks.extend(own.iter().cloned());
    }
    let calls = message.tool_calls.iter().flatten().enumerate();
    blocks.extend(calls.map(|(at, call)| tool_use(at, call)));
    blocks
}

/// Reasoning as it came, or as text that no provider signed.
fn reasoning(message: &Message) -> Vec<Value> {
    match (&message.thinking_blocks, &message.reasoning_content) {
        (Some(blocks), _) if !blocks.is_empty() => blocks.clone(),
        (_, Some(text)) if !text.is_empty() => {
            vec![json!({"type": "thinking", "thinking": text, "signature": ""})]
        }
        _ => Vec::new(),
    }
}

fn texts(message: &Message, extras: Option<&Value>, blocks: &mut Vec<Value>) {
    let mut add = |text: &str, citations: Vec<Value>| {
        if text.is_empty() {
            return;
        }
        let mut block = Map::new();
        block.insert("type".to_owned(), "text".into());
        block.insert("text".to_owned(), text.into());
        if !citations.is_empty() {
            block.insert("citations".to_owned(), citations.into());
        }
        blocks.push(Value::Object(block));
    };
    match &message.content {
        Some(Content::Text(text)) => add(text, citations(message, extras, text)),
        Some(Content::Parts(parts)) => {
            for part in parts {
                add(part.text.as_deref().unwrap_or_default(), Vec::new());
            }
        }
        None => {}
    }
    add(message.refusal.as_deref().unwrap_or_default(), Vec::new());
}

/// All sources of the text: lists of Anthropic's, one for each of its blocks, or `OpenAI`'s annotations.
fn citations(message: &Message, extras: Option<&Value>, text: &str) -> Vec<Value> {
    let own = extras.and_then(|extras| extras.get("citations"));
    let own = own.and_then(Value::as_array).into_iter().flatten();
    let own = own.flat_map(|of_block| of_block.as_array().into_iter().flatten().cloned());
    let annotations = message.annotations.iter().flatten();
    let annotations = annotations.filter(|annotation| annotation.get("url_citation").is_some());
    own.chain(annotations.map(|annotation| citation(annotation, text)))
        .collect()
}

fn tool_use(at: usize, call: &ToolCall) -> Value {
    let function = call.function.as_ref();
    let arguments = function.and_then(|function| function.arguments.as_deref());
    let id = call.id.clone().unwrap_or_else(|| format!("call_{at}"));
    json!({
        "type": "tool_use",
        "id": id,
        "name": function.and_then(|function| function.name.as_deref()).unwrap_or_default(),
        "input": input(arguments.unwrap_or_default()),
    })
}

/// A call's arguments as the object that `input` must be. A model may have written something else; the tool then gets to
/// see what it wrote.
fn input(arguments: &str) -> Value {
    if arguments.trim().is_empty() {
        return json!({});
    }
    match serde_json::from_str(arguments) {
        Ok(input @ Value::Object(_)) => input,
        _ => json!({ "raw_arguments": arguments }),
    }
}
