//! The members of an error body, whichever provider wrote it.
//!
//! Shapes read: `{"error": {"message", "type", "param", "code"}}` (`OpenAI`, and Anthropic with `"type": "error"` beside
//! it), `{"error": "text"}`, `{"message": …}`, `{"detail": …}` (`FastAPI` servers), plain text. What they mean is decided
//! by the provider's folder.

use std::str;

use super::{MAX_MESSAGE_BYTES, UpstreamError, UpstreamErrorKind, capped};
use crate::json::{Object, Raw};

/// The members of an error body.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) message: Option<String>,
    pub(crate) error_type: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) param: Option<String>,
}

// === impl Fields ===

impl Fields {
    /// Reads a whole body; nothing of it when it is not a JSON object.
    fn of_bytes(body: &[u8]) -> Self {
        Object::parse(body)
            .map(|object| Self::of_body(&object))
            .unwrap_or_default()
    }

    /// Reads the value of an `error` member.
    fn of_error(error: Raw<'_>) -> Self {
        match Object::parse_str(error.get()) {
            Ok(object) => Self::of_object(&object),
            Err(_) => Self {
                message: text_or_json(error),
                ..Self::default()
            },
        }
    }

    /// The message in lower case, to look for phrases in.
    pub(crate) fn lowered(&self) -> String {
        self.message.as_deref().unwrap_or_default().to_lowercase()
    }

    /// The error with these members; `fallback` makes the message when there is none.
    fn into_error(
        self,
        kind: UpstreamErrorKind,
        status: Option<u16>,
        fallback: impl FnOnce() -> String,
    ) -> UpstreamError {
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

    fn of_object(object: &Object<'_>) -> Self {
        let member = |key| object.get(key).and_then(text_or_json);
        Self {
            message: object.get("message").and_then(text_or_json).map(capped),
            error_type: member("type").map(capped),
            code: member("code").or_else(|| member("status")).map(capped),
            param: member("param").map(capped),
        }
    }
}

/// The error of an answer whose status is not a success; the dialect says of which `kind` it is.
pub(crate) fn refusal(
    status: u16,
    content_type: Option<&str>,
    retry_after: Option<&str>,
    body: &[u8],
    kind: fn(&Fields, Option<u16>) -> UpstreamErrorKind,
) -> UpstreamError {
    let fields = Fields::of_bytes(body);
    let kind = kind(&fields, Some(status));
    let mut err = fields.into_error(kind, Some(status), || {
        plain_text(status, content_type, body)
    });
    err.retry_after_secs = retry_after.and_then(seconds);
    err
}

/// The error that came inside a success; the dialect says of which `status` it speaks, if any, and of which `kind` it is.
pub(crate) fn inside(
    error: Raw<'_>,
    status: fn(&Fields) -> Option<u16>,
    kind: fn(&Fields, Option<u16>) -> UpstreamErrorKind,
) -> UpstreamError {
    let fields = Fields::of_error(error);
    let status = status(&fields);
    let kind = kind(&fields, status);
    fields.into_error(kind, status, || "the provider reported an error".to_owned())
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

pub(crate) fn is_html(content_type: Option<&str>, body: &[u8]) -> bool {
    content_type.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"))
        || body.trim_ascii_start().starts_with(b"<")
}

/// `retry-after` in whole seconds, rounded up. A date is ignored: this crate has no clock.
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

fn text(value: Raw<'_>) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// A string's text, or any other value as it is spelled.
fn text_or_json(value: Raw<'_>) -> Option<String> {
    match value.get() {
        "null" => None,
        spelled if spelled.starts_with('"') => text(value),
        spelled => Some(capped(spelled.to_owned())),
    }
}
