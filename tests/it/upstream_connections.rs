//! Connections to a provider are kept and reused, and a provider that closes them at the wrong moment is not noticed
//! by the client.

use serde_json::json;

use crate::support::config::{ConfigText, Deployment};
use crate::support::gateway::{Gateway, Home, chat_request, chat_request_body, start};
use crate::support::reply::{Ending, Gate, Reply};
use crate::support::upstream::Upstream;

/// With one worker there is one pool, so what is reused does not depend on which worker takes a connection.
fn start_one_worker(upstream: &Upstream) -> (Home, Gateway) {
    let home = Home::with(&ConfigText::one("m", upstream)).variable("NUM_WORKERS", "1");
    let gateway = home.start();
    (home, gateway)
}

#[test]
fn a_connection_is_used_again() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start_one_worker(&upstream);

    for _ in 0..5 {
        gateway.chat("m").assert_status(200);
    }

    assert_eq!(upstream.connection_count(), 1);
}

#[test]
fn a_finished_stream_gives_its_connection_back() {
    let upstream = Upstream::always(Reply::stream(&["a"]));
    let (_home, gateway) = start_one_worker(&upstream);

    for _ in 0..3 {
        gateway.chat_stream("m").assert_status(200);
    }

    assert_eq!(upstream.connection_count(), 1);
}

#[test]
fn a_provider_that_closed_the_idle_connection_is_asked_on_a_fresh_one() {
    let upstream = Upstream::always(Reply::chat("hi").ending(Ending::CloseWhenIdle));
    let (_home, gateway) = start_one_worker(&upstream);

    for _ in 0..5 {
        gateway.chat("m").assert_status(200);
    }

    assert_eq!(upstream.request_count(), 5);
}

#[test]
fn a_reused_connection_that_dies_without_a_byte_is_replaced_once() {
    let upstream = Upstream::scripted([
        Reply::chat("first"),
        Reply::closes_without_a_byte(),
        Reply::chat("second"),
    ]);
    let (_home, gateway) = start_one_worker(&upstream);

    gateway.chat("m").assert_status(200);
    let second = gateway.chat("m");

    second.assert_status(200);
    assert_eq!(second.json()["choices"][0]["message"]["content"], "second");
    assert_eq!(second.header("x-litellm-attempted-retries"), Some("0"));
    assert_eq!(upstream.request_count(), 3);
    assert_eq!(upstream.connection_count(), 2);
}

#[test]
fn a_fresh_connection_that_dies_without_a_byte_is_an_error_and_not_repeated() {
    let upstream = Upstream::always(Reply::closes_without_a_byte());
    let (_home, gateway) = start_one_worker(&upstream);

    gateway.chat("m").assert_error(500, "internal_server_error");

    assert_eq!(upstream.request_count(), 1);
}

#[test]
fn many_requests_at_once_each_have_their_connection() {
    let gate = Gate::closed();
    let upstream = Upstream::always(Reply::chat("hi").after(&gate));
    let (_home, gateway) = start(&ConfigText::new().deployment(Deployment::of("m", &upstream)));

    let pending: Vec<_> = (0..150)
        .map(|_| gateway.begin(&chat_request("m")))
        .collect();
    upstream.wait_for_requests(150);
    gate.open();

    for request in pending {
        request.answer().assert_status(200);
    }
}

#[test]
fn a_small_embedding_batch_and_a_large_answer_share_a_connection() {
    let upstream = Upstream::answering(|request| {
        if request.path == "/v1/embeddings" {
            Reply::embeddings(&[[1.0, 2.0, 3.0]])
        } else {
            Reply::chat(&"long ".repeat(400_000))
        }
    });
    let (_home, gateway) = start_one_worker(&upstream);

    let large = gateway.post("/v1/chat/completions", &chat_request_body("m"));
    let small = gateway.post("/v1/embeddings", &json!({"model": "m", "input": "a"}));

    large.assert_status(200);
    assert!(large.body.len() > 2_000_000);
    small.assert_status(200);
    assert_eq!(upstream.connection_count(), 1);
}
