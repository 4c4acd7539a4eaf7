//! One choice's `delta` as neutral events.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::Value;

use super::calls::{Ordered, Piece};
use crate::UpstreamError;
use crate::event::ChatEvent;
use crate::json::{Raw, string};

/// `delta`; every member raw, because a server's odd type in one must not hide the others.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow)]
    content: Option<Raw<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Raw<'a>>,
    #[serde(borrow)]
    reasoning: Option<Raw<'a>>,
    #[serde(borrow)]
    refusal: Option<Raw<'a>>,
    #[serde(borrow)]
    annotations: Option<Raw<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Raw<'a>>,
    #[serde(borrow)]
    function_call: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    index: Option<Raw<'a>>,
    #[serde(borrow)]
    id: Option<Raw<'a>>,
    #[serde(borrow)]
    function: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<Raw<'a>>,
    #[serde(borrow)]
    arguments: Option<Raw<'a>>,
}

// === impl Delta ===

impl<'a> Delta<'a> {
    pub(super) fn parse(delta: Raw<'a>) -> Self {
        parsed(delta)
    }

    /// Hands what is new to `answer`, in the order in which models produce it.
    pub(super) fn feed(
        &self,
        answer: &mut Ordered,
        ready: &mut VecDeque<ChatEvent>,
    ) -> Result<(), UpstreamError> {
        let choice = answer.choice();
        // Servers that send both spell the same text twice.
        if let Some(text) = text(self.reasoning_content).or_else(|| text(self.reasoning)) {
            answer.push(ChatEvent::Reasoning { choice, text }, ready)?;
        }
        if let Some(text) = text(self.content) {
            answer.push(ChatEvent::Text { choice, text }, ready)?;
        }
        if let Some(text) = text(self.refusal) {
            answer.push(ChatEvent::Refusal { choice, text }, ready)?;
        }
        let annotations = self.annotations.and_then(values).unwrap_or_default();
        for citation in annotations {
            answer.push(ChatEvent::Citation { choice, citation }, ready)?;
        }
        let calls: Option<Vec<Raw<'_>>> = self
            .tool_calls
            .and_then(|calls| serde_json::from_str(calls.get()).ok());
        for call in calls.iter().flatten() {
            answer.call(parsed::<Call<'_>>(*call).piece(), ready)?;
        }
        if let Some(function) = self.function_call.filter(|call| call.get() != "null") {
            let call = Call {
                function: Some(function),
                ..Call::default()
            };
            answer.call(call.piece(), ready)?;
        }
        Ok(())
    }
}

// === impl Call ===

impl Call<'_> {
    fn piece(&self) -> Piece {
        let function: Function<'_> = self.function.map(parsed).unwrap_or_default();
        Piece {
            index: self.index.and_then(|index| index.get().parse().ok()),
            id: text(self.id),
            name: text(function.name),
            arguments: arguments(function.arguments).unwrap_or_default(),
        }
    }
}

/// The shape's default when it is another one: nothing to be read.
fn parsed<'a, T: Deserialize<'a> + Default>(value: Raw<'a>) -> T {
    // serde would read an array as the struct's fields in order.
    if !value.get().starts_with('{') {
        return T::default();
    }
    serde_json::from_str(value.get()).unwrap_or_default()
}

/// A string that is not empty.
fn text(value: Option<Raw<'_>>) -> Option<String> {
    value.and_then(string).filter(|text| !text.is_empty())
}

/// Arguments are JSON as text; some servers send the object itself.
fn arguments(value: Option<Raw<'_>>) -> Option<String> {
    let value = value?;
    if value.get().starts_with('{') {
        return Some(value.get().to_owned());
    }
    string(value)
}

fn values(list: Raw<'_>) -> Option<Vec<Value>> {
    serde_json::from_str(list.get()).ok()
}
