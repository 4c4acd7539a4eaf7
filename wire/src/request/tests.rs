use proptest::prelude::*;

use super::*;

fn chat(body: &str) -> Result<RequestPeek, BadRequest> {
    RequestPeek::parse(Endpoint::ChatCompletions, body.as_bytes())
}

#[test]
fn what_decides_is_read() {
    let messages = r#"[{"role":"user","content":"hi"}]"#;
    let peek = chat(&format!(
        r#"{{"model":"m\u00e9","messages":{messages},"stream":true,"stream_options":{{"include_usage":true,"x":1}},
        "max_tokens":5,"max_completion_tokens":7,"n":2,"user":"u","metadata":{{"tags":["a"]}},"tags":["b"],"num_retries":1,
        "timeout":1.5,"request_timeout":9,"stream_timeout":3,"fallbacks":["f",{{"model":"g"}}],"disable_fallbacks":true,
        "drop_params":true,"service_tier":"flex","temperature":"hot","no-log":true,"turn_off_message_logging":false}}"#
    ))
    .unwrap();
    let expected = RequestPeek {
        model: Some("mé".to_owned()),
        stream: true,
        include_usage: true,
        max_tokens: Some(7),
        n: 2,
        user: Some("u".to_owned()),
        service_tier: Some("flex".to_owned()),
        input_bytes: messages.len(),
        tags: vec!["a".to_owned(), "b".to_owned()],
        num_retries: Some(1),
        timeout_secs: Some(1.5),
        stream_timeout_secs: Some(3.0),
        fallbacks: Some(vec!["f".to_owned(), "g".to_owned()]),
        disable_fallbacks: true,
        drop_params: Some(true),
        off_the_record: true,
    };
    assert_eq!(peek, expected);
}

#[test]
fn null_is_absent() {
    let peek = chat(
        r#"{"model":null,"messages":[{"role":"user"}],"stream":null,"stream_options":null,"max_tokens":null,"n":null,
        "user":null,"metadata":null,"tags":null,"timeout":null,"fallbacks":null,"drop_params":null}"#,
    )
    .unwrap();
    assert_eq!(
        peek,
        RequestPeek {
            n: 1,
            input_bytes: 17,
            ..RequestPeek::default()
        }
    );
}

