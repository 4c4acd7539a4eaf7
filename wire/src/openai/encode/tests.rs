use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::*;
use crate::anthropic::inbound;
use crate::exchange::MaxTokensField;

static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

fn options(provider: &'static str, model: &'static str) -> EncodeOptions<'static> {
    EncodeOptions {
        upstream_model: model,
        endpoint: Endpoint::Messages,
        max_tokens_field: MaxTokensField::Keep,
        max_output_tokens: None,
        drop_params: false,
        additional_drop_params: &[],
        allowed_openai_params: &[],
        defaults: &NONE,
        extra_body: &NONE,
        provider,
        api_version: None,
    }
}

/// A client's request as it is sent, and what was dropped.
fn encoded(
    mut request: Value,
    options: &EncodeOptions<'_>,
) -> Result<(Value, Vec<String>), BadRequest> {
    let members = request.as_object_mut().unwrap();
    members
        .entry("messages")
        .or_insert_with(|| json!([{"role": "user", "content": "hi"}]));
    let chat = inbound::request(request.to_string().as_bytes()).unwrap();
    let encoded = chat_request(&chat, options)?;
    Ok((
        serde_json::from_slice(&encoded.body).unwrap(),
        encoded.dropped,
    ))
}

fn sent(request: Value) -> Value {
    encoded(request, &options("openai", "gpt-4o")).unwrap().0
}

/// What is sent beside the conversation and the model.
fn members(request: Value, options: &EncodeOptions<'_>) -> (Value, Vec<String>) {
    let (mut body, dropped) = encoded(request, options).unwrap();
    let body_members = body.as_object_mut().unwrap();
    body_members.remove("messages");
    body_members.remove("model");
    (body, dropped)
}

#[test]
fn a_conversation_is_left_without_what_only_anthropic_reads() {
    let body = sent(json!({
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "url", "url": "u"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {}, "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "no", "is_error": true}]},
        ],
    }));
    assert_eq!(
        body["messages"],
        json!([
            {"role": "system", "content": [{"type": "text", "text": "s"}]},
            {"role": "user", "content": [
                {"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "u"}}]},
            {"role": "assistant", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "content": "no", "tool_call_id": "a"},
        ])
    );
}

#[test]
fn what_tools_show_follows_all_results_of_the_turn() {
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}});
    let body = sent(json!({"messages": [
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "1"}, image]},
            {"type": "tool_result", "tool_use_id": "b", "content": [image]},
            {"type": "text", "text": "so?"}]},
    ]}));
    let shown = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}});
    assert_eq!(
        body["messages"],
        json!([
            {"role": "tool", "content": [{"type": "text", "text": "1"}], "tool_call_id": "a"},
            {"role": "tool", "content": "(shown in the next message)", "tool_call_id": "b"},
            {"role": "user", "content": [shown, shown]},
            {"role": "user", "content": "so?"},
        ])
    );
}

#[test]
fn documents_are_files_or_text() {
    let document = |source: Value, title: Option<&str>| json!({"messages": [{"role": "user", "content": [{"type": "document", "source": source, "title": title}]}]});
    let part = |request: Value| sent(request)["messages"][0]["content"][0].take();
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "QQ=="});
    let data = "data:application/pdf;base64,QQ==";
    assert_eq!(
        part(document(pdf.clone(), None)),
        json!({"type": "file", "file": {"file_data": data, "filename": "document.pdf"}})
    );
    assert_eq!(
        part(document(pdf, Some("a.pdf")))["file"]["filename"],
        "a.pdf"
    );
    let text = json!({"type": "text", "media_type": "text/plain", "data": "é!"});
    assert_eq!(
        part(document(text, Some("T"))),
        json!({"type": "text", "text": "T\n\né!"})
    );
    let url = document(json!({"type": "url", "url": "https://x"}), None);
    let err = encoded(url, &options("openai", "gpt-4o")).unwrap_err();
    assert_eq!(err.param.as_deref(), Some("messages"));
    assert!(err.message.contains("documents by URL"), "{}", err.message);
}

