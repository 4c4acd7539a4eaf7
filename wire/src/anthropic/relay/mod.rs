//! A provider's stream for a client of the same dialect, relayed event by event.
//!
//! Events are passed on as the bytes they came in, but for `message.model` in `message_start`. Events that cannot be
//! understood pass untouched. What happened (usage, bytes delivered, the stop reason, the end) is noted on the way.
//! Source: Anthropic API reference, "Streaming messages", 2026-11-23.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;

use super::delivered::Delivered;
use super::{error, usage};
use crate::error::UpstreamErrorKind;
use crate::exchange::AnswerOptions;
use crate::json::{Object, Raw, Splice, filled, restamped, string};
use crate::relay::{Frame, FrameKind};
use crate::sse::{SseDecoder, SseEvent};
use crate::{UpstreamError, Usage, broken};

/// The terminal event, as the relay writes it when the provider left it out.
const MESSAGE_STOP: &[u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// Decodes a provider's stream and re-stamps its events.
///
/// Life cycle: [`push`](Self::push) bytes, take frames with [`next_frame`](Self::next_frame) until it gives `None`,
/// repeat; when the provider has closed call [`finish`](Self::finish), and when that is `Ok` take frames once more. After
/// an error nothing more comes.
pub struct StreamRelay {
    decoder: SseDecoder,
    model: Option<String>,
    counters: usage::Counters,
    usage: Option<Usage>,
    output_bytes: usize,
    response_id: Option<String>,
    upstream_model: Option<String>,
    saw_finish: bool,
    /// What was left when the provider closed.
    rest: VecDeque<Frame>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// More may come.
    Open,
    /// The provider closed in good order; what is left in `rest` goes out.
    Closed,
    /// `message_stop` was handed out.
    Done,
    /// An error was reported.
    Failed,
}

// === impl StreamRelay ===

impl StreamRelay {
    /// A relay at the start of a stream.
    pub fn new(options: AnswerOptions) -> Self {
        Self {
            decoder: SseDecoder::new(),
            model: options.requested_model,
            counters: usage::Counters::default(),
            usage: None,
            output_bytes: 0,
            response_id: None,
            upstream_model: None,
            saw_finish: false,
            rest: VecDeque::new(),
            state: State::Open,
        }
    }

    /// Takes the next bytes of the provider. Take all frames out before pushing more.
    pub fn push(&mut self, chunk: Bytes) {
        self.decoder.push(chunk);
    }

    /// The next event for the client, or `None` when more bytes are needed.
    ///
    /// Whatever follows `message_stop` is not handed out.
    ///
    /// # Errors
    /// [`UpstreamError`] for an error event (classified; nothing of it was handed out), and of the kind `BrokenAnswer` for
    /// an event over the size limit.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, UpstreamError> {
        let frame = match self.state {
            State::Open => self.decoded_frame()?,
            State::Closed => self.rest.pop_front(),
            State::Done | State::Failed => None,
        };
        if frame
            .as_ref()
            .is_some_and(|frame| frame.kind == FrameKind::Done)
        {
            self.state = State::Done;
        }
        Ok(frame)
    }

    /// Says that the provider has closed.
    ///
    /// `Ok` means complete: `message_stop` came, or the stop reason had. In the latter case, and when the last event lacks
    /// its blank line, [`next_frame`](Self::next_frame) has more to give; it makes up a missing `message_stop`.
    ///
    /// # Errors
    /// [`UpstreamError`] of the kind `CutStream` when the end came before the answer's, or what
    /// [`next_frame`](Self::next_frame) had left to say.
    pub fn finish(&mut self) -> Result<(), UpstreamError> {
        self.decoder.finish();
        match self.state {
            State::Open => {}
            State::Closed | State::Done => return Ok(()),
            State::Failed => return Err(broken::cut()),
        }
        let mut done = false;
        while let Some(frame) = self.decoded_frame()? {
            done |= frame.kind == FrameKind::Done;
            self.rest.push_back(frame);
        }
        if !done && !self.saw_finish {
            return Err(self.failed(broken::cut()));
        }
        if !done {
            self.rest.push_back(Frame {
                bytes: Bytes::from_static(MESSAGE_STOP),
                kind: FrameKind::Done,
            });
        }
        self.state = State::Closed;
        Ok(())
    }

    /// What the provider said was used, last word.
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// Bytes of text, reasoning and tool input handed out so far, as JSON spells them; for estimates.
    pub fn output_bytes(&self) -> usize {
        self.output_bytes
    }

    /// The provider's `id`.
    pub fn response_id(&self) -> Option<&str> {
        self.response_id.as_deref()
    }

    /// The provider's `model`.
    pub fn upstream_model(&self) -> Option<&str> {
        self.upstream_model.as_deref()
    }

    /// Whether the stop reason came.
    pub fn saw_finish(&self) -> bool {
        self.saw_finish
    }

    /// Whether `message_stop` was handed out.
    pub fn saw_done(&self) -> bool {
        self.state == State::Done
    }

    fn decoded_frame(&mut self) -> Result<Option<Frame>, UpstreamError> {
        let event = match self.decoder.next_event() {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(None),
            Err(err) => return Err(self.failed(broken::event(&err))),
        };
        let frame = self.frame(&event);
        frame.map(Some).map_err(|err| self.failed(err))
    }

    fn frame(&mut self, event: &SseEvent) -> Result<Frame, UpstreamError> {
        let untouched = |kind| {
            Ok(Frame {
                bytes: event.completed(),
                kind,
            })
        };
        let Some(data) = &event.data else {
            return untouched(FrameKind::Comment);
        };
        let is_error = event.event.as_deref() == Some(b"error");
        // What is not looked at is passed on as it came, whether it can be read or not.
        let Some(object) = Object::walk(data) else {
            if !event.terminated {
                // The cut went through this event: nobody can use it.
                return Ok(Frame {
                    bytes: Bytes::new(),
                    kind: FrameKind::Comment,
                });
            }
            if is_error {
                let message = String::from_utf8_lossy(data).into_owned();
                return Err(UpstreamError::new(UpstreamErrorKind::Server, None, message));
            }
            return untouched(FrameKind::Other);
        };
        if let Some(err) = object.get("error").filter(|err| filled(*err)) {
            return Err(error::classify_inside(err));
        }
        let kind = object.get("type").and_then(string).unwrap_or_default();
        let meaning = match kind.as_str() {
            "message_start" => {
                let restamped = self.message_start(&object);
                let bytes =
                    restamped.map_or_else(|| event.completed(), |data| event.with_data(&data));
                return Ok(Frame {
                    bytes,
                    kind: FrameKind::Preamble,
                });
            }
            "content_block_start" => {
                self.delivers(object.get("content_block"), FrameKind::Preamble)
            }
            "content_block_delta" => self.delivers(object.get("delta"), FrameKind::Preamble),
            "message_delta" => self.message_delta(&object),
            "message_stop" => FrameKind::Done,
            "ping" => FrameKind::Comment,
            "error" => return Err(whole(&object).map_or_else(broken::cut, error::classify_inside)),
            _ => FrameKind::Other,
        };
        untouched(meaning)
    }

    /// Notes the message's head; gives the event for the client when it differs.
    fn message_start(&mut self, object: &Object<'_>) -> Option<Bytes> {
        let message = object.get("message")?;
        let message = Object::parse_str(message.get()).ok()?;
        self.response_id = message.get("id").and_then(string);
        self.upstream_model = message.get("model").and_then(string);
        self.note_usage(message.get("usage"));
        let restamped = restamped(&message, "model", self.model.as_deref()?)?;
        let mut splice = Splice::new(object);
        splice.set("message", restamped.as_ref());
        Some(splice.finish())
    }

    fn note_usage(&mut self, usage: Option<Raw<'_>>) {
        if let Some(usage) = usage {
            self.counters.update(usage);
            self.usage = self.counters.usage();
        }
    }

    fn message_delta(&mut self, object: &Object<'_>) -> FrameKind {
        self.note_usage(object.get("usage"));
        let delta = object.get("delta").map(Raw::get).unwrap_or_default();
        let stops = Object::parse_str(delta)
            .is_ok_and(|delta| delta.get("stop_reason").is_some_and(filled));
        self.saw_finish |= stops;
        if stops {
            FrameKind::Content
        } else {
            FrameKind::Usage
        }
    }

    /// Notes what a block or delta delivers; `empty` is what it means when that is nothing.
    fn delivers(&mut self, piece: Option<Raw<'_>>, empty: FrameKind) -> FrameKind {
        let delivered = piece.map(Delivered::of).unwrap_or_default();
        self.output_bytes = self.output_bytes.saturating_add(delivered.bytes);
        if delivered.content {
            FrameKind::Content
        } else {
            empty
        }
    }

    fn failed(&mut self, err: UpstreamError) -> UpstreamError {
        self.state = State::Failed;
        self.rest.clear();
        err
    }
}

impl fmt::Debug for StreamRelay {
    /// Without the buffers: they hold what a model answered.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StreamRelay")
            .field("output_bytes", &self.output_bytes)
            .field("buffered", &self.decoder.buffered())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

fn whole<'a>(object: &Object<'a>) -> Option<Raw<'a>> {
    serde_json::from_str(object.source()).ok()
}
