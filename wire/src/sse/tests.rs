use proptest::prelude::*;

use super::*;

/// Name, stream, the data of its events.
type DataCase = (&'static str, &'static [u8], Vec<Option<String>>);

/// Name, event, new data, the event with it.
type ReplaceCase = (&'static str, &'static [u8], &'static [u8], &'static [u8]);

fn events(chunks: &[&[u8]]) -> Result<Vec<SseEvent>, SseError> {
    let mut decoder = SseDecoder::new();
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        while let Some(event) = decoder.next_event()? {
            events.push(event);
        }
    }
    decoder.finish();
    while let Some(event) = decoder.next_event()? {
        events.push(event);
    }
    Ok(events)
}

fn data(stream: &[u8]) -> Vec<Option<String>> {
    let text = |data: Bytes| String::from_utf8(data.to_vec()).unwrap();
    let events = events(&[stream]).unwrap();
    events
        .into_iter()
        .map(|event| event.data.map(text))
        .collect()
}

#[test]
fn line_ends_fields_and_comments_are_read_as_the_standard_says() {
    let some = |text: &str| Some(text.to_owned());
    let cases: [DataCase; 11] = [
        ("lf", b"data: a\n\ndata: b\n\n", vec![some("a"), some("b")]),
        (
            "crlf",
            b"data: a\r\n\r\ndata: b\r\n\r\n",
            vec![some("a"), some("b")],
        ),
        ("cr", b"data: a\r\rdata: b\r\r", vec![some("a"), some("b")]),
        (
            "mixed",
            b"data: a\r\n\ndata: b\n\r\n",
            vec![some("a"), some("b")],
        ),
        (
            "several lines",
            b"data: a\ndata:b\ndata\n\n",
            vec![some("a\nb\n")],
        ),
        ("one space only", b"data:  a\n\n", vec![some(" a")]),
        ("comment", b": ping\n\ndata: a\n\n", vec![None, some("a")]),
        ("comment inside", b": x\ndata: a\n\n", vec![some("a")]),
        (
            "byte order mark",
            b"\xef\xbb\xbfdata: a\n\n",
            vec![some("a")],
        ),
        (
            "mark and blank line",
            b"\xef\xbb\xbf\ndata: a\n\n",
            vec![None, some("a")],
        ),
        (
            "unterminated",
            b"data: a\n\ndata: b",
            vec![some("a"), some("b")],
        ),
    ];
    for (name, stream, expected) in cases {
        assert_eq!(data(stream), expected, "{name}");
    }
}

#[test]
fn a_name_and_an_unterminated_event_are_marked() {
    let events = events(&[b"event: error\nid: 1\ndata: x\n\ndata: [DONE]\n"]).unwrap();
    assert_eq!(events[0].name().as_deref(), Some("error"));
    assert!(events[0].terminated);
    assert!(!events[1].terminated);
    assert!(events[1].name().is_none());
}

#[test]
fn data_is_replaced_in_place() {
    let cases: [ReplaceCase; 4] = [
        (
            "one line",
            b": c\r\nid: 7\r\ndata:{}\r\n\r\n",
            b"[1]",
            b": c\r\nid: 7\r\ndata:[1]\r\n\r\n",
        ),
        (
            "two lines",
            b"data: {\ndata: }\nid: 7\n\n",
            b"[1,\n2]",
            b"data: [1,\ndata: 2]\nid: 7\n\n",
        ),
        (
            "joined into one",
            b"data: {\ndata: }\n\n",
            b"[]",
            b"data: []\n\n",
        ),
        (
            "mark",
            b"\xef\xbb\xbfdata: a\n\n",
            b"b",
            b"\xef\xbb\xbfdata: b\n\n",
        ),
    ];
    for (name, stream, data, expected) in cases {
        let event = &events(&[stream]).unwrap()[0];
        assert_eq!(event.with_data(data), expected, "{name}");
    }
}

#[test]
fn an_event_over_the_limit_is_an_error_however_it_was_cut() {
    let stream = b"data: 0123456789\n\n";
    for cut in 0..stream.len() {
        let mut decoder = SseDecoder::with_limit(stream.len() - 1);
        decoder.push(Bytes::copy_from_slice(&stream[..cut]));
        assert_eq!(decoder.next_event(), Ok(None));
        decoder.push(Bytes::copy_from_slice(&stream[cut..]));
        let limit = stream.len() - 1;
        assert_eq!(decoder.next_event(), Err(SseError::EventTooLarge { limit }));
        assert_eq!(decoder.next_event(), Err(SseError::EventTooLarge { limit }));
    }
}

#[test]
fn ten_thousand_single_bytes_of_one_event_make_one_event() {
    let stream = format!("data: {}\n\n", "x".repeat(10_000));
    let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
    assert_eq!(events(&bytes).unwrap().len(), 1);
}

/// Streams dense in what the decoder has to tell apart.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\xef\xbb\xbf".to_vec()),
        Just(b"data: x".to_vec()),
        Just(b"data".to_vec()),
        Just(b"event: e".to_vec()),
        Just(b": c".to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_events(stream in streams(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10)) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = 0;
        for place in places {
            chunks.push(&stream[from..place]);
            from = place;
        }
        chunks.push(&stream[from..]);
        let whole = events(&[&stream]).unwrap();
        prop_assert_eq!(&events(&chunks).unwrap(), &whole);
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&events(&single).unwrap(), &whole);
        let raw: Vec<u8> = whole.iter().flat_map(|event| event.raw.to_vec()).collect();
        prop_assert_eq!(raw, stream);
    }
}
