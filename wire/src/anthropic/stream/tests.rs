//! Tests of the decoder's life cycle; what single streams become is in the golden cases.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::StreamDecoder;
use crate::event::{ChatEvent, FinishReason};
use crate::{UpstreamError, UpstreamErrorKind as Kind};

type Outcome = (Vec<ChatEvent>, Result<(), UpstreamError>);

/// Decodes a stream that comes in `pieces`.
fn decoded<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = StreamDecoder::new();
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        if let Err(err) = drain(&mut decoder, &mut events) {
            assert_eq!(
                decoder.next_event(),
                Ok(None),
                "nothing comes after an error"
            );
            return (events, Err(err));
        }
    }
    let end = decoder
        .finish()
        .and_then(|()| drain(&mut decoder, &mut events));
    (events, end)
}

fn drain(decoder: &mut StreamDecoder, events: &mut Vec<ChatEvent>) -> Result<(), UpstreamError> {
    while let Some(event) = decoder.next_event()? {
        events.push(event);
    }
    Ok(())
}

fn event(data: &Value) -> String {
    format!(
        "event: {}\ndata: {data}\n\n",
        data["type"].as_str().unwrap_or("message")
    )
}

fn stream(events: &[Value]) -> String {
    events.iter().map(event).collect()
}

fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 3}}})
}

fn block(block: &Value) -> Value {
    json!({"type": "content_block_start", "index": 0, "content_block": block})
}

fn delta(delta: &Value) -> Value {
    json!({"type": "content_block_delta", "index": 0, "delta": delta})
}

fn stop() -> Value {
    json!({"type": "content_block_stop", "index": 0})
}

fn end(reason: &str) -> [Value; 2] {
    [
        json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}}),
        json!({"type": "message_stop"}),
    ]
}

#[test]
fn an_end_is_given_only_when_the_answer_is_whole() {
    let text = delta(&json!({"type": "text_delta", "text": "Hi"}));
    let [finish, last] = end("end_turn");
    for (events, whole) in [
        (vec![], false),
        (vec![start()], false),
        (vec![start(), text.clone()], false),
        (
            vec![
                start(),
                text.clone(),
                json!({"type": "message_delta", "delta": {}}),
            ],
            false,
        ),
        (vec![start(), text.clone(), finish.clone()], true),
        (vec![start(), text, finish, last], true),
    ] {
        let spelled = stream(&events);
        let (decoded, outcome) = decoded([spelled.as_bytes()]);
        assert_eq!(decoded.last() == Some(&ChatEvent::End), whole, "{spelled}");
        match outcome {
            Ok(()) => assert!(whole, "{spelled}"),
            Err(err) => assert_eq!((err.kind, whole), (Kind::CutStream, false), "{spelled}"),
        }
    }
}

#[test]
fn counters_of_the_end_replace_those_of_the_start_where_there_are_any() {
    let [finish, last] = end("end_turn");
    let (events, _) = decoded([stream(&[start(), finish, last]).as_bytes()]);
    let used: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            ChatEvent::Usage(usage) => Some((usage.input_uncached, usage.output_text)),
            _ => None,
        })
        .collect();
    assert_eq!(used, [(Some(3), None), (Some(3), Some(5))]);
}

