//! Classifies the errors of `OpenAI` and compatible servers.
//!
//! Shapes read: `{"error": {"message", "type", "param", "code"}}` (`OpenAI` API reference, "Error codes", 2026-11-22),
//! `{"error": "text"}`, `{"message": …}`, `{"detail": …}` (`FastAPI` servers), plain text. Text is only looked at where
//! providers leave no other sign: context length, content policy, rate limits. The phrases are those of the contract,
//! `auth-budgets-limits.md` §7.1.

use std::str;

use serde_json::value::RawValue;

use crate::error::{MAX_MESSAGE_BYTES, capped};
use crate::json::Object;
use crate::{UpstreamError, UpstreamErrorKind};

/// Phrases that say the prompt is too long, in lower case.
const CONTEXT_PHRASES: &[&str] = &[
    "this model's maximum context length is",
    "exceed context limit",
    "string too long. expected a string with maximum length",
    "model's maximum context limit",
    "is longer than the model's context length",
    "input tokens exceed the configured limit",
    "`inputs` tokens + `max_new_tokens` must be",
    "exceeds the available context size",
    "exceeds the maximum number of tokens allowed",
];

/// Phrases of which both halves must occur, in this order.
const CONTEXT_PHRASE_PAIRS: &[(&str, &str)] = &[
    ("current length is", "while limit is"),
    ("maximum input length is", "tokens"),
];

const POLICY_PHRASES: &[&str] = &[
    "violation of our usage polic",
    "violating our usage polic",
    "violates our usage polic",
    "violate our usage polic",
];

/// The members of an error body.
#[derive(Debug, Default)]
struct Fields {
    message: Option<String>,
    error_type: Option<String>,
    code: Option<String>,
    param: Option<String>,
}

/// Classifies an answer whose status is not a success.
///
/// `content_type` and `retry_after` are the header values. A `retry-after` that is a date is ignored: this crate has no
/// clock.
pub fn classify(
    status: u16,
    content_type: Option<&str>,
    retry_after: Option<&str>,
    body: &[u8],
) -> UpstreamError {
    let fields = Object::parse(body)
        .map(|object| Fields::of_body(&object))
        .unwrap_or_default();
    let fallback = || plain_text(status, content_type, body);
    let mut err = fields.into_error(Some(status), fallback);
    err.retry_after_secs = retry_after.and_then(seconds);
    err
}

/// Classifies the value of an `error` member that came in a body or a stream which began as a success.
pub(super) fn classify_inside(error: &RawValue) -> UpstreamError {
    let fields = Fields::of_error(error);
    let status = fields.status();
    fields.into_error(status, || "the provider reported an error".to_owned())
}

// === impl Fields ===

impl Fields {
    fn of_body(object: &Object<'_>) -> Self {
        if let Some(error) = object.get("error").filter(|error| error.get() != "null") {
            let mut fields = Self::of_error(error);
            fields.message = fields
                .message
                .or_else(|| object.get("message").and_then(text));
            return fields;
        }
        let mut fields = Self::of_object(object);
        fields.message = fields
            .message
            .or_else(|| object.get("detail").and_then(text_or_json));
        fields
    }

    fn of_error(error: &RawValue) -> Self {
        match Object::parse_str(error.get()) {
            Ok(object) => Self::of_object(&object),
            Err(_) => Self {
                message: text_or_json(error),
                ..Self::default()
            },
        }
    }

    fn of_object(object: &Object<'_>) -> Self {
        let member = |key| object.get(key).and_then(text_or_json);
        Self {
            message: object.get("message").and_then(text_or_json).map(capped),
            error_type: member("type").map(capped),
            code: member("code").or_else(|| member("status")).map(capped),
            param: member("param").map(capped),
        }
    }

    /// The status that an error inside a success speaks of, by its code or its type.
    fn status(&self) -> Option<u16> {
        let numeric = self.code.as_deref().and_then(|code| code.parse().ok());
        numeric
            .filter(|status| (400..600).contains(status))
            .or_else(|| {
                [&self.error_type, &self.code]
                    .into_iter()
                    .flatten()
                    .find_map(|name| status_of_name(name))
            })
    }

    fn into_error(self, status: Option<u16>, fallback: impl FnOnce() -> String) -> UpstreamError {
        let kind = self.kind(status);
        let message = self
            .message
            .filter(|message| !message.trim().is_empty())
            .unwrap_or_else(fallback);
        UpstreamError {
            error_type: self.error_type,
            code: self.code,
            param: self.param,
            ..UpstreamError::new(kind, status, message)
        }
    }

