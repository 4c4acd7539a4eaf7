//! Generated conversations.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::chat::{
    ChatRequest, Content, ContentPart, Function, FunctionCall, Message, Tool, ToolCall,
};

/// A conversation as clients send them: empty texts, neighbours of one role, prompts in between.
pub(super) fn messy() -> impl Strategy<Value = ChatRequest> {
    let role = prop_oneof![
        2 => Just("user"),
        2 => Just("assistant"),
        1 => Just("system"),
        1 => Just("developer"),
    ];
    let said = (role, messy_content()).prop_map(|(role, content)| vec![message(role, content)]);
    let exchange = prop_oneof![3 => said, 1 => calls(messy_content())];
    vec(exchange, 1..8).prop_map(|exchanges| ChatRequest {
        // So that the last answer is not taken for a beginning, whose last space is cut.
        messages: numbered(
            exchanges
                .into_iter()
                .flatten()
                .chain([message("user", Some(Content::Text("Go on.".to_owned())))]),
        ),
        ..ChatRequest::default()
    })
}

/// A conversation as it is read back: every turn says something, roles alternate, reasoning is signed.
pub(super) fn canonical() -> impl Strategy<Value = ChatRequest> {
    let exchange = (canonical_content(), answer());
    (
        option::of(text()),
        vec(exchange, 1..5),
        canonical_content(),
        option::of(vec(tool(), 1..4)),
        option::of(1_u64..5000),
        any::<bool>(),
    )
        .prop_map(|(system, exchanges, last, tools, user, stream)| {
            let system = system.map(|text| message("system", Some(Content::Text(text))));
            let turns = exchanges.into_iter().flat_map(|(question, answer)| {
                [message("user", Some(question))].into_iter().chain(answer)
            });
            let last = message("user", Some(last));
            let mut rest = Map::new();
            rest.insert("temperature".to_owned(), json!(0.5));
            rest.insert("stop".to_owned(), json!(["END"]));
            if let Some(user) = user {
                rest.insert("user".to_owned(), format!("user-{user}").into());
            }
            ChatRequest {
                model: Some("claude-sonnet-4-5".to_owned()),
                messages: numbered(system.into_iter().chain(turns).chain([last])),
                tool_choice: tools.as_ref().map(|_| json!("required")),
                tools,
                max_tokens: Some(500),
                stream: stream.then_some(true),
                rest,
                ..ChatRequest::default()
            }
        })
}

fn answer() -> impl Strategy<Value = Vec<Message>> {
    let thought = option::of((text(), "[A-Za-z0-9]{8}"));
    let calls = calls(option::of(text().prop_map(Content::Text)));
    let said = text().prop_map(|text| vec![message("assistant", Some(Content::Text(text)))]);
    (thought, prop_oneof![calls, said]).prop_map(|(thought, mut messages)| {
        if let (Some((thinking, signature)), Some(first)) = (thought, messages.first_mut()) {
            let block = json!({"type": "thinking", "thinking": thinking, "signature": signature});
            first.thinking_blocks = Some(vec![block]);
            first.reasoning_content = Some(thinking);
        }
        messages
    })
}

/// Calls and their results.
fn calls(content: impl Strategy<Value = Option<Content>>) -> impl Strategy<Value = Vec<Message>> {
    let arguments = vec(("[a-z]{1,5}", text()), 0..3).prop_map(|members| {
        members
            .into_iter()
            .map(|(key, text)| (key, text.into()))
            .collect::<Map<String, Value>>()
    });
    let call = ("[a-z_]{1,12}", arguments, text(), any::<bool>());
    (content, vec(call, 1..4)).prop_map(|(content, calls)| {
        let mut messages = vec![message("assistant", content)];
        let mut list = Vec::new();
        for (name, arguments, result, failed) in calls {
            list.push(ToolCall {
                kind: Some("function".to_owned()),
                function: Some(FunctionCall {
                    name: Some(name),
                    arguments: Some(Value::Object(arguments).to_string()),
                    ..FunctionCall::default()
                }),
                ..ToolCall::default()
            });
            let mut message = message("tool", Some(Content::Text(result)));
            if failed {
                message.rest.insert("is_error".to_owned(), true.into());
            }
            messages.push(message);
        }
        messages[0].tool_calls = Some(list);
        messages
    })
}

/// Gives each call, and its result, an id.
fn numbered(messages: impl Iterator<Item = Message>) -> Vec<Message> {
    let (mut called, mut answered) = (0, 0);
    let id = |count: &mut usize| {
        *count += 1;
        Some(format!("call_{count}"))
    };
    messages
        .map(|mut message| {
            for call in message.tool_calls.iter_mut().flatten() {
                call.id = id(&mut called);
            }
            if message.role == "tool" {
                message.tool_call_id = id(&mut answered);
            }
            message
        })
        .collect()
}

fn canonical_content() -> impl Strategy<Value = Content> {
    let image = Just(ContentPart {
        kind: "image_url".to_owned(),
        rest: [(
            "image_url".to_owned(),
            json!({"url": "data:image/png;base64,iVBORw0K"}),
        )]
        .into_iter()
        .collect(),
        ..ContentPart::default()
    });
    let marked = text().prop_map(|text| ContentPart {
        cache_control: Some(json!({"type": "ephemeral"})),
        ..text_part(text)
    });
    let part = prop_oneof![text().prop_map(text_part), marked, image];
    prop_oneof![
        text().prop_map(Content::Text),
        vec(part, 2..4).prop_map(Content::Parts),
    ]
}

fn messy_content() -> impl Strategy<Value = Option<Content>> {
    let text = || prop_oneof![1 => Just(String::new()), 3 => ".{0,8}"];
    option::of(prop_oneof![
        text().prop_map(Content::Text),
        vec(text().prop_map(text_part), 0..3).prop_map(Content::Parts),
    ])
}

fn tool() -> impl Strategy<Value = Tool> {
    ("[a-z]{1,9}", option::of(text()), any::<bool>()).prop_map(|(name, description, marked)| {
        let marker = marked.then(|| ("cache_control".to_owned(), json!({"type": "ephemeral"})));
        Tool {
            kind: "function".to_owned(),
            function: Some(Function {
                name,
                description,
                parameters: Some(
                    json!({"type": "object", "properties": {"a": {"type": "string"}}}),
                ),
                ..Function::default()
            }),
            rest: marker.into_iter().collect(),
        }
    })
}

fn text() -> impl Strategy<Value = String> {
    "[a-zæøå\"\\\\]{1,10}"
}

fn text_part(text: String) -> ContentPart {
    ContentPart {
        kind: "text".to_owned(),
        text: Some(text),
        ..ContentPart::default()
    }
}

fn message(role: &str, content: Option<Content>) -> Message {
    Message {
        role: role.to_owned(),
        content,
        ..Message::default()
    }
}
