//! `POST /utils/token_counter`: counts without a provider, by the model that a name stands for.

use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, start};
use crate::support::http::{Answer, Request};
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

fn scene() -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(Reply::chat("hi"));
    let of = |group: &str, model: &str| {
        Deployment::of(group, &upstream).param(&format!("model: \"{model}\""))
    };
    let config = ConfigText::new()
        .deployment(of("old", "openai/gpt-4"))
        .deployment(of("new", "openai/gpt-4o"))
        .deployment(of("\"any/*\"", "openai/*"))
        .deployment(of("foreign", "openai/llama-3"))
        .router("model_group_alias: {nickname: old}")
        .with_master_key();
    let (home, gateway) = start(&config);
    (upstream, home, gateway)
}

fn ask(gateway: &Gateway, body: &Value) -> Answer {
    gateway.send(&Request::post("/utils/token_counter", body).bearer(MASTER_KEY))
}

#[test]
fn a_chat_is_counted_by_the_model_behind_the_name_and_no_provider_is_asked() {
    let (upstream, _home, gateway) = scene();
    let messages = json!([{"role": "user", "content": "お誕生日おめでとう"}]);

    let answer = ask(&gateway, &json!({"model": "old", "messages": messages}));

    answer.assert_status(200);
    // 9 for the text, 3 around the message, 1 for the role, 3 for the answer.
    assert_eq!(
        answer.json(),
        json!({
            "total_tokens": 16, "request_model": "old", "model_used": "gpt-4", "tokenizer_type": "openai_tokenizer",
            "count_source": "local_estimate", "original_response": null, "error": false, "error_message": null,
            "status_code": null, "vocabulary": "cl100k_base", "estimated": false,
        })
    );
    for (model, used, tokens, is_estimate) in [
        ("nickname", "gpt-4", 16, false),
        ("new", "gpt-4o", 15, false),
        ("any/gpt-4.1", "gpt-4.1", 15, false),
        ("foreign", "llama-3", 15, true),
        ("claude-sonnet-4-5", "claude-sonnet-4-5", 15, true),
    ] {
        let answer = ask(&gateway, &json!({"model": model, "messages": messages})).json();
        assert_eq!(answer["model_used"], used, "{model}");
        assert_eq!(answer["total_tokens"], tokens, "{model}");
        assert_eq!(answer["estimated"], is_estimate, "{model}");
    }
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn prompts_contents_tools_and_system_are_counted() {
    let (_upstream, _home, gateway) = scene();
    let count = |body: Value| {
        let answer = ask(&gateway, &body);
        answer.assert_status(200);
        answer.json()["total_tokens"].as_u64().expect("a count")
    };

    assert_eq!(count(json!({"model": "new", "prompt": "hello world"})), 2);
    let chat = json!({"model": "new", "messages": [{"role": "user", "content": "hi"}], "tools": [], "system": "Be short."});
    assert_eq!(count(chat), 15);
    let contents = json!([{"role": "user", "parts": [{"text": "hello world"}]}]);
    let bare = count(json!({"model": "new", "contents": contents}));
    let more = json!({"model": "new", "contents": contents, "system": "Be short.", "tools": [{"name": "find", "input_schema": {}}]});

    assert_eq!(bare, 9);
    assert!(count(more) > bare + 20);
}

#[test]
fn what_is_wrong_is_named_and_a_key_is_asked_for() {
    let (_upstream, _home, gateway) = scene();
    for (body, param) in [
        (json!({"prompt": "hi"}), "model"),
        (json!({"model": 1, "prompt": "hi"}), "model"),
        (json!({"model": "new"}), "messages"),
        (json!({"model": "new", "messages": "hi"}), "messages"),
        (json!({"model": "new", "prompt": {}}), "prompt"),
        (json!({"model": "new", "prompt": "hi", "tools": 1}), "tools"),
    ] {
        let answer = ask(&gateway, &body);
        let error = answer.assert_error(400, "invalid_request_error");
        assert_eq!(error["param"], param, "{body}");
    }
    let broken = Request::post_bytes("/utils/token_counter", "{").bearer(MASTER_KEY);
    gateway
        .send(&broken)
        .assert_error(400, "invalid_request_error");
    let body = json!({"model": "new", "prompt": "hi"});
    let anonymous = gateway.send(&Request::post("/utils/token_counter", &body));
    anonymous.assert_error(401, "auth_error");
}

#[test]
fn a_key_does_not_learn_what_is_behind_a_group_that_it_may_not_use() {
    let (_upstream, _home, gateway) = scene();
    let key = generate_key(&gateway, &json!({"models": ["new"]}));
    let used = |model: &str| {
        let body = json!({"model": model, "prompt": "hi"});
        let answer = gateway.send(&Request::post("/utils/token_counter", &body).bearer(&key));
        answer.assert_status(200);
        answer.json()["model_used"].clone()
    };

    assert_eq!(used("new"), "gpt-4o");
    assert_eq!(used("old"), "old");
}

#[test]
fn a_huge_word_neither_fails_nor_stops_other_requests() {
    let (_upstream, _home, gateway) = scene();
    let body = json!({"model": "new", "prompt": " ".repeat(1_000_000)});
    let pending = gateway.begin(&Request::post("/utils/token_counter", &body).bearer(MASTER_KEY));

    gateway.get("/health/liveliness").assert_status(200);

    let answer = pending.answer();
    answer.assert_status(200);
    let tokens = answer.json()["total_tokens"].as_u64().expect("a count");
    assert!((7_800..8_200).contains(&tokens), "{tokens}");
}
