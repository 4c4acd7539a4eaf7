//! Traffic between a client and a provider that both speak this dialect: bytes with single spans changed.
//!
//! Key order, number spelling, white space and members that nobody here knows survive, in both directions.
//! Source: Anthropic API reference, "Create a message", 2026-11-23.

#[cfg(test)]
mod tests;
mod unsigned;

use bytes::Bytes;

use super::delivered::Delivered;
use super::{error, usage};
use crate::exchange::{Decoded, EncodeOptions, Encoded};
use crate::json::{Object, Splice, filled, quoted, restamped, string};
use crate::request::{BadRequest, Endpoint, RequestPeek};
use crate::{UpstreamError, broken, overrides};

/// Members that steer sampling, which the API has no more since this version ("Versions", 2026-11-23).
const SAMPLING: &[&str] = &["temperature", "top_p", "top_k"];
const UNSAMPLED_SINCE: &str = "2026-10-21";

/// Members that a count of tokens takes; it refuses all others ("Count tokens in a Message", 2026-11-23).
const COUNTED: &[&str] = &[
    "cache_control",
    "context_management",
    "mcp_servers",
    "messages",
    "model",
    "output_config",
    "output_format",
    "speed",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];

/// Makes a client's body fit for a deployment: its model, without the gateway's members, with the deployment's.
///
/// `metadata`, `thinking` and `container` are Anthropic's own and stay. Betas are the client's to name, in its header.
/// Thinking that nobody signed goes without a word. The deployment's members are added where the endpoint takes them, its
/// defaults where the version of the API does.
///
/// # Errors
/// [`BadRequest`] when the body is not an object.
pub fn request(
    body: &Bytes,
    _peek: &RequestPeek,
    options: &EncodeOptions<'_>,
) -> Result<Encoded, BadRequest> {
    // `_peek` was read from it, so its syntax was checked.
    let object = Object::checked(body)?;
    let mut splice = Splice::new(&object);
    splice.set("model", quoted(options.upstream_model));
    let mut dropped = overrides::remove(&object, &mut splice, options, overrides::is_gateway_field);
    let unsampled = options
        .api_version
        .is_some_and(|version| version >= UNSAMPLED_SINCE);
    let is_refused = |key: &str| unsampled && SAMPLING.contains(&key);
    let defaults = options.defaults.keys();
    dropped.extend(
        defaults
            .filter(|key| is_refused(key) && !splice.contains(key))
            .cloned(),
    );
    overrides::add(&mut splice, options, |key| !is_refused(key));
    if options.endpoint == Endpoint::CountTokens {
        for key in options.defaults.keys().chain(options.extra_body.keys()) {
            if !COUNTED.contains(&key.as_str()) && object.get(key).is_none() {
                splice.remove(key);
            }
        }
    }
    if let Some(messages) = splice.current("messages").and_then(unsigned::left_out) {
        splice.set("messages", messages);
    }
    Ok(Encoded {
        body: splice.finish(),
        dropped,
        ..Encoded::default()
    })
}

/// Checks an answer with a success status. With `requested_model`, the client sees that name as `model`. A count of tokens,
/// `{"input_tokens": 14}`, is an answer too.
///
/// # Errors
/// [`UpstreamError`]: `BrokenAnswer` for HTML, cut JSON and an object without `content`; the classified error for an
/// object that holds an `error`.
pub fn response(body: Bytes, requested_model: Option<&str>) -> Result<Decoded, UpstreamError> {
    let object = Object::parse(&body).map_err(|err| broken::body(&body, &err))?;
    if let Some(err) = object.get("error").filter(|err| filled(*err)) {
        return Err(error::classify_inside(err));
    }
    let delivered = match object.get("content") {
        None if object.get("input_tokens").is_some() => Some(Delivered::default()),
        content => content.and_then(Delivered::of_all),
    };
    let delivered =
        delivered.ok_or_else(|| broken::answer("the provider's answer has no 'content'"))?;
    let restamped = requested_model.and_then(|model| restamped(&object, "model", model));
    let decoded = Decoded {
        body: Bytes::new(),
        usage: object.get("usage").and_then(usage::parse),
        response_id: object.get("id").and_then(string),
        upstream_model: object.get("model").and_then(string),
        finish_reasons: object
            .get("stop_reason")
            .and_then(string)
            .into_iter()
            .collect(),
        output_bytes: delivered.bytes,
    };
    // The members borrow the body, which is moved out below.
    drop(object);
    Ok(Decoded {
        body: restamped.unwrap_or(body),
        ..decoded
    })
}
