use serde_json::{Value, json};

use super::relay::relay_to_end;
use crate::openai::{decode, reply};
use crate::{Endpoint, Usage};

#[test]
fn the_gateway_s_own_answers_pass_its_own_decoder() {
    let envelope = reply::Envelope {
        id: "chatcmpl-1",
        created: 5,
        model: "demo",
    };
    let usage = Usage::plain(2, 3);
    let whole = decode::response(
        Endpoint::ChatCompletions,
        reply::chat_response(envelope, "hi \"x\"", &usage),
        Some("demo"),
    )
    .unwrap();
    assert_eq!(
        (whole.usage, whole.finish_reasons),
        (Some(usage), vec!["stop".to_owned()])
    );
    let whole = decode::response(
        Endpoint::Completions,
        reply::completion_response(envelope, "hi", &usage),
        None,
    )
    .unwrap();
    assert_eq!(whole.output_bytes, 2);
    let whole = decode::response(
        Endpoint::Embeddings,
        reply::embeddings_response("e", &[vec![0.5, -1.0]], 4),
        None,
    )
    .unwrap();
    assert_eq!(whole.usage.unwrap().prompt_tokens(), 4);
    for events in [
        reply::chat_stream(envelope, &["h", "i"], &usage, true),
        reply::completion_stream(envelope, &["h", "i"], &usage, true),
    ] {
        let (frames, relay, end) = relay_to_end(&events.concat(), &[], true);
        assert_eq!(end, Ok(()));
        assert_eq!(frames.len(), events.len());
        assert_eq!(relay.usage(), Some(&usage));
        assert_eq!(relay.output_bytes(), 2);
        assert!(relay.saw_done() && relay.saw_finish());
    }
    let event = reply::error_event("m", "t", None, Some("500"));
    assert_eq!(
        event,
        "data: {\"error\":{\"message\":\"m\",\"type\":\"t\",\"param\":null,\"code\":\"500\"}}\n\n"
    );
}

#[test]
fn the_neutral_form_keeps_what_it_does_not_know() {
    let request = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "detail": "low"}}], "name": "n"},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
             "thinking_blocks": [{"type": "thinking", "signature": "s"}], "x": 1},
            {"role": "tool", "tool_call_id": "c", "content": "r"}
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": true}}],
        "stream": true, "zeta": {"b": 1.5, "a": [null]}, "alpha": null
    });
    let neutral = decode::chat_request(request.to_string().as_bytes()).unwrap();
    let back: Value = serde_json::to_value(&neutral).unwrap();
    assert_eq!(back, request);
    assert_eq!(
        decode::chat_request(back.to_string().as_bytes()).unwrap(),
        neutral
    );

    let response = json!({
        "id": "c", "created": 1, "model": "m", "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "a", "annotations": [{}]}, "finish_reason": "stop", "logprobs": {"content": []}}],
        "usage": {"prompt_tokens": 1}, "service_tier": "default"
    });
    let neutral = decode::chat_response(response.to_string().as_bytes()).unwrap();
    let back = serde_json::to_value(&neutral).unwrap();
    let mut without_usage = response;
    without_usage.as_object_mut().unwrap().remove("usage");
    assert_eq!(back, without_usage);
    assert_eq!(neutral.usage.unwrap().prompt_tokens(), 1);

    assert!(decode::chat_request(br#"{"messages":[{"content":"no role"}]}"#).is_err());
}
