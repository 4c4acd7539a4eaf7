use serde_json::json;

use super::{decode, delta, finish, sse, text};
use crate::event::{ChatEvent, FinishReason};
use crate::{UpstreamErrorKind, Usage};

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
fn an_event_that_is_half_an_object_breaks_the_stream_and_other_noise_does_not() {
    let with = |noise: &str| {
        let whole = sse(&[delta(&json!({"content": "a"})), finish("stop")]);
        let (first, rest) = whole.split_once("\n\n").unwrap();
        let stream = format!("{first}\n\n{noise}\n\n{rest}");
        decode(stream.as_bytes(), &[]).1
    };
    assert_eq!(
        with("data: {\"choices\": [").unwrap_err().kind,
        UpstreamErrorKind::BrokenAnswer
    );
    assert_eq!(with("data: still working"), Ok(()));
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
