//! The neutral form as a request to an `OpenAI`-compatible server, for clients of another dialect.
//!
//! What such a server has no word for is translated where it can be, left out where it is a mere hint (cache control,
//! signed reasoning, the context's management), and otherwise refused, or dropped and named under `drop_params`. The
//! result then goes the way of every other body: [`super::splice`].

mod messages;
mod parts;
mod reasoning;
#[cfg(test)]
mod tests;
mod tools;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{params, splice};
use crate::chat::{ChatRequest, Message, Tool};
use crate::exchange::{EncodeOptions, Encoded};
use crate::request::{BadRequest, Endpoint, RequestPeek};

/// The most stop sequences that `OpenAI` takes ("Create chat completion", `stop`, 2026-11-23).
const MAX_STOPS: usize = 4;

/// The most characters of `user` that `OpenAI` takes.
const MAX_USER_CHARS: usize = 64;

/// Anthropic's members that change how an answer is made but not what it may be: left out, and named.
const HINTS: &[&str] = &["cache_control", "context_management", "speed"];

/// Anthropic's members without which the answer would be another one.
const NEEDS: &[&str] = &["container", "mcp_servers", "inference_geo"];

/// The body as it is sent; the client's other members stay in order behind these.
#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    messages: Vec<Message>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Collects what had to be left out.
struct Dropped<'a> {
    options: &'a EncodeOptions<'a>,
    names: Vec<String>,
}

/// Writes a neutral request.
///
/// # Errors
/// [`BadRequest`] for what the server has no word for, when `drop_params` is off.
pub fn chat_request(
    request: &ChatRequest,
    options: &EncodeOptions<'_>,
) -> Result<Encoded, BadRequest> {
    let options = &EncodeOptions {
        endpoint: Endpoint::ChatCompletions,
        ..*options
    };
    let mut dropped = Dropped {
        options,
        names: Vec::new(),
    };
    let messages = messages::of(&request.messages, &mut dropped)?;
    let tools = tools::of(request.tools.as_deref().unwrap_or_default(), &mut dropped)?;
    let rest = members(request, !tools.is_empty(), &mut dropped)?;
    let body = Body {
        model: request.model.clone(),
        messages,
        tools,
        rest,
    };
    let body = serde_json::to_vec(&body)
        .map_err(|err| BadRequest::new("request_body", format!("Invalid request: {err}")))?;
    let peek = RequestPeek {
        stream: request.stream == Some(true),
        ..RequestPeek::default()
    };
    let mut encoded = splice::request(&Bytes::from(body), &peek, options)?;
    dropped.names.append(&mut encoded.dropped);
    encoded.dropped = dropped.names;
    Ok(encoded)
}

/// Everything but the conversation and the tools.
fn members(
    request: &ChatRequest,
    has_tools: bool,
    dropped: &mut Dropped<'_>,
) -> Result<Map<String, Value>, BadRequest> {
    let mut rest = request.rest.clone();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            rest.insert(key.to_owned(), value);
        }
    };
    set(
        "max_completion_tokens",
        request.max_completion_tokens.map(Value::from),
    );
    set("max_tokens", request.max_tokens.map(Value::from));
    set("stream", request.stream.map(Value::from));
    set("response_format", request.response_format.clone());
    set("tool_choice", request.tool_choice.clone());
    if !has_tools {
        // Servers refuse a choice among nothing.
        rest.shift_remove("tool_choice");
        rest.shift_remove("parallel_tool_calls");
    }
    for hint in HINTS {
        if rest.shift_remove(*hint).is_some() {
            dropped.hint(hint);
        }
    }
    for need in NEEDS {
        if rest.get(*need).is_some_and(says_something) {
            dropped.refuse(need, &format!("'{need}' is a member of Anthropic's API"))?;
        }
        rest.shift_remove(*need);
    }
    reasoning::translate(&mut rest, dropped);
    output_format(&mut rest);
    if rest.get("service_tier").and_then(Value::as_str) == Some("standard_only") {
        rest.insert("service_tier".to_owned(), "default".into());
    }
    if params::is_openai(dropped.options.provider) {
        for_openai(&mut rest, dropped)?;
    }
    Ok(rest)
}

/// `output_format`, or `output_config.format`, as `response_format`.
fn output_format(rest: &mut Map<String, Value>) {
    let config = rest.shift_remove("output_config");
    let nested = config.and_then(|mut config| config.get_mut("format").map(Value::take));
    let format = rest.shift_remove("output_format").or(nested);
    let schema = format.and_then(|mut format| format.get_mut("schema").map(Value::take));
    if let Some(schema) = schema.filter(|_| !rest.contains_key("response_format")) {
        let named = json!({"name": "response", "schema": schema});
        let format = json!({"type": "json_schema", "json_schema": named});
        rest.insert("response_format".to_owned(), format);
    }
}

/// What `OpenAI` itself takes less of than others.
fn for_openai(rest: &mut Map<String, Value>, dropped: &mut Dropped<'_>) -> Result<(), BadRequest> {
    if rest.get("top_k").is_some_and(says_something) {
        dropped.refuse("top_k", "OpenAI does not support parameter 'top_k'")?;
    }
    rest.shift_remove("top_k");
    if let Some(Value::Array(stops)) = rest.get_mut("stop")
        && stops.len() > MAX_STOPS
    {
        dropped.refuse("stop", "OpenAI takes at most 4 stop sequences")?;
        stops.truncate(MAX_STOPS);
    }
    // It only tells end users apart; Anthropic's clients send longer ones.
    if let Some(Value::String(user)) = rest.get_mut("user")
        && let Some((end, _)) = user.char_indices().nth(MAX_USER_CHARS)
    {
        user.truncate(end);
    }
    Ok(())
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    }
}

// === impl Dropped ===

impl Dropped<'_> {
    /// Leaves out what is only a hint.
    fn hint(&mut self, name: &str) {
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }

    /// Leaves out what matters, if the deployment allows it.
    ///
    /// # Errors
    /// [`BadRequest`] about `name` when it does not.
    fn refuse(&mut self, name: &str, problem: &str) -> Result<(), BadRequest> {
        if self.options.drop_params {
            self.hint(name);
            return Ok(());
        }
        let model = self.options.upstream_model;
        Err(BadRequest::new(
            name,
            format!(
                "litellm.UnsupportedParamsError: {problem}, which model={model} cannot be sent. Leave it out, or set \
                 `drop_params: true` to have the gateway drop it."
            ),
        ))
    }
}
