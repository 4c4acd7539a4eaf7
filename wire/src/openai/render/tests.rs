//! Tests of the renderer; what single answers look like is in Anthropic's golden cases.

use std::str;

use serde_json::Value;

use super::{StreamRenderer, response};
use crate::chat::{ChatResponse, Choice, Message};
use crate::event::{ChatEvent, FinishReason};
use crate::exchange::AnswerOptions;
use crate::openai::relay::StreamRelay;
use crate::relay::{Frame, FrameKind};
use crate::{Endpoint, Usage};

fn options(include_usage: bool) -> AnswerOptions {
    AnswerOptions {
        include_usage,
        choices: 1,
        created: 1_700_000_000,
        ..AnswerOptions::new(Endpoint::ChatCompletions)
    }
}

fn rendered(events: Vec<ChatEvent>, include_usage: bool) -> Vec<Frame> {
    let mut renderer = StreamRenderer::new(&options(include_usage));
    let mut frames = Vec::new();
    for event in events {
        renderer.push(event, &mut frames);
    }
    frames
}

fn chunk(frame: &Frame) -> Value {
    let data = frame.bytes.strip_prefix(b"data: ").unwrap();
    serde_json::from_slice(data).unwrap()
}

fn whole() -> Vec<ChatEvent> {
    let choice = 0;
    vec![
        ChatEvent::Start {
            id: Some("msg_1".to_owned()),
            model: Some("a \"model\"".to_owned()),
        },
        ChatEvent::Reasoning {
            choice,
            text: "Hm.".to_owned(),
        },
        ChatEvent::ReasoningSignature {
            choice,
            signature: "s".to_owned(),
        },
        ChatEvent::Text {
            choice,
            text: "Hei \u{1f44b}\n".to_owned(),
        },
        ChatEvent::ToolCall {
            choice,
            index: 0,
            id: "c".to_owned(),
            name: "f".to_owned(),
        },
        ChatEvent::ToolArguments {
            choice,
            index: 0,
            json: "{}".to_owned(),
        },
        ChatEvent::KeepAlive,
        ChatEvent::Finish {
            choice,
            reason: FinishReason::ToolCalls,
        },
        ChatEvent::Usage(Usage::plain(3, 4)),
        ChatEvent::Usage(Usage::plain(3, 5)),
        ChatEvent::End,
    ]
}

#[test]
fn each_frame_says_what_it_is() {
    let kinds: Vec<_> = rendered(whole(), true)
        .iter()
        .map(|frame| frame.kind)
        .collect();
    assert_eq!(
        kinds,
        [
            FrameKind::Preamble,
            FrameKind::Content,
            FrameKind::Other,
            FrameKind::Content,
            FrameKind::Content,
            FrameKind::Content,
            FrameKind::Comment,
            FrameKind::Content,
            FrameKind::Usage,
            FrameKind::Done,
        ]
    );
}

#[test]
fn usage_is_told_once_at_the_end_and_only_when_asked_for() {
    let frames = rendered(whole(), true);
    let told: Vec<_> = frames
        .iter()
        .filter(|frame| frame.kind == FrameKind::Usage)
        .collect();
    let [usage] = told.as_slice() else {
        panic!("{} usage chunks", told.len());
    };
    assert_eq!(chunk(usage)["usage"]["completion_tokens"], 5);
    assert_eq!(chunk(usage)["choices"], Value::Array(Vec::new()));
    let silent = rendered(whole(), false);
    assert!(silent.iter().all(|frame| frame.kind != FrameKind::Usage));
}

#[test]
fn the_relay_of_the_same_dialect_understands_every_frame() {
    let mut relay = StreamRelay::new(options(true));
    for frame in rendered(whole(), true) {
        relay.push(frame.bytes.clone());
        let seen = relay.next_frame().unwrap().unwrap();
        // A signature alone is nothing that a client shows.
        let kind = if frame.kind == FrameKind::Other {
            FrameKind::Preamble
        } else {
            frame.kind
        };
        assert_eq!(seen.kind, kind, "{frame:?}");
    }
    relay.finish().unwrap();
    assert_eq!(relay.response_id(), Some("chatcmpl-msg_1"));
    assert_eq!(relay.upstream_model(), Some("a \"model\""));
    assert_eq!(relay.usage(), Some(&Usage::plain(3, 5)));
}

#[test]
fn each_choice_is_told_its_role_once() {
    let text = |choice| ChatEvent::Text {
        choice,
        text: "x".to_owned(),
    };
    let frames = rendered(vec![text(1), text(0), text(1), text(200)], false);
    let roles: Vec<_> = frames
        .iter()
        .map(chunk)
        .filter(|chunk| chunk["choices"][0]["delta"]["role"] == "assistant")
        .map(|chunk| chunk["choices"][0]["index"].as_u64().unwrap())
        .collect();
    assert_eq!(roles, [1, 0, 200]);
}

#[test]
fn an_answer_has_the_members_that_clients_look_for() {
    let mut answer = ChatResponse {
        choices: vec![Choice {
            message: Message {
                role: "assistant".to_owned(),
                ..Message::default()
            },
            ..Choice::default()
        }],
        ..ChatResponse::default()
    };
    // From a provider of the same dialect; must not come twice.
    answer
        .rest
        .insert("object".to_owned(), "chat.completion".into());
    let body = response(&answer, &options(false));
    let text = str::from_utf8(&body).unwrap();
    assert_eq!(text.matches("\"object\"").count(), 1);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["id"], "chatcmpl-1700000000");
    assert_eq!(body["created"], 1_700_000_000);
    for key in ["content", "refusal"] {
        assert!(
            body["choices"][0]["message"]
                .as_object()
                .unwrap()
                .contains_key(key)
        );
    }
}
