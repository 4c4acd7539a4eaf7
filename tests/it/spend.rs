//! The books are right: price × usage to the last decimal, once for every request that was completed, whatever
//! happens to the process.

use std::thread;

use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{
    Gateway, Home, chat_request, chat_request_body, start, stream_request,
};
use crate::support::http::{BodyEnd, Request};
use crate::support::reply::{Gate, Reply};
use crate::support::upstream::{Recorded, Upstream};
use crate::support::wait::eventually;

/// What a canned answer costs, in 1e-12 USD: 11 × 1e-6 + 7 × 2e-6 USD.
pub(crate) const COST_PICO: i64 = 25_000_000;

/// An amount of JSON in 1e-12 USD. The books hold no finer one, and a JSON number shows these exactly.
#[track_caller]
pub(crate) fn pico(amount: &Value) -> i64 {
    let usd = amount
        .as_f64()
        .unwrap_or_else(|| panic!("not an amount: {amount}"));
    format!("{usd:.12}")
        .replace('.', "")
        .parse()
        .expect("digits")
}

pub(crate) fn total(gateway: &Gateway) -> i64 {
    let answer = gateway.send(&Request::get("/global/spend").bearer(MASTER_KEY));
    answer.assert_status(200);
    let spend = answer.json();
    assert_eq!(spend["spend"], spend["total_spend"], "{spend}");
    assert!(spend["max_budget"].is_number(), "{spend}");
    pico(&spend["spend"])
}

