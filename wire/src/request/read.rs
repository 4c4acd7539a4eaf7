//! Reading single members of a body. `null` always means absent.

use serde::Deserialize;

use super::{BadRequest, MAX_CHOICES};
use crate::json::{Object, Raw};

/// Reads `value`, when it has the shape of `T`.
fn shaped<'a, T: Deserialize<'a>>(value: Raw<'a>) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// Reads an optional `T` or says what `key` must be.
fn required_shape<'a, T: Deserialize<'a>>(
    key: &str,
    value: Raw<'a>,
    must_be: &str,
) -> Result<Option<T>, BadRequest> {
    shaped(value).ok_or_else(|| wrong(key, must_be))
}

fn wrong(key: &str, must_be: &str) -> BadRequest {
    BadRequest::new(key, format!("'{key}' must be {must_be}."))
}

pub(super) fn model(value: Raw<'_>) -> Result<Option<String>, BadRequest> {
    let model: Option<String> = required_shape("model", value, "a string such as \"gpt-4o-mini\"")?;
    let Some(name) = &model else { return Ok(None) };
    if name.trim().is_empty() {
        return Err(BadRequest::new(
            "model",
            "'model' is empty; write the name of a model that GET /v1/models lists.",
        ));
    }
    // The name ends up in headers, logs and paths.
    if name.chars().any(char::is_control) {
        return Err(BadRequest::new(
            "model",
            "'model' contains control characters; write the name of a model that GET /v1/models lists.",
        ));
    }
    Ok(model)
}

pub(super) fn boolean(key: &str, value: Raw<'_>) -> Result<Option<bool>, BadRequest> {
    required_shape(key, value, "true or false")
}

pub(super) fn count(key: &str, value: Raw<'_>) -> Result<Option<u64>, BadRequest> {
    required_shape(key, value, "a non-negative integer such as 256")
}

pub(super) fn retries(value: Raw<'_>) -> Result<Option<u32>, BadRequest> {
    required_shape("num_retries", value, "a non-negative integer such as 2")
}

pub(super) fn seconds(key: &str, value: Raw<'_>) -> Result<Option<f64>, BadRequest> {
    let must_be = "a positive number of seconds such as 30";
    let seconds: Option<f64> = required_shape(key, value, must_be)?;
    match seconds {
        Some(seconds) if seconds <= 0.0 => Err(wrong(key, must_be)),
        seconds => Ok(seconds),
    }
}

pub(super) fn choices(value: Raw<'_>) -> Result<u64, BadRequest> {
    let must_be = format!("an integer from 1 to {MAX_CHOICES}");
    let n = required_shape("n", value, &must_be)?.unwrap_or(1);
    if n == 0 || n > MAX_CHOICES {
        return Err(wrong("n", &must_be));
    }
    Ok(n)
}

pub(super) fn string(value: Raw<'_>) -> Option<String> {
    shaped(value)
}

pub(super) fn strings(value: Raw<'_>) -> Option<Vec<String>> {
    shaped(value)
}

pub(super) fn include_usage(value: Raw<'_>) -> Result<bool, BadRequest> {
    #[derive(Deserialize)]
    struct StreamOptions {
        include_usage: Option<bool>,
    }

    let must_be = "an object such as {\"include_usage\": true}";
    if value.get().starts_with('[') {
        // serde would read an array as the struct's fields in order.
        return Err(wrong("stream_options", must_be));
    }
    let options: Option<StreamOptions> = required_shape("stream_options", value, must_be)?;
    Ok(options
        .and_then(|options| options.include_usage)
        .unwrap_or(false))
}

/// `tags` inside `metadata`; anything misshapen there is the client's own business.
pub(super) fn metadata_tags(value: Raw<'_>) -> Vec<String> {
    within(value, "tags").and_then(strings).unwrap_or_default()
}

/// `user_id` inside Anthropic's `metadata`.
pub(super) fn user_id(value: Raw<'_>) -> Option<String> {
    within(value, "user_id").and_then(string)
}

fn within<'a>(value: Raw<'a>, key: &str) -> Option<Raw<'a>> {
    Object::parse_str(value.get()).ok()?.get(key)
}

/// Model names, plainly or as `{"model": "name"}`.
pub(super) fn fallbacks(value: Raw<'_>) -> Result<Option<Vec<String>>, BadRequest> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Fallback {
        Name(String),
        Object(Named),
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Named {
        model: String,
    }

    let must_be = "an array of model names such as [\"gpt-4o-mini\"]";
    let fallbacks: Option<Vec<Fallback>> = required_shape("fallbacks", value, must_be)?;
    let names = fallbacks.map(|fallbacks| {
        let name = |fallback| match fallback {
            Fallback::Name(model) | Fallback::Object(Named { model }) => model,
        };
        fallbacks.into_iter().map(name).collect()
    });
    Ok(names)
}
