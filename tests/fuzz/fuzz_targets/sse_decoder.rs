//! Any bytes, cut at any place: the same events, and not a byte lost.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use trunkline_wire::sse::{SseDecoder, SseEvent};

fuzz_target!(|input: (u16, Vec<u8>)| {
    let (cut, stream) = input;
    let (head, tail) = stream.split_at(usize::from(cut) % (stream.len() + 1));
    let whole = events(&[&stream]);
    assert_eq!(events(&[head, tail]), whole);
    let raw: Vec<u8> = whole.iter().flat_map(|event| event.raw.to_vec()).collect();
    assert_eq!(raw, stream);
});

fn events(chunks: &[&[u8]]) -> Vec<SseEvent> {
    let mut decoder = SseDecoder::new();
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        while let Ok(Some(event)) = decoder.next_event() {
            events.push(event);
        }
    }
    decoder.finish();
    while let Ok(Some(event)) = decoder.next_event() {
        events.push(event);
    }
    events
}
