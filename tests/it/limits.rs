//! Limits hold: requests, tokens and parallel slots a minute, and money.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::keys::generate_key;
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{
    Gateway, Home, chat_request, chat_request_body, start, stream_request,
};
use crate::support::http::{Answer, Request};
use crate::support::reply::{Gate, Reply, chat_body};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

/// Every canned answer costs 11 × 1e-6 + 7 × 2e-6 USD.
const COST: f64 = 0.000_025;

pub(crate) fn scene(reply: Reply) -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(reply);
    let (home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    (upstream, home, gateway)
}

fn start_with_key(reply: Reply, wishes: &Value) -> (Upstream, Home, Gateway) {
    let (upstream, home, gateway) = scene(reply);
    let key = generate_key(&gateway, wishes);
    (upstream, home, gateway.with_key(&key))
}

#[expect(clippy::disallowed_methods, reason = "a test's thread blocks nobody")]
fn pause(time: Duration) {
    thread::sleep(time);
}

#[track_caller]
pub(crate) fn assert_rate_limited(answer: &Answer, limit_type: &str, limit: u64) {
    let error = answer.assert_error(429, "throttling_error");
    assert_eq!(error["param"], Value::Null);
    let message = error["message"].as_str().expect("a message");
    assert!(
        message.contains(&format!("Limit type: {limit_type}")),
        "{message}"
    );
    assert!(
        message.contains(&format!("Current limit: {limit}")),
        "{message}"
    );
    assert_eq!(answer.header("rate_limit_type"), Some(limit_type));
    let seconds: u64 = answer
        .header("retry-after")
        .and_then(|seconds| seconds.parse().ok())
        .expect("a number of seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[test]
fn requests_over_the_limit_of_a_minute_are_refused() {
    let (upstream, _home, gateway) = start_with_key(Reply::chat("hi"), &json!({"rpm_limit": 3}));

    for left in [2, 1, 0] {
        let answer = gateway.chat("m");
        answer.assert_status(200);
        assert_eq!(
            answer.header("x-ratelimit-api_key-remaining-requests"),
            Some(left.to_string().as_str())
        );
        assert_eq!(
            answer.header("x-ratelimit-api_key-limit-requests"),
            Some("3")
        );
    }
    assert_rate_limited(&gateway.chat("m"), "requests", 3);

    assert_eq!(upstream.request_count(), 3);
}

#[test]
fn requests_at_the_same_time_do_not_slip_past_the_limit() {
    let gate = Gate::closed();
    let (upstream, _home, gateway) =
        start_with_key(Reply::chat("hi").after(&gate), &json!({"rpm_limit": 5}));

    let pending: Vec<_> = (0..20).map(|_| gateway.begin(&chat_request("m"))).collect();
    upstream.wait_for_requests(5);
    gate.open();
    let statuses: Vec<u16> = pending
        .into_iter()
        .map(|request| request.answer().status)
        .collect();

    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        5,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 429).count(),
        15,
        "{statuses:?}"
    );
    assert_eq!(upstream.request_count(), 5);
}

#[test]
fn a_thousand_requests_at_once_get_fifty_places_and_no_sixty_seconds_ever_see_more() {
    const LIMIT: usize = 50;
    const MINUTE: Duration = Duration::from_mins(1);
    let (upstream, _home, gateway) =
        start_with_key(Reply::chat("hi"), &json!({"rpm_limit": LIMIT}));
    // When each served request was sent, and when it was known to be served: it was admitted in between.
    let mut served = Vec::new();
    let mut offer = |count: usize| {
        let pending: Vec<_> = (0..count)
            .map(|_| (Instant::now(), gateway.begin(&chat_request("m"))))
            .collect();
        for (sent, request) in pending {
            let answer = request.answer();
            if answer.status == 200 {
                served.push((sent, Instant::now()));
            } else {
                assert_rate_limited(&answer, "requests", LIMIT as u64);
            }
        }
        served.len()
    };

    let began = Instant::now();
    assert_eq!(offer(1_000), LIMIT);
    let first_took = began.elapsed();
    assert_eq!(upstream.request_count(), LIMIT);
    // More than the limit goes on being offered, until all places came back once.
    let mut so_far = LIMIT;
    while so_far < 2 * LIMIT && began.elapsed() < MINUTE + first_took + Duration::from_secs(10) {
        so_far = offer(3);
        assert!(
            so_far == LIMIT || began.elapsed() > MINUTE,
            "a place came back after {:?}",
            began.elapsed()
        );
        pause(Duration::from_millis(150));
    }

    assert_eq!(served.len(), 2 * LIMIT);
    assert_eq!(upstream.request_count(), 2 * LIMIT);
    for (from, _) in &served {
        let within = served
            .iter()
            .filter(|(sent, done)| sent >= from && *done < *from + MINUTE);
        assert!(within.count() <= LIMIT);
    }
}

