//! What a request makes a model read, and the frame around its messages.
//!
//! Source of the frame: OpenAI cookbook, "How to count tokens with tiktoken", section 6: three tokens around each
//! message, one more for a name, three that begin the answer.

use serde_json::{Map, Value};

use super::CountError;
use super::content::{self, str_member};
use super::meter::Meter;
use super::tools;

const MESSAGE: usize = 3;
const NAME: usize = 1;
const ANSWER: usize = 3;

/// Most values in a body. Each takes up to some hundred bytes as a tree, but only two as text.
const MAX_VALUES: usize = 1 << 19;

/// Adds a whole body.
pub(super) fn count(meter: &mut Meter, body: &[u8]) -> Result<(), CountError> {
    if has_too_many_values(body) {
        return Err(CountError::TooManyValues);
    }
    let body: Map<String, Value> =
        serde_json::from_slice(body).map_err(|err| CountError::NotJson(err.to_string()))?;
    let member = |key: &str| body.get(key).filter(|value| !value.is_null());

    if let Some(messages) = member("messages") {
        chat(meter, "messages", messages)?;
    } else if let Some(contents) = member("contents") {
        chat(meter, "contents", contents)?;
    } else if let Some(prompt) = member("prompt") {
        plain(meter, "prompt", prompt)?;
    } else if let Some(input) = member("input") {
        plain(meter, "input", input)?;
    } else {
        return Err(CountError::Empty);
    }
    let system = [
        "system",
        "instructions",
        "systemInstruction",
        "system_instruction",
    ]
    .into_iter()
    .find_map(member);
    if let Some(system) = system {
        meter.add(MESSAGE);
        meter.text("system");
        content::count(meter, system.get("parts").unwrap_or(system));
    }
    if let Some(given) = member("tools").or_else(|| member("functions")) {
        let Value::Array(given) = given else {
            return Err(CountError::Field {
                field: "tools",
                wanted: "an array of tools",
            });
        };
        tools::count(meter, given);
    }
    Ok(())
}

/// Every value but the first follows a comma or a bracket that is not within a string.
fn has_too_many_values(body: &[u8]) -> bool {
    let mut values = 1;
    let mut is_in_string = false;
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_in_string = !is_in_string,
            b'\\' if is_in_string => {
                bytes.next();
            }
            b',' | b'[' | b'{' if !is_in_string => values += 1,
            _ => {}
        }
    }
    values > MAX_VALUES
}

fn chat(meter: &mut Meter, field: &'static str, messages: &Value) -> Result<(), CountError> {
    match messages {
        Value::Array(messages) => {
            for one in messages {
                message(meter, field, one)?;
            }
        }
        // Gemini takes a lone content, too.
        Value::Object(_) => message(meter, field, messages)?,
        Value::String(text) if field == "contents" => {
            meter.add(MESSAGE);
            meter.text("user");
            meter.text(text);
        }
        _ => return Err(wrong_messages(field)),
    }
    meter.add(ANSWER);
    Ok(())
}

fn message(meter: &mut Meter, field: &'static str, message: &Value) -> Result<(), CountError> {
    let Value::Object(members) = message else {
        return Err(wrong_messages(field));
    };
    meter.add(MESSAGE);
    meter.text(str_member(message, "role").unwrap_or_default());
    if let Some(name) = str_member(message, "name") {
        meter.text(name);
        meter.add(NAME);
    }
    for key in ["content", "parts"] {
        if let Some(content) = members.get(key) {
            content::count(meter, content);
        }
    }
    let calls = members.get("tool_calls").and_then(Value::as_array);
    let calls = calls
        .into_iter()
        .flatten()
        .filter_map(|call| call.get("function"));
    for call in calls.chain(members.get("function_call")) {
        meter.text(str_member(call, "name").unwrap_or_default());
        content::arguments(meter, call.get("arguments").unwrap_or(&Value::Null));
    }
    Ok(())
}

/// `prompt` and `input`: a text, texts, token ids, lists of those, or the messages of the Responses API.
fn plain(meter: &mut Meter, field: &'static str, value: &Value) -> Result<(), CountError> {
    match value {
        Value::String(text) => meter.text(text),
        Value::Array(items) if items.iter().any(Value::is_object) => chat(meter, field, value)?,
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::String(text) => meter.text(text),
                    Value::Number(_) => meter.add(1),
                    Value::Array(ids) if ids.iter().all(Value::is_number) => meter.add(ids.len()),
                    _ => return Err(wrong_plain(field)),
                }
            }
        }
        _ => return Err(wrong_plain(field)),
    }
    Ok(())
}

fn wrong_messages(field: &'static str) -> CountError {
    CountError::Field {
        field,
        wanted: "an array of messages, each an object",
    }
}

fn wrong_plain(field: &'static str) -> CountError {
    CountError::Field {
        field,
        wanted: "a string, an array of strings, or an array of token ids",
    }
}
