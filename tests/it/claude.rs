//! OpenAI clients of a deployment that speaks Anthropic's dialect. What is translated how is in the golden cases; here is
//! what only the running gateway can show: addresses, headers, fallbacks, the books.

use serde_json::{Value, json};

use crate::spend::total;
use crate::support::claude::{self, COST_PICO};
use crate::support::config::{ConfigText, Deployment, PROVIDER_KEY};
use crate::support::gateway::{chat_request, chat_request_body, start, stream_request};
use crate::support::http::text_of;
use crate::support::reply::{Gate, PROVIDER_MODEL, Reply};
use crate::support::upstream::Upstream;
use crate::support::wait::PATIENCE;

fn config(upstream: &Upstream) -> ConfigText {
    ConfigText::new()
        .deployment(claude::deployment("c", upstream).id("the-deployment"))
        .one_attempt()
}

#[test]
fn a_chat_is_asked_for_and_answered_in_each_sides_own_words() {
    let upstream = claude::says("Bonjour");
    let (_home, gateway) = start(&config(&upstream).with_master_key());
    let gateway = gateway.with_master_key();

    let answer = gateway.chat("c");

    answer.assert_status(200);
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "c");
    assert_eq!(body["choices"][0]["message"]["content"], "Bonjour");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["prompt_tokens"], 19);
    assert_eq!(body["usage"]["completion_tokens"], 7);
    assert_eq!(body["usage"]["prompt_tokens_details"]["cached_tokens"], 5);
    assert_eq!(
        answer.header("llm_provider-request-id"),
        Some("req_scripted")
    );
    let sent = upstream.only_request();
    assert_eq!(sent.path, "/v1/messages");
    assert_eq!(sent.header("x-api-key"), Some(PROVIDER_KEY));
    assert_eq!(sent.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(sent.header("authorization"), None);
    assert_eq!(sent.header("anthropic-beta"), None);
    let sent = sent.json();
    assert_eq!(sent["model"], "claude-scripted");
    assert_eq!(sent["max_tokens"], 16);
    assert_eq!(total(&gateway), COST_PICO);
}

#[test]
fn a_stream_is_translated_event_by_event_and_costs_what_a_whole_answer_costs() {
    let upstream = claude::says("Bonjour");
    let (_home, gateway) = start(&config(&upstream).with_master_key());
    let gateway = gateway.with_master_key();
    let mut body = chat_request_body("c");
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});

    let answer = gateway.post("/v1/chat/completions", &body);

    let events = answer.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let chunks: Vec<Value> = events[..events.len() - 1]
        .iter()
        .map(|data| serde_json::from_str(data).expect("an event is JSON"))
        .collect();
    let text: String = events.iter().map(|event| text_of(event)).collect();
    assert_eq!(text, "Bonjour");
    for chunk in &chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["model"], "c");
        assert_eq!(chunk["id"], chunks[0]["id"]);
    }
    let usage = &chunks.last().expect("chunks")["usage"];
    assert_eq!(usage["prompt_tokens"], 19);
    assert_eq!(usage["total_tokens"], 26);
    assert!(!answer.text().contains(PROVIDER_MODEL));
    assert_eq!(total(&gateway), COST_PICO);
}

#[test]
fn a_broken_stream_ends_in_an_error_event_of_the_clients_dialect() {
    let mut events = claude::events(&["Half of"]);
    events.truncate(4);
    events.push(claude::event(
        &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    ));
    let upstream = Upstream::always(Reply::events(events));
    let (_home, gateway) = start(&config(&upstream));

    let answer = gateway.chat_stream("c");

    let events = answer.events();
    let last: Value = serde_json::from_str(events.last().expect("events")).expect("JSON");
    assert!(
        last["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("Overloaded")),
        "{last}"
    );
    assert!(!answer.text().contains("[DONE]"));
}

#[test]
fn an_error_before_the_first_content_of_a_stream_is_a_status() {
    let upstream = Upstream::always(Reply::events([
        claude::events(&[]).swap_remove(0),
        claude::event(
            &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        ),
    ]));
    let (_home, gateway) = start(&config(&upstream));

    gateway
        .chat_stream("c")
        .assert_error(500, "internal_server_error");
}

#[test]
fn errors_of_the_provider_are_classified_by_its_own_types() {
    for (status, kind, message, want_status, want_kind) in [
        (
            400,
            "invalid_request_error",
            "max_tokens: too large",
            400,
            "invalid_request_error",
        ),
        (
            401,
            "authentication_error",
            "invalid x-api-key",
            401,
            "authentication_error",
        ),
        (
            429,
            "rate_limit_error",
            "slow down",
            429,
            "throttling_error",
        ),
        (
            529,
            "overloaded_error",
            "Overloaded",
            500,
            "internal_server_error",
        ),
    ] {
        let upstream = Upstream::always(claude::error(status, kind, message));
        let (_home, gateway) = start(&config(&upstream));
        let error = gateway.chat("c").assert_error(want_status, want_kind);
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| text.contains(message)),
            "{error}"
        );
    }
}

#[test]
fn a_deployment_of_one_dialect_falls_back_to_one_of_the_other() {
    let claude = Upstream::always(claude::error(529, "overloaded_error", "Overloaded"));
    let other = Upstream::answering(|request| {
        if request.json()["stream"] == true {
            Reply::stream(&["from the other"])
        } else {
            Reply::chat("from the other")
        }
    });
    let (_home, gateway) = start(
        &ConfigText::new()
            .deployment(claude::deployment("c", &claude))
            .deployment(Deployment::of("o", &other))
            .one_attempt()
            .router("fallbacks: [{c: [o]}]"),
    );

    let whole = gateway.chat("c");
    whole.assert_status(200);
    assert_eq!(
        whole.json()["choices"][0]["message"]["content"],
        "from the other"
    );
    assert_eq!(whole.header("x-litellm-attempted-fallbacks"), Some("1"));
    let stream = gateway.chat_stream("c");
    let text: String = stream.events().iter().map(|event| text_of(event)).collect();
    assert_eq!(text, "from the other");
}

