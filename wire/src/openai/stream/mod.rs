//! Streams of `OpenAI`-compatible servers as neutral events, for clients of another dialect.
//!
//! A chunk is read leniently: a member of an odd type is taken for absent, so that it cannot hide the others.
//! Source: `OpenAI` API reference, "The chat completion chunk object", 2026-11-22.

mod calls;
mod chunk;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use bytes::Bytes;

use self::calls::Ordered;
use self::chunk::Delta;
use super::choices::Choices;
use super::types::Choice;
use super::{error, usage};
use crate::error::UpstreamErrorKind;
use crate::event::{ChatEvent, FinishReason};
use crate::json::{Object, Raw, filled, string};
use crate::request::MAX_CHOICES;
use crate::sse::{SseDecoder, SseEvent};
use crate::{UpstreamError, broken};

/// Decodes a provider's stream.
///
/// Life cycle: [`push`](Self::push) bytes, take events with [`next_event`](Self::next_event) until it gives `None`, repeat;
/// when the provider has closed call [`finish`](Self::finish), and when that is `Ok` take events once more. After an error
/// nothing more comes.
pub struct StreamDecoder {
    decoder: SseDecoder,
    /// Events of the chunk read last that are not taken yet.
    ready: VecDeque<ChatEvent>,
    /// What each answer has begun and not ended.
    answers: BTreeMap<u64, Ordered>,
    choices: Choices,
    id: Option<String>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing came yet.
    Before,
    /// More may come.
    Open,
    /// The end was given, or is ready to be taken.
    Done,
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
            answers: BTreeMap::new(),
            choices: Choices::default(),
            id: None,
            state: State::Before,
        }
    }

    /// Takes the next bytes of the provider. Take all events out before pushing more.
    pub fn push(&mut self, chunk: Bytes) {
        self.decoder.push(chunk);
    }

    /// The next event, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`UpstreamError`] for an error event inside the stream, classified; of the kind `BrokenAnswer` for an event, or
    /// tool calls, over the size limit, and for an object that is not JSON.
    pub fn next_event(&mut self) -> Result<Option<ChatEvent>, UpstreamError> {
        loop {
            if self.state == State::Failed {
                return Ok(None);
            }
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.state == State::Done {
                return Ok(None);
            }
            let event = match self.decoder.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(None),
                Err(err) => return Err(self.failed(broken::event(&err))),
            };
            if let Err(err) = self.read(&event) {
                return Err(self.failed(err));
            }
        }
    }

    /// Says that the provider has closed.
    ///
    /// `Ok` means complete: `[DONE]` came, or every choice had its finish reason. Then
    /// [`next_event`](Self::next_event) has the rest, up to [`ChatEvent::End`].
    ///
    /// # Errors
    /// [`UpstreamError`] of the kind `CutStream` when the end came before the answer's, or what
    /// [`next_event`](Self::next_event) had left to say.
    pub fn finish(&mut self) -> Result<(), UpstreamError> {
        self.decoder.finish();
        while matches!(self.state, State::Before | State::Open) {
            let event = match self.decoder.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(err) => return Err(self.failed(broken::event(&err))),
            };
            // A cut through the last event leaves JSON that nobody can read; reading skips it.
            if let Err(err) = self.read(&event) {
                return Err(self.failed(err));
            }
        }
        match self.state {
            State::Done => Ok(()),
            State::Open if self.choices.all_finished() => {
                self.end();
                Ok(())
            }
            State::Before | State::Open | State::Failed => Err(self.failed(broken::cut())),
        }
    }

    /// Reads one server-sent event into `ready`.
    fn read(&mut self, event: &SseEvent) -> Result<(), UpstreamError> {
        let Some(data) = &event.data else {
            self.ready.push_back(ChatEvent::KeepAlive);
            return Ok(());
        };
        if data.trim_ascii() == b"[DONE]" {
            // Without a chunk before it there is no answer to end.
            if self.state == State::Open {
                self.end();
                return Ok(());
            }
            return Err(broken::cut());
        }
        let is_error = event.event.as_deref() == Some(b"error");
        let Ok(object) = Object::parse(data) else {
            if is_error && event.terminated {
                let message = String::from_utf8_lossy(data).into_owned();
                return Err(UpstreamError::new(UpstreamErrorKind::Server, None, message));
            }
            // It may have held a part of the answer: without it the rest would pass for the whole.
            if event.terminated && data.trim_ascii_start().starts_with(b"{") {
                return Err(broken::answer(
                    "an event of the provider's stream is not usable JSON",
                ));
            }
            return Ok(());
        };
        if let Some(err) = object.get("error").filter(|err| filled(*err)) {
            return Err(error::classify_inside(err));
        }
        if is_error {
            let whole: Option<Raw<'_>> = serde_json::from_str(object.source()).ok();
            return Err(whole.map_or_else(broken::cut, error::classify_inside));
        }
        self.chunk(&object)
    }

    fn chunk(&mut self, object: &Object<'_>) -> Result<(), UpstreamError> {
        let used = object.get("usage").and_then(usage::parse);
        let used = used.map(|used| used.served_as(object.get("service_tier")));
        let choices = object.get("choices").and_then(Choice::parse_all);
        if used.is_none() && choices.is_none() {
            // Not a chunk: some servers send events of their own.
            return Ok(());
        }
        self.start(object);
        let mut used_by_choice = None;
        for choice in choices.iter().flatten() {
            used_by_choice = used_by_choice.or_else(|| choice.usage.and_then(usage::parse));
            self.choice(choice)?;
        }
        self.ready
            .extend(used.or(used_by_choice).map(ChatEvent::Usage));
        Ok(())
    }

    fn start(&mut self, object: &Object<'_>) {
        if self.state != State::Before {
            return;
        }
        self.state = State::Open;
        self.id = object.get("id").and_then(string);
        self.ready.push_back(ChatEvent::Start {
            id: self.id.clone(),
            model: object.get("model").and_then(string),
        });
    }

    fn choice(&mut self, choice: &Choice<'_>) -> Result<(), UpstreamError> {
        let number = choice.index().min(MAX_CHOICES.saturating_sub(1));
        self.choices.note(choice);
        let answer = self
            .answers
            .entry(number)
            .or_insert_with(|| Ordered::new(number, self.id.as_deref()));
        if let Some(delta) = choice.delta() {
            Delta::parse(delta).feed(answer, &mut self.ready)?;
        }
        if choice.is_finished() {
            answer.end(&mut self.ready);
            let reason = finish_reason(choice);
            self.ready.push_back(ChatEvent::Finish {
                choice: number,
                reason,
            });
        }
        Ok(())
    }

    /// The stream is complete.
    fn end(&mut self) {
        for answer in self.answers.values_mut() {
            answer.end(&mut self.ready);
        }
        self.ready.push_back(ChatEvent::End);
        self.state = State::Done;
    }

    fn failed(&mut self, err: UpstreamError) -> UpstreamError {
        self.state = State::Failed;
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
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// The reason, with the sequence that stopped the answer where the server names it (vLLM's `stop_reason`).
fn finish_reason(choice: &Choice<'_>) -> FinishReason {
    let word = choice.finish_reason().unwrap_or_default();
    match (FinishReason::from_word(&word), choice.stop_sequence()) {
        (FinishReason::Stop, Some(sequence)) => FinishReason::StopSequence(sequence),
        (reason, _) => reason,
    }
}