#[test]
fn the_gateways_own_limits_count_all_callers_together() {
    let gate = Gate::closed();
    let upstream = Upstream::always(Reply::chat("hi").after(&gate));
    let config = ConfigText::one("m", &upstream)
        .with_master_key()
        .general("global_max_rpm: 4")
        .general("global_max_tpm: 1000000")
        .general("global_max_parallel_requests: 2");
    let (_home, gateway) = start(&config);
    let (ann, ben) = (
        generate_key(&gateway, &json!({})),
        generate_key(&gateway, &json!({})),
    );
    let ask = |key: &str| gateway.begin(&chat_request("m").bearer(key));

    let running = [ask(&ann), ask(&ben)];
    upstream.wait_for_requests(2);
    let refused = ask(MASTER_KEY).answer();
    assert_rate_limited(&refused, "max_parallel_requests", 2);
    let message = refused.json()["error"]["message"].clone();
    assert!(
        message.as_str().expect("a text").contains("for global. "),
        "{message}"
    );
    gate.open();
    for request in running {
        request.answer().assert_status(200);
    }
    for key in [MASTER_KEY, &ann] {
        eventually("a slot is free", &200, || ask(key).answer().status);
    }
    assert_rate_limited(&ask(&ben).answer(), "requests", 4);
    assert_eq!(upstream.request_count(), 4);
}

#[test]
fn tokens_are_counted_of_the_sort_that_is_configured_and_none_from_a_cache() {
    // 1,011 tokens of prompt, 1,000 of them from the provider's cache, and 7 of the answer.
    let mut body = chat_body("hi");
    body["usage"] = json!({"prompt_tokens": 1_011, "completion_tokens": 7, "total_tokens": 1_018,
        "prompt_tokens_details": {"cached_tokens": 1_000}});
    for (sort, counted) in [("input", 11), ("output", 7), ("total", 18)] {
        let upstream = Upstream::always(Reply::json(200, &body));
        let config = ConfigText::one("m", &upstream).with_master_key();
        let config = config.general(&format!("token_rate_limit_type: {sort}"));
        let (_home, gateway) = start(&config);
        let key = generate_key(&gateway, &json!({"tpm_limit": 5_000}));
        let left = |max_tokens: u64| {
            let mut body = chat_request_body("m");
            body["max_tokens"] = json!(max_tokens);
            let request = Request::post("/v1/chat/completions", &body).bearer(&key);
            let answer = gateway.send(&request);
            answer.assert_status(200);
            let left = answer.header("x-ratelimit-api_key-remaining-tokens");
            left.and_then(|left| left.parse::<u64>().ok())
                .expect("a number")
        };
        let first = left(100);
        // Both figures of a maximum have three digits, so the prompts are equally long.
        assert_eq!(first - left(100), counted, "{sort}");
        let reserved = if sort == "input" { 0 } else { 400 };
        assert_eq!(first - 2 * counted - left(500), reserved, "{sort}");
    }
}

#[test]
fn one_key_used_up_does_not_stop_another() {
    let (_upstream, _home, gateway) = scene(Reply::chat("hi"));
    let small = generate_key(&gateway, &json!({"rpm_limit": 1}));
    let other = generate_key(&gateway, &json!({"rpm_limit": 1}));

    gateway
        .send(&chat_request("m").bearer(&small))
        .assert_status(200);
    gateway
        .send(&chat_request("m").bearer(&small))
        .assert_status(429);
    gateway
        .send(&chat_request("m").bearer(&other))
        .assert_status(200);
}

