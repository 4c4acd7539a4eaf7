use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::anthropic::render::StreamRenderer;
use crate::anthropic::render::tests::stream::{assert_well_formed, data};
use crate::exchange::AnswerOptions;
use crate::relay::Frame;
use crate::tool_names::ToolNames;
use crate::{Endpoint, Usage};

fn decode(stream: &[u8], cuts: &[usize]) -> (Vec<ChatEvent>, Result<(), UpstreamError>) {
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

fn drain(decoder: &mut StreamDecoder, events: &mut Vec<ChatEvent>) -> Result<(), UpstreamError> {
    while let Some(event) = decoder.next_event()? {
        events.push(event);
    }
    Ok(())
}

fn sse(chunks: &[Value]) -> String {
    let chunks = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
    chunks.chain(["data: [DONE]\n\n".to_owned()]).collect()
}

fn delta(delta: &Value) -> Value {
    json!({"id": "c1", "model": "gpt", "choices": [{"index": 0, "delta": delta}]})
}

fn finish(reason: &str) -> Value {
    json!({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

/// The events of one answer's deltas, without start, finish and end.
fn of_deltas(deltas: &[Value]) -> Vec<ChatEvent> {
    let chunks = deltas.iter().map(delta).chain([finish("stop")]);
    let (mut events, end) = decode(sse(&chunks.collect::<Vec<_>>()).as_bytes(), &[]);
    assert_eq!(end, Ok(()));
    events.remove(0);
    events.truncate(events.len() - 2);
    events
}

fn text(text: &str) -> ChatEvent {
    ChatEvent::Text {
        choice: 0,
        text: text.to_owned(),
    }
}

fn call(index: u64, id: &str, name: &str) -> ChatEvent {
    ChatEvent::ToolCall {
        choice: 0,
        index,
        id: id.to_owned(),
        name: name.to_owned(),
    }
}

fn arguments(index: u64, json: &str) -> ChatEvent {
    ChatEvent::ToolArguments {
        choice: 0,
        index,
        json: json.to_owned(),
    }
}

#[test]
fn chunks_become_events_in_order() {
    let stream = format!(
        ": ping\n\n{}",
        sse(&[
            delta(&json!({"role": "assistant", "content": ""})),
            delta(&json!({"reasoning": "hm", "reasoning_content": "hm"})),
            delta(&json!({"content": "a", "refusal": null, "tool_calls": []})),
            delta(&json!({"content": [1], "refusal": "no"})),
            json!({"object": "something.else"}),
            finish("length"),
            json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}),
        ])
    );
    let (events, end) = decode(stream.as_bytes(), &[]);
    assert_eq!(end, Ok(()));
    assert_eq!(
        events,
        [
            ChatEvent::KeepAlive,
            ChatEvent::Start {
                id: Some("c1".to_owned()),
                model: Some("gpt".to_owned())
            },
            ChatEvent::Reasoning {
                choice: 0,
                text: "hm".to_owned()
            },
            text("a"),
            ChatEvent::Refusal {
                choice: 0,
                text: "no".to_owned()
            },
            ChatEvent::Finish {
                choice: 0,
                reason: FinishReason::Length
            },
            ChatEvent::Usage(Usage::plain(3, 2)),
            ChatEvent::End,
        ]
    );
}

#[test]
fn a_stream_that_just_ends_is_cut_unless_every_choice_had_finished() {
    let whole = sse(&[delta(&json!({"content": "a"})), finish("stop")]);
    let without_done = whole.trim_end_matches("data: [DONE]\n\n");
    let (events, end) = decode(without_done.as_bytes(), &[]);
    assert_eq!((events.last(), end), (Some(&ChatEvent::End), Ok(())));
    let (events, end) = decode(without_done.trim_end().as_bytes(), &[]);
    assert_eq!((events.last(), end), (Some(&ChatEvent::End), Ok(())));
    for cut in [
        "",
        ": ping\n\n",
        "data: [DONE]\n\n",
        without_done.get(..without_done.len() - 9).unwrap(),
        whole.get(..60).unwrap(),
    ] {
        let (events, end) = decode(cut.as_bytes(), &[]);
        assert!(!events.contains(&ChatEvent::End), "{cut}");
        assert_eq!(end.unwrap_err().kind, UpstreamErrorKind::CutStream, "{cut}");
    }
}

#[test]
fn an_error_inside_the_stream_is_classified() {
    let error = json!({"error": {"message": "slow down", "code": 429}});
    let (events, end) = decode(
        sse(&[delta(&json!({"content": "a"})), error]).as_bytes(),
        &[],
    );
    assert_eq!(events.len(), 2);
    assert_eq!(end.unwrap_err().kind, UpstreamErrorKind::RateLimited);
    let (_, end) = decode(b"event: error\ndata: oops\n\n", &[]);
    assert_eq!(end.unwrap_err().message, "oops");
}

#[test]
fn the_sequence_that_stopped_the_answer_is_named_where_the_server_says_it() {
    let chunk = json!({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop", "stop_reason": "END"}]});
    let (events, _) = decode(sse(&[chunk]).as_bytes(), &[]);
    let reason = FinishReason::StopSequence("END".to_owned());
    assert!(events.contains(&ChatEvent::Finish { choice: 0, reason }));
}

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

/// One delta, as a server may send it: text, reasoning, or a piece of one of three calls.
#[derive(Debug, Clone)]
enum Sent {
    Text(String),
    Reasoning(String),
    /// The call, and how much more of its arguments.
    Piece(usize, usize),
}

const ARGUMENTS: [&str; 3] = ["{\"a\":\"}\\\"\"}", "{}", "{\"b\":[{\"c\":1},\"]\"]}"];

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        "[a-c]{0,3}".prop_map(Sent::Text),
        "[a-c]{1,3}".prop_map(Sent::Reasoning),
        (0..3_usize, 0..9_usize).prop_map(|(call, more)| Sent::Piece(call, more)),
    ]
}

/// The stream of such a server, and the arguments that it sent of each call.
fn stream_of(sent: &[Sent]) -> (String, BTreeMap<usize, String>) {
    let mut given: BTreeMap<usize, String> = BTreeMap::new();
    let mut chunks = vec![delta(&json!({"role": "assistant"}))];
    for sent in sent {
        chunks.push(delta(&match sent {
            Sent::Text(text) => json!({"content": text}),
            Sent::Reasoning(text) => json!({"reasoning_content": text}),
            Sent::Piece(call, more) => {
                let begun = given.contains_key(call);
                let so_far = given.entry(*call).or_default();
                let rest = ARGUMENTS[*call].get(so_far.len()..).unwrap();
                let piece = rest.get(..rest.len().min(*more)).unwrap();
                so_far.push_str(piece);
                let id = (!begun).then(|| format!("id{call}"));
                let name = (!begun).then(|| format!("f{call}"));
                json!({"tool_calls": [{"index": call, "id": id, "function": {"name": name, "arguments": piece}}]})
            }
        }));
    }
    chunks.push(finish("stop"));
    chunks.push(json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}));
    (sse(&chunks), given)
}

