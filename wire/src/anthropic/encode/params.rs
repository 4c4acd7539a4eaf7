//! Every other member: passed on, renamed, refused, or for the gateway alone.
//!
//! A member that is not `OpenAI`'s is taken for Anthropic's and passes untouched (`top_k`, `container`, `mcp_servers`,
//! `context_management`, …).

use serde_json::{Value, json};

use super::body::Body;
use super::target::Target;
use crate::BadRequest;
use crate::anthropic::models::{self, Thinking};
use crate::chat::ChatRequest;
use crate::overrides::is_gateway_field;

/// Members that other files of this folder read.
const READ_ELSEWHERE: &[&str] = &[
    "thinking",
    "output_config",
    "reasoning_effort",
    "parallel_tool_calls",
    "web_search_options",
    "stream_options",
];

/// Whether a value asks for what happens anyway.
type IsHarmless = fn(&Value) -> bool;

/// `OpenAI`'s members that Anthropic has nothing for, and the values that ask for what happens anyway.
const UNSUPPORTED: &[(&str, IsHarmless)] = &[
    ("n", |value| is(value, 1.0)),
    ("seed", |_| false),
    ("logprobs", |value| value == &Value::Bool(false)),
    ("top_logprobs", |value| is(value, 0.0)),
    ("logit_bias", is_empty),
    ("presence_penalty", |value| is(value, 0.0)),
    ("frequency_penalty", |value| is(value, 0.0)),
    ("functions", is_empty),
    ("function_call", |value| value == "auto" || value == "none"),
    ("modalities", |value| value == &json!(["text"])),
    ("audio", |_| false),
    ("prediction", |_| false),
    ("verbosity", |value| value == "medium"),
    ("store", |value| value == &Value::Bool(false)),
    ("safety_identifier", |_| false),
    ("prompt_cache_key", |_| false),
    ("prompt_cache_retention", |_| false),
];

/// Sampling parameters, and their defaults.
const SAMPLING: &[(&str, Option<f64>)] = &[
    ("temperature", Some(1.0)),
    ("top_p", Some(1.0)),
    ("top_k", None),
];

/// Whether the chat parameter may have any value with this model.
pub(crate) fn takes_param(model: &str, param: &str) -> bool {
    let model = models::named(model);
    match param {
        "thinking" | "reasoning_effort" => model.thinking != Thinking::No,
        _ if SAMPLING.iter().any(|(name, _)| *name == param) => model.sampling,
        _ => !UNSUPPORTED.iter().any(|(name, _)| *name == param),
    }
}

pub(super) fn write(
    chat: &ChatRequest,
    thinks: bool,
    body: &mut Body,
    target: &mut Target<'_>,
) -> Result<(), BadRequest> {
    if chat.stream == Some(true) {
        body.set("stream", &true);
    }
    let members = chat.rest.iter().filter(|(_, value)| !value.is_null());
    for (key, value) in members {
        let key = key.as_str();
        match key {
            _ if READ_ELSEWHERE.contains(&key) => {}
            "system" if body.has(key) => {
                let message =
                    "'system' is given beside messages of that role; write it as one of them.";
                return Err(BadRequest::new(key, message));
            }
            "stop" => stop(value, body, target)?,
            "user" => user(value, body, target)?,
            // What is translated above is allowed anyway, and must not be sent in `OpenAI`'s spelling.
            _ if target.allows(key) => body.set(key, value),
            "service_tier" => service_tier(value, body, target)?,
            // The client's `metadata` is the gateway's: tags and such. Anthropic's own is made of `user`.
            "metadata" => {}
            _ if is_gateway_field(key) => {}
            _ => {
                if let Some((_, default)) = SAMPLING.iter().find(|(name, _)| *name == key) {
                    sampling(key, value, *default, thinks, body, target)?;
                } else if let Some((_, harmless)) =
                    UNSUPPORTED.iter().find(|(name, _)| *name == key)
                {
                    if !harmless(value) {
                        target.cannot(key)?;
                    }
                } else {
                    body.set(key, value);
                }
            }
        }
    }
    Ok(())
}

/// One text or a list of them; under `drop_params` without those that are only white space, which Anthropic refuses.
fn stop(value: &Value, body: &mut Body, target: &mut Target<'_>) -> Result<(), BadRequest> {
    let texts: Option<Vec<&str>> = match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(texts) => texts.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let Some(mut texts) = texts else {
        return Err(BadRequest::new(
            "stop",
            "'stop' must be a string or a list of strings.",
        ));
    };
    if target.options.drop_params {
        let before = texts.len();
        texts.retain(|text| !text.trim().is_empty());
        if texts.len() < before {
            target.drop("stop");
        }
    }
    body.set_list("stop_sequences", &texts);
    Ok(())
}

/// Anthropic wants an opaque id and asks not to be told who it is.
fn user(value: &Value, body: &mut Body, target: &mut Target<'_>) -> Result<(), BadRequest> {
    let Some(user) = value.as_str() else {
        return target.cannot("user");
    };
    if names_a_person(user) {
        target.drop("user");
    } else if !user.is_empty() {
        body.set("metadata", &json!({"user_id": user}));
    }
    Ok(())
}

/// An e-mail address, or a telephone number: seven digits or more and nothing but what numbers are written with.
fn names_a_person(user: &str) -> bool {
    let digits = user.bytes().filter(u8::is_ascii_digit).count();
    let number = user
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-(). ".contains(&byte));
    (number && digits >= 7)
        || user
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
}

fn service_tier(value: &Value, body: &mut Body, target: &mut Target<'_>) -> Result<(), BadRequest> {
    match value.as_str() {
        Some(tier @ ("auto" | "standard_only")) => body.set("service_tier", &tier),
        Some("default") => body.set("service_tier", &"standard_only"),
        _ => target.cannot("service_tier")?,
    }
    Ok(())
}

fn sampling(
    key: &str,
    value: &Value,
    default: Option<f64>,
    thinks: bool,
    body: &mut Body,
    target: &mut Target<'_>,
) -> Result<(), BadRequest> {
    let harmless = default.is_some_and(|default| is(value, default));
    if target.model.sampling && !thinks {
        body.set(key, value);
    } else if harmless {
        // What happens anyway, and some models refuse to hear it.
    } else if !target.model.sampling {
        target.cannot(key)?;
    } else if key == "temperature" {
        // Contract: thinking has only the temperature 1, and asking for another is no error.
        target.drop(key);
    } else {
        body.set(key, value);
    }
    Ok(())
}

fn is(value: &Value, number: f64) -> bool {
    value
        .as_f64()
        .is_some_and(|value| (value - number).abs() < f64::EPSILON)
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
}
