//! Requests and answers that are not streamed: what passes through untouched, what the gateway changes, and the
//! headers it adds.

use serde_json::{Value, json};

use crate::support::config::{ConfigText, Deployment, PROVIDER_KEY};
use crate::support::gateway::{Home, chat_request, chat_request_body, start};
use crate::support::http::{Request, text_of};
use crate::support::reply::{PROVIDER_MODEL, Reply};
use crate::support::upstream::Upstream;

#[test]
fn a_chat_answer_passes_through_to_the_byte_but_for_the_model() {
    let body = format!(
        "{{ \"id\":\"chatcmpl-1\",\t\"object\" : \"chat.completion\",\n \"created\": 1.7e9, \"zz_unknown\":{{\"b\":1.0,\"a\":[1E2, -0]}},\
         \"model\": \"{PROVIDER_MODEL}\" ,\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"h\\u00e9 \\\"{PROVIDER_MODEL}\\\"\"}},\
         \"logprobs\":null,\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18}} }}\n"
    );
    let upstream = Upstream::always(Reply::bytes(200, "application/json", body.clone()));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.chat("m");

    answer.assert_status(200);
    let expected = body.replacen(
        &format!("\"model\": \"{PROVIDER_MODEL}\""),
        "\"model\": \"m\"",
        1,
    );
    assert_eq!(answer.text(), expected);
}

#[test]
fn a_chat_request_passes_through_to_the_byte_but_for_the_model() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let body = "{\"zz\":{\"deep\":[1.0,1e3,{}]}, \"temperature\": 0.70,\n\"model\" :\"m\",  \"messages\":[{\"role\":\"user\",\
                \"content\":\"caf\\u00e9 \\ud83d\\ude00 \\\"model\\\":\\\"m\\\"\",\"x\":1}],\"seed\":12345678901234567890,\
                \"logit_bias\":{\"50256\":-100}}";

    gateway
        .send(&Request::post_bytes("/v1/chat/completions", body))
        .assert_status(200);

    let request = upstream.only_request();
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(
        request.text(),
        body.replacen("\"model\" :\"m\"", "\"model\" :\"upstream-model\"", 1)
    );
}

#[test]
fn the_provider_gets_its_own_key_and_never_the_callers() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    gateway
        .send(&chat_request("m").bearer("sk-of-the-caller-1234567890"))
        .assert_status(200);

    let request = upstream.only_request();
    let expected = format!("Bearer {PROVIDER_KEY}");
    assert_eq!(request.header("authorization"), Some(expected.as_str()));
    assert!(
        request
            .headers
            .iter()
            .all(|(_, value)| !value.contains("sk-of-the-caller")),
        "{:?}",
        request.headers
    );
}

#[test]
fn fields_that_only_the_gateway_understands_do_not_reach_the_provider() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let plain = chat_request_body("m");
    let mut body = plain.clone();
    let only_ours = json!({
        "metadata": {"tags": ["a"], "trace_id": "t"},
        "litellm_metadata": {"a": 1},
        "tags": ["b"],
        "cache": {"no-cache": true},
        "fallbacks": [],
        "num_retries": 0,
        "timeout": 30,
        "stream_timeout": 30,
        "disable_fallbacks": true,
        "drop_params": false,
    });
    for (name, value) in only_ours.as_object().expect("an object") {
        body[name] = value.clone();
    }

    gateway
        .post("/v1/chat/completions", &body)
        .assert_status(200);

    let mut expected = plain;
    expected["model"] = json!("upstream-model");
    assert_eq!(upstream.only_request().json(), expected);
}

