//! Streams tell the truth: every event arrives when it was said, the usage is shown to who asked, and a stream that
//! broke never looks like one that ended.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::config::ConfigText;
use crate::support::gateway::{chat_request, chat_request_body, start, stream_request};
use crate::support::http::{BodyEnd, Request, text_of};
use crate::support::reply::{
    COMPLETION_TOKENS, DONE_EVENT, Ending, Framing, Gate, PROMPT_TOKENS, PROVIDER_MODEL, Reply,
    event, finish_event, opening_event, text_event, usage_event,
};
use crate::support::upstream::Upstream;

/// "At once", on a machine that runs other tests beside this one.
const AT_ONCE: Duration = Duration::from_secs(5);

fn joined_text(events: &[String]) -> String {
    events.iter().map(|event| text_of(event)).collect()
}

fn asking_for_usage(model: &str) -> Request {
    let mut body = chat_request_body(model);
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    Request::post("/v1/chat/completions", &body)
}

#[test]
fn a_stream_arrives_whole_with_the_model_that_was_asked_for() {
    let upstream = Upstream::always(Reply::stream(&["Hel", "lo, ", "wörld"]));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.chat_stream("m");

    answer.assert_status(200);
    assert!(
        answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
    );
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(answer.header("x-litellm-model-id"), Some("the-deployment"));
    assert!(answer.header("x-litellm-call-id").is_some());
    let events = answer.events();
    assert_eq!(joined_text(&events), "Hello, wörld");
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    for data in &events[..events.len() - 1] {
        let chunk: Value = serde_json::from_str(data).expect("an event is JSON");
        assert_eq!(chunk["model"], "m", "{data}");
    }
    assert!(!answer.text().contains(PROVIDER_MODEL));
}

#[test]
fn usage_is_always_asked_for_and_hidden_from_who_did_not_ask() {
    let upstream = Upstream::always(Reply::stream(&["a", "b"]));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.chat_stream("m");

    assert_eq!(
        upstream.only_request().json()["stream_options"],
        json!({"include_usage": true})
    );
    assert!(
        !answer.text_without_receipt().contains("usage"),
        "{}",
        answer.text()
    );
    assert!(
        !answer.text().contains("\"choices\":[]"),
        "{}",
        answer.text()
    );
    assert_eq!(joined_text(&answer.events()), "ab");
}

#[test]
fn usage_is_shown_to_who_asked() {
    let upstream = Upstream::always(Reply::stream(&["a", "b"]));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.send(&asking_for_usage("m"));

    let usages: Vec<Value> = answer
        .events()
        .iter()
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter(|chunk| chunk["usage"].is_object())
        .map(|chunk| chunk["usage"].clone())
        .collect();
    assert_eq!(usages.len(), 1, "{}", answer.text());
    assert_eq!(usages[0]["prompt_tokens"], PROMPT_TOKENS);
    assert_eq!(usages[0]["completion_tokens"], COMPLETION_TOKENS);
}

#[test]
fn other_stream_options_survive_the_usage_flag() {
    let upstream = Upstream::always(Reply::stream(&["a"]));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let mut body = chat_request_body("m");
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_obfuscation": false, "include_usage": false});

    let answer = gateway.post("/v1/chat/completions", &body);

    assert_eq!(
        upstream.only_request().json()["stream_options"],
        json!({"include_obfuscation": false, "include_usage": true})
    );
    assert!(
        !answer.text_without_receipt().contains("usage"),
        "{}",
        answer.text()
    );
}

#[test]
fn every_chunk_reaches_the_client_before_the_provider_says_the_next() {
    let second = Gate::closed();
    let end = Gate::closed();
    let upstream = Upstream::always(
        Reply::stream(&["first", "second"])
            .gate_before_part(3, &end)
            .gate_before_part(2, &second),
    );
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let mut live = gateway.open(&stream_request("m"));

    assert_eq!(live.next_text(), "first");
    second.open();
    assert_eq!(live.next_text(), "second");
    end.open();
    let (rest, ending) = live.remaining_events();
    assert_eq!(ending, BodyEnd::Clean);
    assert_eq!(rest.last().map(String::as_str), Some("[DONE]"));
}

