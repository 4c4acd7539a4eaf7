//! The chunks of a stream, as a client got them, put together into the answer that it would have got in one piece.
//!
//! For those who keep answers, not for those who pass them on: what a chunk says with a member that nobody knows is kept too.
//! Source: `OpenAI` API reference, "The chat completion chunk object", 2026-11-23.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::Endpoint;
use crate::sse::data_of;

/// Members whose text comes in pieces; any other text is said anew.
const GROWING: [&str; 10] = [
    "content",
    "reasoning_content",
    "reasoning",
    "refusal",
    "arguments",
    "input",
    "text",
    "thinking",
    "data",
    "transcript",
];
/// Entries of a list that are told apart by their `index`: looking for one walks over the others.
const MOST_ENTRIES: usize = 1024;

/// The whole answer; `None` where not one chunk came. An error event in the stream becomes a member `error`.
///
/// ```json
/// {"id":"chatcmpl-1","object":"chat.completion","model":"gpt-5","choices":[{"index":0,"finish_reason":"stop",
///  "message":{"role":"assistant","content":"hi"}}],"usage":{…}}
/// ```
pub fn answer(endpoint: Endpoint, stream: Bytes) -> Option<Value> {
    let mut whole = Map::new();
    let mut choices: BTreeMap<u64, Map<String, Value>> = BTreeMap::new();
    for chunk in data_of(stream) {
        let Ok(Value::Object(mut chunk)) = serde_json::from_slice(&chunk) else {
            continue;
        };
        if let Some(Value::Array(new)) = chunk.remove("choices") {
            for choice in new {
                let Value::Object(mut choice) = choice else {
                    continue;
                };
                let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
                if let Some(delta) = choice.remove("delta") {
                    choice.insert("message".to_owned(), delta);
                }
                merge(choices.entry(index).or_default(), choice);
            }
        }
        merge(&mut whole, chunk);
    }
    if whole.is_empty() && choices.is_empty() {
        return None;
    }
    let object = match endpoint {
        Endpoint::Completions => "text_completion",
        _ => "chat.completion",
    };
    whole.insert("object".to_owned(), json!(object));
    let choices = choices.into_values().map(without_numbers_of_calls);
    whole.insert("choices".to_owned(), choices.map(Value::Object).collect());
    Some(Value::Object(whole))
}

/// Adds what is new. A null says nothing of what is known.
fn merge(known: &mut Map<String, Value>, new: Map<String, Value>) {
    for (key, value) in new {
        match (known.get_mut(&key), value) {
            (Some(_), Value::Null) => {}
            (Some(Value::String(text)), Value::String(more)) if GROWING.contains(&key.as_str()) => {
                text.push_str(&more);
            }
            (Some(Value::Object(known)), Value::Object(more)) => merge(known, more),
            (Some(Value::Array(known)), Value::Array(more)) => extend(known, more),
            (_, value) => {
                known.insert(key, value);
            }
        }
    }
}

/// Pieces of an entry name it by its `index`; entries without one are whole.
fn extend(known: &mut Vec<Value>, more: Vec<Value>) {
    for entry in more {
        let index = entry.get("index").cloned();
        let same = known
            .iter_mut()
            .take(MOST_ENTRIES)
            .find(|known| index.is_some() && known.get("index") == index.as_ref());
        match (same, entry) {
            (Some(Value::Object(known)), Value::Object(more)) => merge(known, more),
            (_, entry) => known.push(entry),
        }
    }
}

/// Only chunks number tool calls.
fn without_numbers_of_calls(mut choice: Map<String, Value>) -> Map<String, Value> {
    let calls = choice
        .get_mut("message")
        .and_then(|message| message.get_mut("tool_calls"));
    for call in calls.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(call) = call {
            call.remove("index");
        }
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(chunks: &[Value]) -> Option<Value> {
        let frames = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
        let stream = frames.collect::<Vec<_>>().concat() + "data: [DONE]\n\n";
        answer(Endpoint::ChatCompletions, Bytes::from(stream))
    }

    #[test]
    fn pieces_of_text_and_of_tool_calls_become_one_message() {
        let delta = |delta: Value| {
            json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
        };
        let call = |index: u64, more: Value| {
            let mut call = json!({"index": index});
            merge(
                call.as_object_mut().unwrap(),
                more.as_object().unwrap().clone(),
            );
            delta(json!({"tool_calls": [call]}))
        };
        let whole = of(&[
            delta(json!({"role": "assistant", "content": ""})),
            delta(json!({"reasoning_content": "hm"})),
            delta(json!({"content": "Hel"})),
            delta(json!({"content": "lo"})),
            call(
                0,
                json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}),
            ),
            call(
                1,
                json!({"id": "b", "type": "function", "function": {"name": "g", "arguments": "{"}}),
            ),
            call(0, json!({"function": {"arguments": "{\"x\":"}})),
            call(0, json!({"function": {"arguments": "1}"}})),
            call(1, json!({"function": {"arguments": "}"}})),
            json!({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
            json!({"id": "c1", "choices": [], "usage": {"total_tokens": 3}}),
        ]);
        let want = json!({
            "id": "c1", "object": "chat.completion", "created": 1, "model": "m", "usage": {"total_tokens": 3},
            "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": "Hello", "reasoning_content": "hm",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ],
            }}],
        });
        assert_eq!(whole, Some(want));
    }

    #[test]
    fn choices_are_kept_apart_and_texts_of_completions_grow() {
        let stream = concat!(
            "data: {\"id\":\"x\",\"choices\":[{\"index\":1,\"text\":\"b\"}]}\n\n",
            "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"text\":\"a\"},{\"index\":1,\"text\":\"c\"}]}\n\n",
        );
        let whole = answer(Endpoint::Completions, Bytes::from(stream));
        let want = json!({"id": "x", "object": "text_completion",
            "choices": [{"index": 0, "text": "a"}, {"index": 1, "text": "bc"}]});
        assert_eq!(whole, Some(want));
    }

    #[test]
    fn a_stream_without_a_chunk_is_no_answer_and_a_broken_one_shows_its_error() {
        assert_eq!(
            answer(
                Endpoint::ChatCompletions,
                Bytes::from_static(b": ping\n\ndata: [DONE]\n\n")
            ),
            None
        );
        let whole = of(&[
            json!({"choices": [{"index": 0, "delta": {"content": "half"}}]}),
            json!({"error": {"message": "cut"}}),
        ]);
        let whole = whole.unwrap();
        assert_eq!(whole["choices"][0]["message"]["content"], "half");
        assert_eq!(whole["error"]["message"], "cut");
    }
}
