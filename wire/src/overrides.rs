//! What the gateway and its operator change in a request of any dialect: members that are not for the provider, and those
//! that a deployment drops, adds or forces.

use crate::exchange::EncodeOptions;
use crate::json::{MemberPath, Object, Splice};

/// Members that are for the gateway in every dialect and never leave it (contract, `endpoints.md` §1.1).
const GATEWAY_FIELDS: &[&str] = &[
    "litellm_metadata",
    "tags",
    "cache",
    "fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "num_retries",
    "timeout",
    "request_timeout",
    "stream_timeout",
    "disable_fallbacks",
    "guardrails",
    "drop_params",
    "priority",
    "mock_response",
    "extra_headers",
    "no-log",
    "turn_off_message_logging",
];

/// Whether `key` is consumed by the gateway, whichever the dialect.
pub(crate) fn is_gateway_field(key: &str) -> bool {
    GATEWAY_FIELDS.contains(&key)
}

/// Removes what is for the gateway, by `is_gateway_field`, and what the deployment drops; names the latter.
pub(crate) fn remove(
    object: &Object<'_>,
    splice: &mut Splice<'_>,
    options: &EncodeOptions<'_>,
    is_gateway_field: impl Fn(&str) -> bool,
) -> Vec<String> {
    let allowed = |key: &str| options.allowed_openai_params.iter().any(|name| name == key);
    for (key, _) in object.members() {
        if is_gateway_field(key) && !allowed(key) {
            splice.remove(key);
        }
    }
    let mut dropped = Vec::new();
    for param in options.additional_drop_params {
        let removed = match MemberPath::parse(param) {
            Some(path) => splice.remove_path(&path),
            None => splice.remove(param),
        };
        if removed {
            dropped.push(param.clone());
        }
    }
    dropped
}

/// The limit of output tokens, under either of its names.
const MAX_TOKENS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// Adds those of the deployment's defaults that the body has not and the provider `takes`, then what it sets in any case.
pub(crate) fn add<'a>(
    splice: &mut Splice<'a>,
    options: &EncodeOptions<'a>,
    takes: impl Fn(&str) -> bool,
) {
    for (key, value) in options.defaults {
        // A default under one name of the limit must not contradict the client's under the other.
        let has = splice.contains(key)
            || (MAX_TOKENS.contains(&key.as_str())
                && MAX_TOKENS.iter().any(|name| splice.contains(name)));
        if !has && takes(key) {
            splice.set(key.as_str(), value.to_string().into_bytes());
        }
    }
    for (key, value) in options.extra_body {
        splice.set(key.as_str(), value.to_string().into_bytes());
    }
}