#[test]
fn a_stream_cut_at_every_byte_arrives_as_if_it_had_come_whole() {
    let whole: Vec<u8> = [
        opening_event(),
        text_event("Grüße "),
        text_event("😀"),
        finish_event(),
        usage_event(),
        DONE_EVENT.to_vec(),
    ]
    .concat();
    let upstream = Upstream::always(Reply::events(whole.iter().map(|byte| vec![*byte])));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.chat_stream("m");

    let events = answer.events();
    assert_eq!(joined_text(&events), "Grüße 😀");
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
}

#[test]
fn carriage_returns_and_missing_spaces_are_understood() {
    let crlf = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .expect("UTF-8")
            .replace('\n', "\r\n")
            .replace("data: ", "data:")
            .into_bytes()
    };
    let upstream = Upstream::always(Reply::events(
        [
            opening_event(),
            text_event("odd"),
            finish_event(),
            usage_event(),
            DONE_EVENT.to_vec(),
        ]
        .map(crlf),
    ));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.chat_stream("m");

    assert_eq!(joined_text(&answer.events()), "odd");
    assert_eq!(
        answer.events().last().map(String::as_str),
        Some("[DONE]"),
        "{}",
        answer.text()
    );
    assert!(
        !answer.text_without_receipt().contains("usage"),
        "{}",
        answer.text()
    );
}

#[test]
fn comments_pass_through() {
    let upstream = Upstream::always(Reply::events([
        opening_event(),
        text_event("a"),
        b": still here\n\n".to_vec(),
        text_event("b"),
        finish_event(),
        usage_event(),
        DONE_EVENT.to_vec(),
    ]));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.chat_stream("m");

    assert!(answer.text().contains(": still here"), "{}", answer.text());
    assert_eq!(joined_text(&answer.events()), "ab");
}

#[test]
fn tool_calls_stream_through() {
    let tool = |delta: Value| {
        event(
            &json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": PROVIDER_MODEL,
            "choices": [{"index": 0, "delta": delta, "finish_reason": null}]}),
        )
    };
    let upstream = Upstream::always(Reply::events([
        opening_event(),
        tool(
            json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
        ),
        tool(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":"}}]})),
        tool(json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]})),
        finish_event(),
        usage_event(),
        DONE_EVENT.to_vec(),
    ]));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let arguments: String = gateway
        .chat_stream("m")
        .events()
        .iter()
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter_map(|chunk| {
            chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();

    assert_eq!(arguments, "{\"a\":1}");
}

#[test]
fn text_completions_stream_too() {
    let chunk = |text: &str, finish: Value| {
        event(
            &json!({"id": "cmpl", "object": "text_completion", "created": 1, "model": PROVIDER_MODEL,
            "choices": [{"index": 0, "text": text, "finish_reason": finish}]}),
        )
    };
    let upstream = Upstream::always(Reply::events([
        chunk("once ", Value::Null),
        chunk("upon", json!("stop")),
        usage_event(),
        DONE_EVENT.to_vec(),
    ]));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.post(
        "/v1/completions",
        &json!({"model": "m", "prompt": "Tell", "stream": true}),
    );

    let text: String = answer
        .events()
        .iter()
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter_map(|chunk| chunk["choices"][0]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, "once upon");
    assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
    assert!(
        !answer.text_without_receipt().contains("usage"),
        "{}",
        answer.text()
    );
}

/// A stream that broke after its first content: an error event is there, the terminal event is not.
#[track_caller]
fn assert_ends_in_an_error(events: &[String]) -> Value {
    assert!(
        !events.iter().any(|event| event == "[DONE]"),
        "a broken stream has no terminal event: {events:?}"
    );
    let last: Value = serde_json::from_str(events.last().expect("there are events"))
        .expect("the last event is JSON");
    let error = last["error"].clone();
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "the last event says what went wrong: {events:?}"
    );
    for member in ["type", "param", "code"] {
        assert!(error.get(member).is_some(), "no `{member}`: {error}");
    }
    error
}

