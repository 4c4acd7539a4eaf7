//! Rules that hold for all models, or at their edges.

use serde_json::{Value, json};

use super::{body, encoded, strictly};
use crate::chat::ChatRequest;

const MODELS: &[&str] = &[
    "claude-3-haiku-20240307",
    "claude-3-7-sonnet-latest",
    "claude-sonnet-4-5",
    "claude-opus-4-6",
    "claude-opus-4-7",
    "claude-sonnet-5",
    "claude-sonnet-5-5",
    "claude-fable-5-2",
    "somebody-elses-model",
];

fn chat(members: &Value) -> ChatRequest {
    let mut chat = json!({"messages": [{"role": "user", "content": "Hi"}]});
    chat.as_object_mut()
        .unwrap()
        .append(&mut members.as_object().unwrap().clone());
    serde_json::from_value(chat).unwrap()
}

#[test]
fn a_budget_always_leaves_room_and_is_never_too_small() {
    for effort in ["minimal", "low", "medium", "high", "xhigh", "max"] {
        for max_tokens in [1, 1024, 1025, 1500, 4096, 20000] {
            let chat = chat(&json!({"reasoning_effort": effort, "max_tokens": max_tokens}));
            for model in MODELS {
                let body = body(&chat, model);
                assert_eq!(body["max_tokens"], max_tokens, "{effort} {model}");
                if let Some(budget) = body["thinking"]["budget_tokens"].as_u64() {
                    assert!(
                        (1024..max_tokens).contains(&budget),
                        "{effort} {max_tokens} {model}: {budget}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_model_that_thinks_is_never_forced_to_call() {
    let chat =
        chat(&json!({"reasoning_effort": "low", "response_format": {"type": "json_object"}}));
    for model in MODELS {
        let body = body(&chat, model);
        let forced = matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool"));
        let thinks = body.get("thinking").is_some();
        assert!(!(forced && thinks), "{model}: {body}");
    }
}

#[test]
fn a_call_that_thinking_rules_out_is_refused_by_name_or_dropped_and_named() {
    let function = json!({"type": "function", "function": {"name": "f"}});
    for wanted in [json!("required"), function.clone()] {
        let chat = chat(
            &json!({"reasoning_effort": "low", "max_tokens": 9000, "tools": [function], "tool_choice": wanted}),
        );
        let err = strictly(&chat, "claude-sonnet-4-5").unwrap_err();
        assert_eq!(err.param.as_deref(), Some("tool_choice"));
        assert!(err.message.contains("reasoning_effort"), "{}", err.message);
        let dropping = encoded(&chat, "claude-sonnet-4-5").unwrap();
        assert_eq!(dropping.dropped, ["tool_choice"]);
        let body = body(&chat, "claude-sonnet-4-5");
        assert_eq!(body.get("tool_choice"), None);
        assert_eq!(body["thinking"]["type"], "enabled");
        // A model that cannot think can be forced.
        let body = self::body(&chat, "claude-3-haiku-20240307");
        assert!(body.get("tool_choice").is_some(), "{body}");
    }
}

#[test]
fn a_client_that_turns_thinking_off_is_obeyed_whatever_the_effort() {
    let chat = chat(&json!({
        "thinking": {"type": "disabled"}, "reasoning_effort": "low", "temperature": 0.3
    }));
    for model in ["claude-sonnet-4-5", "claude-opus-4-6"] {
        let body = body(&chat, model);
        assert_eq!(body["thinking"], json!({"type": "disabled"}), "{model}");
        assert_eq!(body["temperature"], 0.3, "{model}");
    }
}

#[test]
fn what_is_dropped_is_named() {
    let chat = chat(
        &json!({"n": 3, "seed": 1, "temperature": 0.1, "stop": [" "], "user": "+47 22 33 44 55"}),
    );
    for model in MODELS {
        let encoded = encoded(&chat, model).unwrap();
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        for key in ["n", "seed", "stop", "user"] {
            assert!(
                encoded.dropped.iter().any(|name| name == key),
                "{model}: {key}"
            );
        }
        let dropped = encoded.dropped.iter().any(|name| name == "temperature");
        assert_ne!(dropped, body.get("temperature").is_some(), "{model}");
    }
}

#[test]
fn a_system_prompt_in_two_places_is_refused() {
    let mut chat = chat(&json!({"system": "Be brief."}));
    assert_eq!(body(&chat, "claude-sonnet-4-5")["system"], "Be brief.");
    chat.messages.insert(
        0,
        serde_json::from_value(json!({"role": "system", "content": "Be kind."})).unwrap(),
    );
    let err = encoded(&chat, "claude-sonnet-4-5").unwrap_err();
    assert_eq!(err.param.as_deref(), Some("system"));
}
