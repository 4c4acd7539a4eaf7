//! Bad input is a 4xx that names the field and says what to write; it never reaches a provider, its content never
//! reaches the log (every gateway is held to that when it is dropped), and the next request is served.

use serde_json::{Value, json};

use crate::support::config::ConfigText;
use crate::support::gateway::{Gateway, Home, PROMPT_MARK, chat_request, chat_request_body, start};
use crate::support::http::{Answer, Request};
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

/// The default cap on a body.
const CAP: u64 = 32 * 1024 * 1024;

struct Scene {
    upstream: Upstream,
    _home: Home,
    gateway: Gateway,
}

impl Scene {
    fn new() -> Self {
        let upstream = Upstream::always(Reply::chat("hi"));
        let (home, gateway) = start(&ConfigText::one("m", &upstream));
        Self {
            upstream,
            _home: home,
            gateway,
        }
    }

    /// Sends something bad: the answer is `status` in OpenAI's shape, no provider saw it, and the next one is served.
    #[track_caller]
    fn refuses(&self, case: &str, request: &Request, status: u16) -> Value {
        let before = self.upstream.request_count();
        let answer = self.gateway.send(request);
        assert_eq!(answer.status, status, "{case}: {}", answer.text());
        let error = answer.error();
        assert_eq!(error["code"], status.to_string(), "{case}: {error}");
        assert_eq!(
            self.upstream.request_count(),
            before,
            "{case}: the provider was asked"
        );
        assert!(
            !answer.text().contains(PROMPT_MARK),
            "{case}: the error repeats the prompt: {}",
            answer.text()
        );
        self.serves_the_next();
        error
    }

    #[track_caller]
    fn serves_the_next(&self) {
        self.gateway.chat("m").assert_status(200);
    }
}

fn chat_bytes(body: impl Into<Vec<u8>>) -> Request {
    Request::post_bytes("/v1/chat/completions", body)
}

fn chat_with(change: impl FnOnce(&mut Value)) -> Request {
    let mut body = chat_request_body("m");
    change(&mut body);
    Request::post("/v1/chat/completions", &body)
}

#[track_caller]
fn assert_message_holds(error: &Value, part: &str) {
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.to_lowercase().contains(&part.to_lowercase())),
        "the message speaks of {part:?}: {error}"
    );
}

#[test]
fn json_that_does_not_parse_is_refused() {
    let scene = Scene::new();
    for body in [
        "{",
        "{\"model\": \"m\",}",
        "{\"model\": \"m\" \"messages\": []}",
        "not json at all",
        "{\"model\": \"m\"} trailing",
        "{\"model\": NaN}",
    ] {
        let error = scene.refuses(body, &chat_bytes(body), 400);
        assert_eq!(error["type"], "invalid_request_error", "{body}");
        assert_eq!(error["param"], "request_body", "{body}");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("Invalid JSON payload: ")),
            "{body}: {error}"
        );
    }
}

#[test]
fn json_cut_in_the_middle_of_a_prompt_is_refused_without_repeating_it() {
    let scene = Scene::new();
    let whole = chat_request_body("m").to_string();
    let cut = whole.split_at(whole.len() - 10).0;

    scene.refuses("cut", &chat_bytes(cut), 400);
}

#[test]
fn json_that_is_not_an_object_is_refused() {
    let scene = Scene::new();
    for body in [
        "[]",
        "null",
        "42",
        "\"text\"",
        "true",
        "[{\"model\":\"m\"}]",
    ] {
        let error = scene.refuses(body, &chat_bytes(body), 400);
        assert_message_holds(&error, "object");
    }
}

#[test]
fn an_empty_body_is_refused() {
    let scene = Scene::new();

    scene.refuses("empty", &chat_bytes(""), 400);
}

#[test]
fn missing_messages_are_refused_in_the_words_of_the_contract() {
    let scene = Scene::new();
    let request = chat_with(|body| {
        body.as_object_mut().expect("an object").remove("messages");
    });

    let error = scene.refuses("missing", &request, 400);

    assert_eq!(error["type"], "invalid_request_error");
    assert_eq!(error["param"], "messages");
    assert_eq!(
        error["message"],
        "/chat/completions: Missing required parameter: 'messages'."
    );
}