#[test]
fn a_stream_that_the_provider_cuts_ends_in_an_error_event() {
    for (case, framing, ending) in [
        ("chunked", Framing::Chunked, Ending::Cut),
        ("reset", Framing::Chunked, Ending::Reset),
        ("until close", Framing::UntilClose, Ending::Cut),
        (
            "claimed length",
            Framing::ClaimedLength(100_000),
            Ending::Cut,
        ),
        (
            "a clean end without the terminal event",
            Framing::Chunked,
            Ending::KeepAlive,
        ),
    ] {
        let cut = Gate::closed();
        let upstream = Upstream::always(
            Reply::events([opening_event(), text_event("half an ans")])
                .framed(framing)
                .ending(ending)
                .gate_before_part(2, &cut),
        );
        let (_home, gateway) = start(&ConfigText::one("m", &upstream));

        let mut live = gateway.open(&stream_request("m"));
        assert_eq!(live.status, 200, "{case}");
        assert_eq!(live.next_text(), "half an ans", "{case}");
        cut.open();
        let (events, _) = live.remaining_events();

        println!("{case}");
        assert_ends_in_an_error(&events);
    }
}

#[test]
fn a_stream_that_ends_whole_but_without_the_terminal_event_gets_one() {
    let upstream = Upstream::always(Reply::events([
        opening_event(),
        text_event("all of it"),
        finish_event(),
    ]));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    for _ in 0..3 {
        // Reading the answer checks that its body ends properly too.
        let answer = gateway.chat_stream("m");

        assert_eq!(joined_text(&answer.events()), "all of it");
        assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
    }
}

#[test]
fn an_event_cut_in_its_middle_is_not_shown_as_an_event() {
    let mut half = text_event("never complete");
    half.truncate(half.len() - 12);
    let upstream = Upstream::always(
        Reply::events([opening_event(), text_event("half"), half]).ending(Ending::Cut),
    );
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let (events, _) = gateway.open(&stream_request("m")).remaining_events();

    assert_eq!(joined_text(&events), "half");
    assert_ends_in_an_error(&events);
}

#[test]
fn an_error_that_the_provider_says_in_the_middle_ends_the_stream() {
    let upstream = Upstream::always(Reply::events([
        opening_event(),
        text_event("so far so "),
        event(
            &json!({"error": {"message": "the GPU caught fire", "type": "server_error", "param": null, "code": "500"}}),
        ),
    ]));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.open(&stream_request("m"));
    assert_eq!(answer.status, 200);
    let (events, _) = answer.remaining_events();

    let error = assert_ends_in_an_error(&events);
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("the GPU caught fire")),
        "{error}"
    );
}

#[test]
fn a_failure_before_the_first_content_is_a_real_status() {
    for (case, reply) in [
        (
            "cut after the role",
            Reply::events([opening_event()]).ending(Ending::Cut),
        ),
        ("no event at all", Reply::events([])),
        (
            "an error event first",
            Reply::events([event(
                &json!({"error": {"message": "no", "type": "server_error", "param": null, "code": "500"}}),
            )]),
        ),
        (
            "an error event after the role",
            Reply::events([
                opening_event(),
                event(
                    &json!({"error": {"message": "no", "type": "server_error", "param": null, "code": null}}),
                ),
            ]),
        ),
    ] {
        let upstream = Upstream::always(reply);
        let (_home, gateway) = start(&ConfigText::one("m", &upstream));

        let answer = gateway.chat_stream("m");

        assert!(
            (500..600).contains(&answer.status),
            "{case}: {} {}",
            answer.status,
            answer.text()
        );
        answer.error();
    }
}

#[test]
fn a_refused_stream_has_the_providers_status() {
    let upstream = Upstream::always(Reply::error(429, "rate_limit", "slow down, please"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.chat_stream("m");

    let error = answer.assert_error(429, "throttling_error");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("slow down, please"))
    );
}

