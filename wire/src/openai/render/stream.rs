//! Neutral events as `OpenAI`'s chunks.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::chunk::{Addition, ChunkChoice, Delta};
use super::{completion_id, usage};
use crate::Usage;
use crate::event::{ChatEvent, FinishReason};
use crate::exchange::AnswerOptions;
use crate::json::push_string;
use crate::openai::reply::DONE;
use crate::relay::{Frame, FrameKind};
use crate::request::MAX_CHOICES;

const PING: &[u8] = b": ping\n\n";

/// Room for a chunk with a word of text.
const USUAL_CHUNK_BYTES: usize = 96;

/// Turns [`ChatEvent`]s into the frames of a stream.
///
/// The role has a chunk of its own, which delivers nothing yet ([`FrameKind::Preamble`]). Usage is kept until the end and
/// has its own chunk, when the client asked for it.
#[derive(Debug)]
pub struct StreamRenderer {
    options: AnswerOptions,
    /// `data: {"id":…,"object":…,"created":…,"model":…` of every chunk.
    head: Vec<u8>,
    /// A bit for each choice whose role was told.
    begun: u128,
    usage: Option<Usage>,
}

// === impl StreamRenderer ===

impl StreamRenderer {
    /// A renderer at the start of a stream.
    pub fn new(options: &AnswerOptions) -> Self {
        let mut renderer = Self {
            options: options.clone(),
            head: Vec::new(),
            begun: 0,
            usage: None,
        };
        renderer.write_head(None, None);
        renderer
    }

    /// Renders one event; appends what it becomes to `frames`.
    pub fn push(&mut self, event: ChatEvent, frames: &mut Vec<Frame>) {
        match event {
            ChatEvent::Start { id, model } => {
                self.write_head(id.as_deref(), model.as_deref());
                self.begin(0, frames);
            }
            ChatEvent::Finish { choice, reason } => {
                self.begin(choice, frames);
                let stop_sequence = match &reason {
                    FinishReason::StopSequence(sequence) => Some(sequence.as_str()),
                    _ => None,
                };
                let choice = ChunkChoice {
                    index: choice,
                    delta: Delta::default(),
                    logprobs: None,
                    finish_reason: Some(reason.as_openai()),
                    stop_sequence,
                };
                frames.push(self.chunk(&[choice], None, FrameKind::Content));
            }
            ChatEvent::Usage(usage) => self.usage = Some(usage),
            ChatEvent::KeepAlive => frames.push(Frame {
                bytes: Bytes::from_static(PING),
                kind: FrameKind::Comment,
            }),
            ChatEvent::End => self.end(frames),
            addition => {
                if let Some(Addition {
                    choice,
                    delta,
                    kind,
                }) = Addition::of(&addition)
                {
                    self.add(choice, delta, kind, frames);
                }
            }
        }
    }

    fn end(&self, frames: &mut Vec<Frame>) {
        if let Some(used) = self.usage.filter(|_| self.options.include_usage) {
            let counters = usage::render(&used);
            frames.push(self.chunk(&[], Some(&counters), FrameKind::Usage));
        }
        frames.push(Frame {
            bytes: Bytes::from_static(DONE),
            kind: FrameKind::Done,
        });
    }

    fn add(&mut self, choice: u64, delta: Delta<'_>, kind: FrameKind, frames: &mut Vec<Frame>) {
        self.begin(choice, frames);
        let choice = ChunkChoice {
            index: choice,
            delta,
            logprobs: None,
            finish_reason: None,
            stop_sequence: None,
        };
        frames.push(self.chunk(&[choice], None, kind));
    }

    /// Tells the role of a choice, once.
    fn begin(&mut self, choice: u64, frames: &mut Vec<Frame>) {
        let bit = 1_u128 << choice.min(MAX_CHOICES.saturating_sub(1));
        if self.begun & bit != 0 {
            return;
        }
        self.begun |= bit;
        let opening = Delta {
            role: Some("assistant"),
            content: Some(""),
            ..Delta::default()
        };
        self.add(choice, opening, FrameKind::Preamble, frames);
    }

    fn write_head(&mut self, id: Option<&str>, model: Option<&str>) {
        let created = self.options.created;
        let model = self.options.requested_model.as_deref().or(model);
        self.head.clear();
        self.head.extend_from_slice(b"data: {\"id\":");
        push_string(&mut self.head, &completion_id(id, created));
        let fixed = ",\"object\":\"chat.completion.chunk\",\"created\":";
        self.head.extend_from_slice(fixed.as_bytes());
        self.head.extend_from_slice(created.to_string().as_bytes());
        self.head.extend_from_slice(b",\"model\":");
        push_string(&mut self.head, model.unwrap_or_default());
    }

    fn chunk(&self, choices: &[ChunkChoice<'_>], usage: Option<&Value>, kind: FrameKind) -> Frame {
        #[derive(Serialize)]
        struct Tail<'a> {
            choices: &'a [ChunkChoice<'a>],
            #[serde(skip_serializing_if = "Option::is_none")]
            usage: Option<&'a Value>,
        }
        let mut bytes = Vec::with_capacity(self.head.len().saturating_add(USUAL_CHUNK_BYTES));
        bytes.extend_from_slice(&self.head);
        let brace = bytes.len();
        // Cannot fail: writing to memory, and every key is a string.
        if serde_json::to_writer(&mut bytes, &Tail { choices, usage }).is_ok()
            && let Some(brace) = bytes.get_mut(brace)
        {
            // The head has opened the object already.
            *brace = b',';
        }
        bytes.extend_from_slice(b"\n\n");
        Frame {
            bytes: bytes.into(),
            kind,
        }
    }
}
