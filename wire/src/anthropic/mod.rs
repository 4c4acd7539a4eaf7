//! Anthropic's Messages API, as a provider speaks it and as clients do.
//!
//! | file | towards a provider | file | towards a client |
//! | --- | --- | --- | --- |
//! | [`encode`] | neutral request → body | [`inbound`] | body → neutral request |
//! | [`decode`] | answer → neutral answer | [`render`] | neutral answer and stream events → what its clients read |
//! | [`stream`] | server-sent events → neutral events | [`reply`] | errors and pings that the gateway makes itself |
//! | | | [`assemble`] | a client's stream → the whole message, for those who keep it |
//! | [`error`] | classifies errors | [`splice`], [`relay`] | both sides speak it: bytes with single spans changed |
//! | [`usage`] | counters ↔ the disjoint vector | `types`, `models` | the shapes of answers; what each model can do |
//!
//! Source of all wire shapes: Anthropic API reference, "Messages", "Streaming messages", "Count message tokens", "Errors",
//! "Versions", `anthropic-version: 2023-06-01`; each file names its section and date.

pub mod assemble;
pub mod decode;
mod delivered;
pub mod encode;
pub mod error;
mod finish;
pub mod inbound;
mod models;
pub mod relay;
pub mod render;
pub mod reply;
pub mod splice;
pub mod stream;
mod types;
pub mod usage;

pub(crate) use self::encode::takes_param;

/// The tool by which models without structured outputs answer in a wanted form: its input is the answer's text. A client's
/// own tool of this name is sent under another (see [`encode`]), so the name alone says what a call of it is.
const JSON_TOOL: &str = "json_tool_call";