#[test]
fn the_first_models_error_is_told_not_what_its_fallback_has_no_word_for() {
    let claude = claude::says("Hi");
    let failing = Upstream::always(Reply::error(500, "server_error", "oops"));
    let (_home, gateway) = start(
        &ConfigText::new()
            .deployment(Deployment::of("failing", &failing))
            .deployment(claude::deployment("last", &claude))
            .one_attempt()
            .router("fallbacks: [{failing: [last]}]"),
    );
    let mut body = chat_request_body("failing");
    body["seed"] = json!(7);

    let answer = gateway.post("/v1/chat/completions", &body);

    let error = answer.assert_error(500, "internal_server_error");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("oops")),
        "{error}"
    );
    assert_eq!(claude.request_count(), 0);
}

#[test]
fn what_the_provider_has_no_word_for_is_refused_by_name_or_dropped_and_told() {
    let upstream = claude::says("Hi");
    let (_home, gateway) = start(&config(&upstream));
    let mut body = chat_request_body("c");
    body["seed"] = json!(7);

    let refused = gateway.post("/v1/chat/completions", &body);
    let error = refused.assert_error(400, "invalid_request_error");
    assert_eq!(error["param"], "seed");
    assert_eq!(upstream.request_count(), 0);

    body["drop_params"] = json!(true);
    let served = gateway.post("/v1/chat/completions", &body);
    served.assert_status(200);
    assert_eq!(served.header("x-trunkline-dropped-params"), Some("seed"));
}

#[test]
fn an_answer_may_be_as_long_as_the_model_can_whatever_it_was_configured_as() {
    let upstream = claude::says("Hi");
    let (_home, gateway) = start(
        &ConfigText::new()
            .deployment(Deployment::of("anthropic/*", &upstream).param("model: anthropic/*"))
            .one_attempt(),
    );

    let body = json!({"model": "anthropic/claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hi"}]});
    gateway
        .post("/v1/chat/completions", &body)
        .assert_status(200);

    let sent = upstream.only_request().json();
    assert!(
        sent["max_tokens"].as_u64().is_some_and(|most| most > 4096),
        "{sent}"
    );
}

#[test]
fn what_one_provider_has_no_word_for_is_asked_of_another() {
    let claude = claude::says("from the one");
    let other = Upstream::always(Reply::chat("from the other"));
    let both = ConfigText::new()
        .deployment(claude::deployment("both", &claude))
        .deployment(Deployment::of("both", &other))
        .deployment(claude::deployment("c", &claude))
        .router("fallbacks: [{c: [both]}]");
    let (_home, gateway) = start(&both);

    for model in ["both", "c"] {
        for _ in 0..8 {
            let mut body = chat_request_body(model);
            body["n"] = json!(2);
            let answer = gateway.post("/v1/chat/completions", &body);
            answer.assert_status(200);
            let text = &answer.json()["choices"][0]["message"]["content"];
            assert_eq!(text, "from the other", "{model}");
        }
    }
    assert_eq!(claude.request_count(), 0);
}

#[test]
fn endpoints_that_the_provider_lacks_are_refused_with_one_that_it_has() {
    let upstream = claude::says("Hi");
    let (_home, gateway) = start(&config(&upstream));
    let error = gateway
        .post("/v1/embeddings", &json!({"model": "c", "input": "x"}))
        .assert_error(400, "invalid_request_error");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("/v1/chat/completions")),
        "{error}"
    );
}

#[test]
fn every_way_to_write_the_base_leads_to_the_same_address() {
    let upstream = claude::says("Hi");
    let root = upstream.base_url();
    let root = root.trim_end_matches("/v1");
    for base in ["", "/", "/v1", "/v1/", "/v1/messages"] {
        let deployment =
            claude::deployment("c", &upstream).param(&format!("api_base: {root}{base}"));
        let (_home, gateway) = start(&ConfigText::new().deployment(deployment));
        gateway.chat("c").assert_status(200);
    }
    for request in upstream.requests() {
        assert_eq!(request.path, "/v1/messages");
    }
}

#[test]
fn a_token_of_a_login_is_sent_as_one() {
    let upstream = claude::says("Hi");
    let token = "sk-ant-oat01-secret-of-the-tests";
    let deployment = claude::deployment("c", &upstream)
        .param(&format!("api_key: {token}"))
        .param("extra_headers: {anthropic-beta: 'a-beta'}");
    let (_home, mut gateway) = start(&ConfigText::new().deployment(deployment));
    gateway.keeps_secret(token);

    gateway.send(&chat_request("c")).assert_status(200);

    let sent = upstream.only_request();
    let bearer = format!("Bearer {token}");
    assert_eq!(sent.header("authorization"), Some(bearer.as_str()));
    assert_eq!(sent.header("x-api-key"), None);
    assert_eq!(
        sent.header("anthropic-beta"),
        Some("a-beta,oauth-2025-04-20")
    );
}

#[test]
fn a_client_that_leaves_closes_the_providers_stream() {
    let gate = Gate::closed();
    let upstream =
        Upstream::always(Reply::events(claude::events(&["one", "two"])).gate_before_part(4, &gate));
    let (_home, gateway) = start(&config(&upstream));
    let mut answer = gateway.open(&stream_request("c"));
    while answer.next_text() != "one" {}

    answer.leave();

    assert!(upstream.is_left_within(0, PATIENCE));
    gate.open();
}
