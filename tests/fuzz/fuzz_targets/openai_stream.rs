//! Any stream, cut at any place: the same frames, and the same verdict at the end.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use trunkline_wire::exchange::AnswerOptions;
use trunkline_wire::openai::relay::StreamRelay;
use trunkline_wire::relay::Frame;
use trunkline_wire::{Endpoint, UpstreamError};

fuzz_target!(|input: (u16, bool, Vec<u8>)| {
    let (cut, include_usage, stream) = input;
    let (head, tail) = stream.split_at(usize::from(cut) % (stream.len() + 1));
    assert_eq!(
        relayed(&[head, tail], include_usage),
        relayed(&[&stream], include_usage)
    );
});

fn relayed(chunks: &[&[u8]], include_usage: bool) -> (Vec<Frame>, Result<(), UpstreamError>) {
    let mut relay = StreamRelay::new(AnswerOptions {
        requested_model: Some("requested".to_owned()),
        include_usage,
        ..AnswerOptions::new(Endpoint::ChatCompletions)
    });
    let mut frames = Vec::new();
    for chunk in chunks {
        relay.push(Bytes::copy_from_slice(chunk));
        if let Err(err) = drain(&mut relay, &mut frames) {
            return (frames, Err(err));
        }
    }
    let end = relay.finish().and_then(|()| drain(&mut relay, &mut frames));
    (frames, end)
}

fn drain(relay: &mut StreamRelay, frames: &mut Vec<Frame>) -> Result<(), UpstreamError> {
    while let Some(frame) = relay.next_frame()? {
        frames.push(frame);
    }
    Ok(())
}
