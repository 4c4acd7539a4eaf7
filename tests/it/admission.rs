//! What a request takes before a provider is called, and who may name which model.

use std::time::SystemTime;

use serde_json::json;

use crate::keys::generate_key;
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{chat_request, chat_request_body, start};
use crate::support::http::Request;
use crate::support::reply::{Gate, Reply};
use crate::support::upstream::Upstream;

#[test]
fn a_request_that_no_deployment_could_take_is_given_back() {
    let upstream =
        Upstream::always(Reply::error(429, "rate_limit", "slow down").header("retry-after", "40"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).id("one"))
        .deployment(Deployment::of("m", &upstream).id("two"))
        .router("num_retries: 0")
        .with_master_key();
    let (_home, gateway) = start(&config);
    let key = generate_key(&gateway, &json!({"rpm_limit": 3}));
    let ask = || gateway.send(&chat_request("m").bearer(&key));
    ask().assert_status(429);
    ask().assert_status(429);

    // Without the give-back the second of these would be over the key's own limit.
    for _ in 0..3 {
        ask().assert_error(429, "all_deployments_in_cooldown");
    }

    let metrics = gateway.get("/metrics").text();
    for line in [
        "trunkline_refused_requests_total{code=\"all_in_cooldown\"} 3",
        "trunkline_requests_total{endpoint=\"chat_completions\",model_group=\"m\",status=\"429\"} 2",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
}

#[test]
fn a_hold_covers_the_dearest_fallback() {
    let gate = Gate::closed();
    let first = Upstream::always(Reply::chat("hi").after(&gate));
    let dear = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::new()
        .deployment(Deployment::of("cheap", &first))
        .deployment(Deployment::of("dear", &dear).param("output_cost_per_token: 0.1"))
        .router("fallbacks: [{cheap: [dear]}]")
        .one_attempt()
        .with_master_key();
    let (_home, gateway) = start(&config);
    let key = generate_key(&gateway, &json!({"max_budget": 1.5}));
    let mut body = chat_request_body("cheap");
    body["max_tokens"] = json!(10);
    let request = Request::post("/v1/chat/completions", &body).bearer(&key);

    // Each may cost 1 USD at the fallback's price.
    let running = gateway.begin(&request);
    first.wait_for_requests(1);
    let refused = gateway.send(&request);
    gate.open();

    refused.assert_error(429, "throttling_error");
    running.answer().assert_status(200);
    gateway.send(&request).assert_status(200);
}

#[test]
fn a_key_for_a_group_may_use_its_alias() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream)
        .deployment(Deployment::of("other", &upstream))
        .router("model_group_alias: {nickname: m, stranger: other}")
        .with_master_key();
    let (_home, gateway) = start(&config);
    let key = generate_key(&gateway, &json!({"models": ["m"]}));

    for (model, status) in [
        ("m", 200),
        ("nickname", 200),
        ("the-deployment", 200),
        ("stranger", 403),
    ] {
        let answer = gateway.send(&chat_request(model).bearer(&key));
        assert_eq!(answer.status, status, "{model}: {}", answer.text());
    }
}

#[test]
fn a_model_that_nobody_knows_is_the_default_fallbacks_business() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream).router("default_fallbacks: [m]");
    let (_home, gateway) = start(&config);

    gateway.chat("never-heard-of").assert_status(200);
}

#[test]
fn the_spend_that_an_answer_tells_is_with_its_own_cost() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    let key = generate_key(&gateway, &json!({"max_budget": 1}));

    for spent in ["0.000025", "0.00005"] {
        let answer = gateway.send(&chat_request("m").bearer(&key));
        assert_eq!(answer.header("x-litellm-key-spend"), Some(spent));
        assert_eq!(answer.header("x-litellm-key-max-budget"), Some("1"));
    }
}

#[test]
fn without_a_master_key_a_foreign_page_cannot_post() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let form = |origin| {
        chat_request("m")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", origin)
    };

    gateway
        .send(&form("https://evil.example"))
        .assert_status(401);
    assert_eq!(upstream.request_count(), 0);
    gateway
        .send(&form("http://localhost:3000"))
        .assert_status(200);
}

#[test]
fn the_health_report_asks_each_deployment_itself() {
    let broken = Upstream::always(Reply::error(500, "server_error", "oops"));
    let sound = Upstream::always(Reply::chat("saved"));
    let config = ConfigText::new()
        .deployment(Deployment::of("first", &broken).id("broken"))
        .deployment(Deployment::of("second", &sound).id("sound"))
        .router("fallbacks: [{first: [second]}]")
        .with_master_key();
    let (_home, mut gateway) = start(&config);
    gateway.allow_errors();

    let report = gateway
        .send(&Request::get("/health?detailed=true").bearer(MASTER_KEY))
        .json();

    assert_eq!(report["unhealthy_count"], 1, "{report}");
    assert_eq!(report["unhealthy_endpoints"][0]["model_id"], "broken");
    assert_eq!(broken.request_count(), 1);
}

#[test]
fn model_names_of_any_length_are_answered() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::new().deployment(Deployment::of("\"*\"", &upstream));
    let (_home, gateway) = start(&config);

    gateway.chat(&"m".repeat(512)).assert_status(200);
    gateway
        .chat(&"m".repeat(513))
        .assert_error(400, "invalid_request_error");
    let path = format!("/openai/deployments/{}/chat/completions", "m%0Ax".repeat(2));
    gateway
        .send(&Request::post(
            &path,
            &json!({"messages": [{"role": "user", "content": "hi"}]}),
        ))
        .assert_error(400, "invalid_request_error");
}

#[test]
fn an_idle_connection_does_not_keep_the_gateway_from_stopping() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, mut gateway) = start(&ConfigText::one("m", &upstream));
    let idle = chat_request("m")
        .start(gateway.address())
        .expect("connected");
    upstream.wait_for_requests(1);

    let began = SystemTime::now();
    gateway.terminate();
    assert_eq!(gateway.wait().code(), Some(0));

    let took = began.elapsed().expect("time goes on");
    assert!(took.as_secs() < 10, "{took:?}");
    drop(idle);
}
