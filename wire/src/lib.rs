//! Trunkline's translators: provider bytes in, provider bytes out.
//!
//! The promise of this crate: **no IO, no clock, no randomness, no environment, no logging**. Everything is a function of
//! its arguments, so every format is tested with plain values and fuzzed with plain bytes. Nothing here panics on any
//! input, nothing recurses without a bound, and every buffer has a cap.
//!
//! | module | job |
//! | --- | --- |
//! | [`json`] | look into a JSON object and change single spans of it, leaving every other byte alone |
//! | [`sse`] | push decoder for server-sent events, independent of how the bytes were cut |
//! | [`request`] | what the gateway must know of an inbound body, and the 400s for bodies nobody could serve |
//! | [`chat`] | the neutral form: OpenAI's chat format plus what it cannot say |
//! | [`event`] | the neutral form of a stream |
//! | [`usage`] | token usage as disjoint parts |
//! | [`error`] | kinds of upstream errors and how each looks to the client |
//! | [`schema`] | JSON schemas made fit for a provider: one walk, a table of rules for each |
//! | [`supported_params()`] | which of OpenAI's chat parameters a model takes |
//! | [`tool_names`] | tools sent under other names, and given their own back |
//! | [`exchange`], [`relay`] | one exchange: which translators it needs, for whole answers and for streams |
//! | [`openai`] | the OpenAI dialect: encode, decode, stream, errors, replies made by the gateway itself |
//! | [`anthropic`] | Anthropic's dialect, the same |
//!
//! | provider folder | request | answer | stream | errors |
//! | --- | --- | --- | --- | --- |
//! | `openai` (and compatible servers) | byte splice, from others by the neutral form | byte splice, to others by the neutral form | the same | yes |
//! | `anthropic` | byte splice, from others by the neutral form | byte splice, to others by the neutral form | the same | yes |

#![warn(missing_docs)]

pub mod anthropic;
mod broken;
pub mod chat;
pub mod error;
pub mod event;
pub mod exchange;
pub mod json;
pub mod openai;
mod overrides;
pub mod relay;
pub mod request;
pub mod schema;
pub mod sse;
mod supported;
pub mod tool_names;
pub mod usage;

pub use error::{UpstreamError, UpstreamErrorKind};
pub use request::{BadRequest, Endpoint, RequestPeek};
pub use supported::supported_params;
pub use usage::Usage;
