//! Connections of clients: bodies in chunks, requests one after another and at the same time, and what an error leaves
//! of a connection.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::spend::{COST_PICO, rows, total};
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Home, chat_request, chat_request_body, start, stream_request};
use crate::support::http::{BodyEnd, Connection, LiveAnswer, Request, text_of};
use crate::support::reply::{Gate, Reply};
use crate::support::upstream::Upstream;

#[test]
fn a_body_in_chunks_of_any_size_is_the_same_body() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    for size in [1, 7, 1_000_000] {
        let answer = gateway.send(&chat_request("m").in_chunks(size));
        assert_eq!(answer.status, 200, "{size}: {}", answer.text());
    }

    let mut expected = chat_request_body("m");
    expected["model"] = json!("upstream-model");
    for request in upstream.requests() {
        assert_eq!(request.json(), expected);
    }
}

#[test]
fn a_connection_serves_the_next_request_after_an_error_unless_it_said_that_it_closes() {
    let upstream = Upstream::scripted([]);
    let (_home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    let address = gateway.address();
    let known = |request: Request| request.bearer(MASTER_KEY);
    let mut connection = Connection::open(address);

    for (status, request) in [
        (400, known(Request::post_bytes("/v1/chat/completions", "{"))),
        (401, chat_request("m")),
        (404, known(Request::get("/nothing/here"))),
        (404, known(Request::post("/nothing/here", &json!({"a": 1})))),
        (405, known(Request::get("/v1/chat/completions"))),
        (
            415,
            known(chat_request("m").header("content-type", "text/plain")),
        ),
        (
            415,
            known(chat_request("m").header("content-encoding", "gzip")),
        ),
        (500, known(chat_request("m"))),
    ] {
        let case = format!("{request:?}");
        connection.write(&request.to_bytes(address));
        let (answer, same) = connection.answer();
        assert_eq!(answer.status, status, "{case}: {}", answer.text());
        answer.error();
        upstream.push(Reply::chat("hi"));
        // A body that was refused unread may cost the connection, but then the answer says so.
        connection = if answer.header("connection") == Some("close") {
            Connection::open(address)
        } else {
            same
        };
        connection.write(&known(chat_request("m")).to_bytes(address));
        let (answer, same) = connection.answer();
        assert_eq!(answer.status, 200, "after {case}: {}", answer.text());
        connection = same;
    }
}

#[test]
fn requests_that_are_sent_without_waiting_are_answered_in_their_order() {
    let upstream = Upstream::answering(|request| {
        Reply::chat(request.json()["user"].as_str().unwrap_or_default())
    });
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let address = gateway.address();
    let mut bytes = Vec::new();
    for number in 0..5 {
        let mut body = chat_request_body("m");
        body["user"] = json!(format!("request {number}"));
        bytes.extend(Request::post("/v1/chat/completions", &body).to_bytes(address));
    }
    let mut connection = Connection::open(address);

    connection.write(&bytes);

    for number in 0..5 {
        let (answer, same) = connection.answer();
        answer.assert_status(200);
        assert_eq!(
            answer.json()["choices"][0]["message"]["content"],
            format!("request {number}")
        );
        connection = same;
    }
}

#[test]
fn a_connection_that_carried_a_stream_carries_the_next_request() {
    let upstream = Upstream::scripted([Reply::stream(&["streamed"]), Reply::chat("whole")]);
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let address = gateway.address();
    let mut connection = Connection::open(address);

    connection.write(&stream_request("m").to_bytes(address));
    let (streamed, mut connection) = connection.answer();
    connection.write(&chat_request("m").to_bytes(address));
    let (whole, _) = connection.answer();

    assert_eq!(streamed.events().last().map(String::as_str), Some("[DONE]"));
    assert_eq!(whole.json()["choices"][0]["message"]["content"], "whole");
}

#[test]
fn two_hundred_streams_at_once_each_come_whole_and_are_each_on_the_books() {
    const STREAMS: usize = 200;
    let gate = Gate::closed();
    let provider_gate = gate.clone();
    let upstream = Upstream::answering(move |request| {
        let own = request.json()["user"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        Reply::stream(&["for ", &own, " alone"]).gate_before_part(2, &provider_gate)
    });
    let (home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    let address = gateway.address();

    let clients: Vec<_> = (0..STREAMS)
        .map(|number| {
            let mut body = chat_request_body("m");
            body["stream"] = json!(true);
            body["user"] = json!(format!("client {number}"));
            let request = Request::post("/v1/chat/completions", &body).bearer(MASTER_KEY);
            thread::spawn(move || {
                let live = request.open(address).expect("the gateway answers");
                live.remaining_events()
            })
        })
        .collect();
    upstream.wait_for_requests(STREAMS);
    gate.open();

    let mut seen = BTreeSet::new();
    for client in clients {
        let (events, end) = client.join().expect("a client ends");
        assert_eq!(end, BodyEnd::Clean);
        assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
        seen.insert(
            events
                .iter()
                .map(|event| text_of(event))
                .collect::<String>(),
        );
    }
    let expected: BTreeSet<String> = (0..STREAMS)
        .map(|number| format!("for client {number} alone"))
        .collect();
    assert_eq!(seen, expected);
    let streams = i64::try_from(STREAMS).expect("a small number");
    assert_eq!(total(&gateway), streams * COST_PICO);
    assert_eq!(rows(&home), (streams, streams));
}

#[test]
fn the_cap_on_a_body_can_be_set_and_holds_to_the_byte() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let body = chat_request_body("m").to_string();
    let home = Home::with(&ConfigText::one("m", &upstream))
        .variable("TRUNKLINE_MAX_BODY_BYTES", &body.len().to_string());
    let gateway = home.start();
    let request = |body: &str| Request::post_bytes("/v1/chat/completions", body);
    let larger = format!("{body} ");

    gateway.send(&request(&body)).assert_status(200);
    gateway
        .send(&request(&body).in_chunks(16))
        .assert_status(200);
    gateway
        .send(&request(&larger))
        .assert_error(413, "invalid_request_error");
    gateway
        .send(&request(&larger).in_chunks(16))
        .assert_error(413, "invalid_request_error");

    assert_eq!(upstream.request_count(), 2);
}

#[test]
fn a_compressed_body_is_refused_with_what_to_send_instead() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    for encoding in ["gzip", "br", "deflate", "zstd", "gzip, identity"] {
        let error = gateway
            .send(&chat_request("m").header("content-encoding", encoding))
            .assert_error(415, "invalid_request_error");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| text.contains("uncompressed")),
            "{error}"
        );
    }
    for encoding in ["identity", "Identity"] {
        let plain = gateway.send(&chat_request("m").header("content-encoding", encoding));
        assert_eq!(plain.status, 200, "{encoding}: {}", plain.text());
    }

    assert_eq!(upstream.request_count(), 2);
}