#[test]
fn tools_structured_output_logprobs_and_n_reach_the_provider_and_come_back() {
    let answer_body = json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": PROVIDER_MODEL,
        "choices": [
            {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, "refusal": null,
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Köln\"}"}}]}},
            {"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": null, "refusal": "I will not."},
                "logprobs": {"content": [{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}]}},
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    });
    let upstream = Upstream::always(Reply::json(200, &answer_body));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let mut body = chat_request_body("m");
    body["n"] = json!(2);
    body["logprobs"] = json!(true);
    body["tools"] = json!([{"type": "function", "function": {"name": "weather", "strict": true,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]);
    body["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}});

    let answer = gateway.post("/v1/chat/completions", &body);

    let mut expected = answer_body;
    expected["model"] = json!("m");
    assert_eq!(answer.json(), expected);
    body["model"] = json!("upstream-model");
    assert_eq!(upstream.only_request().json(), body);
}

#[test]
fn every_spelling_of_the_path_reaches_the_same_provider_path() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let spellings = [
        "/v1/chat/completions",
        "/chat/completions",
        "/engines/m/chat/completions",
        "/openai/deployments/m/chat/completions",
        "/openai/deployments/m/chat/completions?api-version=2024-10-21",
    ];

    for path in spellings {
        let answer = gateway.post(path, &chat_request_body("m"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }

    for request in upstream.requests() {
        assert_eq!(request.path, "/v1/chat/completions");
    }
    assert_eq!(upstream.request_count(), spellings.len());
}

#[test]
fn the_model_in_the_path_fills_a_missing_model_in_the_body() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let mut body = chat_request_body("m");
    body.as_object_mut().expect("an object").remove("model");

    let answer = gateway.post("/openai/deployments/m/chat/completions", &body);

    answer.assert_status(200);
    assert_eq!(answer.json()["model"], "m");
    assert_eq!(upstream.only_request().json()["model"], "upstream-model");
}

#[test]
fn text_completions_are_answered_under_every_spelling() {
    let upstream = Upstream::always(Reply::completion("once upon"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let body = json!({"model": "m", "prompt": "Tell", "max_tokens": 4});

    for path in [
        "/v1/completions",
        "/completions",
        "/openai/deployments/m/completions",
    ] {
        let answer = gateway.post(path, &body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.json()["choices"][0]["text"], "once upon");
        assert_eq!(answer.json()["model"], "m");
    }

    for request in upstream.requests() {
        assert_eq!(request.path, "/v1/completions");
    }
}

#[test]
fn embeddings_are_answered_under_every_spelling() {
    let upstream = Upstream::always(Reply::embeddings(&[[0.25, -1.0, 1e-9], [0.0, 0.5, 1.0]]));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let body = json!({"model": "m", "input": ["a", "b"], "encoding_format": "float"});

    for path in [
        "/v1/embeddings",
        "/embeddings",
        "/openai/deployments/m/embeddings",
    ] {
        let answer = gateway.post(path, &body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(
            answer.json()["data"][0]["embedding"],
            json!([0.25, -1.0, 1e-9])
        );
        assert_eq!(answer.json()["model"], "m");
    }

    for request in upstream.requests() {
        assert_eq!(request.path, "/v1/embeddings");
        assert_eq!(request.json()["input"], json!(["a", "b"]));
    }
}

#[test]
fn an_answer_carries_the_headers_of_the_contract() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.chat("m");

    assert_eq!(answer.header("x-litellm-model-id"), Some("the-deployment"));
    assert_eq!(answer.header("x-litellm-model-group"), Some("m"));
    assert_eq!(answer.header("x-litellm-attempted-retries"), Some("0"));
    assert_eq!(answer.header("x-litellm-attempted-fallbacks"), Some("0"));
    assert!(
        answer
            .header("x-litellm-call-id")
            .is_some_and(|id| !id.is_empty())
    );
    let cost: f64 = number(answer.header("x-litellm-response-cost"));
    assert_eq!(
        format!("{cost:.12}"),
        "0.000025000000",
        "11 × 1e-6 + 7 × 2e-6"
    );
    let overhead: f64 = number(answer.header("x-litellm-overhead-duration-ms"));
    assert!((0.0..5_000.0).contains(&overhead), "{overhead}");
}

fn number(header: Option<&str>) -> f64 {
    let text = header.expect("the header is there");
    text.parse()
        .unwrap_or_else(|err| panic!("not a number ({err}): {text}"))
}

#[test]
fn two_requests_get_two_call_ids_and_a_callers_own_id_comes_back() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let first = gateway.chat("m");
    let second = gateway.chat("m");
    let own = gateway.send(&chat_request("m").header("x-litellm-call-id", "my-own-id-42"));

    assert_ne!(
        first.header("x-litellm-call-id"),
        second.header("x-litellm-call-id")
    );
    assert_eq!(own.header("x-litellm-call-id"), Some("my-own-id-42"));
}

#[test]
fn an_error_of_the_model_routes_carries_the_call_id_too() {
    let upstream = Upstream::always(Reply::error(500, "server_error", "broken"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.send(&chat_request("m").header("x-litellm-call-id", "my-own-id-43"));

    answer.assert_status(500);
    assert_eq!(answer.header("x-litellm-call-id"), Some("my-own-id-43"));
}

#[test]
fn dropped_parameters_are_taken_out_to_the_path() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::new()
        .deployment(
            Deployment::of("m", &upstream)
                .param("additional_drop_params: [logit_bias, \"tools[*].function.strict\"]"),
        )
        .one_attempt();
    let (_home, gateway) = start(&config);
    let mut body = chat_request_body("m");
    body["logit_bias"] = json!({"1": 1});
    body["tools"] = json!([{"type": "function", "function": {"name": "f", "strict": true}}]);

    gateway
        .post("/v1/chat/completions", &body)
        .assert_status(200);

    let sent = upstream.only_request().json();
    assert!(sent.get("logit_bias").is_none(), "{sent}");
    assert_eq!(
        sent["tools"],
        json!([{"type": "function", "function": {"name": "f"}}])
    );
}

#[test]
fn settings_of_the_deployment_are_used_when_the_request_names_none() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::new()
        .deployment(
            Deployment::of("m", &upstream)
                .param("temperature: 0.25")
                .param("extra_headers: {x-team: blue}")
                .param("extra_body: {vendor_option: [1, 2]}"),
        )
        .one_attempt();
    let (_home, gateway) = start(&config);
    let mut hotter = chat_request_body("m");
    hotter["temperature"] = json!(0.5);

    gateway.chat("m").assert_status(200);
    gateway
        .post("/v1/chat/completions", &hotter)
        .assert_status(200);

    let requests = upstream.requests();
    assert_eq!(requests[0].json()["temperature"], json!(0.25));
    assert_eq!(requests[1].json()["temperature"], json!(0.5));
    assert_eq!(requests[0].header("x-team"), Some("blue"));
    assert_eq!(requests[0].json()["vendor_option"], json!([1, 2]));
}

#[test]
fn the_model_list_names_the_groups_under_both_spellings() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream).deployment(Deployment::of("other", &upstream));
    let (_home, gateway) = start(&config);

    for path in ["/v1/models", "/models"] {
        let list = gateway.get(path).json();
        assert_eq!(list["object"], "list");
        let mut ids: Vec<&str> = list["data"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|model| model["id"].as_str())
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, ["m", "other"], "{path}");
        assert_eq!(list["data"][0]["object"], "model");
        assert!(list["data"][0]["created"].is_u64());
    }
    let one = gateway.get("/v1/models/m");
    one.assert_status(200);
    assert_eq!(one.json()["id"], "m");
    let missing = gateway.get("/v1/models/nothing-of-the-kind");
    missing.assert_status(404);
    missing.error();
}

