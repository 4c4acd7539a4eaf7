//! The request's members beside the conversation and the tools.

use serde_json::{Map, Value, json};

use super::target::Target;
use super::{params, reasoning, tools};
use crate::chat::ChatRequest;
use crate::request::BadRequest;

/// The most stop sequences that `OpenAI` takes ("Create chat completion", `stop`, 2026-11-23).
const MAX_STOPS: usize = 4;

/// The most characters of `user` that `OpenAI` takes.
const MAX_USER_CHARS: usize = 64;

/// Anthropic's members that change how an answer is made but not what it may be: left out, and named.
const HINTS: &[&str] = &["cache_control", "context_management", "speed"];

/// Anthropic's members without which the answer would be another one.
const NEEDS: &[&str] = &["container", "mcp_servers", "inference_geo"];

/// All of them, in the client's order, those with a type of their own last.
///
/// # Errors
/// [`BadRequest`] for what the server cannot do, when `drop_params` is off.
pub(super) fn of(
    request: &ChatRequest,
    has_tools: bool,
    target: &mut Target<'_>,
) -> Result<Map<String, Value>, BadRequest> {
    let mut rest = request.rest.clone();
    // Clients must name a limit and often name a high one; more than the model can give is the same as all of it, but
    // refused.
    let can_give = target.options.max_output_tokens.unwrap_or(u64::MAX);
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            rest.insert(key.to_owned(), value);
        }
    };
    set(
        "max_completion_tokens",
        request.max_completion_tokens.map(Value::from),
    );
    set(
        "max_tokens",
        request.max_tokens.map(|most| most.min(can_give).into()),
    );
    set("stream", request.stream.map(Value::from));
    set("response_format", request.response_format.clone());
    set(
        "tool_choice",
        tools::choice(request.tool_choice.as_ref(), target),
    );
    if !has_tools {
        // Servers refuse a choice among nothing.
        rest.shift_remove("tool_choice");
        rest.shift_remove("parallel_tool_calls");
    }
    for hint in HINTS {
        if rest.shift_remove(*hint).is_some() {
            target.hint(hint);
        }
    }
    for need in NEEDS {
        if rest.get(*need).is_some_and(says_something) {
            target.refuse(need, &format!("parameter '{need}'"))?;
        }
        rest.shift_remove(*need);
    }
    reasoning::translate(&mut rest, target);
    output_format(&mut rest);
    if rest.get("service_tier").and_then(Value::as_str) == Some("standard_only") {
        rest.insert("service_tier".to_owned(), "default".into());
    }
    if params::is_openai(target.options.provider) {
        for_openai(&mut rest, target)?;
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
fn for_openai(rest: &mut Map<String, Value>, target: &mut Target<'_>) -> Result<(), BadRequest> {
    if rest.get("top_k").is_some_and(says_something) {
        target.refuse("top_k", "parameter 'top_k'")?;
    }
    rest.shift_remove("top_k");
    if let Some(Value::Array(stops)) = rest.get_mut("stop")
        && stops.len() > MAX_STOPS
    {
        target.refuse("stop", "more than 4 stop sequences")?;
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
