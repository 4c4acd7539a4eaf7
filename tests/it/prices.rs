//! What a call costs: lengths, services, own entries of the price list, discounts; and the list against a price map.

use std::fs;

use serde_json::{Value, json};

use crate::spend::{pico, total};
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, start};
use crate::support::http::{Answer, Request};
use crate::support::reply::{Reply, chat_body, event, finish_event, text_event};
use crate::support::upstream::Upstream;

/// A provider that says so much was sent, and 100 tokens answered.
fn upstream(prompt_tokens: u64, more: &[(&str, &str)]) -> Upstream {
    let mut body = chat_body("hi");
    body["usage"] = json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": 100,
        "total_tokens": prompt_tokens + 100,
    });
    for (key, value) in more {
        body[*key] = json!(value);
    }
    Upstream::always(Reply::json(200, &body))
}

fn listed(group: &str, model: &str, upstream: &Upstream) -> Deployment {
    Deployment::bare(
        group,
        &[
            &format!("model: {model}"),
            &format!("api_base: {}", upstream.base_url()),
            "api_key: sk-of-the-provider",
        ],
    )
}

fn ask(gateway: &Gateway, more: &[(&str, &str)]) -> Answer {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for (key, value) in more {
        body[*key] = json!(value);
    }
    let answer = gateway.send(&Request::post("/v1/chat/completions", &body));
    answer.assert_status(200);
    answer
}

fn cost(answer: &Answer) -> Option<&str> {
    answer.header("x-litellm-response-cost")
}

#[test]
fn a_prompt_above_the_length_of_a_tier_costs_more_as_a_whole() {
    for (prompt, want) in [(272_000, "2.725"), (272_001, "5.44752")] {
        let upstream = upstream(prompt, &[]);
        let config = ConfigText::new().deployment(listed("m", "openai/gpt-6-astra", &upstream));
        let (_home, gateway) = start(&config);
        assert_eq!(cost(&ask(&gateway, &[])), Some(want), "{prompt}");
    }
}

#[test]
fn the_service_is_what_the_answer_says_else_what_was_asked_for() {
    // 1,000 × $10 + 100 × $50 a million; flex half, priority twice.
    let silent = upstream(1000, &[]);
    let config = ConfigText::new().deployment(listed("m", "openai/gpt-6-astra", &silent));
    let (_home, gateway) = start(&config);
    assert_eq!(cost(&ask(&gateway, &[])), Some("0.015"));
    let flex = ask(&gateway, &[("service_tier", "flex")]);
    assert_eq!(cost(&flex), Some("0.0075"));
    let priority = ask(&gateway, &[("service_tier", "priority")]);
    assert_eq!(cost(&priority), Some("0.03"));

    let served = upstream(1000, &[("service_tier", "default")]);
    let config = ConfigText::new().deployment(listed("m", "openai/gpt-6-astra", &served));
    let (_home, gateway) = start(&config);
    let downgraded = ask(&gateway, &[("service_tier", "priority")]);
    assert_eq!(cost(&downgraded), Some("0.015"));
}

#[test]
fn a_service_that_the_deployment_asks_for_is_billed_too() {
    let upstream = upstream(1000, &[]);
    let flex = listed("m", "openai/gpt-6-astra", &upstream).param("service_tier: flex");
    let (_home, gateway) = start(&ConfigText::new().deployment(flex));
    assert_eq!(cost(&ask(&gateway, &[])), Some("0.0075"));
}

#[test]
fn own_entries_of_the_list_and_of_a_price_map_count() {
    let upstream = upstream(1000, &[]);
    let config = ConfigText::new()
        .deployment(listed("m", "openai/house-model", &upstream))
        .deployment(listed("n", "mistral/house-mistral", &upstream))
        .trunkline("model_prices_file: map.json")
        .trunkline(
            "model_prices: {openai/house-model: {input_cost_per_token: 1e-06, output_cost_per_token: 2e-06}}",
        );
    let home = Home::with(&config);
    let map = json!({"mistral/house-mistral": {
        "litellm_provider": "mistral", "mode": "chat",
        "input_cost_per_token": 1e-7, "output_cost_per_token": 3e-7,
    }});
    fs::write(home.path().join("map.json"), map.to_string()).expect("the map is written");
    let gateway = home.start();

    assert_eq!(cost(&ask(&gateway, &[])), Some("0.0012"));
    assert_eq!(cost(&ask(&gateway, &[("model", "n")])), Some("0.00013"));
}

