//! Anthropic's Messages API in front of any provider: bytes through where both speak it, translated where not, errors in
//! Anthropic's shape, the books as for any other endpoint.

use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::spend::{self, total};
use crate::support::claude::{self, COST_PICO};
use crate::support::config::{ConfigText, Deployment};
use crate::support::gateway::{Gateway, Home, PROMPT_MARK, start};
use crate::support::http::{Answer, Request};
use crate::support::reply::{
    COMPLETION_TOKENS, Ending, PROMPT_TOKENS, PROVIDER_MODEL, Reply, opening_event, text_event,
};
use crate::support::upstream::Upstream;

fn body(model: &str) -> Value {
    json!({
        "model": model,
        "max_tokens": 16,
        "messages": [{"role": "user", "content": format!("Say something. {PROMPT_MARK}")}],
    })
}

fn streamed(model: &str) -> Value {
    let mut body = body(model);
    body["stream"] = json!(true);
    body
}

/// Group `c` at a provider that speaks Anthropic's dialect.
fn native(upstream: &Upstream) -> (Home, Gateway) {
    let (home, gateway) = start(
        &ConfigText::new()
            .deployment(claude::deployment("c", upstream))
            .one_attempt()
            .with_master_key(),
    );
    (home, gateway.with_master_key())
}

/// Group `o` at a provider that speaks OpenAI's dialect.
fn foreign(upstream: &Upstream) -> (Home, Gateway) {
    let (home, gateway) = start(&ConfigText::one("o", upstream).with_master_key());
    (home, gateway.with_master_key())
}

fn speaks_openai(text: &'static str) -> Upstream {
    Upstream::answering(move |request| {
        if request.json()["stream"] == true {
            Reply::stream(&[text])
        } else {
            Reply::chat(text)
        }
    })
}

/// The data of the events, each checked against its name.
#[track_caller]
fn events(answer: &Answer) -> Vec<Value> {
    let text = answer.text_without_receipt();
    text.split("\n\n")
        .filter(|event| !event.is_empty())
        .map(|event| {
            let (name, data) = event.split_once('\n').expect("a name and data");
            let data = data.strip_prefix("data: ").expect("data");
            let data: Value = serde_json::from_str(data).expect("an event is JSON");
            let kind = data["type"].as_str().expect("a type");
            assert_eq!(name, format!("event: {kind}"));
            data
        })
        .collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect()
}

#[track_caller]
fn assert_anthropic_error(answer: &Answer, status: u16, kind: &str) -> String {
    answer.assert_status(status);
    let body = answer.json();
    assert_eq!(body["type"], "error", "{body}");
    assert_eq!(body["error"]["type"], kind, "{body}");
    assert!(body["error"].get("param").is_none(), "{body}");
    body["error"]["message"]
        .as_str()
        .expect("a message")
        .to_owned()
}

#[test]
fn between_two_that_speak_it_every_byte_but_the_model_passes() {
    let answer_text = format!(
        "{{\"id\" : \"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"zz\":[1.0,1e3],\"model\":\"{PROVIDER_MODEL}\",\
         \"content\":[{{\"type\":\"text\",\"text\":\"h\\u00e9\"}}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\
         \"usage\":{{\"input_tokens\":11,\"cache_creation_input_tokens\":3,\"cache_read_input_tokens\":5,\"output_tokens\":7}}}}"
    );
    let upstream = Upstream::always(
        Reply::bytes(200, "application/json", answer_text.clone())
            .header("request-id", "req_1")
            .header("anthropic-ratelimit-requests-remaining", "9"),
    );
    let (_home, gateway) = native(&upstream);
    let request = "{ \"zz\":{\"deep\":[1.0,1e3]},\"model\":\"c\", \"max_tokens\":16,\"temperature\": 0.70,\"metadata\":{\"user_id\":\"u\"},\
                   \"messages\":[{\"role\":\"user\",\"content\":\"caf\\u00e9\"}],\"thinking\":{\"type\":\"disabled\"}}";

    let answer = gateway.send(
        &Request::post_bytes("/v1/messages", request)
            .header("anthropic-version", "2023-01-01")
            .header("anthropic-beta", "one, two,three,one"),
    );

    answer.assert_status(200);
    assert_eq!(answer.text(), answer_text.replacen(PROVIDER_MODEL, "c", 1));
    assert_eq!(answer.header("request-id"), Some("req_1"));
    assert_eq!(
        answer.header("anthropic-ratelimit-requests-remaining"),
        Some("9")
    );
    let sent = upstream.only_request();
    assert_eq!(sent.path, "/v1/messages");
    assert_eq!(
        sent.text(),
        request.replacen("\"model\":\"c\"", "\"model\":\"claude-scripted\"", 1)
    );
    assert_eq!(sent.header("anthropic-version"), Some("2023-01-01"));
    assert_eq!(sent.header("anthropic-beta"), Some("one,two,three"));
    assert_eq!(total(&gateway), COST_PICO);
}

