//! The neutral form as a request to an `OpenAI`-compatible server, for clients of another dialect.

use bytes::Bytes;

use crate::chat::ChatRequest;

/// Writes a neutral request.
///
/// # Errors
/// [`serde_json::Error`] does not happen for values this crate made; it is returned rather than hidden.
pub fn chat_request(request: &ChatRequest) -> Result<Bytes, serde_json::Error> {
    serde_json::to_vec(request).map(Bytes::from)
}