/// Body, `param`, how the message starts.
const BAD_BODIES: &[(&str, &str, &str)] = &[
    (
        "",
        "messages",
        "/chat/completions: Missing required parameter: 'messages'.",
    ),
    (
        "{}",
        "messages",
        "/chat/completions: Missing required parameter: 'messages'.",
    ),
    (
        r#"{"messages":null}"#,
        "messages",
        "/chat/completions: Missing required parameter: 'messages'.",
    ),
    (
        "{",
        "request_body",
        "Invalid JSON payload: EOF while parsing an object at line 1 column 1",
    ),
    (
        "[]",
        "request_body",
        "Invalid JSON payload: expected a JSON object, found an array",
    ),
    (
        r#"{"messages":"hi"}"#,
        "messages",
        "Invalid request format: 'messages' must be an array",
    ),
    (
        r#"{"messages":[]}"#,
        "messages",
        "Invalid request format: 'messages' is empty",
    ),
    (
        r#"{"messages":[{"role":"user"},"x"]}"#,
        "messages[1]",
        "Invalid request format: 'messages[1]' must be an object",
    ),
    (
        r#"{"messages":[[1]]}"#,
        "messages[0]",
        "Invalid request format: 'messages[0]' must be an object",
    ),
    (
        r#"{"messages":[{"content":"x"}]}"#,
        "messages[0].role",
        "Invalid request format: 'messages[0].role' is missing",
    ),
    (
        r#"{"messages":[{"role":1}]}"#,
        "messages[0].role",
        "Invalid request format: 'messages[0].role' must be a string",
    ),
    (r#"{"model":1}"#, "model", "'model' must be a string"),
    (r#"{"model":" "}"#, "model", "'model' is empty"),
    (
        r#"{"model":"a\r\nx-evil: 1"}"#,
        "model",
        "'model' contains control characters",
    ),
    (
        r#"{"stream":"yes"}"#,
        "stream",
        "'stream' must be true or false",
    ),
    (
        r#"{"stream_options":[true]}"#,
        "stream_options",
        "'stream_options' must be an object",
    ),
    (
        r#"{"max_tokens":-1}"#,
        "max_tokens",
        "'max_tokens' must be a non-negative integer",
    ),
    (
        r#"{"max_tokens":1.5}"#,
        "max_tokens",
        "'max_tokens' must be a non-negative integer",
    ),
    (
        r#"{"max_completion_tokens":"9"}"#,
        "max_completion_tokens",
        "'max_completion_tokens' must be",
    ),
    (r#"{"n":0}"#, "n", "'n' must be an integer from 1 to 128"),
    (r#"{"n":129}"#, "n", "'n' must be an integer from 1 to 128"),
    (
        r#"{"timeout":0}"#,
        "timeout",
        "'timeout' must be a positive number",
    ),
    (
        r#"{"fallbacks":[{"a":["b"]}]}"#,
        "fallbacks",
        "'fallbacks' must be an array of model names",
    ),
];

#[test]
fn a_bad_body_names_the_field_and_says_what_to_write() {
    for (body, param, message) in BAD_BODIES.iter().copied() {
        let err = chat(body).unwrap_err();
        assert_eq!(err.param.as_deref(), Some(param), "{body}");
        assert!(err.message.starts_with(message), "{body}: {}", err.message);
        assert_eq!(err.status, 400, "{body}");
    }
}

#[test]
fn completions_and_embeddings_need_their_own_input() {
    let parse = |endpoint, body: &str| RequestPeek::parse(endpoint, body.as_bytes());
    assert_eq!(
        parse(Endpoint::Completions, r#"{"prompt":"hello"}"#)
            .unwrap()
            .input_bytes,
        7
    );
    assert_eq!(
        parse(Endpoint::Embeddings, r#"{"input":[[1,2],[3]]}"#)
            .unwrap()
            .input_bytes,
        11
    );
    let err = parse(Endpoint::Embeddings, r#"{"prompt":"hello"}"#).unwrap_err();
    assert_eq!(
        err.message,
        "/embeddings: Missing required parameter: 'input'."
    );
    let err = parse(Endpoint::Completions, r#"{"prompt":7}"#).unwrap_err();
    assert_eq!(err.param.as_deref(), Some("prompt"));
}

#[test]
fn what_decides_is_read_of_anthropic_s_bodies_too() {
    let messages = r#"[{"role":"user","content":"hi"},{"content":[],"role":"assistant"}]"#;
    let peek = RequestPeek::parse(
        Endpoint::Messages,
        format!(
            r#"{{"model":"m","max_tokens":5,"messages":{messages},"system":"abc","tools":[{{}}],"n":7,"user":"no","stream":true,
            "metadata":{{"user_id":"u","tags":["no"]}},"litellm_metadata":{{"tags":["a"]}},"tags":["b"],"fallbacks":["f"]}}"#
        )
        .as_bytes(),
    )
    .unwrap();
    let expected = RequestPeek {
        model: Some("m".to_owned()),
        stream: true,
        include_usage: true,
        max_tokens: Some(5),
        n: 1,
        user: Some("u".to_owned()),
        input_bytes: messages.len() + r#""abc""#.len() + "[{}]".len(),
        tags: vec!["a".to_owned(), "b".to_owned()],
        fallbacks: Some(vec!["f".to_owned()]),
        ..RequestPeek::default()
    };
    assert_eq!(peek, expected);
}

#[test]
fn a_bad_anthropic_body_names_the_field_in_its_words() {
    for (body, message) in [
        ("", "messages: Field required"),
        (r#"{"messages":[]}"#, "max_tokens: Field required"),
        (r#"{"max_tokens":1}"#, "messages: Field required"),
        (
            r#"{"max_tokens":1,"messages":{}}"#,
            "messages: Input should be an array",
        ),
        (
            r#"{"max_tokens":1,"messages":[]}"#,
            "messages: at least one message is required",
        ),
        (
            r#"{"max_tokens":1,"messages":["x"]}"#,
            "messages.0: Input should be an object",
        ),
        (
            r#"{"max_tokens":1,"messages":[{"content":""}]}"#,
            "messages.0.role: Field required",
        ),
        (
            r#"{"max_tokens":1,"messages":[{"role":"tool","content":""}]}"#,
            "messages.0.role: Input should be 'user' or 'assistant'",
        ),
        (
            r#"{"max_tokens":1,"messages":[{"role":"user","content":"a"},{"role":"user","content":null}]}"#,
            "messages.1.content: Field required",
        ),
    ] {
        let err = RequestPeek::parse(Endpoint::Messages, body.as_bytes()).unwrap_err();
        assert_eq!(err.message, message, "{body}");
        assert_eq!(err.param.as_deref(), message.split(": ").next());
    }
    let count = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
    assert!(RequestPeek::parse(Endpoint::CountTokens, count.as_bytes()).is_ok());
}

#[test]
fn a_hundred_thousand_levels_are_a_clean_error() {
    let body = format!(r#"{{"messages":{}"#, "[".repeat(100_000));
    assert_eq!(
        chat(&body).unwrap_err().param.as_deref(),
        Some("request_body")
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(RequestPeek::parse(Endpoint::ChatCompletions, &body));
    }

    #[test]
    fn arbitrary_json_ish_text_never_panics(body in r#"\{("(model|messages|n|tags|stream)":[\[\]{}",:0-9a-z]{0,9},?){0,4}\}?"#) {
        drop(RequestPeek::parse(Endpoint::ChatCompletions, body.as_bytes()));
        drop(RequestPeek::parse(Endpoint::Embeddings, body.as_bytes()));
    }
}
