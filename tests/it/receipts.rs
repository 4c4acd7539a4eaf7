//! What an answer says of its cost: in headers, in a stream's comment, in its usage. That the books can show it stands in
//! `ledger`.

use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::ledger::{assert_explained, run};
use crate::spend::pico;
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request_body};
use crate::support::http::{Answer, BodyEnd, Request};
use crate::support::reply::{
    DONE_EVENT, Ending, Reply, chat_body, event, finish_event, opening_event, text_event,
    usage_event,
};
use crate::support::upstream::{Recorded, Upstream};
use crate::support::wait::eventually;

/// What the provider says it used: 1,000 plain, 600 from the cache; 60 said, 40 thought.
fn counters() -> Value {
    json!({"prompt_tokens": 1600, "completion_tokens": 100, "total_tokens": 1700,
        "prompt_tokens_details": {"cached_tokens": 600}, "completion_tokens_details": {"reasoning_tokens": 40}})
}

/// Answers whole or as a stream, and says that it served what was asked for.
pub(crate) fn provider() -> Upstream {
    Upstream::answering(|request: &Recorded| {
        let asked = request.json();
        let tier = asked["service_tier"].clone();
        if asked["stream"] != true {
            let mut body = chat_body("hi");
            body["usage"] = counters();
            body["service_tier"] = tier;
            return Reply::json(200, &body);
        }
        let mut last: Value = serde_json::from_str(
            String::from_utf8(usage_event())
                .expect("text")
                .trim()
                .trim_start_matches("data: "),
        )
        .expect("JSON");
        last["usage"] = counters();
        last["service_tier"] = tier;
        Reply::events([
            opening_event(),
            text_event("hi"),
            finish_event(),
            event(&last),
            DONE_EVENT.to_vec(),
        ])
    })
}

/// A listed model, one with prices of its own behind a wildcard's back, and the operator's terms.
pub(crate) fn config(upstream: &Upstream) -> ConfigText {
    let at = |group: &str, model: &str| {
        Deployment::bare(
            group,
            &[
                &format!("model: {model}"),
                &format!("api_base: {}", upstream.base_url()),
                "api_key: sk-of-the-provider",
            ],
        )
    };
    ConfigText::new()
        .deployment(at("listed", "openai/gpt-6-astra"))
        .deployment(
            at("own", "openai/house-model")
                .param("input_cost_per_token: 1.5e-07")
                .param("output_cost_per_token: 0.0000006"),
        )
        .deployment(at("any/*", "groq/*"))
        .deployment(at("unpriced", "openai/of-nobody"))
        .litellm("cost_discount_config: {groq: 0.05}")
        .litellm("cost_margin_config: {groq: {percentage: 0.1, fixed_amount: 0.001}}")
        .one_attempt()
        .with_master_key()
}

pub(crate) fn ask(gateway: &Gateway, key: &str, model: &str, more: &[(&str, Value)]) -> Answer {
    let mut body = chat_request_body(model);
    for (name, value) in more {
        body[*name] = value.clone();
    }
    let request = Request::post("/v1/chat/completions", &body).bearer(key);
    let answer = gateway.send(&request);
    answer.assert_status(200);
    answer
}

#[test]
fn a_whole_answer_carries_its_receipt_in_headers() {
    let upstream = provider();
    let home = Home::with(&config(&upstream));
    let gateway = home.start();
    let key = generate_key(&gateway, &json!({"user_id": "ann", "max_budget": 0.001}));

    let answer = ask(&gateway, &key, "own", &[]);

    assert_eq!(answer.header("x-litellm-response-cost"), Some("0.0003"));
    let usage = "input=1000;cache_read=600;output=60;reasoning=40";
    assert_eq!(answer.header("x-trunkline-usage"), Some(usage));
    let version = answer
        .header("x-trunkline-price-version")
        .expect("a version");
    assert!(version.starts_with("20"), "{version}");
    let remaining = "api_key;remaining=0.0007";
    assert_eq!(
        answer.header("x-trunkline-budget-remaining"),
        Some(remaining)
    );

    let answer = ask(&gateway, MASTER_KEY, "unpriced", &[]);
    assert_eq!(answer.header("x-trunkline-usage"), Some(usage));
    for unknown in [
        "x-litellm-response-cost",
        "x-trunkline-price-version",
        "x-trunkline-budget-remaining",
    ] {
        assert_eq!(answer.header(unknown), None, "{unknown}");
    }
}

