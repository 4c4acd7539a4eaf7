//! A neutral stream as the events of a message, one block after the other.
//!
//! `message_start`; for each block `content_block_start`, deltas, `content_block_stop`; `message_delta` with the stop
//! reason and all usage; `message_stop`. The last two wait for [`ChatEvent::End`], because providers report usage after
//! the finish reason.

use std::mem;

use bytes::Bytes;
use serde_json::Value;

use super::event::Event;
use super::{Stop, citation, message_id};
use crate::Usage;
use crate::anthropic::{reply, usage};
use crate::event::{ChatEvent, FinishReason};
use crate::exchange::AnswerOptions;
use crate::relay::{Frame, FrameKind};

/// Writes events; give it every event of the neutral stream in order.
#[derive(Debug)]
pub struct StreamRenderer {
    model: Option<String>,
    state: State,
    open: Open,
    /// Blocks begun so far.
    blocks: usize,
    called: bool,
    refused: bool,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    Within,
    After,
}

/// The block that deltas go to; it is the last one begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    None,
    Text,
    Thinking,
    /// With the call's number.
    Tool(u64),
}

// === impl StreamRenderer ===

impl StreamRenderer {
    /// A renderer before the first event.
    pub fn new(options: &AnswerOptions) -> Self {
        Self {
            model: options.requested_model.clone(),
            state: State::Before,
            open: Open::None,
            blocks: 0,
            called: false,
            refused: false,
            finish: None,
            usage: None,
        }
    }

    /// Appends the frames that `event` gives; may be none.
    ///
    /// The result is well-formed whatever the order of the events; arguments for a call that is not the open one have no
    /// place in this dialect and are left out (decoders give the calls one after the other).
    pub fn push(&mut self, event: ChatEvent, frames: &mut Vec<Frame>) {
        if self.state == State::After {
            return;
        }
        if of_other_choice(&event) {
            return;
        }
        match event {
            ChatEvent::Start { id, model } => self.start(id.as_deref(), model, frames),
            ChatEvent::KeepAlive => frames.push(Frame {
                bytes: Bytes::from_static(reply::PING),
                kind: FrameKind::Comment,
            }),
            ChatEvent::Usage(usage) => self.usage = Some(usage),
            ChatEvent::End => self.end(frames),
            content => {
                self.start(None, None, frames);
                self.content(content, frames);
            }
        }
    }

    fn content(&mut self, event: ChatEvent, frames: &mut Vec<Frame>) {
        match event {
            ChatEvent::Text { text, .. } => self.text(&text, frames),
            ChatEvent::Refusal { text, .. } => {
                self.refused = true;
                self.text(&text, frames);
            }
            ChatEvent::Reasoning { text, .. } => {
                self.begin(Open::Thinking, frames);
                self.delta("thinking_delta", "thinking", &text, frames);
            }
            ChatEvent::ReasoningSignature { signature, .. } => {
                self.begin(Open::Thinking, frames);
                self.delta("signature_delta", "signature", &signature, frames);
                self.close(frames);
            }
            ChatEvent::OpaqueReasoning { data, .. } => {
                let mut start = self.whole_block(frames);
                start
                    .raw("{\"type\":\"redacted_thinking\",\"data\":")
                    .string(&data)
                    .raw("}");
                self.push_whole(start, frames);
            }
            ChatEvent::Other { block, .. } => {
                let mut start = self.whole_block(frames);
                start.value(&block);
                self.push_whole(start, frames);
            }
            ChatEvent::ToolCall {
                index, id, name, ..
            } => self.tool_call(index, &id, &name, frames),
            ChatEvent::ToolArguments { index, json, .. } => {
                if self.open == Open::Tool(index) {
                    self.delta("input_json_delta", "partial_json", &json, frames);
                }
            }
            ChatEvent::Citation { citation, .. } => self.citation(&citation, frames),
            ChatEvent::Finish { reason, .. } => {
                self.close(frames);
                self.finish = Some(reason);
            }
            ChatEvent::Start { .. }
            | ChatEvent::KeepAlive
            | ChatEvent::Usage(_)
            | ChatEvent::End => {}
        }
    }