#[test]
fn a_call_without_any_argument_gets_an_empty_object() {
    let call = json!({"type": "tool_use", "id": "a", "name": "now", "input": {}});
    let [finish, last] = end("tool_use");
    // One server leaves the block open, too.
    let spelled = stream(&[start(), block(&call), finish, last]);
    let (events, outcome) = decoded([spelled.as_bytes()]);
    outcome.unwrap();
    let arguments: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            ChatEvent::ToolArguments { json, .. } => Some(json.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(arguments, ["{}"]);
}

#[test]
fn a_server_that_gives_the_whole_input_at_once_is_understood() {
    let call = json!({"type": "tool_use", "id": "a", "name": "f", "input": {"a": 1}});
    let (events, _) = decoded([stream(&[start(), block(&call), stop()]).as_bytes()]);
    let json = r#"{"a":1}"#.to_owned();
    let (choice, index) = (0, 0);
    assert!(
        events.contains(&ChatEvent::ToolArguments {
            choice,
            index,
            json
        }),
        "{events:?}"
    );
}

#[test]
fn an_answer_by_tool_beside_a_real_call_still_waits_for_the_result() {
    let answer = json!({"type": "tool_use", "id": "a", "name": "json_tool_call", "input": {}});
    let call = json!({"type": "tool_use", "id": "b", "name": "now", "input": {}});
    let [finish, last] = end("tool_use");
    let events = [
        start(),
        block(&answer),
        stop(),
        block(&call),
        stop(),
        finish,
        last,
    ];
    let (events, _) = decoded([stream(&events).as_bytes()]);
    let (choice, reason) = (0, FinishReason::ToolCalls);
    assert!(
        events.contains(&ChatEvent::Finish { choice, reason }),
        "{events:?}"
    );
}

#[test]
fn nothing_is_looked_at_after_the_end() {
    let [finish, last] = end("end_turn");
    let mut spelled = stream(&[start(), finish, last]);
    spelled.push_str("data: not json\n\n");
    let (events, outcome) = decoded([spelled.as_bytes()]);
    outcome.unwrap();
    assert_eq!(events.last(), Some(&ChatEvent::End));
}

#[test]
fn a_server_that_ends_as_openais_do_is_whole_only_with_a_stop_reason() {
    let [finish, _] = end("end_turn");
    let done = "data: [DONE]\n\n";
    let whole = stream(&[start(), finish]) + done;
    decoded([whole.as_bytes()]).1.unwrap();
    let cut = stream(&[start()]) + done;
    assert_eq!(
        decoded([cut.as_bytes()]).1.unwrap_err().kind,
        Kind::CutStream
    );
}

/// Events as a provider may send them, sane and otherwise.
fn any_event() -> impl Strategy<Value = String> {
    let sane = prop_oneof![
        Just(start()),
        Just(block(&json!({"type": "text", "text": ""}))),
        Just(block(
            &json!({"type": "tool_use", "id": "a", "name": "f", "input": {}})
        )),
        Just(block(
            &json!({"type": "tool_use", "id": "a", "name": "json_tool_call", "input": {}})
        )),
        Just(block(
            &json!({"type": "server_tool_use", "id": "a", "name": "web_search", "input": {}})
        )),
        Just(block(&json!({"type": "redacted_thinking", "data": "x"}))),
        ".{0,4}".prop_map(|text| delta(&json!({"type": "text_delta", "text": text}))),
        Just(delta(&json!({"type": "thinking_delta", "thinking": "æ"}))),
        Just(delta(&json!({"type": "signature_delta", "signature": "s"}))),
        Just(delta(
            &json!({"type": "input_json_delta", "partial_json": "{\"a\":1}"})
        )),
        Just(stop()),
        Just(json!({"type": "ping"})),
        prop_oneof![Just("end_turn"), Just("tool_use"), Just("new_reason")]
            .prop_map(|reason| end(reason)[0].clone()),
        Just(end("")[1].clone()),
    ];
    let odd = prop_oneof![
        Just(": comment\n\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("event: error\ndata: broken\n\n".to_owned()),
        Just("data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n".to_owned()),
        Just("data: {\"type\":\"new\",\"message\":[],\"delta\":7}\n\n".to_owned()),
        "[ -~\n]{0,12}",
    ];
    prop_oneof![12 => sane.prop_map(|data| event(&data)), 1 => odd]
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_events_and_the_same_end(
        events in vec(any_event(), 0..12),
        cuts in vec(1_usize..40, 0..30),
        crlf in any::<bool>(),
    ) {
        let mut stream = events.concat();
        if crlf {
            stream = stream.replace('\n', "\r\n");
        }
        let mut pieces = Vec::new();
        let mut rest = stream.as_bytes();
        for cut in cuts {
            let (piece, left) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = left;
        }
        pieces.push(rest);
        let whole = decoded([stream.as_bytes()]);
        prop_assert_eq!(decoded(pieces), whole);
    }

    #[test]
    fn events_keep_their_order(events in vec(any_event(), 0..16)) {
        let (events, outcome) = decoded([events.concat().as_bytes()]);
        let position = |wanted: fn(&ChatEvent) -> bool| events.iter().position(wanted);
        let finish = position(|event| matches!(event, ChatEvent::Finish { .. }));
        let end = position(|event| matches!(event, ChatEvent::End));
        prop_assert!(end.is_none_or(|end| end.checked_add(1) == Some(events.len())));
        prop_assert!(outcome.is_err() || end.is_some(), "{:?}", events);
        prop_assert!(finish.is_none_or(|finish| !events[..finish].contains(&ChatEvent::End)));
        // Arguments belong to a call that was begun.
        let mut calls = 0;
        for event in &events {
            match event {
                ChatEvent::ToolCall { index, .. } => {
                    prop_assert_eq!(*index, calls);
                    calls = index.checked_add(1).unwrap();
                }
                ChatEvent::ToolArguments { index, json, .. } => {
                    prop_assert!(*index < calls && !json.is_empty());
                }
                ChatEvent::Text { text, .. } | ChatEvent::Reasoning { text, .. } => {
                    prop_assert!(!text.is_empty());
                }
                _ => {}
            }
        }
    }
}