    fn kind(&self, status: Option<u16>) -> UpstreamErrorKind {
        let by_status = status.map_or(UpstreamErrorKind::Server, UpstreamErrorKind::from_status);
        let message = self.message.as_deref().unwrap_or_default().to_lowercase();
        let code = self.code.as_deref().unwrap_or_default();
        let names = [code, self.error_type.as_deref().unwrap_or_default()];
        match by_status {
            UpstreamErrorKind::BadRequest
            | UpstreamErrorKind::Unprocessable
            | UpstreamErrorKind::OtherStatus
                if code == "context_length_exceeded" || says_context(&message) =>
            {
                UpstreamErrorKind::ContextWindow
            }
            UpstreamErrorKind::BadRequest if self.says_policy(&message) => {
                UpstreamErrorKind::ContentPolicy
            }
            UpstreamErrorKind::BadRequest if code == "model_not_found" => {
                UpstreamErrorKind::NotFound
            }
            UpstreamErrorKind::BadRequest if says_rate_limit(&message) => {
                UpstreamErrorKind::RateLimited
            }
            UpstreamErrorKind::Unavailable | UpstreamErrorKind::Server
                if names.iter().any(|name| name.contains("overloaded")) =>
            {
                UpstreamErrorKind::Overloaded
            }
            // Some servers answer a prompt that is too long with a 500.
            UpstreamErrorKind::Server if says_context(&message) => UpstreamErrorKind::ContextWindow,
            kind => kind,
        }
    }

    fn says_policy(&self, message: &str) -> bool {
        let code = self.code.as_deref().unwrap_or_default();
        let named = code == "content_policy_violation" || code == "content_filter";
        // Contract: the code alone does not count, it needs the type beside it (Azure's `content_filter` stands alone).
        let typed = self.error_type.as_deref() == Some("invalid_request_error")
            || code == "content_filter"
            || message.contains("invalid_request_error");
        (named && typed) || POLICY_PHRASES.iter().any(|phrase| message.contains(phrase))
    }
}

fn status_of_name(name: &str) -> Option<u16> {
    let status = match name {
        "invalid_request_error" | "bad_request_error" | "context_length_exceeded" => 400,
        "authentication_error" | "invalid_api_key" => 401,
        "permission_error" => 403,
        "not_found_error" | "model_not_found" => 404,
        "timeout_error" => 408,
        "rate_limit_error"
        | "rate_limit_exceeded"
        | "insufficient_quota"
        | "throttling_error"
        | "tokens"
        | "requests" => 429,
        "overloaded_error" | "overloaded" => 529,
        "server_error" | "internal_server_error" | "internal_error" | "api_error" => 500,
        _ => return None,
    };
    Some(status)
}

fn says_context(message: &str) -> bool {
    CONTEXT_PHRASES
        .iter()
        .any(|phrase| message.contains(phrase))
        || CONTEXT_PHRASE_PAIRS.iter().any(|(first, second)| {
            message
                .split_once(first)
                .is_some_and(|(_, rest)| rest.contains(second))
        })
}

/// `rate[ _-]*limit`, by hand: one pattern is not worth a regex engine.
fn says_rate_limit(message: &str) -> bool {
    message.contains("service tier capacity exceeded")
        || message.split("rate").skip(1).any(|rest| {
            rest.trim_start_matches([' ', '_', '-'])
                .starts_with("limit")
        })
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// A string's text, or any other value as it is spelled.
fn text_or_json(value: &RawValue) -> Option<String> {
    match value.get() {
        "null" => None,
        spelled if spelled.starts_with('"') => text(value),
        spelled => Some(capped(spelled.to_owned())),
    }
}

/// What to say about a body that is not JSON, or JSON without a message.
fn plain_text(status: u16, content_type: Option<&str>, body: &[u8]) -> String {
    // One character more than is kept, at most: an error body may be huge.
    let head = body.get(..MAX_MESSAGE_BYTES).unwrap_or(body);
    let head = match str::from_utf8(head) {
        Ok(text) => text,
        Err(err) => head
            .get(..err.valid_up_to())
            .and_then(|valid| str::from_utf8(valid).ok())
            .unwrap_or_default(),
    };
    let head = head.trim();
    if is_html(content_type, body) {
        format!("the provider answered status {status} with an HTML page")
    } else if head.is_empty() {
        format!("the provider answered status {status} without a message")
    } else {
        head.to_owned()
    }
}

pub(super) fn is_html(content_type: Option<&str>, body: &[u8]) -> bool {
    content_type.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"))
        || body.trim_ascii_start().starts_with(b"<")
}

/// Whole seconds, rounded up.
fn seconds(retry_after: &str) -> Option<u64> {
    let text = retry_after.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let rounds_up = fraction.bytes().any(|digit| digit != b'0');
    Some(whole.saturating_add(u64::from(rounds_up)))
}
