use proptest::prelude::*;
use serde_json::{Value, json};

use crate::anthropic::inbound;

fn neutral(request: &Value) -> Value {
    let request = inbound::request(request.to_string().as_bytes()).unwrap();
    serde_json::to_value(request).unwrap()
}

fn messages(messages: &Value) -> Value {
    neutral(&json!({"messages": messages}))["messages"].take()
}

/// The parts of a user turn with these blocks.
fn parts(blocks: &Value) -> Value {
    messages(&json!([{"role": "user", "content": blocks}]))[0]["content"].take()
}

#[test]
fn members_with_a_neutral_place_go_there_and_all_others_stay() {
    assert_eq!(
        neutral(&json!({
            "model": "m", "max_tokens": 9, "stream": true, "system": "be brief", "stop_sequences": ["a"],
            "messages": [{"role": "user", "content": "hi"}], "metadata": {"user_id": "u", "own": 1},
            "tool_choice": {"type": "any", "disable_parallel_tool_use": true}, "temperature": 0.5, "top_k": 3,
            "thinking": {"type": "enabled", "budget_tokens": 1024}, "new": [1], "top_p": null,
        })),
        json!({
            "model": "m", "max_tokens": 9, "stream": true,
            "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
            "tool_choice": "required", "temperature": 0.5, "top_k": 3,
            "thinking": {"type": "enabled", "budget_tokens": 1024}, "new": [1], "top_p": null,
            "metadata": {"own": 1}, "stop": ["a"], "user": "u", "parallel_tool_calls": false,
        })
    );
}

#[test]
fn system_blocks_are_parts_and_an_empty_system_says_nothing() {
    let system =
        |system: Value| neutral(&json!({"messages": [], "system": system}))["messages"].take();
    let cached = json!({"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}});
    assert_eq!(
        system(json!([{"type": "text", "text": "a"}, cached])),
        json!([{"role": "system", "content": [{"type": "text", "text": "a"}, cached]}])
    );
    assert_eq!(
        system(json!([{"type": "text", "text": "a"}])),
        json!([{"role": "system", "content": "a"}])
    );
    for nothing in [json!(""), json!([]), json!(null)] {
        assert_eq!(system(nothing), json!([]));
    }
}

#[test]
fn images_and_documents_are_parts_whatever_their_source() {
    let source = |kind: &str, source: Value| json!([{"type": kind, "source": source, "cache_control": {"a": 1}, "title": "t"}]);
    let base64 = |media: &str| json!({"type": "base64", "media_type": media, "data": "QQ=="});
    let url = json!({"type": "url", "url": "https://x/y"});
    let file = json!({"type": "file", "file_id": "file_1"});
    let text = json!({"type": "text", "media_type": "text/plain", "data": "A"});
    let blocks = json!({"type": "content", "content": [{"type": "text", "text": "x"}]});
    for (block, kind, member) in [
        (
            source("image", base64("image/png")),
            "image_url",
            json!({"url": "data:image/png;base64,QQ=="}),
        ),
        (
            source("image", url.clone()),
            "image_url",
            json!({"url": "https://x/y"}),
        ),
        (
            source("document", base64("application/pdf")),
            "file",
            json!({"file_data": "data:application/pdf;base64,QQ=="}),
        ),
        (
            source("document", text),
            "file",
            json!({"file_data": "data:text/plain;base64,QQ=="}),
        ),
        (
            source("document", url),
            "file",
            json!({"file_id": "https://x/y"}),
        ),
        (
            source("document", file.clone()),
            "file",
            json!({"file_id": "file_1"}),
        ),
    ] {
        let expected =
            json!([{"type": kind, "cache_control": {"a": 1}, "title": "t", kind: member}]);
        assert_eq!(parts(&block), expected);
    }
    // Without a neutral place: whole.
    for whole in [
        source("image", file),
        source("document", blocks),
        json!([{"type": "search_result", "source": "s"}]),
    ] {
        assert_eq!(parts(&whole), whole);
    }
}

#[test]
fn a_turn_with_results_becomes_tool_messages_and_then_what_else_it_says() {
    assert_eq!(
        messages(&json!([{"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": "1"},
            {"type": "text", "text": "and"},
            {"type": "tool_result", "tool_use_id": "b", "is_error": true, "cache_control": {"c": 1},
             "content": [{"type": "text", "text": "2"}, {"type": "image", "source": {"type": "url", "url": "u"}}]},
            {"type": "tool_result", "tool_use_id": "c", "is_error": false},
            {"type": "text", "text": "go on"},
        ]}])),
        json!([
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "is_error": true, "cache_control": {"c": 1},
             "content": [{"type": "text", "text": "2"}, {"type": "image_url", "image_url": {"url": "u"}}]},
            {"role": "tool", "tool_call_id": "c", "content": ""},
            {"role": "user", "content": [{"type": "text", "text": "and"}, {"type": "text", "text": "go on"}]},
        ])
    );
}