#[test]
fn tokens_over_the_limit_of_a_minute_are_refused() {
    // Every answer reports 18 tokens, however little was asked for.
    let (upstream, _home, gateway) = start_with_key(Reply::chat("hi"), &json!({"tpm_limit": 18}));

    gateway.chat("m").assert_status(200);
    assert_rate_limited(&gateway.chat("m"), "tokens", 18);

    assert_eq!(upstream.request_count(), 1);
}

#[test]
fn tokens_that_were_reserved_and_not_used_are_given_back() {
    // Each request reserves its prompt and 500 tokens, and uses 18.
    let (_upstream, _home, gateway) = start_with_key(Reply::chat("hi"), &json!({"tpm_limit": 700}));
    let mut body = chat_request_body("m");
    body["max_tokens"] = json!(500);

    for _ in 0..5 {
        gateway
            .post("/v1/chat/completions", &body)
            .assert_status(200);
    }
}

#[test]
fn parallel_requests_over_the_limit_are_refused_until_one_ends() {
    let gate = Gate::closed();
    let (upstream, _home, gateway) = start_with_key(
        Reply::chat("hi").after(&gate),
        &json!({"max_parallel_requests": 1}),
    );
    let first = gateway.begin(&chat_request("m"));
    upstream.wait_for_requests(1);

    assert_rate_limited(&gateway.chat("m"), "max_parallel_requests", 1);
    gate.open();
    first.answer().assert_status(200);

    gateway.chat("m").assert_status(200);
}

#[test]
fn a_client_that_leaves_gives_its_parallel_slot_back() {
    let gate = Gate::closed();
    let (upstream, _home, gateway) = start_with_key(
        Reply::stream(&["a", "b"]).gate_before_part(2, &gate),
        &json!({"max_parallel_requests": 1}),
    );
    let mut live = gateway.open(&stream_request("m"));
    assert_eq!(live.next_text(), "a");
    live.leave();
    gate.open();
    upstream.wait_for_requests(1);

    eventually("the status after the client left", &200, || {
        gateway.chat_stream("m").status
    });
}

#[test]
fn a_key_without_money_left_is_refused() {
    let (upstream, _home, gateway) =
        start_with_key(Reply::chat("hi"), &json!({"max_budget": COST * 1.5}));

    gateway.chat("m").assert_status(200);
    gateway.chat("m").assert_status(200);
    let answer = gateway.chat("m");

    let error = answer.assert_error(422, "budget_exceeded");
    assert_eq!(error["param"], Value::Null);
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("Budget has been exceeded")),
        "{error}"
    );
    assert_eq!(upstream.request_count(), 2);
}

#[test]
fn a_budget_outlives_the_process() {
    let (_upstream, home, gateway) = scene(Reply::chat("hi"));
    let key = generate_key(&gateway, &json!({"max_budget": COST}));
    gateway
        .send(&chat_request("m").bearer(&key))
        .assert_status(200);
    gateway.kill();

    let gateway = home.start();

    gateway
        .send(&chat_request("m").bearer(&key))
        .assert_error(422, "budget_exceeded");
}

#[test]
fn money_held_by_a_running_request_is_not_spent_twice() {
    let gate = Gate::closed();
    let (upstream, _home, gateway) = start_with_key(
        Reply::chat("hi").after(&gate),
        &json!({"max_budget": COST * 1.5}),
    );
    let first = gateway.begin(&chat_request("m"));
    upstream.wait_for_requests(1);

    let second = gateway.chat("m");

    second.assert_status(429);
    assert!(second.header("retry-after").is_some());
    gate.open();
    first.answer().assert_status(200);
    gateway.chat("m").assert_status(200);
    assert_eq!(upstream.request_count(), 2);
}