#[test]
fn model_info_tells_what_is_configured_and_no_secret() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.get("/model/info");

    answer.assert_status(200);
    let entry = &answer.json()["data"][0];
    assert_eq!(entry["model_name"], "m");
    assert_eq!(entry["model_info"]["id"], "the-deployment");
    assert_eq!(entry["litellm_params"]["model"], "openai/upstream-model");
    assert!(!answer.text().contains(PROVIDER_KEY), "{}", answer.text());
}

#[test]
fn a_wildcard_carries_the_rest_of_the_name_to_the_provider() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::new()
        .deployment(Deployment::of("\"openai/*\"", &upstream).param("model: \"openai/*\""))
        .one_attempt();
    let (_home, gateway) = start(&config);

    let answer = gateway.chat("openai/some-new-model");

    answer.assert_status(200);
    assert_eq!(answer.json()["model"], "openai/some-new-model");
    assert_eq!(upstream.only_request().json()["model"], "some-new-model");
}

#[test]
fn without_a_config_the_demo_model_answers() {
    let home = Home::empty();
    let gateway = home.start();

    let answer = gateway.chat("demo");

    answer.assert_status(200);
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "demo");
    assert!(
        body["choices"][0]["message"]["content"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    assert!(body["usage"]["total_tokens"].is_u64());
    let ids = gateway.get("/v1/models").json();
    assert!(
        ids["data"]
            .as_array()
            .is_some_and(|models| models.iter().any(|model| model["id"] == "demo")),
        "{ids}"
    );
}

#[test]
fn without_a_config_the_demo_model_streams_what_it_answers() {
    let home = Home::empty();
    let gateway = home.start();
    let whole = gateway.chat("demo").json();

    let streamed = gateway.chat_stream("demo");

    streamed.assert_status(200);
    let events = streamed.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let text: String = events.iter().map(|event| text_of(event)).collect();
    assert_eq!(whole["choices"][0]["message"]["content"], Value::from(text));
}

#[test]
fn a_providers_key_in_the_environment_serves_its_models_without_a_config() {
    let upstream = Upstream::always(Reply::chat("from the environment"));
    let home = Home::empty()
        .variable("OPENAI_API_KEY", PROVIDER_KEY)
        .variable("OPENAI_BASE_URL", &upstream.base_url());
    let gateway = home.start();

    let answer = gateway.chat("openai/some-model");

    answer.assert_status(200);
    let request = upstream.only_request();
    assert_eq!(request.json()["model"], "some-model");
    let expected = format!("Bearer {PROVIDER_KEY}");
    assert_eq!(request.header("authorization"), Some(expected.as_str()));
}