/// How many rows the books have in all, and how many of them are completed requests.
pub(crate) fn rows(home: &Home) -> (i64, i64) {
    let store = home.books();
    store
        .query_row(
            "SELECT count(*), count(*) FILTER (WHERE status = 'success') FROM spend_logs",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("the books can be counted")
}

pub(crate) fn user_spend(gateway: &Gateway, key: &str) -> Value {
    let answer = gateway.send(&Request::get("/user/spend").bearer(key));
    answer.assert_status(200);
    answer.json()
}

pub(crate) fn whole_or_streamed(request: &Recorded) -> Reply {
    if request.json()["stream"] == true {
        Reply::stream(&["streamed"])
    } else {
        Reply::chat("whole")
    }
}

fn scene() -> (Upstream, Home, Gateway) {
    let upstream = Upstream::answering(whole_or_streamed);
    let (home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    (upstream, home, gateway)
}

#[test]
fn spend_is_price_times_usage_for_whole_answers_and_streams() {
    let (_upstream, _home, gateway) = scene();
    let key = generate_key(&gateway, &json!({"user_id": "ann"}));

    for _ in 0..3 {
        gateway
            .send(&chat_request("m").bearer(&key))
            .assert_status(200);
        gateway
            .send(&stream_request("m").bearer(&key))
            .assert_status(200);
    }

    eventually("everything spent", &(6 * COST_PICO), || total(&gateway));
    let spend = user_spend(&gateway, &key);
    assert_eq!(spend["user_id"], "ann");
    assert_eq!(pico(&spend["total_spend"]), 6 * COST_PICO, "{spend}");
    let models = spend["models"].as_object().expect("spend by model");
    assert_eq!(
        models.values().map(pico).sum::<i64>(),
        6 * COST_PICO,
        "{spend}"
    );
    assert_eq!(pico(&spend["keys"][0]["spend"]), 6 * COST_PICO, "{spend}");
    assert!(!spend.to_string().contains(&key), "{spend}");
}

#[test]
fn prices_with_many_digits_add_up_without_a_rounding_error() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::new()
        .deployment(
            Deployment::of("m", &upstream)
                .param("input_cost_per_token: 1.5e-07")
                .param("output_cost_per_token: 0.0000006"),
        )
        .one_attempt()
        .with_master_key();
    let (_home, gateway) = start(&config);
    let gateway = gateway.with_master_key();

    let answer = gateway.chat("m");
    for _ in 0..9 {
        gateway.chat("m").assert_status(200);
    }

    let cost: f64 = answer
        .header("x-litellm-response-cost")
        .and_then(|cost| cost.parse().ok())
        .expect("a cost");
    // 11 × 0.15e-6 + 7 × 0.6e-6 = 5.85e-6
    assert_eq!(pico(&json!(cost)), 5_850_000);
    eventually("everything spent", &58_500_000, || total(&gateway));
}

#[test]
fn cached_tokens_are_not_counted_twice() {
    let upstream = Upstream::always(Reply::json(
        200,
        &json!({"id": "c", "object": "chat.completion", "created": 1, "model": "x",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100,
                "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 40}}}),
    ));
    let config = ConfigText::new()
        .deployment(
            Deployment::of("m", &upstream)
                .param("cache_read_input_token_cost: 0.0000001")
                .param("output_cost_per_reasoning_token: 0.000002"),
        )
        .one_attempt()
        .with_master_key();
    let (_home, gateway) = start(&config);
    let gateway = gateway.with_master_key();

    gateway.chat("m").assert_status(200);

    // 400 × 1e-6 + 600 × 1e-7 + 100 × 2e-6
    eventually("everything spent", &660_000_000, || total(&gateway));
}

#[test]
fn one_users_spend_is_not_anothers() {
    let (_upstream, _home, gateway) = scene();
    let ann = generate_key(&gateway, &json!({"user_id": "ann"}));
    let second = generate_key(&gateway, &json!({"user_id": "ann"}));
    let ben = generate_key(&gateway, &json!({"user_id": "ben"}));

    for key in [&ann, &second, &ben] {
        gateway
            .send(&chat_request("m").bearer(key))
            .assert_status(200);
    }

    eventually("everything spent", &(3 * COST_PICO), || total(&gateway));
    assert_eq!(
        pico(&user_spend(&gateway, &ann)["total_spend"]),
        2 * COST_PICO
    );
    assert_eq!(pico(&user_spend(&gateway, &ben)["total_spend"]), COST_PICO);
    let refused = gateway.send(&Request::get("/global/spend").bearer(&ben));
    assert!(matches!(refused.status, 401 | 403), "{}", refused.text());
}

#[test]
fn the_master_key_may_look_at_any_user() {
    let (_upstream, _home, gateway) = scene();
    let ann = generate_key(&gateway, &json!({"user_id": "ann"}));
    gateway
        .send(&chat_request("m").bearer(&ann))
        .assert_status(200);

    eventually("ann's spend", &COST_PICO, || {
        let answer = gateway.send(&Request::get("/user/spend?user_id=ann").bearer(MASTER_KEY));
        pico(&answer.json()["total_spend"])
    });
}

#[test]
fn every_completed_request_is_on_the_books_once_after_a_kill() {
    let (_upstream, home, gateway) = scene();
    let gateway = gateway.with_master_key();
    for _ in 0..10 {
        gateway.chat("m").assert_status(200);
        gateway.chat_stream("m").assert_status(200);
    }
    gateway.kill();

    for restart in 1..=3 {
        let gateway = home.start().with_master_key();
        eventually(
            &format!("everything spent, after restart {restart}"),
            &(20 * COST_PICO),
            || total(&gateway),
        );
        assert_eq!(rows(&home), (20, 20), "one row a request");
        gateway.kill();
    }
}

#[test]
fn a_stream_is_on_the_books_before_its_terminal_event() {
    let (_upstream, home, gateway) = scene();
    let gateway = gateway.with_master_key();
    let mut live = gateway.open(&stream_request("m"));
    while live.next_event().expect("the stream goes on") != "[DONE]" {}

    gateway.kill();

    let gateway = home.start();
    eventually("the stream's cost", &COST_PICO, || total(&gateway));
}

#[test]
fn requests_at_the_moment_of_the_kill_are_completed_and_on_the_books_or_neither() {
    let (upstream, home, gateway) = scene();
    kill_under_load(&upstream, &home, gateway, || rows(&home));
}

/// Kills a gateway that serves, and holds its books to what clients and provider saw. `rows` counts as [`rows`] does.
pub(crate) fn kill_under_load(
    upstream: &Upstream,
    home: &Home,
    gateway: Gateway,
    rows: impl Fn() -> (i64, i64),
) {
    const CLIENTS: i64 = 4;
    let address = gateway.address();

    // Clients that ask until the gateway is gone, and count what they got whole.
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            thread::spawn(move || {
                let request = chat_request("m").bearer(MASTER_KEY);
                let mut completed = 0_i64;
                while let Ok(live) = request.open(address) {
                    let (answer, end) = live.read_to_end();
                    if answer.status != 200 || end != BodyEnd::Clean {
                        break;
                    }
                    completed += 1;
                }
                completed
            })
        })
        .collect();
    eventually("a hundred requests were served", &true, || {
        upstream.request_count() >= 100
    });
    gateway.kill();
    let completed: i64 = clients
        .into_iter()
        .map(|client| client.join().expect("a client ends"))
        .sum();
    let reached = i64::try_from(upstream.request_count()).expect("a small number");

    let gateway = home.start();
    eventually("the completed requests are on the books", &true, || {
        total(&gateway) >= completed * COST_PICO
    });
    let (all, succeeded) = rows();
    assert!(
        completed <= succeeded,
        "{completed} completed, {succeeded} settled"
    );
    assert!(
        succeeded <= reached,
        "{succeeded} settled, {reached} reached the provider"
    );
    // A client's request may die between its `started` record and the provider: it is on the books as unknown.
    assert!(
        all <= reached + CLIENTS,
        "{all} rows for {reached} requests and {CLIENTS} clients"
    );
    // A request that was under way is charged at most what it could have cost.
    let most = reached * (COST_PICO + 1_000_000_000);
    let spent = total(&gateway);
    assert!(
        spent <= most,
        "{spent} for {completed} of {reached} requests"
    );
    gateway.kill();
    let gateway = home.start();
    assert_eq!(total(&gateway), spent, "a second replay adds nothing");
}

#[test]
fn a_client_that_leaves_still_pays_for_what_it_got() {
    let gate = Gate::closed();
    let upstream =
        Upstream::always(Reply::stream(&["some words", "more"]).gate_before_part(2, &gate));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    let gateway = gateway.with_master_key();
    let mut live = gateway.open(&stream_request("m"));
    assert_eq!(live.next_text(), "some words");

    live.leave();

    eventually("something is on the books", &true, || total(&gateway) > 0);
}

#[test]
fn a_failed_request_is_not_charged() {
    let upstream = Upstream::scripted([
        Reply::error(400, "invalid_request_error", "no"),
        Reply::error(500, "server_error", "no"),
        Reply::chat("yes"),
    ]);
    let (_home, mut gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    gateway.allow_errors();
    let gateway = gateway.with_master_key();

    gateway.chat("m").assert_status(400);
    gateway.chat("m").assert_status(500);
    gateway.chat("m").assert_status(200);

    eventually("everything spent", &COST_PICO, || total(&gateway));
}

#[test]
fn an_answer_without_usage_is_estimated_and_not_free() {
    let upstream = Upstream::always(Reply::json(
        200,
        &json!({"id": "c", "object": "chat.completion", "created": 1, "model": "x",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "some words of an answer"}, "finish_reason": "stop"}]}),
    ));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    let gateway = gateway.with_master_key();

    gateway.chat("m").assert_status(200);

    eventually("something is on the books", &true, || total(&gateway) > 0);
}

