//! Anthropic's server-sent events as neutral events.
//!
//! ```text
//! message_start → (content_block_start → content_block_delta … → content_block_stop) … → message_delta → message_stop
//! ```
//!
//! with `ping` and `error` anywhere. Blocks follow each other, so only one is open at a time.
//! Source: Anthropic API reference, "Streaming messages", 2026-11-23.

mod block;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;

use self::block::OpenBlock;
use super::types::{Delta, Event, Started};
use super::usage::Counters;
use super::{decode, error, finish};
use crate::event::{ChatEvent, FinishReason};
use crate::json::{Object, Raw};
use crate::sse::{SseDecoder, SseEvent};
use crate::{UpstreamError, UpstreamErrorKind, broken};

/// The one answer of a message.
const CHOICE: u64 = 0;

/// Turns a provider's bytes into [`ChatEvent`]s.
///
/// Life cycle: [`push`](Self::push) bytes, take events with [`next_event`](Self::next_event) until it gives `None`,
/// repeat; when the provider has closed call [`finish`](Self::finish), and when that is `Ok` take events once more. After
/// an error nothing more comes.
pub struct StreamDecoder {
    decoder: SseDecoder,
    /// Events of what was decoded, not yet handed out.
    ready: VecDeque<ChatEvent>,
    block: OpenBlock,
    tool_calls: u64,
    /// The model answered through the tool that stands for a wanted form.
    answered_as_tool: bool,
    counters: Counters,
    started: bool,
    finished: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// More may come.
    Open,
    /// The answer is whole; what follows is not looked at.
    Ended,
    /// An error was reported.
    Failed,
}

// === impl StreamDecoder ===

