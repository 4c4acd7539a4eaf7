//! A provider's events on their way to the client.

use bytes::{Bytes, BytesMut};
use trunkline_wire::error::{UpstreamError, UpstreamErrorKind};
use trunkline_wire::exchange::{AnswerOptions, Dialect};
use trunkline_wire::relay::{Frame, FrameKind, Relay};
use trunkline_wire::request::Endpoint;

use super::upstream::Body;

/// What is kept back until the first content: preambles and comments, so more than this is no answer.
const HELD_LIMIT: usize = 1024 * 1024;

/// A provider's events: what has come but was not handed over, and where more comes from.
pub(super) struct Events {
    /// `None` for a mock, whose events are all there.
    pub(super) body: Option<Body>,
    pub(super) relay: Relay,
    pub(super) held: Vec<Frame>,
}

/// Joins pieces into one write; a single piece is passed on without a copy.
#[derive(Default)]
pub(super) struct Joined {
    one: Option<Bytes>,
    many: BytesMut,
}

// === impl Events ===

impl Events {
    pub(super) fn new(body: Body, dialect: Dialect, options: AnswerOptions) -> Self {
        Self {
            body: Some(body),
            relay: Relay::new(dialect, options),
            held: Vec::new(),
        }
    }

    /// Events of `OpenAI`'s dialect that are all there.
    pub(super) fn from_pieces(pieces: &[Bytes], options: AnswerOptions) -> Self {
        let mut relay = Relay::new(Dialect::OpenAi, options);
        relay.push(Bytes::from(pieces.concat()));
        Self {
            body: None,
            relay,
            held: Vec::new(),
        }
    }

    /// Reads until the first content and keeps what came.
    pub(super) async fn hold_until_content(&mut self) -> Result<(), UpstreamError> {
        let mut closed = false;
        let mut held_bytes: usize = 0;
        loop {
            while let Some(frame) = self.relay.next_frame()? {
                match frame.kind {
                    FrameKind::Content => {
                        self.held.push(frame);
                        return Ok(());
                    }
                    FrameKind::Done => {
                        return Err(broken("the provider ended the stream without any content"));
                    }
                    _ => {
                        // An empty frame takes room too.
                        held_bytes += frame.bytes.len() + size_of::<Frame>();
                        self.held.push(frame);
                    }
                }
                if held_bytes > HELD_LIMIT {
                    return Err(broken("the provider sends everything but content"));
                }
            }
            if closed {
                return Err(cut_off());
            }
            if !self.read().await? {
                // An event that lacked only its blank line may come out once more.
                self.relay.finish()?;
                closed = true;
            }
        }
    }

    /// Feeds the relay with the next piece; false at the end.
    pub(super) async fn read(&mut self) -> Result<bool, UpstreamError> {
        let Some(body) = &mut self.body else {
            return Ok(false);
        };
        match body.next().await {
            Ok(Some(chunk)) => {
                self.relay.push(chunk);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(err) => Err(UpstreamError::new(
                UpstreamErrorKind::CutStream,
                None,
                err.to_string(),
            )),
        }
    }

    /// Nothing at all.
    pub(super) fn empty() -> Self {
        Self::from_pieces(&[], AnswerOptions::new(Endpoint::ChatCompletions))
    }
}

// === impl Joined ===

impl Joined {
    pub(super) fn of(pieces: [Bytes; 2]) -> Bytes {
        let mut joined = Self::default();
        for piece in pieces {
            joined.push(piece);
        }
        joined.take()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.one.is_none() && self.many.is_empty()
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        if self.is_empty() {
            self.one = Some(piece);
            return;
        }
        if let Some(first) = self.one.take() {
            self.many.extend_from_slice(&first);
        }
        self.many.extend_from_slice(&piece);
    }

    pub(super) fn take(&mut self) -> Bytes {
        match self.one.take() {
            Some(one) => one,
            None => self.many.split().freeze(),
        }
    }
}

fn broken(message: &str) -> UpstreamError {
    UpstreamError::new(UpstreamErrorKind::BrokenAnswer, None, message)
}

/// The provider closed before the stream's end.
pub(super) fn cut_off() -> UpstreamError {
    UpstreamError::new(
        UpstreamErrorKind::CutStream,
        None,
        "the provider closed the stream before its end",
    )
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_provider_that_sends_everything_but_content_is_given_up() {
        let comments = vec![Bytes::from_static(b": still here\n\n"); 30_000];
        let mut events =
            Events::from_pieces(&comments, AnswerOptions::new(Endpoint::ChatCompletions));

        let held = events.hold_until_content().now_or_never().unwrap();

        assert_eq!(held.unwrap_err().kind, UpstreamErrorKind::BrokenAnswer);
        assert!(events.held.len() < comments.len());
    }
}
