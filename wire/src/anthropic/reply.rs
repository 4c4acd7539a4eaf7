//! What the gateway itself says to Anthropic's clients: errors and pings.
//!
//! Source: Anthropic API reference, "Errors" and "Streaming messages" (error and ping events), 2026-11-23.

use bytes::Bytes;

use crate::json::push_string;
use crate::{UpstreamError, UpstreamErrorKind};

/// An event that only says that the stream is alive.
pub const PING: &[u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";

/// An error as a body: `{"type":"error","error":{"type","message"},"request_id"}`.
pub fn error_body(error_type: &str, message: &str, request_id: Option<&str>) -> Bytes {
    Bytes::from(error_json(error_type, message, request_id))
}

/// An error as the last event of a stream that broke; no `message_stop` follows it.
pub fn error_event(error_type: &str, message: &str) -> Bytes {
    let body = error_json(error_type, message, None);
    Bytes::from([b"event: error\ndata: ", body.as_slice(), b"\n\n"].concat())
}

/// The status for a provider's failure: where Anthropic has one of its own, its SDKs know that one.
pub(crate) fn status(error: &UpstreamError) -> u16 {
    match (error.kind, error.status) {
        (UpstreamErrorKind::Overloaded, _) => 529,
        (UpstreamErrorKind::BadRequest, Some(413)) => 413,
        _ => error.client_status(),
    }
}

/// The `error.type` that Anthropic gives to a status.
pub fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}

fn error_json(error_type: &str, message: &str, request_id: Option<&str>) -> Vec<u8> {
    let mut body = b"{\"type\":\"error\",\"error\":{\"type\":".to_vec();
    push_string(&mut body, error_type);
    body.extend_from_slice(b",\"message\":");
    push_string(&mut body, message);
    body.push(b'}');
    if let Some(id) = request_id {
        body.extend_from_slice(b",\"request_id\":");
        push_string(&mut body, id);
    }
    body.push(b'}');
    body
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sse::SseDecoder;

    #[test]
    fn an_error_has_anthropic_s_shape_whatever_its_text() {
        let body = error_body("api_error", "a \"quoted\"\nline", Some("req_1"));
        assert_eq!(
            serde_json::from_slice::<Value>(&body).unwrap(),
            json!({"type": "error", "error": {"type": "api_error", "message": "a \"quoted\"\nline"}, "request_id": "req_1"})
        );
        let mut decoder = SseDecoder::new();
        decoder.push(error_event("overloaded_error", "a\nb"));
        decoder.push(Bytes::from_static(PING));
        let event = decoder.next_event().unwrap().unwrap();
        assert_eq!(event.name().as_deref(), Some("error"));
        assert_eq!(
            serde_json::from_slice::<Value>(event.data.as_deref().unwrap()).unwrap(),
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "a\nb"}})
        );
        let ping = decoder.next_event().unwrap().unwrap();
        assert_eq!(ping.name().as_deref(), Some("ping"));
    }

    #[test]
    fn every_status_has_the_type_of_the_reference() {
        for (status, expected) in [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (402, "billing_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (413, "request_too_large"),
            (422, "invalid_request_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (502, "api_error"),
            (504, "timeout_error"),
            (529, "overloaded_error"),
        ] {
            assert_eq!(error_type(status), expected, "{status}");
        }
    }
}
