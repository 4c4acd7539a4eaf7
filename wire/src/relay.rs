//! A provider's stream on its way to the client, whichever dialects the two speak.

use bytes::Bytes;

/// What a frame means to the dispatcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// No data: a comment, a stray blank line, a keep-alive event.
    Comment,
    /// A chunk that delivers nothing yet: only the role, an empty delta.
    Preamble,
    /// Non-empty text, reasoning, a tool call, a refusal, or a finish reason.
    Content,
    /// Usage and nothing else. Its bytes are empty when the client did not ask.
    Usage,
    /// The terminal event: `[DONE]`, `message_stop`.
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