fn rendered(events: Vec<ChatEvent>) -> Vec<Frame> {
    let mut renderer = StreamRenderer::new(&AnswerOptions {
        endpoint: Endpoint::Messages,
        requested_model: None,
        include_usage: true,
        choices: 1,
        created: 0,
        renamed: ToolNames::default(),
    });
    let mut frames = Vec::new();
    for event in events {
        renderer.push(event, &mut frames);
    }
    frames
}

proptest! {
    #[test]
    fn any_chunks_become_a_well_formed_message_that_lacks_nothing(sent in prop::collection::vec(sent(), 0..20)) {
        let (stream, given) = stream_of(&sent);
        let (events, end) = decode(stream.as_bytes(), &[]);
        prop_assert_eq!(end, Ok(()));
        let events = data(&rendered(events));
        assert_well_formed(&events);
        let joined = |member: &str| -> String {
            events.iter().filter_map(|event| event["delta"][member].as_str()).collect()
        };
        let text: String = sent.iter().filter_map(|sent| match sent {
            Sent::Text(text) => Some(text.as_str()),
            _ => None,
        }).collect();
        let reasoning: String = sent.iter().filter_map(|sent| match sent {
            Sent::Reasoning(text) => Some(text.as_str()),
            _ => None,
        }).collect();
        prop_assert_eq!(joined("text"), text);
        prop_assert_eq!(joined("thinking"), reasoning);
        for (call, arguments) in given {
            let block = events.iter().find(|event| event["content_block"]["id"] == format!("id{call}"));
            let index = &block.unwrap()["index"];
            let pieces = events.iter().filter(|event| event["index"] == *index);
            let written: String = pieces.filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
            prop_assert_eq!(written, arguments);
        }
        prop_assert_eq!(&events[events.len() - 2]["usage"]["input_tokens"], 3);
    }

    #[test]
    fn any_cut_gives_the_same_events(
        sent in prop::collection::vec(sent(), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        crlf in any::<bool>(),
        length in any::<prop::sample::Index>(),
    ) {
        let (stream, _) = stream_of(&sent);
        let stream = if crlf { stream.replace('\n', "\r\n") } else { stream };
        let stream = &stream.as_bytes()[..=length.index(stream.len())];
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.sort_unstable();
        let whole = decode(stream, &[]);
        prop_assert_eq!(&decode(stream, &places), &whole);
        let bytewise: Vec<usize> = (1..stream.len()).collect();
        prop_assert_eq!(&decode(stream, &bytewise), &whole);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(decode(&bytes, &[]));
        drop(decode(&[b"data: ".as_slice(), &bytes, b"\n\n"].concat(), &[]));
    }
}
