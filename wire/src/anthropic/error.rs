//! Classifies Anthropic's errors.
//!
//! ```json
//! {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_…"}
//! ```
//!
//! The type says more than the status, but for the two that cover everything else; a stream's error event has no status.
//! Source: Anthropic API reference, "Errors", 2026-11-23.

use crate::error::body::{self, Fields};
use crate::error::phrases;
use crate::json::Raw;
use crate::{UpstreamError, UpstreamErrorKind};

/// The status of each `error.type`.
const STATUSES: &[(&str, u16)] = &[
    ("invalid_request_error", 400),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("permission_error", 403),
    ("not_found_error", 404),
    ("request_too_large", 413),
    ("rate_limit_error", 429),
    ("api_error", 500),
    ("timeout_error", 504),
    ("overloaded_error", 529),
];

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

/// Classifies the value of the `error` member of an event, or of a body that came with a success status.
pub fn classify_inside(error: Raw<'_>) -> UpstreamError {
    body::inside(error, status_of_type, kind)
}

fn kind(fields: &Fields, status: Option<u16>) -> UpstreamErrorKind {
    let message = fields.lowered();
    // The two types that any cause may have leave it to the status.
    let telling = status_of_type(fields).filter(|status| !matches!(status, 400 | 500));
    let kind = telling
        .or(status)
        .map_or(UpstreamErrorKind::Server, UpstreamErrorKind::from_status);
    match kind {
        UpstreamErrorKind::BadRequest if phrases::says_context(&message) => {
            UpstreamErrorKind::ContextWindow
        }
        UpstreamErrorKind::BadRequest if phrases::says_policy(&message) => {
            UpstreamErrorKind::ContentPolicy
        }
        // Comes as an `invalid_request_error`, but is no fault of the request: another deployment may serve it.
        UpstreamErrorKind::BadRequest if message.contains("credit balance is too low") => {
            UpstreamErrorKind::PaymentRequired
        }
        kind => kind,
    }
}

fn status_of_type(fields: &Fields) -> Option<u16> {
    let name = fields.error_type.as_deref()?;
    STATUSES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, status)| *status)
}
