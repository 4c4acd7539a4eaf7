use proptest::prelude::*;
use serde_json::{Value, json};

use FrameKind::{Comment, Content, Done, Other, Preamble};

use crate::anthropic::render::StreamRenderer;
use crate::event::{ChatEvent, FinishReason};
use crate::exchange::AnswerOptions;
use crate::relay::{Frame, FrameKind};
use crate::sse::SseDecoder;
use crate::{Endpoint, Usage};

pub(super) fn options() -> AnswerOptions {
    AnswerOptions {
        requested_model: Some("mine".to_owned()),
        include_usage: true,
        choices: 1,
        ..AnswerOptions::new(Endpoint::Messages)
    }
}

fn rendered(events: impl IntoIterator<Item = ChatEvent>) -> Vec<Frame> {
    let mut renderer = StreamRenderer::new(&options());
    let mut frames = Vec::new();
    for event in events {
        renderer.push(event, &mut frames);
    }
    frames
}

/// The events' data, after checking that their names are their types.
pub(crate) fn data(frames: &[Frame]) -> Vec<Value> {
    let mut decoder = SseDecoder::new();
    for frame in frames {
        decoder.push(frame.bytes.clone());
    }
    let mut all = Vec::new();
    while let Some(event) = decoder.next_event().unwrap() {
        let data: Value = serde_json::from_slice(event.data.as_deref().unwrap()).unwrap();
        assert_eq!(event.name().as_deref(), data["type"].as_str());
        assert!(event.terminated);
        all.push(data);
    }
    all
}

fn short(frames: &[Frame]) -> Vec<String> {
    data(frames)
        .iter()
        .map(|event| {
            let kind = event["type"].as_str().unwrap();
            let of = event.get("index").map(|index| format!(" {index}"));
            let what = [&event["content_block"], &event["delta"]]
                .into_iter()
                .find(|value| !value.is_null())
                .map(|value| format!(" {value}"));
            format!(
                "{kind}{}{}",
                of.unwrap_or_default(),
                what.unwrap_or_default()
            )
        })
        .collect()
}

fn text(text: &str) -> ChatEvent {
    ChatEvent::Text {
        choice: 0,
        text: text.to_owned(),
    }
}

fn start() -> ChatEvent {
    ChatEvent::Start {
        id: Some("chatcmpl-1".to_owned()),
        model: Some("gpt".to_owned()),
    }
}

fn finish(reason: FinishReason) -> ChatEvent {
    ChatEvent::Finish { choice: 0, reason }
}

fn call(index: u64) -> ChatEvent {
    ChatEvent::ToolCall {
        choice: 0,
        index,
        id: format!("c{index}"),
        name: "f".to_owned(),
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
fn text_becomes_one_block_between_the_message_s_events() {
    let frames = rendered([
        start(),
        text("He\"l"),
        ChatEvent::KeepAlive,
        text("lo"),
        finish(FinishReason::Stop),
        ChatEvent::Usage(Usage::plain(7, 2)),
        ChatEvent::End,
        text("late"),
    ]);
    let events = data(&frames);
    assert_eq!(
        events[0]["message"],
        json!({
            "id": "msg_chatcmpl-1", "type": "message", "role": "assistant", "model": "mine", "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": events[0]["message"]["usage"],
        })
    );
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], 0);
    assert_eq!(
        short(&frames)[1..],
        [
            "content_block_start 0 {\"type\":\"text\",\"text\":\"\"}",
            "content_block_delta 0 {\"type\":\"text_delta\",\"text\":\"He\\\"l\"}",
            "ping",
            "content_block_delta 0 {\"type\":\"text_delta\",\"text\":\"lo\"}",
            "content_block_stop 0",
            "message_delta {\"stop_reason\":\"end_turn\",\"stop_sequence\":null}",
            "message_stop",
        ]
    );
    let usage = &events[6]["usage"];
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"]),
        (&json!(7), &json!(2))
    );
    let kinds: Vec<FrameKind> = frames.iter().map(|frame| frame.kind).collect();
    assert_eq!(
        kinds,
        [
            Preamble, Preamble, Content, Comment, Content, Other, Content, Done
        ]
    );
}

#[test]
fn reasoning_text_and_calls_are_blocks_of_their_own() {
    let frames = rendered([
        start(),
        ChatEvent::Reasoning {
            choice: 0,
            text: "hm".to_owned(),
        },
        ChatEvent::ReasoningSignature {
            choice: 0,
            signature: "s".to_owned(),
        },
        ChatEvent::OpaqueReasoning {
            choice: 0,
            data: "d".to_owned(),
        },
        text("a"),
        ChatEvent::Citation {
            choice: 0,
            citation: json!({"type": "char_location", "cited_text": "x"}),
        },
        call(0),
        arguments(0, "{\"a\""),
        arguments(0, ":1}"),
        call(1),
        ChatEvent::Other {
            choice: 0,
            block: json!({"type": "server_tool_use", "id": "x"}),
        },
        finish(FinishReason::ToolCalls),
        ChatEvent::End,
    ]);
    assert_eq!(
        short(&frames)[1..],
        [
            "content_block_start 0 {\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}",
            "content_block_delta 0 {\"type\":\"thinking_delta\",\"thinking\":\"hm\"}",
            "content_block_delta 0 {\"type\":\"signature_delta\",\"signature\":\"s\"}",
            "content_block_stop 0",
            "content_block_start 1 {\"type\":\"redacted_thinking\",\"data\":\"d\"}",
            "content_block_stop 1",
            "content_block_start 2 {\"type\":\"text\",\"text\":\"\"}",
            "content_block_delta 2 {\"type\":\"text_delta\",\"text\":\"a\"}",
            "content_block_delta 2 {\"type\":\"citations_delta\",\"citation\":{\"type\":\"char_location\",\"cited_text\":\"x\"}}",
            "content_block_stop 2",
            "content_block_start 3 {\"type\":\"tool_use\",\"id\":\"c0\",\"name\":\"f\",\"input\":{}}",
            "content_block_delta 3 {\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\"\"}",
            "content_block_delta 3 {\"type\":\"input_json_delta\",\"partial_json\":\":1}\"}",
            "content_block_stop 3",
            "content_block_start 4 {\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{}}",
            "content_block_stop 4",
            "content_block_start 5 {\"type\":\"server_tool_use\",\"id\":\"x\"}",
            "content_block_stop 5",
            "message_delta {\"stop_reason\":\"tool_use\",\"stop_sequence\":null}",
            "message_stop",
        ]
    );
}

