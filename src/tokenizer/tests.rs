use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;

/// A text of the fixture and what Python's `tiktoken` counts in it.
#[derive(Deserialize)]
struct Known {
    name: String,
    text: String,
    repeat: usize,
    cl100k_base: usize,
    o200k_base: usize,
}

fn gpt_4o() -> Tokenizer {
    Tokenizer::for_model("gpt-4o")
}

fn gpt_4() -> Tokenizer {
    Tokenizer::for_model("gpt-4")
}

fn count(tokenizer: Tokenizer, body: &Value) -> usize {
    tokenizer.count_chat(body.to_string().as_bytes()).unwrap()
}

/// Tokens of a user's message with this content.
fn count_content(content: &Value) -> usize {
    let body = json!({"messages": [{"role": "user", "content": content}]});
    count(gpt_4o(), &body)
}

#[test]
fn texts_count_as_tiktoken_counts_them() {
    let text = include_str!("../../tests/fixtures/tokenizer/counts.json");
    let known: Vec<Known> = serde_json::from_str(text).unwrap();
    assert!(known.len() > 40);
    for one in known {
        let text = one.text.repeat(one.repeat);
        assert_eq!(gpt_4().count_text(&text), one.cl100k_base, "{}", one.name);
        assert_eq!(gpt_4o().count_text(&text), one.o200k_base, "{}", one.name);
    }
}

#[test]
fn the_examples_of_openais_cookbook_count_as_published() {
    let messages = json!({"messages": [
        {"role": "system", "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
        {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
        {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
        {"role": "system", "name": "example_user", "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
        {"role": "system", "name": "example_assistant", "content": "Let's talk later when we're less busy about how to do better."},
        {"role": "user", "content": "This late pivot means we don't have time to boil the ocean for the client deliverable."},
    ]});
    assert_eq!(count(gpt_4(), &messages), 129);
    assert_eq!(count(gpt_4o(), &messages), 124);

    let tools = json!({
        "messages": [
            {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
            {"role": "user", "content": "What's the weather like in San Francisco?"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "get_current_weather",
            "description": "Get the current weather in a given location",
            "parameters": {"type": "object", "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {"type": "string", "description": "The unit of temperature to return", "enum": ["celsius", "fahrenheit"]},
            }, "required": ["location"]},
        }}],
    });
    assert_eq!(count(gpt_4(), &tools), 105);
    assert_eq!(count(gpt_4o(), &tools), 101);
}

#[test]
fn the_shapes_of_other_apis_count_like_openais() {
    let tool = json!({"description": "Finds a book.", "properties": {"title": {"type": "string", "description": "Its title."}}});
    let (about, schema) = (
        &tool["description"],
        json!({"type": "object", "properties": tool["properties"]}),
    );
    let openai = count(
        gpt_4o(),
        &json!({
            "messages": [{"role": "user", "content": "hello world"}, {"role": "system", "content": "Be short."}],
            "tools": [{"type": "function", "function": {"name": "find", "description": about, "parameters": schema}}],
        }),
    );
    let anthropic = count(
        gpt_4o(),
        &json!({
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hello world"}]}],
            "system": [{"type": "text", "text": "Be short."}],
            "tools": [{"name": "find", "description": about, "input_schema": schema}],
        }),
    );
    let gemini = count(
        gpt_4o(),
        &json!({
            "contents": [{"role": "user", "parts": [{"text": "hello world"}]}],
            "systemInstruction": {"parts": [{"text": "Be short."}]},
            "tools": [{"functionDeclarations": [{"name": "find", "description": about, "parameters": schema}]}],
        }),
    );
    assert_eq!((anthropic, gemini), (openai, openai));
}

#[test]
fn prompts_and_inputs_are_texts_or_token_ids() {
    for (body, want) in [
        (json!({"prompt": "hello world"}), 2),
        (json!({"prompt": ["hello", "hello world"]}), 3),
        (json!({"prompt": [1, 2, 3]}), 3),
        (json!({"input": [[1, 2], [3]]}), 3),
        (json!({"input": "hello"}), 1),
    ] {
        assert_eq!(count(gpt_4o(), &body), want, "{body}");
    }
}

#[test]
fn base64_data_is_never_counted_as_text() {
    let empty = count_content(&json!([]));
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\0\0\0\x02\0\x08\x06\0\0\0".to_vec();
    png.resize(1_000_000, 7);
    let data = STANDARD.encode(&png);
    let url = format!("data:image/png;base64,{data}");
    for part in [
        json!({"type": "image_url", "image_url": {"url": url}}),
        json!({"type": "input_image", "image_url": url}),
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}),
        json!({"inlineData": {"mimeType": "image/png", "data": data}}),
    ] {
        let kind = part.to_string().chars().take(40).collect::<String>();
        // 512 × 512: one tile.
        assert_eq!(count_content(&json!([part])) - empty, 255, "{kind}");
    }
    let low = json!([{"type": "image_url", "image_url": {"url": url, "detail": "low"}}]);
    assert_eq!(count_content(&low) - empty, 85);
    let behind_url =
        json!([{"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}]);
    assert_eq!(count_content(&behind_url) - empty, 765);
    for part in [
        json!({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}),
        json!({"type": "file", "file": {"file_data": url, "filename": "a.pdf"}}),
        json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}),
        json!({"inline_data": {"mime_type": "audio/wav", "data": data}}),
    ] {
        let tokens = count_content(&json!([part])) - empty;
        assert!((1000..2000).contains(&tokens), "{tokens}");
    }
}

#[test]
fn calls_of_tools_and_their_results_count() {
    let arguments = r#"{"title":"Emma"}"#;
    let bare = count(gpt_4o(), &json!({"messages": [{"role": "assistant"}]}));
    let want = bare + gpt_4o().count_text("find") + gpt_4o().count_text(arguments);
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "find", "arguments": arguments}});
    let openai =
        json!({"messages": [{"role": "assistant", "content": null, "tool_calls": [call]}]});
    assert_eq!(count(gpt_4o(), &openai), want);
    let call = json!({"type": "tool_use", "id": "t", "name": "find", "input": {"title": "Emma"}});
    let anthropic = json!({"messages": [{"role": "assistant", "content": [call]}]});
    assert_eq!(count(gpt_4o(), &anthropic), want);
    let result = json!([{"type": "tool_result", "tool_use_id": "t", "content": "hello world"}]);
    assert_eq!(count_content(&result), count_content(&json!("hello world")));
}

