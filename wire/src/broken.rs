//! The errors of answers that are not what they should be, in every dialect.

use crate::UpstreamError;
use crate::error::UpstreamErrorKind;
use crate::error::body::is_html;
use crate::json::JsonError;
use crate::sse::SseError;

/// An answer with a success status that is not one.
pub(crate) fn answer(message: impl Into<String>) -> UpstreamError {
    UpstreamError::new(UpstreamErrorKind::BrokenAnswer, Some(200), message)
}

/// A body that is not an object.
pub(crate) fn body(body: &[u8], err: &JsonError) -> UpstreamError {
    if body.trim_ascii().is_empty() {
        answer("the provider's answer is empty")
    } else if is_html(None, body) {
        answer("the provider answered with an HTML page instead of JSON")
    } else {
        answer(format!("the provider's answer is not usable JSON: {err}"))
    }
}

/// A stream whose event is over the limit.
pub(crate) fn event(err: &SseError) -> UpstreamError {
    answer(err.to_string())
}

/// A stream that ended before the answer did.
pub(crate) fn cut() -> UpstreamError {
    UpstreamError::new(
        UpstreamErrorKind::CutStream,
        Some(200),
        "the provider closed the stream before the answer was complete",
    )
}
