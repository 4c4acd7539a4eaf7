//! Streams of `OpenAI`-compatible servers, relayed event by event.
//!
//! Events are passed on as the bytes they came in, but for: the value of the top-level `model`, a `usage` member or a
//! usage-only chunk when the client did not ask for usage. Events that cannot be understood pass untouched. What happened
//! (usage, bytes delivered, finish reasons, the end) is noted on the way.
//! Source: `OpenAI` API reference, "The chat completion chunk object", 2026-11-22.

use std::fmt;

use bytes::Bytes;

use super::alike::{Fitting, Pattern};
use super::choices::Choices;
use super::types::{Choice, Delivered};
use super::{error, usage};
use crate::error::UpstreamErrorKind;
use crate::exchange::AnswerOptions;
use crate::json::{Object, Raw, Splice, filled, quoted, string};
use crate::relay::{Frame, FrameKind};
use crate::sse::{SseDecoder, SseEvent};
use crate::{Endpoint, UpstreamError, Usage, broken};

/// The terminal event, as the relay writes it when the provider left it out.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// Patterns made one after the other that fitted no chunk: no more are made for this stream.
const MOST_UNFIT: u32 = 8;

/// Decodes a provider's stream and re-stamps its events.
///
/// Life cycle: [`push`](Self::push) bytes, take frames with [`next_frame`](Self::next_frame) until it gives `None`,
/// repeat; when the provider has closed call [`finish`](Self::finish), and when that is `Ok` take frames once more. After
/// an error nothing more comes.
pub struct StreamRelay {
    decoder: SseDecoder,
    endpoint: Endpoint,
    model: Option<RequestedModel>,
    include_usage: bool,
    usage: Option<Usage>,
    output_bytes: usize,
    response_id: Option<String>,
    upstream_model: Option<String>,
    choices: Choices,
    /// Of the last chunk that had to be looked through.
    pattern: Option<Pattern>,
    /// Patterns that fitted nothing, since one did.
    unfit: u32,
    state: State,
}

/// Where the stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// More may come.
    Open,
    /// The provider closed after all finish reasons without `[DONE]`; the relay makes it up.
    OwesDone,
    /// `[DONE]` was handed out.
    Done,
    /// An error was reported.
    Failed,
}

/// The client's name for the model, as JSON.
struct RequestedModel(Vec<u8>);

/// What one chunk says.
struct Chunk {
    kind: FrameKind,
    output_bytes: usize,
    hidden: bool,
}

// === impl StreamRelay ===

impl StreamRelay {
    /// A relay at the start of a stream.
    pub fn new(options: AnswerOptions) -> Self {
        let AnswerOptions {
            endpoint,
            requested_model,
            include_usage,
            choices,
            ..
        } = options;
        Self {
            decoder: SseDecoder::new(),
            endpoint,
            model: requested_model.map(|model| RequestedModel(quoted(&model))),
            include_usage,
            usage: None,
            output_bytes: 0,
            response_id: None,
            upstream_model: None,
            choices: Choices::asked_for(choices),
            pattern: None,
            unfit: 0,
            state: State::Open,
        }
    }

    /// The same, which looks through every chunk.
    #[cfg(test)]
    pub(super) fn without_patterns(options: AnswerOptions) -> Self {
        Self {
            unfit: MOST_UNFIT,
            ..Self::new(options)
        }
    }

    /// Takes the next bytes of the provider. Take all frames out before pushing more.
    pub fn push(&mut self, chunk: Bytes) {
        self.decoder.push(chunk);
    }

