use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::exchange::MaxTokensField;
use crate::{Endpoint, UpstreamErrorKind};

static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

fn options() -> EncodeOptions<'static> {
    EncodeOptions {
        upstream_model: "claude-9",
        endpoint: Endpoint::Messages,
        max_tokens_field: MaxTokensField::Keep,
        max_output_tokens: None,
        drop_params: false,
        additional_drop_params: &[],
        allowed_openai_params: &[],
        defaults: &NONE,
        extra_body: &NONE,
        provider: "anthropic",
        api_version: None,
    }
}

fn sent(body: &str, options: &EncodeOptions<'_>) -> Encoded {
    let body = Bytes::copy_from_slice(body.as_bytes());
    request(&body, &RequestPeek::default(), options).unwrap()
}

#[test]
fn only_the_spans_that_must_change_do() {
    let body = r#"{ "temperature":1.0e0, "model":"mine" , "metadata":{"user_id":"u"},"thinking":{"budget_tokens":1024.0},
        "container":"c", "tags":["t"], "litellm_metadata":{"tags":[]},"num_retries":2,"guardrails":[], "x_new":[1.50,{"b":1,"a":2}] }"#;
    assert_eq!(
        sent(body, &options()).body,
        r#"{ "temperature":1.0e0, "model":"claude-9" , "metadata":{"user_id":"u"},"thinking":{"budget_tokens":1024.0},
        "container":"c", "x_new":[1.50,{"b":1,"a":2}] }"#
    );
}

#[test]
fn operators_drop_default_and_force_members() {
    let object = |value: Value| value.as_object().unwrap().clone();
    let drops = [
        "tools[*].strict".to_owned(),
        "top_k".to_owned(),
        "absent".to_owned(),
    ];
    let (defaults, extra) = (
        object(json!({"top_p": 0.5, "temperature": 0.1})),
        object(json!({"service_tier": "auto"})),
    );
    let options = EncodeOptions {
        additional_drop_params: &drops,
        defaults: &defaults,
        extra_body: &extra,
        ..options()
    };
    let encoded = sent(
        r#"{"top_k":4,"tools":[{"name":"f","strict":true}],"temperature":0.9,"service_tier":"standard_only"}"#,
        &options,
    );
    assert_eq!(
        encoded.body,
        r#"{"tools":[{"name":"f"}],"temperature":0.9,"service_tier":"auto","model":"claude-9","top_p":0.5}"#
    );
    assert_eq!(encoded.dropped, ["tools[*].strict", "top_k"]);
}

const ANSWER: &str = r#"{ "id":"msg_1","type":"message","model":"claude-9","content":[{"type":"text","text":"a\"b"},
    {"type":"thinking","thinking":"hm","signature":"long"},{"type":"tool_use","id":"t","name":"f","input":{"x":1.50}}],
    "stop_reason":"tool_use","new":1.0e0,"usage":{"input_tokens":9,"output_tokens":5} }"#;

#[test]
fn an_answer_is_restamped_and_read() {
    let decoded = response(Bytes::from_static(ANSWER.as_bytes()), Some("mi\"ne")).unwrap();
    assert_eq!(decoded.body, ANSWER.replace("claude-9", "mi\\\"ne"));
    assert_eq!(decoded.usage.map(|usage| usage.total_tokens()), Some(14));
    assert_eq!(decoded.response_id.as_deref(), Some("msg_1"));
    assert_eq!(decoded.upstream_model.as_deref(), Some("claude-9"));
    assert_eq!(decoded.finish_reasons, ["tool_use"]);
    assert_eq!(
        decoded.output_bytes,
        "a\\\"b".len() + "hm".len() + "{\"x\":1.50}".len()
    );
    let same = response(Bytes::from_static(ANSWER.as_bytes()), None).unwrap();
    assert_eq!(same.body, ANSWER);
    let count = Bytes::from_static(b"{\"input_tokens\":14}");
    assert_eq!(response(count.clone(), Some("m")).unwrap().body, count);
}

#[test]
fn what_is_no_message_is_an_error() {
    for (body, kind, message) in [
        ("", UpstreamErrorKind::BrokenAnswer, "empty"),
        ("<html>", UpstreamErrorKind::BrokenAnswer, "HTML"),
        (
            "{\"content\":[",
            UpstreamErrorKind::BrokenAnswer,
            "not usable JSON",
        ),
        (
            "{\"content\":7}",
            UpstreamErrorKind::BrokenAnswer,
            "no 'content'",
        ),
        (
            "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
            UpstreamErrorKind::Overloaded,
            "Overloaded",
        ),
    ] {
        let err = response(Bytes::copy_from_slice(body.as_bytes()), None).unwrap_err();
        assert_eq!(err.kind, kind, "{body}");
        assert!(err.message.contains(message), "{body}: {}", err.message);
    }
}

