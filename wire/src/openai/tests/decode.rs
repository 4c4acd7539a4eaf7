use bytes::Bytes;

use crate::openai::decode;
use crate::{Endpoint, UpstreamErrorKind as Kind, Usage};

#[test]
fn broken_answers_are_classified() {
    let cases: [(&str, &str, Kind, &str); 9] = [
        (
            "empty",
            "",
            Kind::BrokenAnswer,
            "the provider's answer is empty",
        ),
        (
            "html",
            "<!doctype html><p>sk-1",
            Kind::BrokenAnswer,
            "the provider answered with an HTML page",
        ),
        (
            "cut",
            r#"{"choices":[{"#,
            Kind::BrokenAnswer,
            "the provider's answer is not usable JSON: EOF",
        ),
        (
            "array",
            "[]",
            Kind::BrokenAnswer,
            "the provider's answer is not usable JSON: expected a JSON object",
        ),
        (
            "no choices",
            r#"{"id":"x"}"#,
            Kind::BrokenAnswer,
            "the provider's answer has no 'choices'",
        ),
        (
            "null choices",
            r#"{"choices":null}"#,
            Kind::BrokenAnswer,
            "the provider's answer has no 'choices'",
        ),
        (
            "error inside",
            r#"{"error":{"message":"slow down","code":429}}"#,
            Kind::RateLimited,
            "slow down",
        ),
        ("error as text", r#"{"error":"boom"}"#, Kind::Server, "boom"),
        (
            "error by type",
            r#"{"error":{"type":"overloaded_error"}}"#,
            Kind::Overloaded,
            "the provider reported an error",
        ),
    ];
    for (name, body, kind, message) in cases {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let err = decode::response(Endpoint::ChatCompletions, body, Some("m")).unwrap_err();
        assert_eq!(err.kind, kind, "{name}");
        assert!(err.message.starts_with(message), "{name}: {}", err.message);
    }
}

#[test]
fn an_answer_is_restamped_and_read() {
    let body = br#"{"id":"c1", "model":"gpt-4o-2024-08-06","error":null,"choices":[{"message":{"model":"inner","content":"a\n"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let decoded = decode::response(
        Endpoint::ChatCompletions,
        Bytes::from_static(body),
        Some("mine"),
    )
    .unwrap();
    let expected = String::from_utf8_lossy(body).replace("gpt-4o-2024-08-06", "mine");
    assert_eq!(decoded.body, expected);
    assert_eq!(decoded.upstream_model.as_deref(), Some("gpt-4o-2024-08-06"));
    assert_eq!(decoded.response_id.as_deref(), Some("c1"));
    assert_eq!(decoded.finish_reasons, ["stop"]);
    assert_eq!(decoded.output_bytes, 3);
    assert_eq!(decoded.usage, Some(Usage::plain(1, 2)));
    let same = decode::response(Endpoint::ChatCompletions, Bytes::from_static(body), None).unwrap();
    assert_eq!(same.body, &body[..]);
}