    /// The next event for the client, or `None` when more bytes are needed.
    ///
    /// Whatever follows `[DONE]` is not handed out.
    ///
    /// # Errors
    /// [`UpstreamError`] for an error event inside the stream (classified; nothing of it was handed out), and of the kind
    /// `BrokenAnswer` for an event over the size limit.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, UpstreamError> {
        if matches!(self.state, State::Done | State::Failed) {
            return Ok(None);
        }
        let frame = self.decoded_frame();
        if frame.is_err() {
            self.state = State::Failed;
        }
        frame
    }

    /// Says that the provider has closed.
    ///
    /// `Ok` means complete: `[DONE]` came, or every choice had its finish reason. In the latter case, and when the last
    /// event lacks its blank line, [`next_frame`](Self::next_frame) has more to give; it makes up a missing `[DONE]`.
    ///
    /// # Errors
    /// [`UpstreamError`] of the kind `CutStream` when the end came before the answer's, or what
    /// [`next_frame`](Self::next_frame) had left to say.
    pub fn finish(&mut self) -> Result<(), UpstreamError> {
        self.decoder.finish();
        match self.state {
            State::Done | State::OwesDone => return Ok(()),
            State::Failed => return Err(broken::cut()),
            State::Open => {}
        }
        // Looks at what is left on a copy of the state, so that the caller still gets it as a frame.
        let mut rest = SseDecoder::new();
        let mut events = Vec::new();
        loop {
            match self.decoder.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(err) => {
                    self.state = State::Failed;
                    return Err(broken::event(&err));
                }
            }
        }
        let mut ends = self.choices;
        let mut done = false;
        for event in events {
            let data = event.data.as_deref().unwrap_or_default();
            done |= is_done(data);
            let whole = done || Object::parse(data).is_ok() || event.is_comment();
            if !event.terminated && !whole {
                // The cut went through this event: nobody can use it.
                continue;
            }
            if let Ok(object) = Object::parse(data) {
                if let Some(err) = object.get("error").filter(|err| filled(*err)) {
                    self.state = State::Failed;
                    return Err(error::classify_inside(err));
                }
                let choices = object.get("choices").and_then(Choice::parse_all);
                for choice in choices.iter().flatten() {
                    ends.note(choice);
                }
            }
            rest.push(event.completed());
        }
        rest.finish();
        self.decoder = rest;
        if done {
            return Ok(());
        }
        if ends.all_finished() {
            self.state = State::OwesDone;
            return Ok(());
        }
        self.state = State::Failed;
        Err(broken::cut())
    }

    /// What the provider said was used, last word.
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// Bytes of text, reasoning, refusals and tool arguments handed out so far, as JSON spells them; for estimates.
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

    /// Whether every choice that began (or was asked for) has its finish reason.
    pub fn saw_finish(&self) -> bool {
        self.choices.all_finished()
    }

    /// Whether `[DONE]` was handed out.
    pub fn saw_done(&self) -> bool {
        self.state == State::Done
    }

    fn decoded_frame(&mut self) -> Result<Option<Frame>, UpstreamError> {
        let event = self
            .decoder
            .next_event()
            .map_err(|err| broken::event(&err))?;
        let Some(event) = event else {
            if self.state != State::OwesDone {
                return Ok(None);
            }
            self.state = State::Done;
            return Ok(Some(Frame {
                bytes: Bytes::from_static(DONE),
                kind: FrameKind::Done,
            }));
        };
        if let Some(fitting) = self.pattern.as_ref().and_then(|one| one.fit(&event.raw)) {
            let Fitting {
                bytes,
                output_bytes,
            } = fitting;
            self.output_bytes = self.output_bytes.saturating_add(output_bytes);
            self.unfit = 0;
            let kind = FrameKind::Content;
            return Ok(Some(Frame { bytes, kind }));
        }
        let Some(data) = &event.data else {
            return Ok(Some(untouched(event, FrameKind::Comment)));
        };
        if is_done(data) {
            self.state = State::Done;
            return Ok(Some(untouched(event, FrameKind::Done)));
        }
        // What is not looked at is passed on as it came, whether it can be read or not.
        let Some(object) = Object::walk(data) else {
            if event.event.as_deref() == Some(b"error") {
                let message = String::from_utf8_lossy(data).into_owned();
                return Err(UpstreamError::new(UpstreamErrorKind::Server, None, message));
            }
            return Ok(Some(untouched(event, FrameKind::Other)));
        };
        if let Some(err) = object.get("error").filter(|err| filled(*err)) {
            return Err(error::classify_inside(err));
        }
        if event.event.as_deref() == Some(b"error") {
            return Err(error::classify_inside(whole(&object)?));
        }
        let Chunk {
            kind,
            output_bytes,
            hidden,
        } = self.note(&object);
        if hidden {
            return Ok(Some(Frame {
                bytes: Bytes::new(),
                kind,
            }));
        }
        let bytes = match self.restamped(&object) {
            Some(data) => event.with_data(&data),
            None => event.raw.clone(),
        };
        if kind == FrameKind::Content && self.unfit < MOST_UNFIT {
            self.pattern = Pattern::of(&event, &bytes, output_bytes);
            self.unfit = self.unfit.saturating_add(1);
        }
        Ok(Some(Frame { bytes, kind }))
    }

    /// Notes what a chunk says.
    fn note(&mut self, object: &Object<'_>) -> Chunk {
        if self.response_id.is_none() {
            self.response_id = object.get("id").and_then(string);
        }
        if self.upstream_model.is_none() {
            self.upstream_model = object.get("model").and_then(string);
        }
        let used = object.get("usage").and_then(usage::parse);
        // Looked for where usage came, not in every chunk: there it decides.
        let used = used.map(|used| used.served_as(object.get("service_tier")));
        let had_finished = self.choices.all_finished();
        let mut delivered = Delivered::default();
        let mut finishes = false;
        let mut used_by_choice = None;
        let choices = object.get("choices").map(Choice::parse_all);
        for choice in choices.iter().flatten().flatten() {
            let part = choice.delivered();
            delivered.content |= part.content;
            delivered.bytes = delivered.bytes.saturating_add(part.bytes);
            finishes |= choice.is_finished();
            used_by_choice = used_by_choice.or_else(|| choice.usage.and_then(usage::parse));
            self.choices.note(choice);
        }
        self.output_bytes = self.output_bytes.saturating_add(delivered.bytes);
        if let Some(used) = used.or(used_by_choice) {
            self.usage = Some(used);
        }
        let empty = choices.iter().flatten().flatten().next().is_none();
        let kind = if delivered.content || finishes {
            FrameKind::Content
        } else if used.is_some() && (empty || had_finished) {
            FrameKind::Usage
        } else if empty {
            FrameKind::Other
        } else {
            FrameKind::Preamble
        };
        Chunk {
            kind,
            output_bytes: delivered.bytes,
            hidden: kind == FrameKind::Usage && !self.include_usage,
        }
    }

    /// The chunk for the client, when it differs from the provider's.
    fn restamped(&self, object: &Object<'_>) -> Option<Bytes> {
        let hides_usage = !self.include_usage && object.get("usage").is_some();
        let renames = object.get("model").zip(self.model.as_ref());
        let renames = renames.filter(|(own, RequestedModel(model))| own.get().as_bytes() != model);
        if !hides_usage && renames.is_none() {
            return None;
        }
        let mut splice = Splice::new(object);
        if let Some((_, RequestedModel(model))) = renames {
            splice.set("model", model.as_slice());
        }
        if hides_usage {
            splice.remove("usage");
        }
        Some(splice.finish())
    }
}

impl fmt::Debug for StreamRelay {
    /// Without the buffer: it holds what a model answered.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StreamRelay")
            .field("endpoint", &self.endpoint)
            .field("output_bytes", &self.output_bytes)
            .field("buffered", &self.decoder.buffered())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

fn untouched(event: SseEvent, kind: FrameKind) -> Frame {
    Frame {
        bytes: event.raw,
        kind,
    }
}

fn is_done(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

fn whole<'a>(object: &Object<'a>) -> Result<Raw<'a>, UpstreamError> {
    serde_json::from_str(object.source())
        .map_err(|err| UpstreamError::new(UpstreamErrorKind::BrokenAnswer, None, err.to_string()))
}