/// A member nobody here knows, spelled in some way.
fn member() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "-?[1-9][0-9]{0,3}(\\.[0-9]{1,3})?([eE][+-]?[0-9])?",
        "\"[a-z ]{0,4}(\\\\u00e9|\\\\n|\\\\/)?\"",
        "\\[ ?(1\\.0|\\{\"b\" ?: ?2,\"a\":1\\})? ?\\]",
        Just("null".to_owned()),
    ];
    let space = "[ \n\t]{0,2}";
    (space, space, space, value).prop_map(|(a, b, c, value)| format!("{a}:{b}{value}{c}"))
}

proptest! {
    #[test]
    fn unknown_members_key_order_and_spelling_survive(members in prop::collection::vec(member(), 0..6), at in 0..6_usize) {
        let write = |own: &str| {
            let mut written: Vec<String> =
                members.iter().enumerate().map(|(number, rest)| format!("\"x{number}\"{rest}")).collect();
            written.insert(at.min(written.len()), own.to_owned());
            format!("{{{}}}", written.join(","))
        };
        let encoded = sent(&write("\"model\" : \"mine\""), &options());
        prop_assert_eq!(encoded.body, write("\"model\" : \"claude-9\""));
        let with_content = |model: &str| write(&format!("\"content\":[],\"model\" : {model}"));
        let decoded = response(Bytes::from(with_content("\"claude-9\"")), Some("mine")).unwrap();
        prop_assert_eq!(decoded.body, with_content("\"mine\""));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        drop(response(bytes.clone(), Some("m")));
        drop(request(&bytes, &RequestPeek::default(), &options()));
    }
}

#[test]
fn thinking_that_nobody_signed_is_left_out() {
    let body = r#"{"model":"m","messages": [ {"role":"user","content":"\"thinking\""},
        {"role":"assistant", "content":[{"type":"thinking","thinking":"a","signature":""},{"type":"text", "text":"b"},{"type":"redacted_thinking","data":"c"}],"x":1.0},
        {"role":"assistant","content":[{"type":"thinking","thinking":"alone"}]},
        {"role":"assistant","content":[ {"type":"thinking","thinking":"d","signature":"long"} ]} ]}"#;
    assert_eq!(
        sent(body, &options()).body,
        r#"{"model":"claude-9","messages": [{"role":"user","content":"\"thinking\""},{"role":"assistant", "content":[{"type":"text", "text":"b"},{"type":"redacted_thinking","data":"c"}],"x":1.0},{"role":"assistant","content":[ {"type":"thinking","thinking":"d","signature":"long"} ]}]}"#
    );
    // Where all is signed, no byte changes.
    let signed = r#"{"model":"claude-9","messages":[ {"role":"assistant","content":[ {"type":"thinking","thinking":"d","signature":"long"} ]} ]}"#;
    assert_eq!(sent(signed, &options()).body, signed);
}

#[test]
fn what_the_operator_drops_from_messages_stays_dropped() {
    let drops = ["messages[*].name".to_owned()];
    let options = EncodeOptions {
        additional_drop_params: &drops,
        ..options()
    };
    assert_eq!(
        sent(
            r#"{"model":"m","messages":[{"role":"assistant","name":"n","content":[{"type":"thinking","thinking":"a"},{"type":"text","text":"b"}]}]}"#,
            &options
        )
        .body,
        r#"{"model":"claude-9","messages":[{"role":"assistant","content":[{"type":"text","text":"b"}]}]}"#
    );
}

#[test]
fn defaults_that_the_version_refuses_are_not_added_and_named() {
    let defaults = json!({"temperature": 0.1, "top_p": 0.5, "container": "c"});
    let defaults = defaults.as_object().unwrap();
    for (api_version, body, dropped) in [
        (
            Some("2026-10-21"),
            r#"{"top_p":0.9,"model":"claude-9","container":"c"}"#,
            vec!["temperature"],
        ),
        (
            Some("2023-06-01"),
            r#"{"top_p":0.9,"model":"claude-9","temperature":0.1,"container":"c"}"#,
            vec![],
        ),
        (
            None,
            r#"{"top_p":0.9,"model":"claude-9","temperature":0.1,"container":"c"}"#,
            vec![],
        ),
    ] {
        let options = EncodeOptions {
            defaults,
            api_version,
            ..options()
        };
        // What the client asks for is the client's to answer for.
        let encoded = sent(r#"{"top_p":0.9}"#, &options);
        assert_eq!(encoded.body, body, "{api_version:?}");
        assert_eq!(encoded.dropped, dropped, "{api_version:?}");
    }
}

#[test]
fn a_count_is_given_only_what_a_count_takes() {
    let object = |value: Value| value.as_object().unwrap().clone();
    let (defaults, extra) = (
        object(json!({"max_tokens": 9, "thinking": {"type": "adaptive"}})),
        object(json!({"service_tier": "auto"})),
    );
    let options = EncodeOptions {
        endpoint: Endpoint::CountTokens,
        defaults: &defaults,
        extra_body: &extra,
        ..options()
    };
    assert_eq!(
        sent(r#"{"model":"m","messages":[]}"#, &options).body,
        r#"{"model":"claude-9","messages":[],"thinking":{"type":"adaptive"}}"#
    );
}
