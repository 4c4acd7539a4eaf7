//! A provider's stream on its way to the client, whichever dialects the two speak.

use std::fmt;

use bytes::Bytes;

use crate::event::ChatEvent;
use crate::exchange::{AnswerOptions, Dialect};
use crate::tool_names::ToolNames;
use crate::{Endpoint, UpstreamError, Usage, anthropic, openai};

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

/// A provider's stream, decoded as it comes and rendered for the client.
///
/// Life cycle: [`push`](Self::push) bytes, take frames with [`next_frame`](Self::next_frame) until it gives `None`,
/// repeat; when the provider has closed call [`finish`](Self::finish), and when that is `Ok` take frames once more. After
/// an error nothing more comes.
#[derive(Debug)]
pub struct Relay(Inner);

#[derive(Debug)]
enum Inner {
    /// Both sides speak `OpenAI`'s dialect.
    OpenAi(openai::relay::StreamRelay),
    /// Both sides speak Anthropic's dialect.
    Anthropic(anthropic::relay::StreamRelay),
    /// They speak different ones.
    Translated(Box<Translation>),
}

/// Events of one dialect on their way into another, with what is noted on the way.
struct Translation {
    decoder: Decoder,
    renderer: Renderer,
    renamed: ToolNames,
    /// Frames of the last event that were not handed out yet, the next one last.
    ready: Vec<Frame>,
    usage: Option<Usage>,
    output_bytes: usize,
    response_id: Option<String>,
    upstream_model: Option<String>,
    finished: bool,
    done: bool,
}

/// Reads what the provider sends.
enum Decoder {
    OpenAi(openai::stream::StreamDecoder),
    Anthropic(anthropic::stream::StreamDecoder),
}

/// Writes what the client reads.
enum Renderer {
    OpenAi(openai::render::StreamRenderer),
    Anthropic(anthropic::render::StreamRenderer),
}

/// Runs the same method of whichever relay it is.
macro_rules! each {
    ($relay:expr, $inner:ident => $body:expr) => {
        match $relay {
            Inner::OpenAi($inner) => $body,
            Inner::Anthropic($inner) => $body,
            Inner::Translated($inner) => $body,
        }
    };
}

// === impl Relay ===

impl Relay {
    /// A relay at the start of a stream from a provider that speaks `dialect`.
    pub fn new(dialect: Dialect, options: AnswerOptions) -> Self {
        Self(match (options.endpoint, dialect) {
            (Endpoint::Messages, Dialect::Anthropic) => {
                Inner::Anthropic(anthropic::relay::StreamRelay::new(options))
            }
            (Endpoint::Messages, Dialect::OpenAi) => Inner::Translated(Box::new(Translation::new(
                Decoder::OpenAi(openai::stream::StreamDecoder::new()),
                Renderer::Anthropic(anthropic::render::StreamRenderer::new(&options)),
                options.renamed,
            ))),
            (_, Dialect::Anthropic) => Inner::Translated(Box::new(Translation::new(
                Decoder::Anthropic(anthropic::stream::StreamDecoder::new()),
                Renderer::OpenAi(openai::render::StreamRenderer::new(&options)),
                options.renamed,
            ))),
            (_, Dialect::OpenAi) => Inner::OpenAi(openai::relay::StreamRelay::new(options)),
        })
    }

    /// Takes the next bytes of the provider. Take all frames out before pushing more.
    pub fn push(&mut self, chunk: Bytes) {
        each!(&mut self.0, relay => relay.push(chunk));
    }

    /// The next event for the client, or `None` when more bytes are needed. Nothing follows [`FrameKind::Done`].
    ///
    /// # Errors
    /// [`UpstreamError`] for an error event inside the stream (classified; nothing of it was handed out), and of the kind
    /// `BrokenAnswer` for an event that cannot be one.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, UpstreamError> {
        each!(&mut self.0, relay => relay.next_frame())
    }

    /// Says that the provider has closed. `Ok` means complete: [`next_frame`](Self::next_frame) may have more to give, the
    /// terminal event for one.
    ///
    /// # Errors
    /// [`UpstreamError`] of the kind `CutStream` when the end came before the answer's.
    pub fn finish(&mut self) -> Result<(), UpstreamError> {
        each!(&mut self.0, relay => relay.finish())
    }

    /// What the provider said was used, last word.
    pub fn usage(&self) -> Option<&Usage> {
        each!(&self.0, relay => relay.usage())
    }

    /// Bytes of text, reasoning, refusal and tool arguments handed out so far; for estimates.
    pub fn output_bytes(&self) -> usize {
        each!(&self.0, relay => relay.output_bytes())
    }

    /// The provider's `id`.
    pub fn response_id(&self) -> Option<&str> {
        each!(&self.0, relay => relay.response_id())
    }

    /// The provider's `model`.
    pub fn upstream_model(&self) -> Option<&str> {
        each!(&self.0, relay => relay.upstream_model())
    }

    /// Whether every answer that began (or was asked for) has its finish reason.
    pub fn saw_finish(&self) -> bool {
        each!(&self.0, relay => relay.saw_finish())
    }

    /// Whether the terminal event was handed out.
    pub fn saw_done(&self) -> bool {
        each!(&self.0, relay => relay.saw_done())
    }
}