impl StreamDecoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self {
            decoder: SseDecoder::new(),
            ready: VecDeque::new(),
            block: OpenBlock::None,
            tool_calls: 0,
            answered_as_tool: false,
            counters: Counters::default(),
            started: false,
            finished: false,
            state: State::Open,
        }
    }

    /// Takes the next bytes of the provider. Take all events out before pushing more.
    pub fn push(&mut self, chunk: Bytes) {
        self.decoder.push(chunk);
    }

    /// The next event, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`UpstreamError`]: the classified error of an `error` event; of the kind `BrokenAnswer` for an event that is not
    /// JSON or is over the size limit.
    pub fn next_event(&mut self) -> Result<Option<ChatEvent>, UpstreamError> {
        loop {
            if self.state == State::Failed {
                return Ok(None);
            }
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.state == State::Ended {
                return Ok(None);
            }
            match self.decode_one() {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(err) => return Err(self.failed(err)),
            }
        }
    }

    /// Says that the provider has closed.
    ///
    /// `Ok` means complete: `message_stop` came, or the `message_delta` with the stop reason did. In the latter case
    /// [`next_event`](Self::next_event) has more to give.
    ///
    /// # Errors
    /// [`UpstreamError`] of the kind `CutStream` when the end came before the answer's, or what
    /// [`next_event`](Self::next_event) had left to say.
    pub fn finish(&mut self) -> Result<(), UpstreamError> {
        self.decoder.finish();
        while self.state == State::Open {
            match self.decode_one() {
                Ok(true) => {}
                Ok(false) if self.finished => self.end(),
                Ok(false) => return Err(self.failed(broken::cut())),
                Err(err) => return Err(self.failed(err)),
            }
        }
        match self.state {
            State::Failed => Err(broken::cut()),
            State::Open | State::Ended => Ok(()),
        }
    }

    /// Decodes one server-sent event, if a whole one is there.
    fn decode_one(&mut self) -> Result<bool, UpstreamError> {
        let event = self
            .decoder
            .next_event()
            .map_err(|err| broken::event(&err))?;
        let Some(event) = event else {
            return Ok(false);
        };
        match &event.data {
            None => self.ready.push_back(ChatEvent::KeepAlive),
            Some(data) => self.take(&event, data)?,
        }
        Ok(true)
    }

    fn take(&mut self, event: &SseEvent, data: &Bytes) -> Result<(), UpstreamError> {
        let object = match Object::parse(data) {
            Ok(object) => object,
            // Some servers end as `OpenAI`'s do; whether the answer was whole is known without it.
            Err(_) if data.trim_ascii() == b"[DONE]" => return Ok(()),
            // The cut went through this event: nobody can use it.
            Err(_) if !event.terminated => return Ok(()),
            Err(_) if event.event.as_deref() == Some(b"error") => {
                let message = String::from_utf8_lossy(data).into_owned();
                return Err(UpstreamError::new(UpstreamErrorKind::Server, None, message));
            }
            Err(err) => return Err(decode::odd(&err)),
        };
        if let Some(err) = object.get("error").filter(|err| err.get() != "null") {
            return Err(error::classify_inside(err));
        }
        let event = serde_json::from_str(object.source()).map_err(|err| decode::odd(&err))?;
        self.apply(&event)
    }

    fn apply(&mut self, event: &Event<'_>) -> Result<(), UpstreamError> {
        match &*event.kind {
            "message_start" => self.start(event)?,
            "content_block_start" => {
                self.close_block();
                if let Some(block) = event.content_block {
                    self.open_block(block)?;
                }
            }
            "content_block_delta" => {
                if let Some(delta) = event.delta {
                    let delta = Delta::of_block(delta).map_err(|err| decode::odd(&err))?;
                    delta.map_or(Ok(()), |delta| self.delta(delta))?;
                }
            }
            "content_block_stop" => self.close_block(),
            "message_delta" => self.message_delta(event)?,
            "message_stop" => {
                self.close_block();
                self.end();
            }
            "ping" => self.ready.push_back(ChatEvent::KeepAlive),
            "error" => {
                let kind = UpstreamErrorKind::Server;
                let message = "the provider reported an error";
                return Err(UpstreamError::new(kind, None, message));
            }
            // "Versions": new event types may be added, and clients must skip what they do not know.
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, event: &Event<'_>) -> Result<(), UpstreamError> {
        let Some(message) = event.message else {
            return Ok(());
        };
        let message: Started<'_> = parsed(message)?;
        if !self.started {
            self.started = true;
            self.ready.push_back(ChatEvent::Start {
                id: message.id,
                model: message.model,
            });
        }
        self.count(message.usage);
        Ok(())
    }

    fn message_delta(&mut self, event: &Event<'_>) -> Result<(), UpstreamError> {
        self.close_block();
        let delta: Option<Delta<'_>> = event.delta.map(parsed).transpose()?;
        if let Some(delta) = delta
            && let Some(reason) = delta.stop_reason
            && !self.finished
        {
            self.finished = true;
            let explanation = delta.stop_details.and_then(|details| details.explanation);
            if let Some(text) = explanation.filter(|text| !text.is_empty()) {
                self.ready.push_back(ChatEvent::Refusal {
                    choice: CHOICE,
                    text,
                });
            }
            let reason = finish::reason(&reason, delta.stop_sequence.as_deref());
            let reason = match reason {
                FinishReason::ToolCalls if self.answered_as_tool && self.tool_calls == 0 => {
                    FinishReason::Stop
                }
                reason => reason,
            };
            self.ready.push_back(ChatEvent::Finish {
                choice: CHOICE,
                reason,
            });
        }
        self.count(event.usage);
        Ok(())
    }

    fn delta(&mut self, delta: Delta<'_>) -> Result<(), UpstreamError> {
        let choice = CHOICE;
        let kind = delta.kind.as_deref().unwrap_or_default();
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        match kind {
            "text_delta" => self
                .ready
                .extend(filled(delta.text).map(|text| ChatEvent::Text { choice, text })),
            "thinking_delta" => self
                .ready
                .extend(filled(delta.thinking).map(|text| ChatEvent::Reasoning { choice, text })),
            "signature_delta" => {
                self.ready.extend(
                    filled(delta.signature)
                        .map(|signature| ChatEvent::ReasoningSignature { choice, signature }),
                );
            }
            "citations_delta" => self.ready.extend(
                delta
                    .citation
                    .and_then(decode::value_of)
                    .map(|citation| ChatEvent::Citation { choice, citation }),
            ),
            "input_json_delta" => {
                if let Some(json) = filled(delta.partial_json) {
                    self.ready.extend(self.block.input(json)?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, usage: Option<Raw<'_>>) {
        if let Some(usage) = usage {
            self.counters.update(usage);
            let usage = self.counters.usage().map(ChatEvent::Usage);
            self.ready.extend(usage);
        }
    }

    fn end(&mut self) {
        self.state = State::Ended;
        self.ready.push_back(ChatEvent::End);
    }

    fn failed(&mut self, err: UpstreamError) -> UpstreamError {
        self.state = State::Failed;
        self.ready.clear();
        err
    }
}

impl Default for StreamDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for StreamDecoder {
    /// Without the buffers: they hold what a model answered.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StreamDecoder")
            .field("buffered", &self.decoder.buffered())
            .field("tool_calls", &self.tool_calls)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

fn parsed<'a, T: Deserialize<'a>>(member: Raw<'a>) -> Result<T, UpstreamError> {
    serde_json::from_str(member.get()).map_err(|err| decode::odd(&err))
}
