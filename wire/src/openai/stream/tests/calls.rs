use bytes::Bytes;
use serde_json::{Value, json};

use super::{arguments, call, decode, delta, drain, of_deltas, sse, text};
use crate::UpstreamErrorKind;
use crate::openai::stream::StreamDecoder;

#[test]
fn calls_come_one_after_the_other_however_their_pieces_were_mixed() {
    let piece = |index: u64, id: Option<&str>, arguments: &str| {
        let name = id.map(|_| "f");
        json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
    };
    let pieces = |list: &[Value]| json!({"tool_calls": list});
    let mixed = of_deltas(&[
        pieces(&[piece(0, Some("a"), ""), piece(1, Some("b"), "")]),
        pieces(&[piece(1, None, "{\"y\":\"}")]),
        pieces(&[piece(0, None, "{\"x\"")]),
        json!({"content": "t"}),
        pieces(&[
            piece(0, None, ":1}"),
            piece(1, None, "\"}"),
            piece(0, None, "\n"),
        ]),
    ]);
    assert_eq!(
        mixed,
        [
            call(0, "a", "f"),
            arguments(0, "{\"x\""),
            arguments(0, ":1}"),
            call(1, "b", "f"),
            arguments(1, "{\"y\":\"}"),
            arguments(1, "\"}"),
            text("t"),
        ]
    );
}

#[test]
fn calls_in_order_never_wait() {
    let mut decoder = StreamDecoder::new();
    for (chunk, expected) in [
        (
            json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}),
            3,
        ),
        (json!({"index": 0, "function": {"arguments": "}"}}), 1),
        (
            json!({"index": 1, "id": "b", "function": {"name": "g", "arguments": "{"}}),
            2,
        ),
        (
            json!({"index": 1, "function": {"arguments": "\"a\":[{}]"}}),
            1,
        ),
    ] {
        let chunk = delta(&json!({"tool_calls": [chunk]}));
        decoder.push(Bytes::from(format!("data: {chunk}\n\n")));
        let mut events = Vec::new();
        drain(&mut decoder, &mut events).unwrap();
        assert_eq!(events.len(), expected, "{events:?}");
    }
}

#[test]
fn servers_without_ids_or_indices_are_understood() {
    let function =
        |name: Option<&str>, arguments: &str| json!({"name": name, "arguments": arguments});
    let calls = |call: Value| json!({"tool_calls": [call]});
    // Neither: a name begins a call.
    let events = of_deltas(&[
        calls(json!({"function": function(Some("f"), "{")})),
        calls(json!({"function": function(None, "}")})),
        calls(json!({"function": function(Some("g"), "{}")})),
    ]);
    assert_eq!(
        events,
        [
            call(0, "call_8829dfd9_0", "f"),
            arguments(0, "{"),
            arguments(0, "}"),
            call(1, "call_8829dfd9_1", "g"),
            arguments(1, "{}"),
        ]
    );
    // Every call has the number 0: a new id begins one, and so does a name after whole arguments.
    let events = of_deltas(&[
        calls(json!({"index": 0, "id": "a", "function": function(Some("f"), "{}")})),
        calls(json!({"index": 0, "id": "b", "function": function(Some("f"), "{}")})),
        calls(json!({"index": 0, "id": "", "function": function(Some("f"), "{}")})),
    ]);
    let begun = [
        call(0, "a", "f"),
        call(1, "b", "f"),
        call(2, "call_8829dfd9_2", "f"),
    ];
    assert_eq!(
        [&events[0], &events[2], &events[4]],
        [&begun[0], &begun[1], &begun[2]]
    );
    // The id and the name come with every piece.
    let events = of_deltas(&[
        calls(json!({"index": 0, "id": "a", "function": function(Some("f"), "{")})),
        calls(json!({"index": 0, "id": "a", "function": function(Some("f"), "}")})),
    ]);
    assert_eq!(
        events,
        [call(0, "a", "f"), arguments(0, "{"), arguments(0, "}")]
    );
    // The arguments are an object; the call has the old form.
    let events = of_deltas(&[
        calls(json!({"id": "a", "function": {"name": "f", "arguments": {"x": 1}}})),
        json!({"function_call": {"name": "g", "arguments": "{}"}}),
    ]);
    assert_eq!(
        events,
        [
            call(0, "a", "f"),
            arguments(0, "{\"x\":1}"),
            call(1, "call_8829dfd9_1", "g"),
            arguments(1, "{}")
        ]
    );
}

#[test]
fn what_waits_is_bounded() {
    let piece = |index: u64, text: &str| {
        let function = json!({"name": "f", "arguments": text});
        delta(
            &json!({"tool_calls": [{"index": index, "id": index.to_string(), "function": function}]}),
        )
    };
    let megabyte = "x".repeat(1 << 20);
    let chunks: Vec<Value> = (0..6)
        .map(|index| piece(index, &format!("{{\"{megabyte}")))
        .collect();
    let (_, end) = decode(sse(&chunks).as_bytes(), &[]);
    assert_eq!(end.unwrap_err().kind, UpstreamErrorKind::BrokenAnswer);
    let chunks: Vec<Value> = (0..1025).map(|index| piece(index, "{}")).collect();
    let (_, end) = decode(sse(&chunks).as_bytes(), &[]);
    assert_eq!(end.unwrap_err().kind, UpstreamErrorKind::BrokenAnswer);
}
