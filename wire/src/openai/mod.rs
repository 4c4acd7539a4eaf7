//! The `OpenAI` dialect, spoken by `OpenAI` itself and by every compatible server.
//!
//! Client and provider speak the same dialect, so bodies are passed through as bytes with single spans changed:
//! [`splice::request`] on the way up, [`decode::response`] and [`relay::StreamRelay`] on the way down. When the other side
//! speaks another dialect, [`encode`] and [`decode::chat_response`] translate from and to the neutral form.
//!
//! Source of all wire shapes: `OpenAI` API reference, sections "Chat", "Completions", "Embeddings", "Streaming", 2026-11-22.

mod choices;
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
