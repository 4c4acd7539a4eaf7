//! The events of a streamed message as bytes, written without a tree: one delta is one buffer.

use bytes::Bytes;
use serde_json::Value;

use crate::json::push_string;

/// One event being written: `event: <name>`, then its data.
pub(super) struct Event(Vec<u8>);

// === impl Event ===

impl Event {
    /// Begins an event of this type; its data is an object whose `type` is the same word.
    pub(super) fn new(name: &str) -> Self {
        let mut event = Self(Vec::with_capacity(160));
        event.raw("event: ").raw(name).raw("\ndata: {\"type\":");
        push_string(&mut event.0, name);
        event
    }

    /// Begins an event about the block `index`.
    pub(super) fn of_block(name: &str, index: usize) -> Self {
        let mut event = Self::new(name);
        event.raw(",\"index\":").raw(&index.to_string());
        event
    }

    /// More of one block: `delta` names what kind, `key` the member that holds `text`.
    pub(super) fn delta(index: usize, delta: &str, key: &str, text: &str) -> Bytes {
        let mut event = Self::of_block("content_block_delta", index);
        event.raw(",\"delta\":{\"type\":").string(delta);
        event.raw(",").string(key).raw(":").string(text).raw("}");
        event.end()
    }

    /// Appends JSON text as it is.
    pub(super) fn raw(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// Appends a JSON string.
    pub(super) fn string(&mut self, text: &str) -> &mut Self {
        push_string(&mut self.0, text);
        self
    }

    /// Appends a value.
    pub(super) fn value(&mut self, value: &Value) -> &mut Self {
        let text = value.to_string();
        self.raw(&text)
    }

    /// Closes the data's object and the event.
    pub(super) fn end(mut self) -> Bytes {
        self.raw("}\n\n");
        Bytes::from(self.0)
    }
}
