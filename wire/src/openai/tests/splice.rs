use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use MaxTokensField::{Keep, MaxCompletionTokens, MaxTokens};

use crate::exchange::{EncodeOptions, Encoded, MaxTokensField};
use crate::openai::splice;
use crate::{BadRequest, Endpoint, RequestPeek};

static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

fn encoded(
    body: &str,
    change: impl FnOnce(&mut EncodeOptions<'static>),
) -> Result<Encoded, BadRequest> {
    let mut options = EncodeOptions {
        upstream_model: "gpt-4o",
        endpoint: Endpoint::ChatCompletions,
        max_tokens_field: Keep,
        max_output_tokens: None,
        drop_params: false,
        additional_drop_params: &[],
        allowed_openai_params: &[],
        defaults: &NONE,
        extra_body: &NONE,
        provider: "openai",
        api_version: None,
    };
    change(&mut options);
    let peek = RequestPeek {
        stream: body.contains("\"stream\":true"),
        n: 1,
        ..RequestPeek::default()
    };
    splice::request(&Bytes::copy_from_slice(body.as_bytes()), &peek, &options)
}

fn sent(body: &str, change: impl FnOnce(&mut EncodeOptions<'static>)) -> String {
    String::from_utf8(encoded(body, change).unwrap().body.to_vec()).unwrap()
}

#[test]
fn only_the_spans_that_must_change_do() {
    assert_eq!(
        sent(
            r#"{ "temperature":1.0e0, "model":"mine" , "x_new":[1.50, {"b":1,"a":2}],"tags":["t"], "metadata":{} }"#,
            |_| ()
        ),
        r#"{ "temperature":1.0e0, "model":"gpt-4o" , "x_new":[1.50, {"b":1,"a":2}] }"#
    );
    assert_eq!(
        sent(
            r#"{"stream":true,"stream_options":{"include_usage":false,"x":1}}"#,
            |_| ()
        ),
        r#"{"stream":true,"stream_options":{"include_usage":true,"x":1},"model":"gpt-4o"}"#
    );
    assert_eq!(
        sent(r#"{"stream":true}"#, |options| options.endpoint =
            Endpoint::Embeddings),
        r#"{"stream":true,"model":"gpt-4o"}"#
    );
}

#[test]
fn the_token_limit_goes_by_the_name_the_model_takes() {
    let limit = |model: &'static str, field, body: &str| {
        let body = sent(body, |options| {
            options.max_tokens_field = field;
            options.upstream_model = model;
        });
        let mut object: Map<String, Value> = serde_json::from_str(&body).unwrap();
        object.remove("model");
        Value::Object(object).to_string()
    };
    let (old, new) = (r#"{"max_tokens":5}"#, r#"{"max_completion_tokens":5}"#);
    let both = r#"{"max_tokens":4,"max_completion_tokens":5}"#;
    assert_eq!(limit("gpt-4o", Keep, old), old);
    assert_eq!(limit("o3-mini", Keep, old), new);
    assert_eq!(limit("gpt-5.1", Keep, old), new);
    assert_eq!(limit("o3d", Keep, old), old);
    assert_eq!(limit("m", MaxTokens, new), old);
    assert_eq!(limit("m", MaxTokens, both), old);
    assert_eq!(limit("m", MaxCompletionTokens, old), new);
    assert_eq!(limit("m", MaxCompletionTokens, both), new);
}

#[test]
fn what_a_reasoning_model_refuses_is_an_error_or_dropped() {
    let body = r#"{"model":"x","temperature":0.2,"top_p":1,"seed":1}"#;
    let err = encoded(body, |options| options.upstream_model = "o1").unwrap_err();
    assert_eq!(err.param.as_deref(), Some("temperature"));
    assert!(err.message.contains("drop_params"), "{}", err.message);
    let dropped = encoded(body, |options| {
        options.upstream_model = "o1";
        options.drop_params = true;
    })
    .unwrap();
    assert_eq!(dropped.body, r#"{"model":"o1","seed":1}"#);
    assert_eq!(dropped.dropped, ["temperature", "top_p"]);
    for (model, body, fine) in [
        ("o1", r#"{"temperature":1.0}"#, true),
        ("o1", r#"{"temperature":null}"#, true),
        ("gpt-5", r#"{"stop":"x"}"#, false),
        ("gpt-5-chat-latest", r#"{"temperature":0}"#, true),
        ("gpt-5.1", r#"{"temperature":0}"#, true),
        (
            "gpt-5.1",
            r#"{"temperature":0,"reasoning_effort":"high"}"#,
            false,
        ),
        ("gpt-4.1", r#"{"temperature":0}"#, true),
    ] {
        let result = encoded(body, |options| options.upstream_model = model);
        assert_eq!(result.is_ok(), fine, "{model} {body}");
    }
    let allowed = ["temperature".to_owned(), "top_p".to_owned()];
    let none = Map::new();
    let options = EncodeOptions {
        upstream_model: "o1",
        endpoint: Endpoint::ChatCompletions,
        max_tokens_field: Keep,
        max_output_tokens: None,
        drop_params: false,
        additional_drop_params: &[],
        allowed_openai_params: &allowed,
        defaults: &none,
        extra_body: &none,
        provider: "openai",
        api_version: None,
    };
    let body = Bytes::copy_from_slice(body.as_bytes());
    assert!(splice::request(&body, &RequestPeek::default(), &options).is_ok());
}

#[test]
fn operators_drop_default_and_force_members() {
    let drops = [
        "tools[*].function.strict".to_owned(),
        "user".to_owned(),
        "absent".to_owned(),
    ];
    let object = |value: Value| value.as_object().unwrap().clone();
    let (defaults, extra) = (
        object(json!({"top_k": 3, "seed": 7, "max_tokens": 9})),
        object(json!({"seed": 8, "route": "x"})),
    );
    let options = EncodeOptions {
        upstream_model: "m",
        endpoint: Endpoint::ChatCompletions,
        max_tokens_field: Keep,
        max_output_tokens: None,
        drop_params: false,
        additional_drop_params: &drops,
        allowed_openai_params: &[],
        defaults: &defaults,
        extra_body: &extra,
        provider: "openrouter",
        api_version: None,
    };
    let body = Bytes::from_static(br#"{"tools":[{"function":{"strict":true}}],"user":"u","seed":1,"max_completion_tokens":2}"#);
    let encoded = splice::request(&body, &RequestPeek::default(), &options).unwrap();
    assert_eq!(
        encoded.body,
        r#"{"tools":[{"function":{}}],"seed":8,"max_completion_tokens":2,"model":"m","top_k":3,"route":"x"}"#
    );
    assert_eq!(encoded.dropped, ["tools[*].function.strict", "user"]);
}