#[test]
fn what_cannot_be_counted_names_the_field() {
    for (body, field) in [
        ("", "request_body"),
        ("[]", "request_body"),
        ("{}", "messages"),
        (r#"{"messages": null}"#, "messages"),
        (r#"{"messages": "hi"}"#, "messages"),
        (r#"{"messages": ["hi"]}"#, "messages"),
        (r#"{"contents": 1}"#, "contents"),
        (r#"{"prompt": true}"#, "prompt"),
        (r#"{"prompt": ["a", null]}"#, "prompt"),
        (r#"{"prompt": "a", "tools": {}}"#, "tools"),
    ] {
        let err = gpt_4o().count_chat(body.as_bytes()).unwrap_err();
        assert_eq!(err.field(), Some(field), "{body}: {err}");
    }
}

#[test]
fn a_body_of_too_many_values_is_refused_but_not_a_text_of_many_marks() {
    let values = format!(r#"{{"prompt": [1{}]}}"#, ",1".repeat(600_000));
    let refused = gpt_4o().count_chat(values.as_bytes());
    assert_eq!(refused, Err(CountError::TooManyValues));
    let marks = format!(r#"{{"prompt": "\\\"{}"}}"#, ",[{".repeat(200_000));
    assert!(gpt_4o().count_chat(marks.as_bytes()).is_ok());
}

#[test]
fn long_words_are_counted_nearly_right_and_in_bounded_time() {
    let letters: String = (0_u64..200_000)
        .map(|at| char::from(b'a' + (at.wrapping_mul(6_364_136_223_846_793_005) >> 59) as u8 % 26))
        .collect();
    for (what, text, want) in [
        ("one letter", "a".repeat(200_000), Some(25_000)),
        ("spaces", " ".repeat(1_000_000), Some(7813)),
        ("spaces and an end", " ".repeat(1_000_000) + "x", Some(7814)),
        ("line breaks", "\n".repeat(200_000), Some(12_500)),
        ("blank lines", " \n".repeat(100_000), None),
        ("digits", "1".repeat(200_000), Some(66_667)),
        ("marks", "!".repeat(200_000), Some(12_500)),
        ("letters", letters, None),
        ("one han letter", "\u{5b57}".repeat(66_000), Some(66_000)),
        ("zero-width joiners", "\u{200d}".repeat(66_000), None),
    ] {
        let start = Instant::now();
        let tokens = gpt_4o().count_text(&text);
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        if let Some(want) = want {
            assert!(
                tokens.abs_diff(want) <= want / 100 + 1,
                "{what}: {tokens}, not {want}"
            );
        }
    }
}

#[test]
fn beyond_the_cap_the_rest_counts_at_the_same_rate() {
    let words = MAX_COUNTED_BYTES / 2;
    let text = "seven ".repeat(words);
    let tokens = gpt_4o().count_text(&text);
    assert!(tokens.abs_diff(words) <= words / 100, "{tokens} of {words}");
}

#[test]
fn models_count_alike_if_words_pictures_and_tools_do_exact_or_not() {
    let like = |one: &str, other: &str| {
        Tokenizer::for_model(one).counts_like(&Tokenizer::for_model(other))
    };
    assert!(like("gpt-4o", "openai/gpt-4o-2024-08-06"));
    assert!(like("llama-3", "claude-sonnet-4-5"));
    assert!(!like("gpt-4o", "gpt-4"));
    assert!(
        !like("gpt-4o", "gpt-4o-mini"),
        "a picture has 33 times the tokens there"
    );
}

#[test]
fn whether_a_limit_is_exceeded_agrees_with_the_count() {
    let schema = json!({"type": "object", "properties": {"unit": {"type": "string", "enum": ["a", "b"], "description": "Which."}}});
    let body = json!({
        "messages": [{"role": "user", "content": "Tell me more about it. ".repeat(500)}],
        "tools": [{"name": "find", "input_schema": schema}],
    });
    let tokens = count(gpt_4o(), &body);
    let body = body.to_string();
    for limit in (0..20).chain(tokens - 20..tokens + 3) {
        let exceeds = gpt_4o().exceeds(body.as_bytes(), limit).unwrap();
        assert_eq!(exceeds, tokens > limit, "{limit} of {tokens}");
    }
}

#[test]
fn a_limit_ends_the_count_of_a_huge_body_early() {
    let body = json!({"prompt": "a b c ".repeat(100_000)}).to_string();
    let mut meter = Meter::new(gpt_4o(), 100);
    request::count(&mut meter, body.as_bytes()).unwrap();
    assert!(
        meter.is_over() && meter.tokens() < 10_000,
        "{}",
        meter.tokens()
    );
}

#[tokio::test]
async fn in_the_background_small_and_big_bodies_count_the_same() {
    for text in ["hello world".to_owned(), "hello world ".repeat(2000)] {
        let body = Bytes::from(json!({"prompt": text}).to_string());
        let want = gpt_4o().count_chat(&body);
        let found = count_chat_in_background(gpt_4o(), body.clone()).await;
        assert_eq!(found, want);
        let over = exceeds_in_background(gpt_4o(), body, 100).await;
        assert_eq!(over, want.map(|tokens| tokens > 100));
    }
    let wrong = count_chat_in_background(gpt_4o(), Bytes::from_static(b"{}")).await;
    assert_eq!(wrong, Err(CountError::Empty));
}
