use crate::UpstreamErrorKind as Kind;
use crate::openai::error;

#[test]
fn error_bodies_are_classified_by_status_then_by_sign() {
    let cases: [(u16, &str, Kind); 22] = [
        (
            400,
            r#"{"error":{"message":"bad","type":"invalid_request_error"}}"#,
            Kind::BadRequest,
        ),
        (
            400,
            r#"{"error":{"code":"context_length_exceeded"}}"#,
            Kind::ContextWindow,
        ),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8 tokens"}}"#,
            Kind::ContextWindow,
        ),
        (
            400,
            r#"{"error":{"message":"current length is 9 while limit is 8"}}"#,
            Kind::ContextWindow,
        ),
        (
            422,
            r#"{"message":"Input exceeds the available context size"}"#,
            Kind::ContextWindow,
        ),
        (
            500,
            r#"{"error":"the prompt is longer than the model's context length, it is longer than the model's context length"}"#,
            Kind::ContextWindow,
        ),
        (
            400,
            r#"{"error":{"type":"invalid_request_error","code":"content_policy_violation"}}"#,
            Kind::ContentPolicy,
        ),
        (
            400,
            r#"{"error":{"type":null,"code":"content_policy_violation"}}"#,
            Kind::BadRequest,
        ),
        (
            400,
            r#"{"error":{"message":"in violation of our usage policies"}}"#,
            Kind::ContentPolicy,
        ),
        (
            400,
            r#"{"error":{"code":"model_not_found"}}"#,
            Kind::NotFound,
        ),
        (
            400,
            r#"{"error":{"message":"Rate Limit reached"}}"#,
            Kind::RateLimited,
        ),
        (401, "{}", Kind::Auth),
        (402, "", Kind::PaymentRequired),
        (403, "", Kind::Permission),
        (404, "", Kind::NotFound),
        (408, "", Kind::Timeout),
        (422, "", Kind::Unprocessable),
        (429, "", Kind::RateLimited),
        (
            503,
            r#"{"error":{"type":"overloaded_error"}}"#,
            Kind::Overloaded,
        ),
        (529, "", Kind::Overloaded),
        (302, "", Kind::OtherStatus),
        (418, "", Kind::OtherStatus),
    ];
    for (status, body, kind) in cases {
        let err = error::classify(status, None, None, body.as_bytes());
        assert_eq!(err.kind, kind, "{status} {body}");
        assert!(!err.message.is_empty());
    }
}

#[test]
fn the_provider_s_own_words_are_kept_whatever_their_shape() {
    let cases = [
        (
            r#"{"error":{"message":"m","type":"t","param":"p","code":7}}"#,
            "m",
        ),
        (r#"{"error":"m"}"#, "m"),
        (r#"{"message":"m"}"#, "m"),
        (r#"{"detail":"m"}"#, "m"),
        (r#"{"detail":[{"loc":["body"]}]}"#, r#"[{"loc":["body"]}]"#),
        ("  m  ", "m"),
        (
            "<html>secret</html>",
            "the provider answered status 400 with an HTML page",
        ),
        ("", "the provider answered status 400 without a message"),
    ];
    for (body, message) in cases {
        assert_eq!(
            error::classify(400, None, None, body.as_bytes()).message,
            message,
            "{body}"
        );
    }
    let err = error::classify(400, None, None, cases[0].0.as_bytes());
    assert_eq!(
        (
            err.error_type.as_deref(),
            err.param.as_deref(),
            err.code.as_deref()
        ),
        (Some("t"), Some("p"), Some("7"))
    );
    let long = "é".repeat(10_000);
    assert!(
        error::classify(500, None, None, long.as_bytes())
            .message
            .len()
            <= 4096
    );
}

#[test]
fn retry_after_is_read_as_seconds() {
    for (header, seconds) in [
        ("7", Some(7)),
        (" 0.2 ", Some(1)),
        ("2.0", Some(2)),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-1", None),
    ] {
        assert_eq!(
            error::classify(429, None, Some(header), b"").retry_after_secs,
            seconds,
            "{header}"
        );
    }
}