#[test]
fn messages_of_the_wrong_shape_are_refused_by_name() {
    let scene = Scene::new();
    for (case, messages) in [
        ("empty", json!([])),
        ("null", Value::Null),
        ("a string", json!(PROMPT_MARK)),
        ("an object", json!({"role": "user", "content": PROMPT_MARK})),
        ("a list of strings", json!([PROMPT_MARK])),
        ("no role", json!([{"content": PROMPT_MARK}])),
        (
            "a role that is a number",
            json!([{"role": 7, "content": PROMPT_MARK}]),
        ),
    ] {
        let error = scene.refuses(case, &chat_with(|body| body["messages"] = messages), 400);
        assert!(
            error["param"]
                .as_str()
                .is_some_and(|param| param.starts_with("messages")),
            "{case}: {error}"
        );
    }
}

#[test]
fn fields_of_the_wrong_type_are_refused_by_name() {
    let scene = Scene::new();
    for (field, value) in [
        ("model", json!(7)),
        ("model", json!(["m"])),
        ("model", json!("")),
        ("stream", json!("yes")),
        ("stream", json!(1)),
        ("max_tokens", json!("many")),
        ("max_tokens", json!(-1)),
        ("max_tokens", json!(1.5)),
        ("max_completion_tokens", json!({})),
        ("n", json!(0)),
        ("n", json!(100_000)),
        ("n", json!("two")),
        ("stream_options", json!("usage")),
    ] {
        let case = format!("{field}: {value}");
        let error = scene.refuses(&case, &chat_with(|body| body[field] = value.clone()), 400);
        assert!(
            error["param"]
                .as_str()
                .is_some_and(|param| param.starts_with(field)),
            "{case}: {error}"
        );
    }
}

#[test]
fn sampling_settings_are_the_providers_business() {
    let scene = Scene::new();

    scene
        .gateway
        .send(&chat_with(|body| body["temperature"] = json!("hot")))
        .assert_status(200);

    assert_eq!(
        scene.upstream.only_request().json()["temperature"],
        json!("hot")
    );
}

#[test]
fn an_unknown_model_is_refused() {
    let scene = Scene::new();

    let error = scene.refuses("unknown", &chat_request("no-such-model"), 400);

    assert_eq!(error["type"], "invalid_request_error");
    assert_message_holds(&error, "no-such-model");
}

#[test]
fn a_missing_model_is_refused() {
    let scene = Scene::new();
    let request = chat_with(|body| {
        body.as_object_mut().expect("an object").remove("model");
    });

    let error = scene.refuses("missing", &request, 400);

    assert_message_holds(&error, "model");
}

#[test]
fn missing_prompts_and_inputs_are_refused() {
    let scene = Scene::new();
    for (path, field) in [("/v1/completions", "prompt"), ("/v1/embeddings", "input")] {
        let request = Request::post(path, &json!({"model": "m"}));
        let error = scene.refuses(path, &request, 400);
        assert_eq!(error["param"], field, "{path}");
    }
}

#[test]
fn invalid_utf8_is_refused() {
    let scene = Scene::new();
    let mut body = chat_request_body("m").to_string().into_bytes();
    let place = body.len() - 20;
    body.splice(place..place, [0xff, 0xfe, 0xc0]);

    let error = scene.refuses("invalid UTF-8", &chat_bytes(body), 400);

    assert_message_holds(&error, "utf-8");
}

#[test]
fn nesting_of_100_000_is_refused() {
    let scene = Scene::new();
    for (case, open, close) in [("lists", "[", "]"), ("objects", "{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        let body = format!(
            "{{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":\"x\"}}],\"deep\":{deep}}}"
        );
        scene.refuses(case, &chat_bytes(body), 400);
        scene.refuses(case, &chat_bytes(deep), 400);
        let never_closed = open.repeat(100_000);
        scene.refuses(case, &chat_bytes(never_closed), 400);
    }
}

#[test]
fn a_key_that_stands_twice_is_refused_by_name() {
    let scene = Scene::new();
    let body = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"model\":\"other\"}";

    let error = scene.refuses("twice", &chat_bytes(body), 400);

    assert_message_holds(&error, "model");
}

