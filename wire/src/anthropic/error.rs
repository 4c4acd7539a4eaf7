//! Stand-in until the provider side lands.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::{UpstreamError, UpstreamErrorKind};

pub(super) fn classify_inside(error: &RawValue) -> UpstreamError {
    let value: Value = serde_json::from_str(error.get()).unwrap_or_default();
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let error_type = text("type");
    let (kind, status) = match error_type.as_deref() {
        Some("overloaded_error") => (UpstreamErrorKind::Overloaded, 529),
        Some("rate_limit_error") => (UpstreamErrorKind::RateLimited, 429),
        Some("invalid_request_error") => (UpstreamErrorKind::BadRequest, 400),
        _ => (UpstreamErrorKind::Server, 500),
    };
    UpstreamError {
        error_type,
        ..UpstreamError::new(kind, Some(status), text("message").unwrap_or_default())
    }
}