// === impl Translation ===

impl Translation {
    fn new(decoder: Decoder, renderer: Renderer, renamed: ToolNames) -> Self {
        Self {
            decoder,
            renderer,
            renamed,
            ready: Vec::new(),
            usage: None,
            output_bytes: 0,
            response_id: None,
            upstream_model: None,
            finished: false,
            done: false,
        }
    }

    fn push(&mut self, chunk: Bytes) {
        match &mut self.decoder {
            Decoder::OpenAi(decoder) => decoder.push(chunk),
            Decoder::Anthropic(decoder) => decoder.push(chunk),
        }
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, UpstreamError> {
        while self.ready.is_empty() {
            let event = match &mut self.decoder {
                Decoder::OpenAi(decoder) => decoder.next_event(),
                Decoder::Anthropic(decoder) => decoder.next_event(),
            };
            let Some(mut event) = event? else {
                return Ok(None);
            };
            self.renamed.restore_event(&mut event);
            self.note(&event);
            match &mut self.renderer {
                Renderer::OpenAi(renderer) => renderer.push(event, &mut self.ready),
                Renderer::Anthropic(renderer) => renderer.push(event, &mut self.ready),
            }
            self.ready.reverse();
        }
        let frame = self.ready.pop();
        self.done |= frame
            .as_ref()
            .is_some_and(|frame| frame.kind == FrameKind::Done);
        Ok(frame)
    }

    fn finish(&mut self) -> Result<(), UpstreamError> {
        match &mut self.decoder {
            Decoder::OpenAi(decoder) => decoder.finish(),
            Decoder::Anthropic(decoder) => decoder.finish(),
        }
    }

    fn note(&mut self, event: &ChatEvent) {
        match event {
            ChatEvent::Start { id, model } => {
                self.response_id.clone_from(id);
                self.upstream_model.clone_from(model);
            }
            ChatEvent::Text { text, .. }
            | ChatEvent::Reasoning { text, .. }
            | ChatEvent::Refusal { text, .. }
            | ChatEvent::ToolArguments { json: text, .. } => {
                self.output_bytes = self.output_bytes.saturating_add(text.len());
            }
            // A decoder gives `End` only when every answer has ended; until then one that ended is enough to know
            // that usage may follow.
            ChatEvent::Finish { .. } => self.finished = true,
            ChatEvent::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
    }

    fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    fn output_bytes(&self) -> usize {
        self.output_bytes
    }

    fn response_id(&self) -> Option<&str> {
        self.response_id.as_deref()
    }

    fn upstream_model(&self) -> Option<&str> {
        self.upstream_model.as_deref()
    }

    fn saw_finish(&self) -> bool {
        self.finished
    }

    fn saw_done(&self) -> bool {
        self.done
    }
}

impl fmt::Debug for Translation {
    /// Without the buffers: they hold what a model answered.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Translation")
            .field("output_bytes", &self.output_bytes)
            .field("finished", &self.finished)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

/// What the tests of every relay do with one.
#[cfg(test)]
pub(crate) mod to_end {
    use super::{Bytes, Frame, Relay, UpstreamError};

    /// Feeds a stream, cut at these places: its frames, the relay after them, and the verdict.
    pub(crate) fn relayed(
        mut relay: Relay,
        stream: &[u8],
        cuts: &[usize],
    ) -> (Vec<Frame>, Relay, Result<(), UpstreamError>) {
        let mut frames = Vec::new();
        let mut from = 0;
        for to in cuts.iter().copied().chain([stream.len()]) {
            relay.push(Bytes::copy_from_slice(&stream[from..to]));
            from = to;
            loop {
                match relay.next_frame() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(err) => return (frames, relay, Err(err)),
                }
            }
        }
        let end = relay.finish();
        while let Ok(Some(frame)) = relay.next_frame() {
            frames.push(frame);
        }
        (frames, relay, end)
    }

    /// The bytes of all frames as text.
    pub(crate) fn joined(frames: &[Frame]) -> String {
        frames
            .iter()
            .map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned())
            .collect()
    }
}
