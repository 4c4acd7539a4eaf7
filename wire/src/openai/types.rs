//! What the relay looks at in an answer or a chunk: enough to know what was delivered, all of it borrowed.
//!
//! Every member is kept raw, because a compatible server's odd type in one field must not hide the others.

use std::borrow::Cow;

use serde::Deserialize;
use smallvec::SmallVec;

use crate::json::{Raw, elements, filled, members, spelled_bytes};

/// One entry of `choices`, of an answer (`message`), a chunk (`delta`) or a text completion (`text`).
#[derive(Debug, Default)]
pub(super) struct Choice<'a> {
    index: Option<Raw<'a>>,
    finish_reason: Option<Raw<'a>>,
    delta: Option<Raw<'a>>,
    /// vLLM: the stop sequence that ended the answer, or the number of a token that did.
    stop_reason: Option<Raw<'a>>,
    message: Option<Raw<'a>>,
    text: Option<Raw<'a>>,
    /// Some servers (Moonshot) put it here instead of the top level.
    pub(super) usage: Option<Raw<'a>>,
}

/// `delta` or `message`.
#[derive(Debug, Default)]
struct Message<'a> {
    content: Option<Raw<'a>>,
    reasoning_content: Option<Raw<'a>>,
    reasoning: Option<Raw<'a>>,
    refusal: Option<Raw<'a>>,
    tool_calls: Option<Raw<'a>>,
    function_call: Option<Raw<'a>>,
    audio: Option<Raw<'a>>,
}

#[derive(Debug, Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    function: Option<Raw<'a>>,
    #[serde(borrow)]
    custom: Option<Raw<'a>>,
}

#[derive(Debug, Deserialize)]
struct FunctionCall<'a> {
    #[serde(borrow)]
    arguments: Option<Raw<'a>>,
    #[serde(borrow)]
    input: Option<Raw<'a>>,
}

/// What one choice delivered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivered {
    /// Bytes of text, reasoning, refusal and tool arguments, as JSON spells them.
    pub(super) bytes: usize,
    /// There is something a client would show or act on.
    pub(super) content: bool,
}

// === impl Choice ===

impl<'a> Choice<'a> {
    /// The entries of `choices`, or nothing when it is not an array of objects.
    pub(super) fn parse_all(choices: Raw<'a>) -> Option<Vec<Self>> {
        let text = choices.get();
        if !text.starts_with('[') {
            return None;
        }
        elements(text).map(Self::read).collect()
    }

    fn read(entry: Raw<'a>) -> Option<Self> {
        let mut choice = Self::default();
        for (name, value) in said(entry)? {
            let place = match name.as_ref() {
                "index" => &mut choice.index,
                "finish_reason" => &mut choice.finish_reason,
                "delta" => &mut choice.delta,
                "stop_reason" => &mut choice.stop_reason,
                "message" => &mut choice.message,
                "text" => &mut choice.text,
                "usage" => &mut choice.usage,
                _ => continue,
            };
            *place = Some(value);
        }
        Some(choice)
    }

    /// The choice's number; 0 when absent, as servers with one choice may leave it out.
    pub(super) fn index(&self) -> u64 {
        self.index
            .and_then(|index| index.get().parse().ok())
            .unwrap_or(0)
    }

    pub(super) fn finish_reason(&self) -> Option<String> {
        self.finish_reason
            .and_then(|reason| serde_json::from_str(reason.get()).ok())
            .filter(|reason: &String| !reason.is_empty())
    }

    pub(super) fn delta(&self) -> Option<Raw<'a>> {
        self.delta
    }

    pub(super) fn stop_sequence(&self) -> Option<String> {
        self.stop_reason
            .and_then(|reason| serde_json::from_str(reason.get()).ok())
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finish_reason.is_some_and(filled)
    }

    pub(super) fn delivered(&self) -> Delivered {
        let mut delivered = Delivered::default();
        delivered.add(self.text);
        for part in [self.delta, self.message].into_iter().flatten() {
            match Message::read(part) {
                Some(message) => message.add_to(&mut delivered),
                // Not an object: counted as it stands.
                None => delivered.add(Some(part)),
            }
        }
        delivered
    }

    /// The texts that it delivers a part of, and whether each counts in [`Self::delivered`].
    pub(super) fn texts(&self) -> SmallVec<[(Raw<'a>, bool); 2]> {
        let delta = self.delta.and_then(Message::read).unwrap_or_default();
        let reasoning = delta.reasoning_content;
        let texts = [
            (self.text, true),
            (delta.content, true),
            (reasoning, true),
            (delta.reasoning, reasoning.is_none()),
            (delta.refusal, true),
        ];
        let said = texts.into_iter();
        said.filter_map(|(text, counts)| Some((text?, counts)))
            .collect()
    }
}

// === impl Message ===

impl<'a> Message<'a> {
    fn read(part: Raw<'a>) -> Option<Self> {
        let mut message = Self::default();
        for (name, value) in said(part)? {
            let place = match name.as_ref() {
                "content" => &mut message.content,
                "reasoning_content" => &mut message.reasoning_content,
                "reasoning" => &mut message.reasoning,
                "refusal" => &mut message.refusal,
                "tool_calls" => &mut message.tool_calls,
                "function_call" => &mut message.function_call,
                "audio" => &mut message.audio,
                _ => continue,
            };
            *place = Some(value);
        }
        Some(message)
    }

    fn add_to(&self, delivered: &mut Delivered) {
        delivered.add(self.content);
        // Servers that send both spell the same text twice.
        delivered.add(self.reasoning_content.or(self.reasoning));
        delivered.add(self.refusal);
        delivered.content |= self.audio.is_some_and(filled);
        if let Some(calls) = self.tool_calls.filter(|calls| filled(*calls)) {
            delivered.content = true;
            let calls: Vec<ToolCall<'_>> = serde_json::from_str(calls.get()).unwrap_or_default();
            for call in calls {
                delivered.add_arguments(call.function.or(call.custom));
            }
        }
        if let Some(call) = self.function_call.filter(|call| filled(*call)) {
            delivered.content = true;
            delivered.add_arguments(Some(call));
        }
    }
}

// === impl Delivered ===

impl Delivered {
    fn add(&mut self, value: Option<Raw<'_>>) {
        if let Some(value) = value.filter(|value| filled(*value)) {
            self.content = true;
            self.bytes = self.bytes.saturating_add(spelled_bytes(value));
        }
    }

    fn add_arguments(&mut self, function: Option<Raw<'_>>) {
        let call: Option<FunctionCall<'_>> =
            function.and_then(|function| serde_json::from_str(function.get()).ok());
        if let Some(call) = call {
            self.add(call.arguments.or(call.input));
        }
    }
}

/// What an object says: its members but for those that are `null`. Nothing when the value is no object.
fn said(value: Raw<'_>) -> Option<impl Iterator<Item = (Cow<'_, str>, Raw<'_>)>> {
    let said = members(value.get()).filter(|(_, value)| value.get() != "null");
    value.get().starts_with('{').then_some(said)
}
