//! What a call would cost, and what it did.

use serde_json::{Value, json};

use crate::spend::{COST_PICO, pico};
use crate::spend_reports::{scene, text};
use crate::support::config::MASTER_KEY;
use crate::support::http::Request;

#[test]
fn costs_are_calculated_before_and_after_a_call() {
    let scene = scene();
    let ask = |path: &str, body: Value| {
        scene
            .gateway
            .send(&Request::post(path, &body).bearer(text(&scene.ann["key"])))
    };
    let messages = json!([{"role": "user", "content": "hi"}]);
    let answer = ask(
        "/spend/calculate",
        json!({"model": "m", "messages": messages}),
    );
    answer.assert_status(200);
    let tokens = scene.gateway.send(
        &Request::post(
            "/utils/token_counter",
            &json!({"model": "m", "messages": messages}),
        )
        .bearer(MASTER_KEY),
    );
    let tokens = tokens.json()["total_tokens"].as_i64().expect("tokens");
    assert_eq!(pico(&answer.json()["cost"]), tokens * 1_000_000);

    let usage = json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18});
    let response = json!({"id": "c", "model": "m", "choices": [], "usage": usage});
    let answer = ask("/spend/calculate", json!({"completion_response": response}));
    assert_eq!(pico(&answer.json()["cost"]), COST_PICO);
    // A model that is not served has its list price.
    let answer = ask(
        "/spend/calculate",
        json!({"completion_response": {"model": "openai/gpt-4o", "usage": usage}}),
    );
    assert_eq!(
        pico(&answer.json()["cost"]),
        11 * 2_500_000 + 7 * 10_000_000
    );

    let estimate = ask(
        "/cost/estimate",
        json!({"model": "m", "input_tokens": 11, "output_tokens": 7, "cache_read_input_tokens": 4,
            "num_requests_per_day": 10, "num_requests_per_month": 300}),
    );
    estimate.assert_status(200);
    let estimate = estimate.json();
    assert_eq!(pico(&estimate["cost_per_request"]), COST_PICO, "{estimate}");
    assert_eq!(pico(&estimate["input_cost_per_request"]), 11_000_000);
    assert_eq!(pico(&estimate["output_cost_per_request"]), 14_000_000);
    assert_eq!(pico(&estimate["daily_cost"]), 10 * COST_PICO);
    assert_eq!(pico(&estimate["monthly_cost"]), 300 * COST_PICO);
    assert_eq!(estimate["input_tokens"], 11);
    assert_eq!(estimate["provider"], "openai");

    for (path, body, status, param) in [
        ("/spend/calculate", json!({}), 400, "model"),
        ("/spend/calculate", json!({"model": "m"}), 400, "messages"),
        (
            "/spend/calculate",
            json!({"model": "no-such", "messages": messages}),
            400,
            "model",
        ),
        (
            "/spend/calculate",
            json!({"completion_response": {"model": "m"}}),
            400,
            "completion_response",
        ),
        ("/cost/estimate", json!({"model": "m"}), 400, "request_body"),
        (
            "/cost/estimate",
            json!({"model": "no-such", "input_tokens": 1, "output_tokens": 1}),
            404,
            "model",
        ),
        (
            "/cost/estimate",
            json!({"model": "m", "input_tokens": 1, "output_tokens": 1, "reasoning_tokens": 2}),
            400,
            "reasoning_tokens",
        ),
    ] {
        let err = ask(path, body).assert_error(status, "invalid_request_error");
        assert_eq!(err["param"], param, "{path}");
    }
}
