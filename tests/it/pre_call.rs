//! `enable_pre_call_checks`: who is left out because the prompt is too long for it, before anybody is called.

use serde_json::{Value, json};

use crate::support::claude;
use crate::support::config::{ConfigText, Deployment};
use crate::support::gateway::{Gateway, start};
use crate::support::http::{Answer, Request, text_of};
use crate::support::reply::{Reply, chat_body};
use crate::support::upstream::Upstream;

/// 16 tokens for `gpt-4`, 15 for `gpt-4o`: 9 or 8 for the text, 3 around the message, 1 for the role, 3 for the answer.
const TEXT: &str = "お誕生日おめでとう";

fn checked() -> ConfigText {
    ConfigText::new()
        .one_attempt()
        .router("enable_pre_call_checks: true")
}

/// A deployment of `gpt-4` with a window of so many tokens.
fn sized(group: &str, upstream: &Upstream, window: u64) -> Deployment {
    Deployment::of(group, upstream)
        .param("model: openai/gpt-4")
        .info(&format!("max_input_tokens: {window}"))
}

fn body(model: &str, text: &str) -> Value {
    json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": text}]})
}

fn chat(gateway: &Gateway, model: &str, text: &str) -> Answer {
    gateway.post("/v1/chat/completions", &body(model, text))
}

#[track_caller]
fn assert_too_long(answer: &Answer, model: &str, window: u64, tokens: u64) {
    let error = answer.assert_error(400, "invalid_request_error");
    let expected = format!(
        "litellm.ContextWindowExceededError: No models have context window large enough for this call.\nModel={model}, Max Input Tokens={window}, Got={tokens}"
    );
    assert_eq!(error["message"], expected);
    assert_eq!(error["code"], "400");
}

#[test]
fn a_prompt_goes_only_to_deployments_that_it_fits_into() {
    let small = Upstream::scripted([]);
    let large = Upstream::always(Reply::chat("hi"));
    let config = checked()
        .deployment(sized("m", &small, 15))
        .deployment(sized("m", &large, 16));
    let (_home, gateway) = start(&config);

    for _ in 0..10 {
        chat(&gateway, "m", TEXT).assert_status(200);
    }

    assert_eq!(small.request_count(), 0);
    assert_eq!(large.request_count(), 10);
}