#[test]
fn a_mocked_answer_is_billed_by_its_usage_and_asks_nobody() {
    let config = ConfigText::new()
        .deployment(Deployment::bare(
            "m",
            &[
                "model: openai/anything",
                "api_key: sk-not-needed",
                "mock_response: \"canned\"",
                "input_cost_per_token: 0.000001",
                "output_cost_per_token: 0.000002",
            ],
        ))
        .with_master_key();
    let (_home, gateway) = start(&config);
    let gateway = gateway.with_master_key();

    let answer = gateway.post("/v1/chat/completions", &chat_request_body("m"));

    answer.assert_status(200);
    let body = answer.json();
    assert_eq!(body["choices"][0]["message"]["content"], "canned");
    let prompt = body["usage"]["prompt_tokens"].as_i64().expect("tokens");
    let completion = body["usage"]["completion_tokens"].as_i64().expect("tokens");
    eventually(
        "everything spent",
        &(prompt * 1_000_000 + completion * 2_000_000),
        || total(&gateway),
    );
}

#[test]
fn a_kill_right_after_the_terminal_event_leaves_exactly_one_row() {
    for _ in 0..5 {
        let (_upstream, home, gateway) = scene();
        let gateway = gateway.with_master_key();
        let mut live = gateway.open(&stream_request("m"));
        while live.next_event().expect("the stream goes on") != "[DONE]" {}
        gateway.kill();

        let gateway = home.start();

        assert_eq!(total(&gateway), COST_PICO);
        assert_eq!(rows(&home), (1, 1));
    }
}

#[test]
fn a_kill_right_after_an_answer_leaves_exactly_one_row() {
    for _ in 0..5 {
        let (_upstream, home, gateway) = scene();
        let gateway = gateway.with_master_key();
        gateway.chat("m").assert_status(200);
        gateway.kill();

        let gateway = home.start();

        assert_eq!(total(&gateway), COST_PICO);
        assert_eq!(rows(&home), (1, 1));
    }
}