#[test]
fn an_assistant_s_reasoning_and_calls_have_their_own_members() {
    let thoughts = json!([
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "thinking", "thinking": ", so", "signature": "t"},
    ]);
    let call = json!({"type": "tool_use", "id": "a", "name": "f", "input": {"b": 1.50, "a": [{}]}, "cache_control": {}});
    let content =
        json!([thoughts[0], thoughts[1], {"type": "text", "text": "I'll call"}, call, thoughts[2]]);
    assert_eq!(
        messages(&json!([{"role": "assistant", "content": content}])),
        json!([{"role": "assistant", "content": "I'll call", "reasoning_content": "hm, so", "thinking_blocks": thoughts,
            "tool_calls": [{"id": "a", "type": "function", "cache_control": {},
                "function": {"name": "f", "arguments": "{\"b\":1.5,\"a\":[{}]}"}}]}])
    );
    let only_call = messages(&json!([{"role": "assistant", "content": [call]}]));
    assert_eq!(only_call[0].get("content"), None);
}

#[test]
fn tools_are_functions_unless_their_provider_runs_them() {
    let server = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 3});
    let request = json!({"messages": [], "tools": [
        {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true, "cache_control": {"c": 1}},
        {"type": "custom", "name": "g", "input_schema": {}, "defer_loading": true},
        server,
    ], "tool_choice": {"type": "tool", "name": "f"}});
    let neutral = neutral(&request);
    assert_eq!(
        neutral["tools"],
        json!([
            {"type": "function", "cache_control": {"c": 1},
             "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true}},
            {"type": "function", "defer_loading": true, "function": {"name": "g", "parameters": {}}},
            server,
        ])
    );
    assert_eq!(
        neutral["tool_choice"],
        json!({"type": "function", "function": {"name": "f"}})
    );
    assert_eq!(neutral.get("parallel_tool_calls"), None);
}

#[test]
fn an_error_names_the_place_in_anthropic_s_way() {
    let user = |content: Value| json!({"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": content}]});
    for (request, message) in [
        (json!({}), "messages: Field required"),
        (json!({"messages": 1}), "messages: Input should be an array"),
        (
            json!({"messages": [1]}),
            "messages.0: Input should be an object",
        ),
        (
            json!({"messages": [{"content": ""}]}),
            "messages.0.role: Field required",
        ),
        (
            json!({"messages": [{"role": "tool", "content": ""}]}),
            "messages.0.role: Input should be 'user' or 'assistant'",
        ),
        (
            json!({"messages": [{"role": "user"}]}),
            "messages.0.content: Field required",
        ),
        (
            user(json!(7)),
            "messages.1.content: Input should be a string or an array of content blocks",
        ),
        (
            user(json!([{}])),
            "messages.1.content.0.type: Field required",
        ),
        (
            user(json!([{"type": "text"}])),
            "messages.1.content.0.text: Field required",
        ),
        (
            user(json!([{"type": "image"}])),
            "messages.1.content.0.source: Field required",
        ),
        (
            user(json!([{"type": "image", "source": {"type": "base64", "data": ""}}])),
            "messages.1.content.0.source.media_type: Field required",
        ),
        (
            user(
                json!([{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "document"}]}]),
            ),
            "messages.1.content.0.content.0.source: Field required",
        ),
        (
            json!({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "input": {}}]}]}),
            "messages.0.content.0.name: Field required",
        ),
        (
            json!({"messages": [], "max_tokens": -1}),
            "max_tokens: Input should be a non-negative integer such as 1024",
        ),
        (
            json!({"messages": [], "system": 1}),
            "system: Input should be a string or an array of text blocks",
        ),
        (
            json!({"messages": [], "tools": [{"name": "f"}]}),
            "tools.0.input_schema: Field required",
        ),
        (
            json!({"messages": [], "tool_choice": {"type": "some"}}),
            "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'",
        ),
        (
            json!({"messages": [], "tool_choice": {"type": "tool"}}),
            "tool_choice.name: Field required",
        ),
        (
            json!({"messages": [], "stop_sequences": [1]}),
            "stop_sequences: Input should be an array of strings",
        ),
        (
            json!({"messages": [], "metadata": {"user_id": 1}}),
            "metadata.user_id: Input should be a valid string",
        ),
    ] {
        let err = inbound::request(request.to_string().as_bytes()).unwrap_err();
        assert_eq!(err.message, message, "{request}");
        assert_eq!(err.param.as_deref(), message.split(": ").next());
    }
}

proptest! {
    #[test]
    fn any_request_is_read_or_refused(text in r#"\{("(messages|system|tools|tool_choice|stream)":[\[\]{}",:0-9a-z]{0,9},?){0,4}\}?"#) {
        drop(inbound::request(text.as_bytes()));
    }
}