#[test]
fn a_prompt_that_fits_nowhere_is_refused_in_litellms_words_and_nobody_is_called() {
    let upstream = Upstream::scripted([]);
    let config = checked()
        .deployment(sized("m", &upstream, 5))
        .deployment(sized("m", &upstream, 9))
        .with_master_key();
    let (_home, gateway) = start(&config);
    let gateway = gateway.with_master_key();

    assert_too_long(&chat(&gateway, "m", TEXT), "m", 9, 16);
    let mut streamed = body("m", TEXT);
    streamed["stream"] = json!(true);
    let streamed = gateway.post("/v1/chat/completions", &streamed);
    assert_too_long(&streamed, "m", 9, 16);
    let messages = gateway.post("/v1/messages", &body("m", TEXT));
    messages.assert_status(400);
    let error = messages.json();
    assert_eq!(error["error"]["type"], "invalid_request_error");
    let message = error["error"]["message"].as_str().expect("a text");
    assert!(message.ends_with("Max Input Tokens=9, Got=16"), "{message}");

    assert_eq!(upstream.request_count(), 0);
    let metrics = gateway.get("/metrics").text();
    assert!(metrics.contains(r#"code="context_window"} 3"#), "{metrics}");
}

#[test]
fn each_model_counts_with_its_own_vocabulary() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = checked()
        .deployment(sized("old", &upstream, 15))
        .deployment(sized("new", &upstream, 15).param("model: openai/gpt-4o"))
        .deployment(sized("named", &upstream, 15).info("base_model: openai/gpt-4o"));
    let (_home, gateway) = start(&config);

    assert_too_long(&chat(&gateway, "old", TEXT), "old", 15, 16);
    chat(&gateway, "new", TEXT).assert_status(200);
    chat(&gateway, "named", TEXT).assert_status(200);
}

#[test]
fn the_fallbacks_for_long_prompts_answer_whole_or_streamed_if_they_have_room() {
    let upstream = Upstream::scripted([]);
    let large = Upstream::answering(|request| {
        if request.json()["stream"] == true {
            Reply::stream(&["from ", "large"])
        } else {
            Reply::json(200, &chat_body("from large"))
        }
    });
    let claude = claude::says("from claude");
    let config = checked()
        .deployment(sized("m", &upstream, 5))
        .deployment(sized("c", &upstream, 5))
        .deployment(sized("n", &upstream, 5))
        .deployment(sized("other", &upstream, 6))
        .deployment(sized("large", &large, 1000))
        .deployment(claude::deployment("claude", &claude).info("max_input_tokens: 1000"))
        .router("fallbacks: [{\"*\": [other]}]")
        .router("context_window_fallbacks: [{m: [large]}, {c: [claude]}, {n: [other]}]");
    let (_home, gateway) = start(&config);

    let whole = chat(&gateway, "m", TEXT);
    whole.assert_status(200);
    assert_eq!(
        whole.json()["choices"][0]["message"]["content"],
        "from large"
    );
    assert_eq!(whole.header("x-litellm-attempted-fallbacks"), Some("1"));
    let mut streamed = body("m", TEXT);
    streamed["stream"] = json!(true);
    let streamed = gateway.post("/v1/chat/completions", &streamed);
    streamed.assert_status(200);
    let texts: String = streamed
        .events()
        .iter()
        .map(|event| text_of(event))
        .collect();
    assert_eq!(texts, "from large");
    let messages = gateway.post("/v1/messages", &body("c", TEXT));
    messages.assert_status(200);
    assert_eq!(messages.json()["content"][0]["text"], "from claude");
    // The fallback is too small as well: the client is told of what it asked for.
    assert_too_long(&chat(&gateway, "n", TEXT), "n", 5, 16);
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn anthropics_deployments_have_windows_too() {
    let claude = claude::says("hi");
    let config = checked()
        .deployment(claude::deployment("small", &claude).info("max_input_tokens: 5"))
        .deployment(claude::deployment("large", &claude).info("max_input_tokens: 500"));
    let (_home, gateway) = start(&config);
    let with_system = |model: &str| {
        let mut body = body(model, "hi");
        body["system"] = json!([{"type": "text", "text": TEXT}]);
        gateway.post("/v1/messages", &body)
    };

    assert_too_long(&chat(&gateway, "small", TEXT), "small", 5, 15);
    with_system("small").assert_status(400);
    chat(&gateway, "large", TEXT).assert_status(200);
    with_system("large").assert_status(200);
    assert_eq!(claude.request_count(), 2);
}

#[test]
fn windows_come_from_the_price_list_for_each_model_behind_a_wildcard() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = checked()
        .deployment(Deployment::of("\"any/*\"", &upstream).param("model: \"openai/*\""))
        .trunkline("model_prices: {openai/tiny: {max_input_tokens: 14, input_cost_per_token: 0.000001, output_cost_per_token: 0.000001}}");
    let (_home, gateway) = start(&config);

    assert_too_long(&chat(&gateway, "any/tiny", TEXT), "any/tiny", 14, 15);
    let long = "word ".repeat(9000);
    chat(&gateway, "any/gpt-4", &long).assert_error(400, "invalid_request_error");
    assert_eq!(upstream.request_count(), 0);
    chat(&gateway, "any/gpt-4o", &long).assert_status(200);
    // Nobody knows its window: its provider is asked.
    chat(&gateway, "any/unlisted", &long).assert_status(200);
}

#[test]
fn bytes_alone_refuse_nobody() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = checked().deployment(sized("m", &upstream, 1000));
    let (_home, gateway) = start(&config);

    // 10,000 tokens by its bytes, and a few hundred for the model.
    chat(&gateway, "m", &" ".repeat(40_000)).assert_status(200);
    let picture = format!("data:image/png;base64,{}", "A".repeat(40_000));
    let body = json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": picture, "detail": "low"}}]}]});
    gateway
        .post("/v1/chat/completions", &body)
        .assert_status(200);
}

#[test]
fn only_chats_are_checked_and_only_if_the_operator_says_so() {
    let upstream = Upstream::answering(|request| {
        if request.path.ends_with("/embeddings") {
            Reply::embeddings(&[[0.0, 0.5, 1.0]])
        } else {
            Reply::chat("hi")
        }
    });
    let (_home, gateway) = start(&checked().deployment(sized("m", &upstream, 2)));
    let list = json!({"model": "m", "input": ["one text", "and another text"]});
    gateway.post("/v1/embeddings", &list).assert_status(200);
    chat(&gateway, "m", TEXT).assert_status(400);

    let unchecked = ConfigText::new().one_attempt();
    let (_home, gateway) = start(&unchecked.deployment(sized("m", &upstream, 2)));
    chat(&gateway, "m", TEXT).assert_status(200);
    let alias = ConfigText::new()
        .one_attempt()
        .router("enable_pre_call_check: true");
    let (_home, gateway) = start(&alias.deployment(sized("m", &upstream, 2)));
    chat(&gateway, "m", TEXT).assert_status(400);
}

#[test]
fn counting_a_long_prompt_stops_no_other_request() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&checked().deployment(sized("m", &upstream, 1000)));
    let long = Request::post(
        "/v1/chat/completions",
        &body("m", &"a long prompt, ".repeat(70_000)),
    );
    let pending = gateway.begin(&long);

    gateway.get("/health/liveliness").assert_status(200);
    chat(&gateway, "m", "hi").assert_status(200);

    let answer = pending.answer();
    answer.assert_error(400, "invalid_request_error");
    assert!(answer.text().contains("Max Input Tokens=1000, Got="));
    assert_eq!(upstream.request_count(), 1);
}