#[test]
fn a_client_that_leaves_a_stream_closes_the_provider_at_once() {
    let never = Gate::closed();
    let upstream =
        Upstream::always(Reply::stream(&["first", "second"]).gate_before_part(2, &never));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let mut live = gateway.open(&stream_request("m"));
    assert_eq!(live.next_text(), "first");

    live.leave();

    assert!(
        upstream.is_left_within(0, AT_ONCE),
        "the provider still holds the connection of a client that left"
    );
}

#[test]
fn a_client_that_leaves_before_the_first_byte_closes_the_provider_at_once() {
    for request in [chat_request("m"), stream_request("m")] {
        let upstream = Upstream::always(Reply::never());
        let (_home, gateway) = start(&ConfigText::one("m", &upstream));
        let pending = gateway.begin(&request);
        upstream.wait_for_requests(1);

        pending.leave();

        assert!(
            upstream.is_left_within(0, AT_ONCE),
            "the provider still works for a client that left"
        );
    }
}

#[test]
fn odd_events_pass_through_and_do_no_harm() {
    let odd = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    let numbered = "id: 7\nretry: 1000\n\n";
    let empty = "data:\n\n";
    let nameless = "data: {\"object\":\"vendor.notice\",\"note\":\"hello\"}\n\n";
    let upstream = Upstream::always(Reply::events([
        odd.as_bytes().to_vec(),
        opening_event(),
        text_event("a"),
        numbered.as_bytes().to_vec(),
        empty.as_bytes().to_vec(),
        nameless.as_bytes().to_vec(),
        text_event("b"),
        finish_event(),
        usage_event(),
        DONE_EVENT.to_vec(),
    ]));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.chat_stream("m");

    answer.assert_status(200);
    let text = answer.text();
    for part in ["event: ping\n", "{\"type\":\"ping\"}", "\"note\":\"hello\""] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert_eq!(joined_text(&answer.events()), "ab");
    assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
}

#[test]
fn a_stream_of_several_choices_with_reasoning_and_refusals_comes_whole() {
    let chunk = |index: u64, delta: Value, finish: Value| {
        event(
            &json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": PROVIDER_MODEL, "choices":
            [{"index": index, "delta": delta, "finish_reason": finish, "logprobs": {"content": [{"token": "t", "logprob": -0.5}]}}]}),
        )
    };
    let upstream = Upstream::always(Reply::events([
        chunk(0, json!({"reasoning_content": "hm"}), Value::Null),
        chunk(1, json!({"refusal": "I will not"}), Value::Null),
        chunk(0, json!({"content": "so"}), json!("stop")),
        chunk(1, json!({}), json!("content_filter")),
        usage_event(),
        DONE_EVENT.to_vec(),
    ]));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let mut body = chat_request_body("m");
    body["stream"] = json!(true);
    body["n"] = json!(2);

    let answer = gateway.post("/v1/chat/completions", &body);

    let chunks: Vec<Value> = answer
        .events()
        .iter()
        .filter_map(|data| serde_json::from_str(data).ok())
        .collect();
    assert_eq!(chunks.len(), 4, "{}", answer.text());
    assert_eq!(chunks[0]["choices"][0]["delta"]["reasoning_content"], "hm");
    assert_eq!(chunks[1]["choices"][0]["delta"]["refusal"], "I will not");
    assert_eq!(
        chunks[2]["choices"][0]["logprobs"]["content"][0]["logprob"],
        -0.5
    );
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
}

#[test]
fn embeddings_are_never_streamed() {
    let upstream = Upstream::always(Reply::embeddings(&[[1.0, 2.0, 3.0]]));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.post(
        "/v1/embeddings",
        &json!({"model": "m", "input": "a", "stream": true}),
    );

    answer.assert_status(200);
    assert_eq!(
        answer.json()["data"][0]["embedding"],
        json!([1.0, 2.0, 3.0])
    );
}
