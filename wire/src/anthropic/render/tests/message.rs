use serde_json::{Value, json};

use super::stream::options;
use crate::anthropic::render::response;
use crate::openai::decode;

fn message(answer: &Value) -> Value {
    let answer = decode::chat_response(answer.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&response(&answer, &options())).unwrap()
}

#[test]
fn a_whole_answer_becomes_a_message() {
    let answer = message(&json!({
        "id": "c1", "model": "gpt", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "Hi", "reasoning_content": "hm",
            "annotations": [{"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "url": "u", "title": "t"}}],
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1.50}"}},
                {"type": "function", "function": {"name": "g", "arguments": ""}},
                {"id": "b", "type": "function", "function": {"name": "h", "arguments": "{oops"}},
            ]}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 6}},
    }));
    assert_eq!(
        answer["content"],
        json!([
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "Hi", "citations": [
                {"type": "web_search_result_location", "cited_text": "Hi", "encrypted_index": "", "title": "t", "url": "u"}]},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1.5}},
            {"type": "tool_use", "id": "call_8829dfd9_1", "name": "g", "input": {}},
            {"type": "tool_use", "id": "b", "name": "h", "input": {"raw_arguments": "{oops"}},
        ])
    );
    let usage = &answer["usage"];
    assert_eq!(usage["input_tokens"], 4);
    assert_eq!(usage["cache_read_input_tokens"], 6);
    assert_eq!(usage["output_tokens"], 4);
    let head = [
        &answer["id"],
        &answer["type"],
        &answer["role"],
        &answer["model"],
    ];
    assert_eq!(head, ["msg_c1", "message", "assistant", "mine"]);
    assert_eq!(answer["stop_reason"], "tool_use");
    assert_eq!(answer["stop_sequence"], Value::Null);
}

#[test]
fn a_sequence_that_stopped_the_answer_is_named() {
    let answer = message(
        &json!({"choices": [{"message": {"role": "assistant", "content": "a"},
        "finish_reason": "stop", "stop_reason": "END"}]}),
    );
    assert_eq!(answer["stop_reason"], "stop_sequence");
    assert_eq!(answer["stop_sequence"], "END");
    let answer = message(
        &json!({"choices": [{"message": {"role": "assistant", "refusal": "no"}, "finish_reason": "stop",
        "stop_reason": 151_643}]}),
    );
    assert_eq!(answer["stop_reason"], "refusal");
    assert_eq!(answer["content"], json!([{"type": "text", "text": "no"}]));
}
