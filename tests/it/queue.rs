//! The waiting queue: what a rate limit refuses waits for its turn, where that is asked for.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::keys::generate_key;
use crate::support::config::ConfigText;
use crate::support::gateway::{Gateway, Home, chat_request_body, start};
use crate::support::http::Request;
use crate::support::reply::{Gate, Reply};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

fn scene(reply: Reply, settings: &str) -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(reply);
    let config = ConfigText::one("m", &upstream).with_master_key();
    let (home, gateway) = start(&config.trunkline(&format!("queue: {{{settings}}}")));
    (upstream, home, gateway.with_master_key())
}

fn key_of_one_slot(gateway: &Gateway) -> String {
    generate_key(gateway, &json!({"max_parallel_requests": 1}))
}

/// A request that can be told from others.
fn numbered(key: &str, number: usize) -> Request {
    let mut body = chat_request_body("m");
    if let Some(members) = body.as_object_mut() {
        members.insert("seed".to_owned(), json!(number));
    }
    Request::post("/v1/chat/completions", &body).bearer(key)
}

#[track_caller]
fn wait_until_waiting(gateway: &Gateway, count: usize) {
    eventually("requests that wait", &count, || {
        let text = gateway.get("/metrics").text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("trunkline_queue_waiting_requests "));
        line.and_then(|count| count.parse().ok())
            .expect("the gauge")
    });
}

#[test]
fn requests_wait_for_a_slot_and_are_served_in_the_order_in_which_they_came() {
    let gate = Gate::closed();
    let (upstream, _home, gateway) = scene(Reply::chat("hi").after(&gate), "max_wait_secs: 30");
    let key = key_of_one_slot(&gateway);

    let mut pending = vec![gateway.begin(&numbered(&key, 0))];
    upstream.wait_for_requests(1);
    for number in 1..6 {
        pending.push(gateway.begin(&numbered(&key, number)));
        wait_until_waiting(&gateway, number);
    }
    // Others have limits of their own.
    let other = gateway.begin(&numbered(&key_of_one_slot(&gateway), 9));
    upstream.wait_for_requests(2);
    gate.open();
    for request in pending {
        request.answer().assert_status(200);
    }
    other.answer().assert_status(200);

    let seeds = upstream.requests().into_iter();
    let seeds: Vec<Value> = seeds
        .map(|request| request.json()["seed"].clone())
        .collect();
    assert_eq!(seeds, [0, 9, 1, 2, 3, 4, 5].map(Value::from));
    wait_until_waiting(&gateway, 0);
}

#[test]
fn who_waits_too_long_is_told_what_it_would_have_been_told_at_once() {
    let gate = Gate::closed();
    let (upstream, _home, gateway) = scene(Reply::chat("hi").after(&gate), "max_wait_secs: 1");
    let key = key_of_one_slot(&gateway);
    let running = gateway.begin(&numbered(&key, 0));
    upstream.wait_for_requests(1);

    let began = Instant::now();
    let refused = [1, 2].map(|number| gateway.begin(&numbered(&key, number)));
    for refused in refused {
        let refused = refused.answer();
        refused.assert_error(429, "throttling_error");
        assert_eq!(
            refused.header("rate_limit_type"),
            Some("max_parallel_requests")
        );
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    assert!(began.elapsed() >= Duration::from_secs(1));
    gate.open();
    running.answer().assert_status(200);
    assert_eq!(upstream.request_count(), 1);

    // A place of the minute comes back too late for whoever waits a second: that is known at once.
    let key = generate_key(&gateway, &json!({"rpm_limit": 1}));
    gateway.send(&numbered(&key, 3)).assert_status(200);
    let began = Instant::now();
    gateway
        .send(&numbered(&key, 4))
        .assert_error(429, "throttling_error");
    assert!(began.elapsed() < Duration::from_secs(1));
    let metrics = gateway.get("/metrics").text();
    assert!(
        metrics.contains("trunkline_queue_seconds_count 5\n"),
        "{metrics}"
    );
}

#[test]
fn a_client_that_leaves_gives_up_its_place_and_the_queue_is_bounded() {
    let gate = Gate::closed();
    let (upstream, _home, gateway) = scene(
        Reply::chat("hi").after(&gate),
        "max_wait_secs: 30, max_waiting: 3, max_waiting_per_subject: 2",
    );
    let key = key_of_one_slot(&gateway);
    let running = gateway.begin(&numbered(&key, 0));
    upstream.wait_for_requests(1);
    let leaves = gateway.begin(&numbered(&key, 1));
    wait_until_waiting(&gateway, 1);
    let stays = gateway.begin(&numbered(&key, 2));
    wait_until_waiting(&gateway, 2);

    gateway
        .send(&numbered(&key, 3))
        .assert_error(429, "throttling_error");
    leaves.leave();
    wait_until_waiting(&gateway, 1);
    gate.open();
    running.answer().assert_status(200);
    stays.answer().assert_status(200);

    let seeds = upstream.requests().into_iter();
    let seeds: Vec<Value> = seeds
        .map(|request| request.json()["seed"].clone())
        .collect();
    assert_eq!(seeds, [0, 2].map(Value::from));
}

#[test]
fn who_waits_when_the_gateway_stops_is_refused_and_who_runs_is_served() {
    let gate = Gate::closed();
    let (upstream, _home, mut gateway) = scene(Reply::chat("hi").after(&gate), "max_wait_secs: 60");
    let key = key_of_one_slot(&gateway);
    let running = gateway.begin(&numbered(&key, 0));
    upstream.wait_for_requests(1);
    let waiting = [1, 2].map(|number| {
        let request = gateway.begin(&numbered(&key, number));
        wait_until_waiting(&gateway, number);
        request
    });

    gateway.terminate();
    for waiting in waiting {
        waiting.answer().assert_error(429, "throttling_error");
    }
    gate.open();
    running.answer().assert_status(200);
    assert!(gateway.wait().success());
    assert_eq!(upstream.request_count(), 1);
}

#[test]
fn tokens_that_were_reserved_and_not_used_serve_who_waits() {
    let gate = Gate::closed();
    let (upstream, _home, gateway) = scene(Reply::chat("hi").after(&gate), "max_wait_secs: 30");
    let key = generate_key(&gateway, &json!({"tpm_limit": 900}));
    let ask = || {
        let mut body = chat_request_body("m");
        body["max_tokens"] = json!(500);
        gateway.begin(&Request::post("/v1/chat/completions", &body).bearer(&key))
    };
    let first = ask();
    upstream.wait_for_requests(1);
    let second = ask();
    wait_until_waiting(&gateway, 1);

    gate.open();
    first.answer().assert_status(200);
    second.answer().assert_status(200);
}