#[test]
fn a_failed_request_costs_nothing() {
    let upstream = Upstream::scripted([
        Reply::error(500, "server_error", "oops"),
        Reply::error(500, "server_error", "oops"),
        Reply::chat("hi"),
    ]);
    let (_home, mut gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    gateway.allow_errors();
    let key = generate_key(&gateway, &json!({"max_budget": COST * 0.5}));
    let gateway = gateway.with_key(&key);

    gateway.chat("m").assert_status(500);
    gateway.chat("m").assert_status(500);
    gateway.chat("m").assert_status(200);
    gateway.chat("m").assert_error(422, "budget_exceeded");
}

#[test]
fn a_budget_is_overshot_by_at_most_one_request_however_many_run_at_once() {
    // A request holds its prompt and 16 tokens, more than it will cost.
    let budget = COST * 4.0;
    let gate = Gate::closed();
    let (upstream, _home, gateway) = start_with_key(
        Reply::chat("hi").after(&gate),
        &json!({"max_budget": budget}),
    );

    let pending: Vec<_> = (0..30).map(|_| gateway.begin(&chat_request("m"))).collect();
    upstream.wait_for_requests(1);
    gate.open();
    let mut served = 0_u32;
    for request in pending {
        let status = request.answer().status;
        assert!(matches!(status, 200 | 422 | 429), "{status}");
        served += u32::from(status == 200);
    }
    // What was refused for the sake of running requests is served now, until the money is gone.
    loop {
        let answer = gateway.chat("m");
        if answer.status != 200 {
            answer.assert_error(422, "budget_exceeded");
            break;
        }
        served += 1;
    }

    let spent = f64::from(served) * COST;
    assert!(
        spent >= budget && spent <= budget + COST * 1.01,
        "{served} requests: {spent} of {budget}"
    );
}

#[test]
fn tokens_at_the_same_time_do_not_slip_past_the_limit() {
    let gate = Gate::closed();
    // A request reserves its prompt and 500 tokens: one fits, two do not.
    let (upstream, _home, gateway) =
        start_with_key(Reply::chat("hi").after(&gate), &json!({"tpm_limit": 900}));
    let mut body = chat_request_body("m");
    body["max_tokens"] = json!(500);
    let request = Request::post("/v1/chat/completions", &body);
    let first = gateway.begin(&request);
    upstream.wait_for_requests(1);

    for _ in 0..10 {
        assert_rate_limited(&gateway.send(&request), "tokens", 900);
    }
    gate.open();
    first.answer().assert_status(200);

    gateway.send(&request).assert_status(200);
    assert_eq!(upstream.request_count(), 2);
}

#[test]
fn parallel_slots_are_never_more_than_allowed_and_come_back_after_every_end() {
    let gate = Gate::closed();
    let (upstream, _home, gateway) = start_with_key(
        Reply::stream(&["a", "b"]).gate_before_part(2, &gate),
        &json!({"max_parallel_requests": 3}),
    );
    let mut running = Vec::new();
    for _ in 0..3 {
        let mut live = gateway.open(&stream_request("m"));
        assert_eq!(live.next_text(), "a");
        running.push(live);
    }

    for _ in 0..10 {
        assert_rate_limited(&gateway.chat_stream("m"), "max_parallel_requests", 3);
    }
    assert_eq!(upstream.request_count(), 3);
    gate.open();
    for live in running {
        let (events, _) = live.remaining_events();
        assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    }
    upstream.push(Reply::error(500, "server_error", "oops"));
    gateway.chat("m").assert_status(500);
    for _ in 0..4 {
        gateway.chat_stream("m").assert_status(200);
    }
}

#[test]
fn a_stream_spends_money_too() {
    let (_upstream, _home, gateway) =
        start_with_key(Reply::stream(&["a"]), &json!({"max_budget": COST}));

    gateway.chat_stream("m").assert_status(200);

    gateway
        .chat_stream("m")
        .assert_error(422, "budget_exceeded");
}

#[test]
fn a_request_that_is_refused_before_it_is_sent_takes_nothing() {
    let (_upstream, _home, gateway) = start_with_key(Reply::chat("hi"), &json!({"rpm_limit": 2}));
    let mut broken = chat_request_body("m");
    broken["messages"] = json!([]);

    for _ in 0..5 {
        gateway
            .post("/v1/chat/completions", &broken)
            .assert_status(400);
        gateway.chat("no-such-model").assert_status(400);
    }

    gateway.chat("m").assert_status(200);
    gateway.chat("m").assert_status(200);
    gateway.chat("m").assert_status(429);
}
