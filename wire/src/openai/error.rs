//! Classifies the errors of `OpenAI` and compatible servers.
//!
//! Bodies are read by [`crate::error`]'s shared reader; here is what their types, codes and phrases mean.
//! Source: `OpenAI` API reference, "Error codes", 2026-11-22, and the contract, `auth-budgets-limits.md` §7.1.

use crate::error::body::{self, Fields};
use crate::error::phrases;
use crate::json::Raw;
use crate::{UpstreamError, UpstreamErrorKind};

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
    body::refusal(status, content_type, retry_after, body, kind)
}

/// Classifies the value of an `error` member that came in a body or a stream which began as a success.
pub(super) fn classify_inside(error: Raw<'_>) -> UpstreamError {
    body::inside(error, status, kind)
}

/// The status that an error inside a success speaks of, by its code or its type.
fn status(fields: &Fields) -> Option<u16> {
    let numeric = fields.code.as_deref().and_then(|code| code.parse().ok());
    numeric
        .filter(|status| (400..600).contains(status))
        .or_else(|| {
            [&fields.error_type, &fields.code]
                .into_iter()
                .flatten()
                .find_map(|name| status_of_name(name))
        })
}

fn kind(fields: &Fields, status: Option<u16>) -> UpstreamErrorKind {
    let by_status = status.map_or(UpstreamErrorKind::Server, UpstreamErrorKind::from_status);
    let message = fields.lowered();
    let code = fields.code.as_deref().unwrap_or_default();
    let names = [code, fields.error_type.as_deref().unwrap_or_default()];
    match by_status {
        UpstreamErrorKind::BadRequest
        | UpstreamErrorKind::Unprocessable
        | UpstreamErrorKind::OtherStatus
            if code == "context_length_exceeded" || phrases::says_context(&message) =>
        {
            UpstreamErrorKind::ContextWindow
        }
        UpstreamErrorKind::BadRequest if says_policy(fields, &message) => {
            UpstreamErrorKind::ContentPolicy
        }
        UpstreamErrorKind::BadRequest if code == "model_not_found" => UpstreamErrorKind::NotFound,
        UpstreamErrorKind::BadRequest if phrases::says_rate_limit(&message) => {
            UpstreamErrorKind::RateLimited
        }
        UpstreamErrorKind::Unavailable | UpstreamErrorKind::Server
            if names.iter().any(|name| name.contains("overloaded")) =>
        {
            UpstreamErrorKind::Overloaded
        }
        // Some servers answer a prompt that is too long with a 500.
        UpstreamErrorKind::Server if phrases::says_context(&message) => {
            UpstreamErrorKind::ContextWindow
        }
        kind => kind,
    }
}

fn says_policy(fields: &Fields, message: &str) -> bool {
    let code = fields.code.as_deref().unwrap_or_default();
    let named = code == "content_policy_violation" || code == "content_filter";
    // Contract: the code alone does not count, it needs the type beside it (Azure's `content_filter` stands alone).
    let typed = fields.error_type.as_deref() == Some("invalid_request_error")
        || code == "content_filter"
        || message.contains("invalid_request_error");
    (named && typed) || phrases::says_policy(message)
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