    fn start(&mut self, id: Option<&str>, model: Option<String>, frames: &mut Vec<Frame>) {
        if self.state != State::Before {
            return;
        }
        self.state = State::Within;
        let model = mem::take(&mut self.model).or(model).unwrap_or_default();
        let mut event = Event::new("message_start");
        event.raw(",\"message\":{\"id\":").string(&message_id(id));
        event
            .raw(",\"type\":\"message\",\"role\":\"assistant\",\"model\":")
            .string(&model);
        event.raw(",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":");
        event.value(&self.usage_json()).raw("}");
        push(frames, event.end(), FrameKind::Preamble);
    }

    fn text(&mut self, text: &str, frames: &mut Vec<Frame>) {
        self.begin(Open::Text, frames);
        self.delta("text_delta", "text", text, frames);
    }

    fn citation(&mut self, source: &Value, frames: &mut Vec<Frame>) {
        self.begin(Open::Text, frames);
        let mut event = Event::of_block("content_block_delta", self.current());
        event.raw(",\"delta\":{\"type\":\"citations_delta\",\"citation\":");
        // Which span of the text is cited would need all of the text so far; the source is what counts.
        event.value(&citation(source, "")).raw("}");
        push(frames, event.end(), FrameKind::Content);
    }

    fn tool_call(&mut self, index: u64, id: &str, name: &str, frames: &mut Vec<Frame>) {
        self.called = true;
        self.close(frames);
        let mut event = Event::of_block("content_block_start", self.blocks);
        event
            .raw(",\"content_block\":{\"type\":\"tool_use\",\"id\":")
            .string(id);
        event.raw(",\"name\":").string(name).raw(",\"input\":{}}");
        push(frames, event.end(), FrameKind::Content);
        self.blocks = self.blocks.saturating_add(1);
        self.open = Open::Tool(index);
    }

    /// Makes sure that a block of this kind, text or thinking, is open.
    fn begin(&mut self, kind: Open, frames: &mut Vec<Frame>) {
        if self.open == kind {
            return;
        }
        self.close(frames);
        let mut event = Event::of_block("content_block_start", self.blocks);
        event.raw(",\"content_block\":").raw(match kind {
            Open::Thinking => "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}",
            _ => "{\"type\":\"text\",\"text\":\"\"}",
        });
        push(frames, event.end(), FrameKind::Preamble);
        self.blocks = self.blocks.saturating_add(1);
        self.open = kind;
    }

    /// The start of a block that comes in one piece.
    fn whole_block(&mut self, frames: &mut Vec<Frame>) -> Event {
        self.close(frames);
        let mut event = Event::of_block("content_block_start", self.blocks);
        event.raw(",\"content_block\":");
        event
    }

    fn push_whole(&mut self, start: Event, frames: &mut Vec<Frame>) {
        push(frames, start.end(), FrameKind::Content);
        self.blocks = self.blocks.saturating_add(1);
        self.stop_block(frames);
    }

    fn delta(&self, delta: &str, key: &str, text: &str, frames: &mut Vec<Frame>) {
        let bytes = Event::delta(self.current(), delta, key, text);
        push(frames, bytes, FrameKind::Content);
    }

    fn close(&mut self, frames: &mut Vec<Frame>) {
        if self.open == Open::None {
            return;
        }
        self.open = Open::None;
        self.stop_block(frames);
    }

    fn stop_block(&self, frames: &mut Vec<Frame>) {
        let event = Event::of_block("content_block_stop", self.current());
        push(frames, event.end(), FrameKind::Other);
    }

    fn end(&mut self, frames: &mut Vec<Frame>) {
        self.start(None, None, frames);
        self.close(frames);
        let stop = Stop::of(self.finish.as_ref(), self.called, self.refused);
        let mut event = Event::new("message_delta");
        event
            .raw(",\"delta\":{\"stop_reason\":")
            .string(stop.reason)
            .raw(",\"stop_sequence\":");
        match &stop.sequence {
            Some(sequence) => event.string(sequence),
            None => event.raw("null"),
        };
        event.raw("},\"usage\":").value(&self.usage_json());
        push(frames, event.end(), FrameKind::Content);
        push(frames, Event::new("message_stop").end(), FrameKind::Done);
        self.state = State::After;
    }

    /// The number of the last block begun.
    fn current(&self) -> usize {
        self.blocks.saturating_sub(1)
    }

    fn usage_json(&self) -> Value {
        usage::render(&self.usage.unwrap_or(Usage::plain(0, 0)))
    }
}

fn push(frames: &mut Vec<Frame>, bytes: Bytes, kind: FrameKind) {
    frames.push(Frame { bytes, kind });
}

/// A message has one answer.
fn of_other_choice(event: &ChatEvent) -> bool {
    let choice = match event {
        ChatEvent::Text { choice, .. }
        | ChatEvent::Reasoning { choice, .. }
        | ChatEvent::ReasoningSignature { choice, .. }
        | ChatEvent::OpaqueReasoning { choice, .. }
        | ChatEvent::Refusal { choice, .. }
        | ChatEvent::ToolCall { choice, .. }
        | ChatEvent::ToolArguments { choice, .. }
        | ChatEvent::Citation { choice, .. }
        | ChatEvent::Other { choice, .. }
        | ChatEvent::Finish { choice, .. } => *choice,
        ChatEvent::Start { .. } | ChatEvent::Usage(_) | ChatEvent::KeepAlive | ChatEvent::End => 0,
    };
    choice != 0
}
