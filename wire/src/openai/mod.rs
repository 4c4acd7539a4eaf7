//! The `OpenAI` dialect, spoken by `OpenAI` itself and by every compatible server.
//!
//! Client and provider speak the same dialect, so bodies are passed through as bytes with single spans changed:
//! [`encode::request`] on the way up, [`decode::response`] and [`stream::StreamRelay`] on the way down. The functions
//! named `chat_*` translate to and from the neutral form, for when the other side speaks another dialect.
//!
//! Source of all wire shapes: `OpenAI` API reference, sections "Chat", "Completions", "Embeddings", "Streaming", 2026-11-22.

mod choices;
pub mod decode;
pub mod encode;
pub mod error;
mod frame;
mod params;
pub mod reply;
pub mod stream;
#[cfg(test)]
mod tests;
mod types;
pub mod usage;