#[test]
fn a_body_that_announces_more_than_the_cap_is_refused_before_it_is_sent() {
    let scene = Scene::new();
    let request = chat_bytes("{\"model\":").claim_length(CAP + 1);

    scene.refuses("announced", &request, 413);
}

#[test]
fn a_body_that_grows_over_the_cap_is_refused() {
    let scene = Scene::new();
    let size = usize::try_from(CAP).expect("the cap fits") + 64 * 1024;
    let request = chat_bytes(vec![b' '; size]).in_chunks_without_end();

    scene.refuses("grown", &request, 413);
}

#[test]
fn a_model_name_cannot_inject_a_header() {
    let scene = Scene::new();
    for name in [
        "m\r\nx-injected: yes",
        "m\nx-injected: yes",
        "m\r\n\r\nHTTP/1.1 200 OK",
        "m\0",
        "m\u{7f}",
    ] {
        let answer = scene.gateway.chat(name);
        assert_no_injection(name, &answer);
        scene.refuses(name, &chat_request(name), 400);
    }
    for path in [
        "/openai/deployments/m%0d%0ax-injected:%20yes/chat/completions",
        "/engines/m%0ax-injected:%20yes/chat/completions",
    ] {
        let mut body = chat_request_body("m");
        body.as_object_mut().expect("an object").remove("model");
        let answer = scene.gateway.post(path, &body);
        assert_no_injection(path, &answer);
        assert!(
            (400..500).contains(&answer.status),
            "{path}: {}",
            answer.text()
        );
        scene.serves_the_next();
    }
}

#[track_caller]
fn assert_no_injection(case: &str, answer: &Answer) {
    assert_eq!(answer.header("x-injected"), None, "{case:?}");
    assert!(
        answer
            .headers
            .iter()
            .all(|(_, value)| !value.contains("x-injected: yes")),
        "{case:?}: {:?}",
        answer.headers
    );
}

#[test]
fn a_callers_own_call_id_is_not_believed_blindly() {
    let scene = Scene::new();
    let long = "x".repeat(5_000);

    let answer = scene
        .gateway
        .send(&chat_request("m").header("x-litellm-call-id", &long));

    assert!(
        answer
            .header("x-litellm-call-id")
            .is_some_and(|id| id.len() <= 256),
        "{:?}",
        answer.headers
    );
}

#[test]
fn an_unsupported_content_type_is_refused() {
    let scene = Scene::new();
    for kind in [
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
    ] {
        let error = scene.refuses(kind, &chat_request("m").header("content-type", kind), 415);
        assert_message_holds(&error, "application/json");
    }
}

#[test]
fn usual_spellings_of_the_json_content_type_are_served() {
    let scene = Scene::new();
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
    ] {
        let answer = scene
            .gateway
            .send(&chat_request("m").header("content-type", kind));
        assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
    }
}

#[test]
fn an_unknown_path_is_a_404_in_the_shape_of_the_api() {
    let scene = Scene::new();

    scene.refuses("get", &Request::get("/v1/nothing/here"), 404);
    scene.refuses(
        "post",
        &Request::post("/v2/chat/completions", &json!({})),
        404,
    );
}

#[test]
fn a_wrong_method_is_a_405_in_the_shape_of_the_api() {
    let scene = Scene::new();

    scene.refuses("get", &Request::get("/v1/chat/completions"), 405);
    scene.refuses("put", &Request::new("PUT", "/v1/chat/completions"), 405);
    scene.refuses("delete", &Request::new("DELETE", "/v1/models"), 405);
}

#[test]
fn bytes_that_are_not_http_do_no_harm() {
    let scene = Scene::new();
    for junk in [
        "\0\u{1}\u{2}\r\n\r\n",
        "GET\r\n\r\n",
        "POST /v1/chat/completions HTTP/9.9\r\n\r\n",
    ] {
        let raw = Request::new("JUNK\r\n", junk);
        // Whatever comes back, or nothing: the gateway lives on.
        drop(scene.gateway.try_open(&raw));
        scene.serves_the_next();
    }
}