#[test]
fn a_stream_between_two_that_speak_it_passes_byte_by_byte_but_for_the_model() {
    let upstream = claude::says("Bonjour");
    let (_home, gateway) = native(&upstream);

    let answer = gateway.post("/v1/messages", &streamed("c"));

    let said: Vec<u8> = claude::events(&["Bonjour"]).concat();
    let said = String::from_utf8(said).expect("text");
    let came = answer.text_without_receipt();
    assert_eq!(came, said.replacen(PROVIDER_MODEL, "c", 1));
    assert_ne!(
        came,
        answer.text(),
        "the receipt is the one thing that is added"
    );
    assert_eq!(total(&gateway), COST_PICO);
}

#[test]
fn another_providers_answer_is_written_as_a_message() {
    let upstream = speaks_openai("Hello");
    let (_home, gateway) = foreign(&upstream);
    let mut request = body("o");
    request["system"] =
        json!([{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]);
    request["stop_sequences"] = json!(["END"]);

    let answer = gateway.post("/v1/messages", &request);

    answer.assert_status(200);
    let message = answer.json();
    assert_eq!(message["type"], "message");
    assert_eq!(message["role"], "assistant");
    assert_eq!(message["model"], "o");
    assert_eq!(
        message["content"],
        json!([{"type": "text", "text": "Hello"}])
    );
    assert_eq!(message["stop_reason"], "end_turn");
    assert_eq!(message["usage"]["input_tokens"], PROMPT_TOKENS);
    assert_eq!(message["usage"]["output_tokens"], COMPLETION_TOKENS);
    let sent = upstream.only_request();
    assert_eq!(sent.path, "/v1/chat/completions");
    assert_eq!(sent.header("anthropic-version"), None);
    let sent = sent.json();
    assert_eq!(sent["model"], "upstream-model");
    assert_eq!(sent["messages"][0]["role"], "system");
    assert_eq!(sent["stop"], json!(["END"]));
    assert_eq!(total(&gateway), spend::COST_PICO);
}

#[test]
fn another_providers_stream_is_written_as_the_events_of_a_message() {
    let upstream = speaks_openai("Hello");
    let (_home, gateway) = foreign(&upstream);

    let answer = gateway.post("/v1/messages", &streamed("o"));

    answer.assert_status(200);
    let events = events(&answer);
    assert_eq!(
        kinds(&events),
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(events[0]["message"]["model"], "o");
    assert_eq!(events[2]["delta"]["text"], "Hello");
    assert_eq!(events[4]["delta"]["stop_reason"], "end_turn");
    assert_eq!(events[4]["usage"]["input_tokens"], PROMPT_TOKENS);
    assert_eq!(events[4]["usage"]["output_tokens"], COMPLETION_TOKENS);
    assert_eq!(
        upstream.only_request().json()["stream_options"]["include_usage"],
        true
    );
    assert_eq!(total(&gateway), spend::COST_PICO);
}

#[test]
fn a_stream_that_breaks_ends_in_an_error_event_and_without_message_stop() {
    for upstream in [
        Upstream::always(
            Reply::events(claude::events(&["Half of"]).into_iter().take(4)).ending(Ending::Cut),
        ),
        Upstream::always(
            Reply::events([opening_event(), text_event("Half of")]).ending(Ending::Cut),
        ),
    ] {
        let (_home, gateway) = start(
            &ConfigText::new()
                .deployment(claude::deployment("c", &upstream))
                .deployment(Deployment::of("o", &upstream))
                .one_attempt(),
        );
        // Each provider is asked in its own dialect; the other one's first event means nothing to it.
        let answers = ["c", "o"].map(|model| gateway.post("/v1/messages", &streamed(model)));
        let broken = answers
            .iter()
            .find(|answer| answer.status == 200)
            .expect("a stream began");
        let events = events(broken);
        let last = events.last().expect("events");
        assert_eq!(last["type"], "error", "{last}");
        assert_eq!(last["error"]["type"], "api_error", "{last}");
        assert!(!kinds(&events).contains(&"message_stop"));
    }
}

#[test]
fn an_overload_and_a_request_that_is_too_large_keep_anthropics_statuses() {
    for (status, kind) in [(529, "overloaded_error"), (413, "request_too_large")] {
        let upstream = Upstream::always(claude::error(status, kind, "no"));
        let (_home, gateway) = native(&upstream);
        assert_anthropic_error(&gateway.post("/v1/messages", &body("c")), status, kind);
        assert_anthropic_error(&gateway.post("/v1/messages", &streamed("c")), status, kind);
        let counted = gateway.post("/v1/messages/count_tokens", &body("c"));
        assert_anthropic_error(&counted, status, kind);
        // OpenAI's clients know neither.
        let want = if status == 529 { 500 } else { 400 };
        gateway.chat("c").assert_status(want);
    }
}

#[test]
fn an_overload_in_the_middle_of_a_stream_is_told_by_its_name() {
    let mut said: Vec<_> = claude::events(&["Half of"]).into_iter().take(4).collect();
    said.push(claude::event(
        &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    ));
    let upstream = Upstream::always(Reply::events(said));
    let (_home, gateway) = native(&upstream);

    let answer = gateway.post("/v1/messages", &streamed("c"));

    answer.assert_status(200);
    let events = events(&answer);
    let last = events.last().expect("events");
    assert_eq!(last["error"]["type"], "overloaded_error", "{last}");
}

#[test]
fn a_count_that_is_refused_says_nothing_of_the_deployment() {
    let upstream = Upstream::answering(|request| {
        if request.path == "/v1/messages/count_tokens" {
            claude::error(401, "authentication_error", "not for counts")
        } else {
            Reply::json(200, &claude::message("Hi"))
        }
    });
    let (_home, gateway) = native(&upstream);

    let counted = gateway.post("/v1/messages/count_tokens", &body("c"));

    assert_anthropic_error(&counted, 401, "authentication_error");
    gateway.post("/v1/messages", &body("c")).assert_status(200);
}

#[test]
fn every_error_has_the_shape_of_the_endpoint_whoever_makes_it() {
    let upstream = Upstream::always(claude::error(429, "rate_limit_error", "slow down"));
    let (_home, gateway) = native(&upstream);
    let post = |body: &Value| gateway.post("/v1/messages", body);

    let message = assert_anthropic_error(&post(&body("c")), 429, "rate_limit_error");
    assert!(message.contains("slow down"), "{message}");
    let mut incomplete = body("c");
    incomplete
        .as_object_mut()
        .expect("an object")
        .remove("max_tokens");
    let message = assert_anthropic_error(&post(&incomplete), 400, "invalid_request_error");
    assert!(message.contains("max_tokens"), "{message}");
    let message = assert_anthropic_error(&post(&body("nobody")), 400, "invalid_request_error");
    assert!(message.contains("nobody"), "{message}");
    // By the extractor, before the handler is reached.
    let unknown =
        gateway.send(&Request::post("/v1/messages", &body("c")).bearer("sk-nobody-made-this-1"));
    assert_anthropic_error(&unknown, 401, "authentication_error");
    let no_such_method = gateway.get("/v1/messages");
    assert_anthropic_error(&no_such_method, 405, "invalid_request_error");
    let not_json = gateway.send(&Request::post_bytes("/v1/messages", "{"));
    assert_anthropic_error(&not_json, 400, "invalid_request_error");
    // Other routes keep OpenAI's.
    gateway
        .chat("nobody")
        .assert_error(400, "invalid_request_error");
}

#[test]
fn a_key_is_taken_from_where_anthropics_clients_put_it_and_held_to_its_budget() {
    let upstream = claude::says("Hi");
    let (_home, gateway) = native(&upstream);
    let key = generate_key(&gateway, &json!({"models": ["c"], "max_budget": 0.00002}));
    let elsewhere = generate_key(&gateway, &json!({"models": ["elsewhere"]}));
    let send = |key: &str| {
        gateway.send(&Request::post("/v1/messages", &body("c")).header("x-api-key", key))
    };

    send(&key).assert_status(200);
    assert_anthropic_error(&send(&key), 422, "invalid_request_error");
    assert_anthropic_error(&send(&elsewhere), 403, "permission_error");
}

#[test]
fn tokens_are_counted_by_the_provider_that_can_and_by_the_tokenizer_for_the_others() {
    let counting = Upstream::answering(|request| {
        if request.path == "/v1/messages/count_tokens" {
            Reply::json(200, &json!({"input_tokens": 2095}))
        } else {
            claude::error(404, "not_found_error", &request.path)
        }
    });
    let other = Upstream::scripted([]);
    let (_home, gateway) = start(
        &ConfigText::new()
            .deployment(claude::deployment("c", &counting))
            .deployment(Deployment::of("o", &other).param("model: openai/gpt-4"))
            .with_master_key(),
    );
    let gateway = gateway.with_master_key();
    let request = |model| json!({"model": model, "system": "Be brief.", "messages": [{"role": "user", "content": "Count me."}]});

    let counted = gateway.post("/v1/messages/count_tokens", &request("c"));
    let estimated = gateway.post("/v1/messages/count_tokens", &request("o"));

    assert_eq!(counted.json(), json!({"input_tokens": 2095}));
    let sent = counting.only_request().json();
    assert_eq!(sent["model"], "claude-scripted");
    assert!(sent.get("max_tokens").is_none());
    // Three texts with 3, 3 and 1 tokens, the word `system`, 3 around each message, 3 for the answer.
    assert_eq!(
        estimated.json(),
        json!({"input_tokens": 17, "litellm_count_source": "local_estimate"})
    );
    let mut wrong = request("o");
    wrong["tools"] = json!(1);
    let wrong = gateway.post("/v1/messages/count_tokens", &wrong);
    assert_anthropic_error(&wrong, 400, "invalid_request_error");
    assert_eq!(other.request_count(), 0);
    assert_eq!(total(&gateway), 0);
}
