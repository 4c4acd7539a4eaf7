//! The `OpenAI` dialect, spoken by `OpenAI` itself and by every compatible server.
//!
//! When client and provider both speak it, bodies are passed through as bytes with single spans changed: [`splice::request`] on
//! the way up, [`decode::response`] and [`relay::StreamRelay`] on the way down. When the other side speaks another dialect:
//!
//! | file | towards a provider | file | towards a client |
//! | --- | --- | --- | --- |
//! | [`encode`] | neutral request → body | [`decode::chat_request`] | body → neutral request |
//! | [`decode::chat_response`] | answer → neutral answer | [`render`] | neutral answer and stream events → what its clients read |
//! | [`stream`] | server-sent events → neutral events | [`reply`] | answers and errors that the gateway makes itself |
//! | | | [`assemble`] | a client's stream → the whole answer, for those who keep it |
//!
//! Source of all wire shapes: `OpenAI` API reference, sections "Chat", "Completions", "Embeddings", "Streaming", 2026-11-22.

mod alike;
pub mod assemble;
mod choices;
pub mod continuation;
pub mod decode;
pub mod encode;
pub mod error;
mod params;
pub mod relay;
pub mod render;
pub mod reply;
pub mod splice;
pub mod stream;
#[cfg(test)]
mod tests;
mod types;
pub mod usage;

pub(crate) use self::params::takes_param;