#[test]
fn prices_are_read_anew_without_a_restart_and_what_was_billed_stays_billed() {
    let upstream = upstream(1000, &[]);
    let config = ConfigText::new()
        .deployment(listed("m", "mistral/house-mistral", &upstream))
        .trunkline("model_prices_file: map.json")
        .with_master_key();
    let home = Home::with(&config);
    let map = home.path().join("map.json");
    let write = |output: f64| {
        let text = json!({"mistral/house-mistral": {
            "litellm_provider": "mistral", "mode": "chat",
            "input_cost_per_token": 1e-7, "output_cost_per_token": output,
        }});
        fs::write(&map, text.to_string()).expect("the map is written");
    };
    let reload = |gateway: &Gateway| {
        let request = Request::post("/reload/model_cost_map", &json!({})).bearer(MASTER_KEY);
        gateway.send(&request)
    };
    write(3e-7);
    let gateway = home.start().with_master_key();
    let ask = || cost(&ask(&gateway, &[])).map(str::to_owned);
    assert_eq!(ask().as_deref(), Some("0.00013"));

    write(1e-6);
    assert_eq!(ask().as_deref(), Some("0.00013"), "nobody asked");
    let told = reload(&gateway);
    told.assert_status(200);
    assert_eq!(told.json()["deployments"], 1);
    assert_eq!(ask().as_deref(), Some("0.0002"));
    let info = gateway.get("/model/info").json();
    let shown = &info["data"][0]["model_info"]["output_cost_per_token"];
    assert_eq!(pico(shown), 1_000_000, "{info}");

    fs::write(&map, "no JSON").expect("the map is broken");
    let refused = reload(&gateway);
    let error = refused.assert_error(400, "invalid_request_error");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains("model_prices_file"), "{message}");
    assert_eq!(ask().as_deref(), Some("0.0002"));
    // Two at the old price and two at the new one; at its end the books are proved row by row.
    assert_eq!(total(&gateway), 660_000_000);
}

#[test]
fn discount_and_margin_are_told_beside_the_list_price() {
    let upstream = upstream(1000, &[]);
    let config = ConfigText::new()
        .deployment(listed("m", "openai/gpt-4o", &upstream))
        .litellm("cost_discount_config: {openai: 0.1}")
        .litellm("cost_margin_config: {global: {percentage: 0.2, fixed_amount: 0.001}}");
    let (_home, gateway) = start(&config);

    // 1,000 × $2.50 + 100 × $10 a million; − 10 %; + 20 % and $0.001.
    let answer = ask(&gateway, &[]);
    for (name, want) in [
        ("x-litellm-response-cost-original", "0.0035"),
        ("x-litellm-response-cost-discount-amount", "0.00035"),
        ("x-litellm-response-cost-margin-amount", "0.00163"),
        ("x-litellm-response-cost", "0.00478"),
    ] {
        assert_eq!(answer.header(name), Some(want), "{name}");
    }
}

#[test]
fn a_stream_costs_what_the_whole_answer_costs() {
    let usage =
        json!({"prompt_tokens": 272_001, "completion_tokens": 100, "total_tokens": 272_101});
    let last = json!({
        "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
        "usage": usage,
    });
    let upstream = Upstream::always(Reply::events([
        text_event("hi"),
        finish_event(),
        event(&last),
        b"data: [DONE]\n\n".to_vec(),
    ]));
    let config = ConfigText::new()
        .deployment(listed("m", "openai/gpt-6-astra", &upstream))
        .with_master_key();
    let (_home, gateway) = start(&config);
    let gateway = gateway.with_master_key();
    let body =
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    gateway
        .send(&Request::post("/v1/chat/completions", &body))
        .assert_status(200);

    assert_eq!(total(&gateway), 5_447_520_000_000);
}

#[test]
fn the_list_is_compared_with_a_price_map() {
    let home = Home::empty();
    let run = |file: &str, more: &[&str]| {
        let output = home.run(&[&["prices", "diff", file], more].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text)
    };
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/config/model_prices.json");
    let (code, text) = run(own, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(" models equal, 0 different"), "{text}");

    let map = json!({"gpt-4o": {
        "litellm_provider": "openai", "mode": "chat",
        "input_cost_per_token": 9e-6, "output_cost_per_token": 1e-5,
    }});
    let path = home.path().join("map.json");
    fs::write(&path, map.to_string()).expect("the map is written");
    let (code, text) = run("map.json", &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("openai/gpt-4o"), "{text}");
    let (code, text) = run("map.json", &["--json"]);
    assert_eq!(code, Some(1));
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let differences = report["differences"].as_array().expect("a list");
    let gpt_4o = differences
        .iter()
        .find(|row| row["provider"] == "openai" && row["model"] == "gpt-4o")
        .expect("the changed model");
    assert_eq!(gpt_4o["difference"], "figures");
    assert!(
        gpt_4o["figures"].as_array().is_some_and(|figures| figures
            .contains(&json!({"name": "input", "here": "0.0000025", "there": "0.000009"}))),
        "{gpt_4o}"
    );

    for text in ["{}", "[]", "no JSON"] {
        fs::write(&path, text).expect("the map is written");
        assert_eq!(run("map.json", &[]).0, Some(2), "{text}");
    }
    assert_eq!(run("nowhere.json", &[]).0, Some(2));
}
