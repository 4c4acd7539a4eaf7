use serde_json::json;

use super::*;

fn gpt_4o() -> Tokenizer {
    Tokenizer::for_model("gpt-4o")
}

fn gpt_4() -> Tokenizer {
    Tokenizer::for_model("gpt-4")
}

fn count(tokenizer: Tokenizer, body: &serde_json::Value) -> usize {
    tokenizer.count_chat(body.to_string().as_bytes()).unwrap()
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