#[test]
fn what_cannot_be_said_is_refused_or_dropped_and_named() {
    let block = json!([{"role": "user", "content": [{"type": "search_result", "source": "s"}]}]);
    for (request, param, what) in [
        (
            json!({"messages": block}),
            "messages",
            "content of the type 'search_result'",
        ),
        (
            json!({"tools": [{"type": "bash_20250124", "name": "bash"}]}),
            "tools",
            "tool 'bash_20250124'",
        ),
        (
            json!({"container": "c"}),
            "container",
            "parameter 'container'",
        ),
        (
            json!({"mcp_servers": [{"name": "m"}]}),
            "mcp_servers",
            "parameter 'mcp_servers'",
        ),
        (json!({"top_k": 3}), "top_k", "parameter 'top_k'"),
        (
            json!({"stop_sequences": ["1", "2", "3", "4", "5"]}),
            "stop",
            "more than 4 stop sequences",
        ),
    ] {
        let plain = options("openai", "gpt-4o");
        let err = encoded(request.clone(), &plain).unwrap_err();
        assert_eq!(err.param.as_deref(), Some(param));
        assert!(
            err.message.contains(what) && err.message.contains("drop_params"),
            "{}",
            err.message
        );
        let dropping = EncodeOptions {
            drop_params: true,
            ..plain
        };
        let (body, dropped) = encoded(request, &dropping).unwrap();
        assert_eq!(dropped, [param]);
        for key in ["tools", "container", "mcp_servers", "top_k"] {
            assert_eq!(body.get(key), None);
        }
    }
    // Servers other than OpenAI's are not judged, and what says nothing is nothing.
    let (body, dropped) = members(
        json!({"top_k": 3, "stop_sequences": ["1", "2", "3", "4", "5"], "mcp_servers": [], "context_management": {"edits": []}}),
        &options("openrouter", "m"),
    );
    assert_eq!(body, json!({"top_k": 3, "stop": ["1", "2", "3", "4", "5"]}));
    assert_eq!(dropped, ["context_management"]);
}

#[test]
fn asking_for_thought_becomes_an_effort() {
    let budget = |tokens: u64| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    let gpt5 = options("openai", "gpt-5");
    for (request, effort) in [
        (budget(1024), json!("low")),
        (budget(2048), json!("medium")),
        (budget(2049), json!("high")),
        (json!({"thinking": {"type": "disabled"}}), Value::Null),
        (json!({"thinking": {"type": "adaptive"}}), Value::Null),
        (
            json!({"output_config": {"effort": "medium"}, "thinking": {"type": "adaptive"}}),
            json!("medium"),
        ),
        (json!({"output_config": {"effort": "max"}}), json!("high")),
    ] {
        let (body, dropped) = members(request.clone(), &gpt5);
        assert_eq!(
            body.get("reasoning_effort").cloned().unwrap_or_default(),
            effort,
            "{request}"
        );
        assert_eq!(body.get("thinking").or(body.get("output_config")), None);
        assert!(dropped.is_empty());
    }
    let (body, dropped) = members(budget(4096), &options("openai", "gpt-4o"));
    assert_eq!((body, dropped), (json!({}), vec!["thinking".to_owned()]));
    let (body, _) = members(budget(4096), &options("deepseek", "deepseek-chat"));
    assert_eq!(body, budget(4096));
}

#[test]
fn members_take_openai_s_names() {
    let schema = json!({"type": "object"});
    let format = json!({"type": "json_schema", "schema": schema});
    let expected =
        json!({"type": "json_schema", "json_schema": {"name": "response", "schema": schema}});
    for request in [
        json!({"output_format": format}),
        json!({"output_config": {"format": format}}),
    ] {
        let (body, _) = members(request, &options("openai", "gpt-4o"));
        assert_eq!(body, json!({"response_format": expected}));
    }
    let long = "u".repeat(100);
    let (body, _) = members(
        json!({"metadata": {"user_id": long}, "service_tier": "standard_only", "max_tokens": 9000, "stream": true}),
        &EncodeOptions {
            max_output_tokens: Some(4096),
            ..options("openai", "o3")
        },
    );
    assert_eq!(
        body,
        json!({"user": "u".repeat(64), "service_tier": "default", "max_completion_tokens": 4096, "stream": true,
            "stream_options": {"include_usage": true}})
    );
}

#[test]
fn tools_keep_only_their_function_and_names_that_are_too_long_come_back() {
    let name = "mcp__a_server_with_a_rather_long_name__and_a_tool_with_a_rather_long_name";
    let tool = json!({"name": name, "input_schema": {"type": "object"}, "cache_control": {}, "strict": true});
    let request = json!({"messages": [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": name, "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]}],
        "tools": [tool], "tool_choice": {"type": "tool", "name": name, "disable_parallel_tool_use": true}});
    let chat = inbound::request(request.to_string().as_bytes()).unwrap();
    let encoded = chat_request(&chat, &options("openai", "gpt-4o")).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let fitted = body["tools"][0]["function"]["name"].as_str().unwrap();
    assert_eq!(encoded.renamed.original(fitted), Some(name));
    assert_eq!(
        body["tools"],
        json!([{"type": "function", "function": {"name": fitted, "parameters": {"type": "object"}, "strict": true}}])
    );
    assert_eq!(
        body["messages"][0]["tool_calls"][0]["function"]["name"],
        fitted
    );
    assert_eq!(body["tool_choice"]["function"]["name"], fitted);
    assert_eq!(body["parallel_tool_calls"], false);
    // A choice among nothing is refused by servers.
    let (body, _) = members(
        json!({"tools": [], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}),
        &options("openai", "gpt-4o"),
    );
    assert_eq!(body, json!({}));
}