#[test]
fn a_request_whose_head_takes_seconds_to_come_is_served() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let request = chat_request("m").to_bytes(gateway.address());
    let (first, rest) = request.split_at(20);
    let mut socket = TcpStream::connect(gateway.address()).expect("a connection");
    socket.write_all(first).expect("the gateway reads");

    // Longer than the HTTP library's own patience, which ends in a status without a body.
    socket
        .set_read_timeout(Some(Duration::from_secs(6)))
        .expect("a socket option");
    let silence = socket.read(&mut [0_u8; 1]);
    assert!(
        silence
            .as_ref()
            .is_err_and(|err| matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "{silence:?}"
    );
    socket.write_all(rest).expect("the gateway reads");

    let answer = LiveAnswer::read_head(socket).expect("an answer");
    assert_eq!(answer.status, 200);
}

#[test]
fn a_body_that_breaks_off_is_no_request() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    for broken in [
        chat_request("m").claim_length(100_000),
        chat_request("m").in_chunks_without_end(),
    ] {
        gateway.begin(&broken).leave();
        gateway.chat("m").assert_status(200);
    }

    assert_eq!(upstream.request_count(), 2);
}

#[test]
fn a_client_that_does_not_read_holds_the_provider_back_and_not_the_gateways_memory() {
    const EVENT: usize = 64 * 1024;
    const EVENTS: usize = 800;
    const BOUND: usize = EVENT * EVENTS / 2;
    let gate = Gate::closed();
    let long = "x".repeat(EVENT);
    let upstream =
        Upstream::always(Reply::stream(&vec![long.as_str(); EVENTS]).gate_before_part(2, &gate));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let mut live = gateway.open(&stream_request("m"));
    assert_eq!(live.next_text().len(), EVENT);
    let before = gateway.resident_bytes();

    gate.open();
    for _ in 0..300 {
        gateway.get("/health/liveliness").assert_status(200);
    }
    let grown = gateway.resident_bytes().saturating_sub(before);

    assert!(
        grown < BOUND,
        "{grown} bytes more for a client that does not read"
    );
    let (events, end) = live.remaining_events();
    assert_eq!(end, BodyEnd::Clean);
    let rest: usize = events.iter().map(|event| text_of(event).len()).sum();
    assert_eq!(rest, EVENT * (EVENTS - 1));
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
}
