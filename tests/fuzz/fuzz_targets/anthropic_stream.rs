//! Any stream of Anthropic's dialect, cut at any place: the same events and the same verdict at the end, and all of them
//! can be rendered.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use trunkline_wire::anthropic::stream::StreamDecoder;
use trunkline_wire::event::ChatEvent;
use trunkline_wire::exchange::AnswerOptions;
use trunkline_wire::openai::render::StreamRenderer;
use trunkline_wire::{Endpoint, UpstreamError};

fuzz_target!(|input: (u16, bool, Vec<u8>)| {
    let (cut, include_usage, stream) = input;
    let (head, tail) = stream.split_at(usize::from(cut) % (stream.len() + 1));
    let (events, end) = decoded(&[&stream]);
    assert_eq!(decoded(&[head, tail]), (events.clone(), end));
    let mut renderer = StreamRenderer::new(&AnswerOptions {
        include_usage,
        choices: 1,
        ..AnswerOptions::new(Endpoint::ChatCompletions)
    });
    let mut frames = Vec::new();
    for event in events {
        renderer.push(event, &mut frames);
    }
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
    let end = decoder
        .finish()
        .and_then(|()| drain(&mut decoder, &mut events));
    (events, end)
}

fn drain(decoder: &mut StreamDecoder, events: &mut Vec<ChatEvent>) -> Result<(), UpstreamError> {
    while let Some(event) = decoder.next_event()? {
        events.push(event);
    }
    Ok(())
}
