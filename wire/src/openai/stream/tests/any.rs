use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::{decode, delta, finish, sse};
use crate::Endpoint;
use crate::anthropic::render::StreamRenderer;
use crate::anthropic::render::tests::stream::{assert_well_formed, data};
use crate::event::ChatEvent;
use crate::exchange::AnswerOptions;
use crate::relay::Frame;

/// One delta, as a server may send it: text, reasoning, or a piece of one of three calls.
#[derive(Debug, Clone)]
enum Sent {
    Text(String),
    Reasoning(String),
    /// The call, and how much more of its arguments.
    Piece(usize, usize),
}

const ARGUMENTS: [&str; 3] = ["{\"a\":\"}\\\"\"}", "{}", "{\"b\":[{\"c\":1},\"]\"]}"];

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        "[a-c]{0,3}".prop_map(Sent::Text),
        "[a-c]{1,3}".prop_map(Sent::Reasoning),
        (0..3_usize, 0..9_usize).prop_map(|(call, more)| Sent::Piece(call, more)),
    ]
}

/// The stream of such a server, and the arguments that it sent of each call.
fn stream_of(sent: &[Sent]) -> (String, BTreeMap<usize, String>) {
    let mut given: BTreeMap<usize, String> = BTreeMap::new();
    let mut chunks = vec![delta(&json!({"role": "assistant"}))];
    for sent in sent {
        chunks.push(delta(&match sent {
            Sent::Text(text) => json!({"content": text}),
            Sent::Reasoning(text) => json!({"reasoning_content": text}),
            Sent::Piece(call, more) => {
                let begun = given.contains_key(call);
                let so_far = given.entry(*call).or_default();
                let rest = ARGUMENTS[*call].get(so_far.len()..).unwrap();
                let piece = rest.get(..rest.len().min(*more)).unwrap();
                so_far.push_str(piece);
                let id = (!begun).then(|| format!("id{call}"));
                let name = (!begun).then(|| format!("f{call}"));
                json!({"tool_calls": [{"index": call, "id": id, "function": {"name": name, "arguments": piece}}]})
            }
        }));
    }
    chunks.push(finish("stop"));
    chunks.push(json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}));
    (sse(&chunks), given)
}

fn rendered(events: Vec<ChatEvent>) -> Vec<Frame> {
    let mut renderer = StreamRenderer::new(&AnswerOptions {
        include_usage: true,
        choices: 1,
        ..AnswerOptions::new(Endpoint::Messages)
    });
    let mut frames = Vec::new();
    for event in events {
        renderer.push(event, &mut frames);
    }
    frames
}

proptest! {
    #[test]
    fn any_chunks_become_a_well_formed_message_that_lacks_nothing(sent in prop::collection::vec(sent(), 0..20)) {
        let (stream, given) = stream_of(&sent);
        let (events, end) = decode(stream.as_bytes(), &[]);
        prop_assert_eq!(end, Ok(()));
        let events = data(&rendered(events));
        assert_well_formed(&events);
        let joined = |member: &str| -> String {
            events.iter().filter_map(|event| event["delta"][member].as_str()).collect()
        };
        let text: String = sent.iter().filter_map(|sent| match sent {
            Sent::Text(text) => Some(text.as_str()),
            _ => None,
        }).collect();
        let reasoning: String = sent.iter().filter_map(|sent| match sent {
            Sent::Reasoning(text) => Some(text.as_str()),
            _ => None,
        }).collect();
        prop_assert_eq!(joined("text"), text);
        prop_assert_eq!(joined("thinking"), reasoning);
        for (call, arguments) in given {
            let block = events.iter().find(|event| event["content_block"]["id"] == format!("id{call}"));
            let index = &block.unwrap()["index"];
            let pieces = events.iter().filter(|event| event["index"] == *index);
            let written: String = pieces.filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
            prop_assert_eq!(written, arguments);
        }
        prop_assert_eq!(&events[events.len() - 2]["usage"]["input_tokens"], 3);
    }

    #[test]
    fn any_cut_gives_the_same_events(
        sent in prop::collection::vec(sent(), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        crlf in any::<bool>(),
        length in any::<prop::sample::Index>(),
    ) {
        let (stream, _) = stream_of(&sent);
        let stream = if crlf { stream.replace('\n', "\r\n") } else { stream };
        let stream = &stream.as_bytes()[..=length.index(stream.len())];
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.sort_unstable();
        let whole = decode(stream, &[]);
        prop_assert_eq!(&decode(stream, &places), &whole);
        let bytewise: Vec<usize> = (1..stream.len()).collect();
        prop_assert_eq!(&decode(stream, &bytewise), &whole);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(decode(&bytes, &[]));
        drop(decode(&[b"data: ".as_slice(), &bytes, b"\n\n"].concat(), &[]));
    }
}
