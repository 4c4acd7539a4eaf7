use proptest::prelude::*;

use FrameKind::{Comment, Content, Done, Other, Preamble};

use super::*;
use crate::exchange::Dialect;
use crate::relay::Relay;
use crate::relay::to_end::{joined, relayed};
use crate::{Endpoint, UpstreamErrorKind as Kind};

fn relay_to_end(stream: &[u8], cuts: &[usize]) -> (Vec<Frame>, Relay, Result<(), UpstreamError>) {
    let options = AnswerOptions {
        requested_model: Some("mine".to_owned()),
        include_usage: true,
        choices: 1,
        ..AnswerOptions::new(Endpoint::Messages)
    };
    relayed(Relay::new(Dialect::Anthropic, options), stream, cuts)
}

const STREAM: &str = concat!(
    "event: message_start\ndata: {\"type\": \"message_start\", \"x\":1.0e0, \"message\":{\"id\":\"msg_1\",\"model\":\"claude-9\",\"usage\":{\"input_tokens\":9,\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    ": comment\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\\\"b\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}}\n\n",
    "event: something_new\ndata: {\"type\":\"something_new\",\"model\":\"inner\"}\n\n",
    "data: not json\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":5}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

#[test]
fn only_the_model_is_changed_and_what_happened_is_noted() {
    let (frames, relay, end) = relay_to_end(STREAM.as_bytes(), &[]);
    assert_eq!(end, Ok(()));
    assert_eq!(joined(&frames), STREAM.replace("claude-9", "mine"));
    let kinds: Vec<FrameKind> = frames.iter().map(|frame| frame.kind).collect();
    assert_eq!(
        kinds,
        [
            Preamble, Preamble, Comment, Comment, Content, Other, Content, Preamble, Other, Other,
            Other, Content, Done
        ]
    );
    let usage = relay.usage().unwrap();
    assert_eq!(
        (
            usage.input_uncached,
            usage.cache_read,
            usage.completion_tokens()
        ),
        (Some(9), Some(4), 5)
    );
    assert_eq!(relay.output_bytes(), 4);
    assert_eq!(relay.response_id(), Some("msg_1"));
    assert_eq!(relay.upstream_model(), Some("claude-9"));
    assert!(relay.saw_finish() && relay.saw_done());
}

#[test]
fn a_stream_that_just_ends_is_cut_unless_the_stop_reason_had_come() {
    let at = STREAM.find("event: message_stop").unwrap();
    for end_of_data in [at, at - 1, at - 2] {
        let (frames, relay, end) = relay_to_end(&STREAM.as_bytes()[..end_of_data], &[]);
        assert_eq!(end, Ok(()), "{end_of_data}");
        assert!(relay.saw_done());
        let text = joined(&frames);
        assert!(
            text.ends_with("\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
            "{text}"
        );
    }
    let cut_in_last = STREAM.len() - 4;
    let (frames, _, end) = relay_to_end(&STREAM.as_bytes()[..cut_in_last], &[]);
    assert_eq!(end, Ok(()));
    assert_eq!(joined(&frames), STREAM.replace("claude-9", "mine"));
    for end_of_data in [0, 40, at - 9] {
        let (_, relay, end) = relay_to_end(&STREAM.as_bytes()[..end_of_data], &[]);
        assert_eq!(end.unwrap_err().kind, Kind::CutStream, "{end_of_data}");
        assert!(!relay.saw_done());
    }
}

#[test]
fn an_error_event_ends_the_stream_and_is_classified() {
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let (head, tail) = STREAM.split_once("event: ping").unwrap();
    let stream = [head, error, tail].concat();
    let (frames, _, end) = relay_to_end(stream.as_bytes(), &[]);
    assert_eq!(frames.len(), 2);
    assert_eq!(end.unwrap_err().kind, Kind::Overloaded);
    let (frames, mut relay, end) = relay_to_end(b"event: error\ndata: oops\n\n", &[]);
    assert!(frames.is_empty());
    assert_eq!(end.unwrap_err().message, "oops");
    assert_eq!(relay.next_frame(), Ok(None));
    assert!(relay.finish().is_err());
}

#[test]
fn debug_output_shows_nothing_of_the_answer() {
    let (_, relay, _) = relay_to_end(&STREAM.as_bytes()[..300], &[]);
    let shown = format!("{relay:?}");
    assert!(
        !shown.contains("text") && shown.contains("output_bytes"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_relay_output(
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        crlf in any::<bool>(),
        length in any::<prop::sample::Index>(),
    ) {
        let stream = if crlf { STREAM.replace('\n', "\r\n") } else { STREAM.to_owned() };
        let stream = &stream.as_bytes()[..=length.index(stream.len())];
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.sort_unstable();
        let (whole, _, end) = relay_to_end(stream, &[]);
        let (cut, _, cut_end) = relay_to_end(stream, &places);
        prop_assert_eq!(&cut, &whole);
        prop_assert_eq!(&cut_end, &end);
        let bytewise: Vec<usize> = (1..stream.len()).collect();
        let (single, _, single_end) = relay_to_end(stream, &bytewise);
        prop_assert_eq!(&single, &whole);
        prop_assert_eq!(&single_end, &end);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(relay_to_end(&bytes, &[]));
        drop(relay_to_end(&[b"data: ".as_slice(), &bytes, b"\n\n"].concat(), &[]));
    }
}
