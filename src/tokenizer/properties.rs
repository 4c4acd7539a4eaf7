//! What holds for any text, any bytes and any JSON.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Tokenizer;

fn gpt_4o() -> Tokenizer {
    Tokenizer::for_model("gpt-4o")
}

/// JSON that looks like requests, rightly nested or not.
fn request_like() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "messages",
        "contents",
        "prompt",
        "input",
        "system",
        "tools",
        "role",
        "content",
        "parts",
        "text",
        "type",
        "name",
        "image_url",
        "url",
        "source",
        "data",
        "inlineData",
        "function",
        "parameters",
        "properties",
        "enum",
        "description",
        "tool_calls",
        "arguments",
        "items",
        "functionDeclarations",
        "file",
        "input_audio",
        "thinking",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!("tool_use")),
        Just(json!("image")),
        Just(json!("data:image/png;base64,iVBORw0KGgo=")),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..8).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn every_text_has_tokens_and_no_more_than_bytes(text in "\\PC{1,200}|(?s).{1,200}") {
        for tokenizer in [Tokenizer::for_model("gpt-4"), gpt_4o()] {
            let tokens = tokenizer.count_text(&text);
            prop_assert!(tokens >= 1 && tokens <= text.len(), "{}", tokens);
        }
    }

    #[test]
    fn two_texts_joined_have_hardly_more_tokens_than_apart(one in "(?s).{0,80}", other in "(?s).{0,80}") {
        let apart = gpt_4o().count_text(&one) + gpt_4o().count_text(&other);
        prop_assert!(gpt_4o().count_text(&(one + &other)) <= apart + 16);
    }

    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _counted = gpt_4o().count_chat(&body);
    }

    #[test]
    fn no_json_makes_it_panic_or_disagree_with_itself(body in request_like()) {
        let body = body.to_string();
        let counted = gpt_4o().count_chat(body.as_bytes());
        for limit in [0, 5, 50] {
            let exceeds = gpt_4o().exceeds(body.as_bytes(), limit);
            prop_assert_eq!(&exceeds, &counted.clone().map(|tokens| tokens > limit));
        }
    }
}
