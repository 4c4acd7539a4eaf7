mod any;
mod calls;
mod chunks;

use bytes::Bytes;
use serde_json::{Value, json};

use super::StreamDecoder;
use crate::UpstreamError;
use crate::event::ChatEvent;

pub(super) fn decode(stream: &[u8], cuts: &[usize]) -> (Vec<ChatEvent>, Result<(), UpstreamError>) {
    let mut decoder = StreamDecoder::new();
    let mut events = Vec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([stream.len()]) {
        decoder.push(Bytes::copy_from_slice(&stream[from..to]));
        from = to;
        if let Err(err) = drain(&mut decoder, &mut events) {
            return (events, Err(err));
        }
    }
    let end = decoder.finish();
    let end = end.and_then(|()| drain(&mut decoder, &mut events));
    (events, end)
}

pub(super) fn drain(
    decoder: &mut StreamDecoder,
    events: &mut Vec<ChatEvent>,
) -> Result<(), UpstreamError> {
    while let Some(event) = decoder.next_event()? {
        events.push(event);
    }
    Ok(())
}

pub(super) fn sse(chunks: &[Value]) -> String {
    let chunks = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
    chunks.chain(["data: [DONE]\n\n".to_owned()]).collect()
}

pub(super) fn delta(delta: &Value) -> Value {
    json!({"id": "c1", "model": "gpt", "choices": [{"index": 0, "delta": delta}]})
}

pub(super) fn finish(reason: &str) -> Value {
    json!({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

/// The events of one answer's deltas, without start, finish and end.
pub(super) fn of_deltas(deltas: &[Value]) -> Vec<ChatEvent> {
    let chunks = deltas.iter().map(delta).chain([finish("stop")]);
    let (mut events, end) = decode(sse(&chunks.collect::<Vec<_>>()).as_bytes(), &[]);
    assert_eq!(end, Ok(()));
    events.remove(0);
    events.truncate(events.len() - 2);
    events
}

pub(super) fn text(text: &str) -> ChatEvent {
    ChatEvent::Text {
        choice: 0,
        text: text.to_owned(),
    }
}

pub(super) fn call(index: u64, id: &str, name: &str) -> ChatEvent {
    ChatEvent::ToolCall {
        choice: 0,
        index,
        id: id.to_owned(),
        name: name.to_owned(),
    }
}

pub(super) fn arguments(index: u64, json: &str) -> ChatEvent {
    ChatEvent::ToolArguments {
        choice: 0,
        index,
        json: json.to_owned(),
    }
}
