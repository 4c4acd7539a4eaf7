//! What goes into a stream relay besides bytes, and what comes out.

use bytes::Bytes;

use crate::Endpoint;

/// How a stream is to be relayed.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    /// What was called.
    pub endpoint: Endpoint,
    /// The name the client sees as `model`; `None` leaves the provider's.
    pub requested_model: Option<String>,
    /// The client asked for usage.
    pub include_usage: bool,
}

/// What a frame means to the dispatcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// No data: a comment, a stray blank line.
    Comment,
    /// A chunk that delivers nothing yet: only the role, an empty delta.
    Preamble,
    /// Non-empty text, reasoning, a tool call, a refusal, or a finish reason.
    Content,
    /// Usage and nothing else. Its bytes are empty when the client did not ask.
    Usage,
    /// `[DONE]`.
    Done,
    /// Anything else; passed on untouched when it is not a chunk.
    Other,
}

/// One event on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What to send; empty when the event is hidden.
    pub bytes: Bytes,
    /// What it means.
    pub kind: FrameKind,
}
