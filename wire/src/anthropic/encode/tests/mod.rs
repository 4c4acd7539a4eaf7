//! Tests of the encoder by properties and single rules; whole bodies are golden cases.

mod conversation;
mod rules;

use proptest::prelude::*;
use serde_json::{Map, Value};

use self::conversation::{canonical, messy};
use crate::anthropic::{encode, inbound};
use crate::chat::{ChatRequest, Content};
use crate::exchange::{EncodeOptions, Encoded, MaxTokensField};
use crate::{BadRequest, Endpoint};

/// Encodes for `model`, dropping what it cannot have.
fn encoded(chat: &ChatRequest, model: &str) -> Result<Encoded, BadRequest> {
    encoded_as(chat, model, true)
}

/// Encodes for `model`, refusing what it cannot have.
fn strictly(chat: &ChatRequest, model: &str) -> Result<Encoded, BadRequest> {
    encoded_as(chat, model, false)
}

fn encoded_as(chat: &ChatRequest, model: &str, drop_params: bool) -> Result<Encoded, BadRequest> {
    let nothing = Map::new();
    encode::request(
        chat,
        &EncodeOptions {
            upstream_model: model,
            endpoint: Endpoint::ChatCompletions,
            max_tokens_field: MaxTokensField::Keep,
            max_output_tokens: None,
            drop_params,
            additional_drop_params: &[],
            allowed_openai_params: &[],
            defaults: &nothing,
            extra_body: &nothing,
            provider: "anthropic",
            api_version: None,
        },
    )
}

fn body(chat: &ChatRequest, model: &str) -> Value {
    let encoded = encoded(chat, model).expect("the request can be encoded");
    serde_json::from_slice(&encoded.body).expect("the body is JSON")
}

/// What a neutral conversation says, in order: texts, calls, results. Prompts come first, for they have a place of their own.
fn said(chat: &ChatRequest) -> Vec<String> {
    let texts = |content: &Option<Content>| match content {
        None => Vec::new(),
        Some(Content::Text(text)) => vec![text.clone()],
        Some(Content::Parts(parts)) => parts.iter().filter_map(|part| part.text.clone()).collect(),
    };
    let mut prompts = Vec::new();
    let mut turns = Vec::new();
    for message in &chat.messages {
        let place = match message.role.as_str() {
            "system" | "developer" => &mut prompts,
            _ => &mut turns,
        };
        if let Some(id) = &message.tool_call_id {
            place.push(format!("result {id}"));
        }
        place.extend(
            texts(&message.content)
                .into_iter()
                .filter(|text| !text.is_empty()),
        );
        for call in message.tool_calls.iter().flatten() {
            let arguments = call
                .function
                .as_ref()
                .and_then(|function| function.arguments.clone());
            place.push(format!("call {:?} {arguments:?}", call.id));
        }
    }
    prompts.extend(turns);
    prompts
}

/// The same of a body.
fn told(body: &Value) -> Vec<String> {
    let mut told = Vec::new();
    let lists = body.get("system").into_iter().chain(
        body["messages"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|turn| &turn["content"]),
    );
    for block in lists.flat_map(|list| list.as_array().unwrap()) {
        tell(block, &mut told);
    }
    told
}

fn tell(block: &Value, told: &mut Vec<String>) {
    match block["type"].as_str().unwrap() {
        "text" => told.push(block["text"].as_str().unwrap().to_owned()),
        "tool_use" => {
            let arguments = Some(block["input"].to_string());
            told.push(format!("call {:?} {arguments:?}", block["id"].as_str()));
        }
        "tool_result" => {
            told.push(format!("result {}", block["tool_use_id"].as_str().unwrap()));
            match &block["content"] {
                Value::String(text) => told.push(text.clone()),
                Value::Array(list) => list.iter().for_each(|block| tell(block, told)),
                _ => {}
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_text_call_and_result_is_kept_in_order(chat in messy()) {
        let body = body(&chat, "claude-sonnet-4-5");
        prop_assert_eq!(told(&body), said(&chat));
        for pair in body["messages"].as_array().unwrap().windows(2) {
            prop_assert_ne!(&pair[0]["role"], &pair[1]["role"]);
        }
    }

    #[test]
    fn what_was_encoded_is_read_back_as_it_was(chat in canonical()) {
        let encoded = encoded(&chat, "claude-sonnet-4-5").expect("the request can be encoded");
        prop_assert!(encoded.dropped.is_empty(), "dropped {:?}", encoded.dropped);
        prop_assert_eq!(inbound::request(&encoded.body).expect("it is a request"), chat);
    }

    #[test]
    fn a_request_of_any_shape_is_encoded_or_refused(
        text in r#"(\{|\}|\[|\]|:|,|"[a-z_]{0,12}"|"messages"|"role"|"user"|"content"|null|true|7|-1\.5){1,40}"#
    ) {
        let spelled = format!(r#"{{"messages":[{{"role":"user","content":"Hi"}}],"x":{text}}}"#);
        if let Ok(chat) = serde_json::from_str::<ChatRequest>(&spelled) {
            let body = body(&chat, "claude-opus-5-5");
            prop_assert_eq!(&body["x"], &chat.rest["x"]);
        }
    }
}