#[test]
fn every_finish_reason_has_its_stop_reason() {
    let own = |word: &str| FinishReason::Other(word.to_owned());
    for (reason, expected) in [
        (
            FinishReason::Stop,
            json!({"stop_reason": "end_turn", "stop_sequence": null}),
        ),
        (
            FinishReason::StopSequence("\"X".to_owned()),
            json!({"stop_reason": "stop_sequence", "stop_sequence": "\"X"}),
        ),
        (
            FinishReason::Length,
            json!({"stop_reason": "max_tokens", "stop_sequence": null}),
        ),
        (
            FinishReason::ToolCalls,
            json!({"stop_reason": "tool_use", "stop_sequence": null}),
        ),
        (
            FinishReason::ContentFilter,
            json!({"stop_reason": "refusal", "stop_sequence": null}),
        ),
        (
            own("pause_turn"),
            json!({"stop_reason": "pause_turn", "stop_sequence": null}),
        ),
        (
            own("eos"),
            json!({"stop_reason": "end_turn", "stop_sequence": null}),
        ),
    ] {
        let events = data(&rendered([start(), finish(reason), ChatEvent::End]));
        assert_eq!(events[1]["delta"], expected);
    }
    // Some servers say `stop` after a tool call.
    let events = data(&rendered([
        start(),
        call(0),
        finish(FinishReason::Stop),
        ChatEvent::End,
    ]));
    assert_eq!(events[3]["delta"]["stop_reason"], "tool_use");
    let refusal = ChatEvent::Refusal {
        choice: 0,
        text: "no".to_owned(),
    };
    let events = data(&rendered([
        start(),
        refusal,
        finish(FinishReason::Stop),
        ChatEvent::End,
    ]));
    assert_eq!(events[4]["delta"]["stop_reason"], "refusal");
}

/// Panics unless the events are a message as Anthropic streams it.
pub(crate) fn assert_well_formed(events: &[Value]) {
    let mut open: Option<u64> = None;
    let mut blocks = 0;
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    let content: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] != "ping")
        .collect();
    assert_eq!(content[0]["type"], "message_start");
    assert_eq!(kinds[kinds.len() - 1], "message_stop");
    assert_eq!(kinds[kinds.len() - 2], "message_delta");
    for once in ["message_start", "message_delta", "message_stop"] {
        assert_eq!(
            kinds.iter().filter(|kind| **kind == once).count(),
            1,
            "{once}"
        );
    }
    for event in &content[1..content.len() - 2] {
        let index = event["index"].as_u64();
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!((open, index), (None, Some(blocks)));
                open = index;
                blocks += 1;
            }
            "content_block_delta" => assert!(open.is_some() && open == index),
            "content_block_stop" => {
                assert!(open.is_some() && open == index);
                open = None;
            }
            other => panic!("{other} in the middle"),
        }
    }
    assert_eq!(open, None);
}

fn any_event() -> impl Strategy<Value = ChatEvent> {
    let text = "[a\"\\\\\u{e9}\n]{1,4}";
    prop_oneof![
        text.prop_map(|text| ChatEvent::Text { choice: 0, text }),
        (0..2_u64, text).prop_map(|(choice, text)| ChatEvent::Reasoning { choice, text }),
        text.prop_map(|signature| ChatEvent::ReasoningSignature {
            choice: 0,
            signature
        }),
        text.prop_map(|data| ChatEvent::OpaqueReasoning { choice: 0, data }),
        text.prop_map(|text| ChatEvent::Refusal { choice: 0, text }),
        (0..3_u64).prop_map(call),
        (0..3_u64, text).prop_map(|(index, json)| arguments(index, &json)),
        Just(ChatEvent::Citation {
            choice: 0,
            citation: json!({"type": "x"})
        }),
        Just(ChatEvent::Other {
            choice: 0,
            block: json!({"type": "y"})
        }),
        Just(ChatEvent::KeepAlive),
        Just(finish(FinishReason::Stop)),
        Just(start()),
        (0..9_u64).prop_map(|tokens| ChatEvent::Usage(Usage::plain(tokens, tokens))),
    ]
}

proptest! {
    #[test]
    fn any_events_give_a_well_formed_message(events in prop::collection::vec(any_event(), 0..24)) {
        let frames = rendered(events.into_iter().chain([ChatEvent::End]));
        assert_well_formed(&data(&frames));
        prop_assert_eq!(frames.last().map(|frame| frame.kind), Some(Done));
    }
}
