//! The instruments themselves: if the scripted provider or the client lied, every other test here would.

use std::time::Duration;

use serde_json::json;

use crate::support::gateway::{chat_request, stream_request};
use crate::support::http::{BodyEnd, Request};
use crate::support::reply::{DONE_EVENT, Ending, Framing, Gate, Reply, opening_event, text_event};
use crate::support::upstream::Upstream;

#[test]
fn the_provider_records_requests_to_the_byte() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let body = "{\"a\" : 1.0,\n\"ü\":\"\\u00fc\"}";

    let answer = Request::post_bytes("/v1/x?y=1", body)
        .header("x-mine", "yes")
        .send(upstream.address());

    answer.assert_status(200);
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "hi");
    let request = upstream.only_request();
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/v1/x?y=1")
    );
    assert_eq!(request.header("x-mine"), Some("yes"));
    assert_eq!(request.text(), body);
}

#[test]
fn the_client_sees_each_chunk_as_it_is_let_through() {
    let gate = Gate::closed();
    let upstream = Upstream::always(Reply::stream(&["a", "b"]).gate_before_part(2, &gate));

    let mut live = stream_request("m")
        .open(upstream.address())
        .expect("an answer");

    assert_eq!(live.next_text(), "a");
    gate.open();
    assert_eq!(live.next_text(), "b");
    let (rest, end) = live.remaining_events();
    assert_eq!(rest.last().map(String::as_str), Some("[DONE]"));
    assert_eq!(end, BodyEnd::Clean);
}

#[test]
fn the_client_tells_a_cut_body_from_a_whole_one() {
    let events = || [opening_event(), text_event("a"), DONE_EVENT.to_vec()];
    for (framing, ending, expected) in [
        (Framing::Chunked, Ending::KeepAlive, BodyEnd::Clean),
        (Framing::Chunked, Ending::CloseWhenIdle, BodyEnd::Clean),
        (Framing::Chunked, Ending::Cut, BodyEnd::Cut),
        (Framing::Length, Ending::KeepAlive, BodyEnd::Clean),
        (Framing::ClaimedLength(9_999), Ending::Cut, BodyEnd::Cut),
        (Framing::UntilClose, Ending::Cut, BodyEnd::Clean),
    ] {
        let upstream = Upstream::always(Reply::events(events()).framed(framing).ending(ending));
        let live = stream_request("m")
            .open(upstream.address())
            .expect("an answer");
        let (seen, end) = live.remaining_events();
        assert_eq!(end, expected, "{framing:?} {ending:?}");
        assert_eq!(seen.len(), 3, "{framing:?} {ending:?}");
    }
}

#[test]
fn a_provider_without_a_byte_is_an_error_for_the_client() {
    let upstream = Upstream::scripted([Reply::closes_without_a_byte()]);

    assert!(chat_request("m").open(upstream.address()).is_err());
    chat_request("m")
        .send(upstream.address())
        .assert_status(500);

    assert_eq!(upstream.request_count(), 2);
    assert_eq!(upstream.connection_count(), 2);
}

#[test]
fn the_provider_notices_that_the_other_side_left() {
    let upstream = Upstream::always(Reply::never());
    let socket = chat_request("m")
        .start(upstream.address())
        .expect("a connection");
    upstream.wait_for_requests(1);
    assert!(!upstream.is_left_within(0, Duration::from_millis(50)));

    drop(socket);

    assert!(upstream.is_left_within(0, Duration::from_secs(5)));
}

#[test]
fn an_answering_provider_looks_at_the_request() {
    let upstream = Upstream::answering(|request| Reply::json(200, &request.json()));

    let answer = Request::post("/", &json!({"said": "back"})).send(upstream.address());

    assert_eq!(answer.json(), json!({"said": "back"}));
}