/// The receipt among the raw events of a stream, and what came behind it.
fn receipt(gateway: &Gateway, request: &Request) -> (Option<Value>, Vec<String>) {
    let mut answer = gateway.open(request);
    let mut events = Vec::new();
    let end = loop {
        match answer.next_raw_event() {
            Ok(event) => events.push(event),
            Err(end) => break end,
        }
    };
    assert_eq!(end, BodyEnd::Clean);
    let place = events
        .iter()
        .position(|event| event.starts_with(": trunkline "));
    let Some(place) = place else {
        return (None, events);
    };
    let behind = events.split_off(place + 1);
    let text = events[place].trim_start_matches(": trunkline ");
    (serde_json::from_str(text).ok(), behind)
}

#[test]
fn a_stream_carries_its_receipt_before_its_last_event() {
    let upstream = provider();
    let home = Home::with(&config(&upstream));
    let gateway = home.start();
    let key = generate_key(&gateway, &json!({"user_id": "ann", "max_budget": 0.001}));
    let mut body = chat_request_body("own");
    body["stream"] = json!(true);

    for (path, last) in [
        ("/v1/chat/completions", "data: [DONE]"),
        ("/v1/messages", "event: message_stop"),
    ] {
        let request = Request::post(path, &body).bearer(&key);
        let (receipt, behind) = receipt(&gateway, &request);
        let receipt = receipt.expect("a receipt");
        assert_eq!(pico(&receipt["cost"]), 300_000_000, "{receipt}");
        let usage = json!({"input": 1000, "cache_read": 600, "output": 60, "reasoning": 40});
        assert_eq!(receipt["usage"], usage);
        assert_eq!(receipt["estimated"], false);
        assert_eq!(receipt["remaining_budget"]["subject"], "api_key");
        assert_eq!(behind.len(), 1, "{behind:?}");
        assert!(behind[0].starts_with(last), "{behind:?}");
        let id = receipt["id"].as_str().expect("an id").to_owned();
        eventually("the row", &Some(0), || run(&home, &["explain", &id]).0);
        let explained = assert_explained(&home, &id);
        assert_eq!(explained["row"]["price_id"], receipt["price_id"]);
        assert_eq!(explained["row"]["price_version"], receipt["price_version"]);
    }
}

#[test]
fn a_stream_that_breaks_off_says_what_was_charged_before_its_error() {
    let broken = Reply::events([opening_event(), text_event("so far")]).ending(Ending::Cut);
    let upstream = Upstream::always(broken);
    let home = Home::with(&config(&upstream));
    let gateway = home.start();
    let mut body = chat_request_body("own");
    body["stream"] = json!(true);
    let request = Request::post("/v1/chat/completions", &body).bearer(MASTER_KEY);

    let (receipt, behind) = receipt(&gateway, &request);

    let receipt = receipt.expect("a receipt");
    assert_eq!(receipt["estimated"], true, "{receipt}");
    assert!(pico(&receipt["cost"]) > 0, "{receipt}");
    assert!(receipt["remaining_budget"].is_null());
    assert!(behind[0].contains("\"error\""), "{behind:?}");
}

#[test]
fn the_usage_chunk_of_a_stream_says_the_cost_to_who_asked_for_usage() {
    let upstream = provider();
    for (line, says_cost) in [
        ("drop_params: false", true),
        ("include_cost_in_streaming_usage: false", false),
    ] {
        let home = Home::with(&config(&upstream).litellm(line));
        let gateway = home.start();
        let options = ("stream_options", json!({"include_usage": true}));
        for (model, cost) in [("own", Some(300_000_000)), ("unpriced", None)] {
            let answer = ask(
                &gateway,
                MASTER_KEY,
                model,
                &[("stream", json!(true)), options.clone()],
            );
            let events = answer.events();
            let usage = events
                .iter()
                .filter_map(|event| serde_json::from_str::<Value>(event).ok())
                .map(|event| event["usage"].clone())
                .find(Value::is_object)
                .expect("usage");
            assert_eq!(usage["prompt_tokens"], 1600);
            let said = usage.get("cost").map(pico);
            assert_eq!(said, cost.filter(|_| says_cost), "{usage}");
        }
        let answer = ask(&gateway, MASTER_KEY, "own", &[("stream", json!(true))]);
        assert!(
            !answer.text().contains("\"usage\":{\"prompt"),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn receipts_can_be_turned_off() {
    let upstream = provider();
    let off = config(&upstream).trunkline("receipts: {headers: false, stream_comment: false}");
    let home = Home::with(&off);
    let gateway = home.start();
    let whole = ask(&gateway, MASTER_KEY, "own", &[]);
    let streamed = ask(&gateway, MASTER_KEY, "own", &[("stream", json!(true))]);
    for answer in [&whole, &streamed] {
        let ours: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| name.starts_with("x-trunkline-"))
            .collect();
        assert!(ours.is_empty(), "{ours:?}");
    }
    assert!(
        !streamed.text().contains(": trunkline"),
        "{}",
        streamed.text()
    );
    assert_eq!(whole.header("x-litellm-response-cost"), Some("0.0003"));
}