#[test]
fn a_kill_in_the_middle_of_a_stream_leaves_one_row_that_is_not_completed() {
    let never = Gate::closed();
    let upstream =
        Upstream::always(Reply::stream(&["some words", "more"]).gate_before_part(2, &never));
    let (home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    let gateway = gateway.with_master_key();
    let mut live = gateway.open(&stream_request("m"));
    assert_eq!(live.next_text(), "some words");
    gateway.kill();

    let gateway = home.start();

    assert!(total(&gateway) > 0, "the prompt reached the provider");
    assert_eq!(rows(&home), (1, 0));
}

#[test]
fn a_stop_leaves_the_books_in_the_store() {
    let (_upstream, home, gateway) = scene();
    let gateway = gateway.with_master_key();
    gateway.chat("m").assert_status(200);
    gateway.chat_stream("m").assert_status(200);

    gateway.stop();

    assert_eq!(rows(&home), (2, 2));
}

#[test]
fn spend_is_told_by_model_and_a_fallback_costs_what_the_answering_model_costs() {
    let broken = Upstream::always(Reply::error(500, "server_error", "oops"));
    let upstream = Upstream::answering(whole_or_streamed);
    let config = ConfigText::new()
        .deployment(Deployment::of("cheap", &upstream))
        .deployment(
            Deployment::of("dear", &upstream)
                .param("model: openai/dear-upstream")
                .param("input_cost_per_token: 0.001")
                .param("output_cost_per_token: 0.001"),
        )
        .deployment(Deployment::of("broken", &broken))
        .router("num_retries: 1")
        .router("disable_cooldowns: true")
        .router("fallbacks: [{broken: [dear]}]")
        .with_master_key();
    let (home, mut gateway) = start(&config);
    gateway.allow_errors();
    let key = generate_key(&gateway, &json!({"user_id": "ann"}));

    for model in ["cheap", "dear", "broken"] {
        gateway
            .send(&chat_request(model).bearer(&key))
            .assert_status(200);
    }

    let dear = 18 * 1_000_000_000;
    let spend = user_spend(&gateway, &key);
    assert_eq!(pico(&spend["total_spend"]), COST_PICO + 2 * dear, "{spend}");
    let mut amounts: Vec<i64> = spend["models"]
        .as_object()
        .expect("spend by model")
        .values()
        .map(pico)
        .collect();
    amounts.sort_unstable();
    assert_eq!(amounts, [COST_PICO, 2 * dear], "{spend}");
    assert_eq!(rows(&home), (3, 3), "retries and fallbacks are one request");
}

#[test]
fn completions_and_embeddings_are_on_the_books() {
    let upstream = Upstream::answering(|request| {
        if request.path == "/v1/embeddings" {
            Reply::embeddings(&[[1.0, 2.0, 3.0]])
        } else {
            Reply::completion("text")
        }
    });
    let (home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    let gateway = gateway.with_master_key();

    let completion = gateway.post("/v1/completions", &json!({"model": "m", "prompt": "a"}));
    let embedding = gateway.post("/v1/embeddings", &json!({"model": "m", "input": "a"}));

    assert_eq!(
        completion.header("x-litellm-response-cost"),
        Some("0.000025")
    );
    assert_eq!(
        embedding.header("x-litellm-response-cost"),
        Some("0.000011")
    );
    assert_eq!(total(&gateway), COST_PICO + 11 * 1_000_000);
    assert_eq!(rows(&home), (2, 2));
}

#[test]
fn a_known_model_has_its_list_price_and_an_unknown_one_is_said_to_have_none() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let base = format!("api_base: {}", upstream.base_url());
    let listed = |group: &str, model: &str| {
        Deployment::bare(
            group,
            &[
                &format!("model: openai/{model}"),
                &base,
                "api_key: sk-of-the-provider",
            ],
        )
    };
    let config = ConfigText::new()
        .deployment(listed("known", "gpt-4o-mini"))
        .deployment(listed("unknown", "nobody-lists-this"))
        .one_attempt()
        .with_master_key();
    let (_home, gateway) = start(&config);
    let key = generate_key(&gateway, &json!({"user_id": "ann"}));

    let known = gateway.send(&chat_request("known").bearer(&key));
    let unknown = gateway.send(&chat_request("unknown").bearer(&key));

    // 11 × 0.15e-6 + 7 × 0.6e-6
    assert_eq!(known.header("x-litellm-response-cost"), Some("0.00000585"));
    unknown.assert_status(200);
    assert_eq!(unknown.header("x-litellm-response-cost"), None);
    let spend = user_spend(&gateway, &key);
    assert_eq!(pico(&spend["total_spend"]), 5_850_000);
    assert_eq!(spend["unpriced_requests"], 1, "{spend}");
}

#[test]
fn models_without_a_price_can_be_refused() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let base = format!("api_base: {}", upstream.base_url());
    let config = ConfigText::new()
        .deployment(Deployment::bare(
            "unknown",
            &[
                "model: openai/nobody-lists-this",
                &base,
                "api_key: sk-of-the-provider",
            ],
        ))
        .deployment(Deployment::of("priced", &upstream))
        .one_attempt()
        .litellm("block_requests_for_models_without_pricing: true");
    let (_home, gateway) = start(&config);

    gateway
        .chat("unknown")
        .assert_error(403, "model_cost_map_missing");
    gateway.chat("priced").assert_status(200);

    assert_eq!(upstream.request_count(), 1);
}
