//! Any stream of an OpenAI-compatible server, cut at any place: the same events, and for Anthropic's clients a message whose
//! blocks begin and end one after the other.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use trunkline_wire::anthropic::render::StreamRenderer;
use trunkline_wire::event::ChatEvent;
use trunkline_wire::exchange::AnswerOptions;
use trunkline_wire::openai::stream::StreamDecoder;
use trunkline_wire::{Endpoint, UpstreamError};

fuzz_target!(|input: (u16, Vec<u8>)| {
    let (cut, stream) = input;
    let (head, tail) = stream.split_at(usize::from(cut) % (stream.len() + 1));
    let (events, end) = decoded(&[&stream]);
    assert_eq!(decoded(&[head, tail]), (events.clone(), end));
    assert_well_formed(events);
});

fn decoded(chunks: &[&[u8]]) -> (Vec<ChatEvent>, Result<(), UpstreamError>) {
    let mut decoder = StreamDecoder::new();
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        if let Err(err) = drain(&mut decoder, &mut events) {
            return (events, Err(err));
        }
    }
    let end = decoder.finish();
    let end = end.and_then(|()| drain(&mut decoder, &mut events));
    (events, end)
}

fn drain(decoder: &mut StreamDecoder, events: &mut Vec<ChatEvent>) -> Result<(), UpstreamError> {
    while let Some(event) = decoder.next_event()? {
        events.push(event);
    }
    Ok(())
}

/// A block ends before the next begins, and nothing is left open when the message is.
fn assert_well_formed(events: Vec<ChatEvent>) {
    let whole = events.last() == Some(&ChatEvent::End);
    let mut renderer = StreamRenderer::new(&AnswerOptions {
        requested_model: Some("requested".to_owned()),
        include_usage: true,
        choices: 1,
        ..AnswerOptions::new(Endpoint::Messages)
    });
    let mut frames = Vec::new();
    for event in events {
        renderer.push(event, &mut frames);
    }
    let mut open = false;
    for frame in &frames {
        if frame.bytes.starts_with(b"event: content_block_start\n") {
            assert!(!open);
            open = true;
        } else if frame.bytes.starts_with(b"event: content_block_delta\n") {
            assert!(open);
        } else if frame.bytes.starts_with(b"event: content_block_stop\n") {
            assert!(open);
            open = false;
        }
    }
    assert!(!(whole && open));
}
