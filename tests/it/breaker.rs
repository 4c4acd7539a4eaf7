//! A deployment that failed is left alone for its cooldown; then exactly one request finds out whether it is well.

use serde_json::Value;

use crate::keys::generate_key;
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request, start, stream_request};
use crate::support::http::Request;
use crate::support::reply::{Gate, Reply};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

fn deployment_state(gateway: &Gateway) -> Value {
    let answer = gateway.send(&Request::get("/router/state").bearer(MASTER_KEY));
    answer.assert_status(200);
    answer.json()["deployments"][0].clone()
}

/// A deployment that has just opened for `cooldown_secs`: its key was refused.
fn opened(cooldown_secs: &str) -> (Upstream, Home, Gateway) {
    let upstream = Upstream::scripted([Reply::error(401, "auth", "bad key")]);
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).id("only"))
        .router("num_retries: 0")
        .router(&format!("cooldown_time: {cooldown_secs}"))
        .with_master_key();
    let (home, mut gateway) = start(&config);
    gateway.allow_errors();
    let gateway = gateway.with_master_key();
    gateway.chat("m").assert_status(401);
    (upstream, home, gateway)
}

#[track_caller]
fn assert_cooling(gateway: &Gateway) {
    gateway
        .chat("m")
        .assert_error(429, "all_deployments_in_cooldown");
}

#[test]
fn an_open_deployment_is_shown_with_the_time_that_is_left() {
    let (_upstream, _home, gateway) = opened("60");

    let state = deployment_state(&gateway);

    assert_eq!(state["id"], "only");
    assert_eq!(state["model_group"], "m");
    assert_eq!(state["state"], "open", "{state}");
    assert!(
        state["cooldown_remaining_ms"]
            .as_u64()
            .is_some_and(|left| (1..=60_000).contains(&left)),
        "{state}"
    );
    let health = gateway.get("/health").json();
    assert_eq!(health["unhealthy_count"], 1, "{health}");
}

#[test]
fn after_the_cooldown_exactly_one_request_goes_through_until_it_has_answered() {
    let (upstream, _home, gateway) = opened("0.3");
    eventually("the state", &Value::from("half_open"), || {
        deployment_state(&gateway)["state"].clone()
    });
    let gate = Gate::closed();
    upstream.push(Reply::chat("well again").after(&gate));

    let probe = gateway.begin(&chat_request("m").bearer(MASTER_KEY));
    upstream.wait_for_requests(2);
    for _ in 0..10 {
        assert_cooling(&gateway);
    }
    assert_eq!(upstream.request_count(), 2, "only the probe was sent");
    gate.open();
    probe.answer().assert_status(200);

    upstream.push(Reply::chat("served"));
    eventually("the state", &Value::from("closed"), || {
        deployment_state(&gateway)["state"].clone()
    });
    gateway.chat("m").assert_status(200);
}

#[test]
fn of_many_requests_at_the_deadline_one_reaches_the_provider() {
    let (upstream, _home, gateway) = opened("0.3");
    eventually("the state", &Value::from("half_open"), || {
        deployment_state(&gateway)["state"].clone()
    });
    let gate = Gate::closed();
    upstream.push(Reply::chat("well again").after(&gate));

    let pending: Vec<_> = (0..20)
        .map(|_| gateway.begin(&chat_request("m").bearer(MASTER_KEY)))
        .collect();
    // One waits for the gate; the others are refused while it does, so their count shows when all have been judged.
    eventually("refused requests", &true, || {
        let text = gateway.get("/metrics").text();
        text.contains("code=\"all_in_cooldown\"} 19") || text.contains("status=\"429\"} 19")
    });
    upstream.wait_for_requests(2);
    assert_eq!(upstream.request_count(), 2);
    gate.open();
    let statuses: Vec<u16> = pending
        .into_iter()
        .map(|request| request.answer().status)
        .collect();

    let served = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(served, 1, "{statuses:?}");
}

#[test]
fn a_probe_that_fails_opens_the_deployment_again() {
    let (upstream, _home, gateway) = opened("0.3");
    eventually("the state", &Value::from("half_open"), || {
        deployment_state(&gateway)["state"].clone()
    });
    // It asks for a long pause, so that the next request cannot be another probe.
    upstream.push(Reply::error(429, "rate_limit", "slow down").header("retry-after", "40"));

    gateway.chat("m").assert_status(429);

    eventually("the state", &Value::from("open"), || {
        deployment_state(&gateway)["state"].clone()
    });
    assert_cooling(&gateway);
    assert_eq!(upstream.request_count(), 2);
}

#[test]
fn a_probe_whose_client_left_gives_no_verdict_and_the_next_request_probes() {
    let (upstream, _home, gateway) = opened("0.3");
    eventually("the state", &Value::from("half_open"), || {
        deployment_state(&gateway)["state"].clone()
    });
    upstream.push(Reply::never());
    let probe = gateway.begin(&chat_request("m").bearer(MASTER_KEY));
    upstream.wait_for_requests(2);

    probe.leave();
    eventually("requests in flight", &Value::from(0), || {
        deployment_state(&gateway)["in_flight"].clone()
    });
    upstream.push(Reply::chat("well again"));

    gateway.chat("m").assert_status(200);
}

#[test]
fn only_an_administrator_sees_the_state_of_the_router() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    let key = generate_key(&gateway, &serde_json::json!({}));

    gateway
        .send(&Request::get("/router/state").bearer(&key))
        .assert_status(401);
    gateway.get("/router/state").assert_status(401);
}

#[test]
fn a_deployment_takes_no_more_requests_at_once_than_it_is_given() {
    let gate = Gate::closed();
    let upstream = Upstream::always(Reply::chat("hi").after(&gate));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).param("max_parallel_requests: 2"))
        .one_attempt()
        .with_master_key();
    let (_home, gateway) = start(&config);
    let gateway = gateway.with_master_key();
    let first = gateway.begin(&chat_request("m").bearer(MASTER_KEY));
    let second = gateway.begin(&chat_request("m").bearer(MASTER_KEY));
    upstream.wait_for_requests(2);

    let third = gateway.chat("m");

    third.assert_status(429);
    assert!(third.header("retry-after").is_some());
    gate.open();
    first.answer().assert_status(200);
    second.answer().assert_status(200);
    gateway.chat("m").assert_status(200);
}

#[test]
fn a_probe_that_streams_is_judged_by_its_first_content() {
    let (upstream, _home, gateway) = opened("0.3");
    eventually("the state", &Value::from("half_open"), || {
        deployment_state(&gateway)["state"].clone()
    });
    let gate = Gate::closed();
    upstream.push(Reply::stream(&["well", "again"]).gate_before_part(2, &gate));
    let mut probe = gateway.open(&stream_request("m"));
    assert_eq!(probe.next_text(), "well");

    eventually("the state", &Value::from("closed"), || {
        deployment_state(&gateway)["state"].clone()
    });
    upstream.push(Reply::chat("not kept waiting"));
    gateway.chat("m").assert_status(200);

    gate.open();
    let (events, _) = probe.remaining_events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
}
