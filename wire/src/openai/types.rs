//! What the relay looks at in an answer or a chunk: enough to know what was delivered, all of it borrowed.
//!
//! Every member is kept raw, because a compatible server's odd type in one field must not hide the others.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{filled, spelled_bytes};

/// One entry of `choices`, of an answer (`message`), a chunk (`delta`) or a text completion (`text`).
#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    /// vLLM: the stop sequence that ended the answer, or the number of a token that did.
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    /// Some servers (Moonshot) put it here instead of the top level.
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
}

/// `delta` or `message`.
#[derive(Debug, Default, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    function: Option<&'a RawValue>,
    #[serde(borrow)]
    custom: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct FunctionCall<'a> {
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
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
    pub(super) fn parse_all(choices: &'a RawValue) -> Option<Vec<Self>> {
        serde_json::from_str(choices.get()).ok()
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

    pub(super) fn delta(&self) -> Option<&'a RawValue> {
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
            // Duplicate members or a non-object: count it as it stands.
            let Ok(message) = serde_json::from_str::<Message<'_>>(part.get()) else {
                delivered.add(Some(part));
                continue;
            };
            message.add_to(&mut delivered);
        }
        delivered
    }
}

// === impl Message ===

impl Message<'_> {
    fn add_to(&self, delivered: &mut Delivered) {
        delivered.add(self.content);
        // Servers that send both spell the same text twice.
        delivered.add(self.reasoning_content.or(self.reasoning));
        delivered.add(self.refusal);
        delivered.content |= self.audio.is_some_and(filled);
        if let Some(calls) = self.tool_calls.filter(|calls| filled(calls)) {
            delivered.content = true;
            let calls: Vec<ToolCall<'_>> = serde_json::from_str(calls.get()).unwrap_or_default();
            for call in calls {
                delivered.add_arguments(call.function.or(call.custom));
            }
        }
        if let Some(call) = self.function_call.filter(|call| filled(call)) {
            delivered.content = true;
            delivered.add_arguments(Some(call));
        }
    }
}

// === impl Delivered ===

impl Delivered {
    fn add(&mut self, value: Option<&RawValue>) {
        if let Some(value) = value.filter(|value| filled(value)) {
            self.content = true;
            self.bytes = self.bytes.saturating_add(spelled_bytes(value));
        }
    }

    fn add_arguments(&mut self, function: Option<&RawValue>) {
        let call: Option<FunctionCall<'_>> =
            function.and_then(|function| serde_json::from_str(function.get()).ok());
        if let Some(call) = call {
            self.add(call.arguments.or(call.input));
        }
    }
}
