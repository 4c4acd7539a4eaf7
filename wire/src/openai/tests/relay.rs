use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Map;

use FrameKind::{Comment, Content, Done, Other, Preamble};

use crate::exchange::{AnswerOptions, Dialect, EncodeOptions, MaxTokensField};
use crate::openai::relay::StreamRelay;
use crate::openai::{decode, error, splice};
use crate::relay::to_end::{joined, relayed};
use crate::relay::{Frame, FrameKind, Relay};
use crate::{Endpoint, RequestPeek, UpstreamError, UpstreamErrorKind as Kind, Usage};

pub(super) fn relay_to_end(
    stream: &[u8],
    cuts: &[usize],
    include_usage: bool,
) -> (Vec<Frame>, Relay, Result<(), UpstreamError>) {
    let options = AnswerOptions {
        requested_model: Some("mine".to_owned()),
        include_usage,
        ..AnswerOptions::new(Endpoint::ChatCompletions)
    };
    relayed(Relay::new(Dialect::OpenAi, options), stream, cuts)
}

const CHAT: &str = concat!(
    ": ping\n\n",
    "data: {\"id\":\"c1\",\"x\":{\"model\":\"inner\"},\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n",
    "data: {\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\\"b\"}}],\"usage\":null}\n\n",
    "data: {\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}}]}\n\n",
    "data: not json\n\n",
    "data: {\"model\":\"a\",\"model\":\"b\"}\n\n",
    "data: {\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"model\":\"gpt-4o\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n",
    "data: [DONE]\n\n",
);

#[test]
fn a_stream_is_restamped_and_its_usage_hidden_from_who_did_not_ask() {
    let (frames, relay, end) = relay_to_end(CHAT.as_bytes(), &[], false);
    assert_eq!(end, Ok(()));
    let kinds: Vec<FrameKind> = frames.iter().map(|frame| frame.kind).collect();
    assert_eq!(
        kinds,
        [
            Comment,
            Preamble,
            Content,
            Content,
            Other,
            Other,
            Content,
            FrameKind::Usage,
            Done
        ]
    );
    let usage_chunk = CHAT
        .split_inclusive("\n\n")
        .find(|event| event.contains("\"choices\":[],"))
        .unwrap();
    let expected = CHAT
        .replace(usage_chunk, "")
        .replace("gpt-4o", "mine")
        .replace(",\"usage\":null", "");
    assert_eq!(joined(&frames), expected);
    assert_eq!(relay.usage(), Some(&Usage::plain(3, 2)));
    assert_eq!(relay.output_bytes(), 4 + 2);
    assert_eq!(relay.response_id(), Some("c1"));
    assert_eq!(relay.upstream_model(), Some("gpt-4o"));
    assert!(relay.saw_finish() && relay.saw_done());
}

#[test]
fn usage_stays_where_it_was_asked_for() {
    let (frames, _, end) = relay_to_end(CHAT.as_bytes(), &[], true);
    assert_eq!(end, Ok(()));
    assert_eq!(joined(&frames), CHAT.replace("gpt-4o", "mine"));
}

#[test]
fn a_stream_that_just_ends_is_cut_unless_every_choice_had_finished() {
    let finished = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let (frames, relay, end) = relay_to_end(finished.as_bytes(), &[], false);
    assert_eq!(end, Ok(()));
    assert_eq!(joined(&frames), format!("{finished}data: [DONE]\n\n"));
    assert!(relay.saw_done());

    let second_open = finished.replace(
        "\"content\":\"x\"}}",
        "\"content\":\"x\"}},{\"index\":1,\"delta\":{}}",
    );
    for cut in [
        finished.get(..60).unwrap(),
        &second_open,
        "",
        ": only a comment\n\n",
        "data: {\"choices\":[{\"ind",
    ] {
        let (_, _, end) = relay_to_end(cut.as_bytes(), &[], false);
        assert_eq!(end.unwrap_err().kind, Kind::CutStream, "{cut}");
    }
    let mut two = StreamRelay::new(AnswerOptions {
        choices: 2,
        ..AnswerOptions::new(Endpoint::ChatCompletions)
    });
    two.push(Bytes::copy_from_slice(finished.as_bytes()));
    while two.next_frame().unwrap().is_some() {}
    assert_eq!(two.finish().unwrap_err().kind, Kind::CutStream);
}

#[test]
fn a_last_event_without_its_blank_line_is_completed() {
    for ending in ["", "\n", "\r", "\r\n"] {
        let stream = format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"x\"}}}}]}}\n\ndata: [DONE]{ending}"
        );
        let (frames, relay, end) = relay_to_end(stream.as_bytes(), &[], false);
        assert_eq!(end, Ok(()), "{ending:?}");
        assert_eq!(frames.last().unwrap().kind, Done);
        assert!(relay.saw_done(), "{ending:?}");
    }
}

#[test]
fn an_error_inside_the_stream_is_classified() {
    let cases = [
        (
            "data: {\"error\":{\"message\":\"m\",\"type\":\"server_error\"}}\n\n",
            Kind::Server,
        ),
        (
            "data: {\"error\":{\"message\":\"m\",\"code\":\"429\"}}\n\n",
            Kind::RateLimited,
        ),
        (
            "event: error\ndata: {\"message\":\"m\",\"type\":\"overloaded_error\"}\n\n",
            Kind::Overloaded,
        ),
        ("event: error\ndata: m\n\n", Kind::Server),
        (
            "data: {\"error\":{\"message\":\"m\",\"type\":\"rate_limit_error\"}}",
            Kind::RateLimited,
        ),
    ];
    for (stream, kind) in cases {
        let (frames, _, end) = relay_to_end(stream.as_bytes(), &[], false);
        let err = end.unwrap_err();
        assert_eq!((err.kind, err.message.as_str()), (kind, "m"), "{stream}");
        assert!(frames.is_empty(), "{stream}");
    }
}

#[test]
fn data_over_several_lines_is_restamped_as_several_lines() {
    let stream = "id: 1\ndata: {\"model\":\"gpt-4o\",\ndata: \"choices\":[]}\n\ndata: [DONE]\n\n";
    let (frames, _, _) = relay_to_end(stream.as_bytes(), &[], false);
    assert_eq!(joined(&frames), stream.replace("gpt-4o", "mine"));
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_relay_output(
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        crlf in any::<bool>(),
        length in any::<prop::sample::Index>(),
        include_usage in any::<bool>(),
    ) {
        let stream = if crlf { CHAT.replace('\n', "\r\n") } else { CHAT.to_owned() };
        let stream = &stream.as_bytes()[..=length.index(stream.len())];
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.sort_unstable();
        let (whole, _, end) = relay_to_end(stream, &[], include_usage);
        let (cut, _, cut_end) = relay_to_end(stream, &places, include_usage);
        prop_assert_eq!(&cut, &whole);
        prop_assert_eq!(&cut_end, &end);
        let bytewise: Vec<usize> = (1..stream.len()).collect();
        let (single, _, single_end) = relay_to_end(stream, &bytewise, include_usage);
        prop_assert_eq!(&single, &whole);
        prop_assert_eq!(&single_end, &end);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), status in 100..600_u16) {
        drop(relay_to_end(&bytes, &[], false));
        drop(decode::response(Endpoint::ChatCompletions, Bytes::copy_from_slice(&bytes), Some("m")));
        drop(error::classify(status, None, None, &bytes));
        drop(splice::request(&Bytes::copy_from_slice(&bytes), &RequestPeek::default(), &EncodeOptions {
            upstream_model: "m", endpoint: Endpoint::ChatCompletions, max_tokens_field: MaxTokensField::Keep, max_output_tokens: None, drop_params: false,
            additional_drop_params: &[], allowed_openai_params: &[], defaults: &Map::new(), extra_body: &Map::new(), provider: "openai", api_version: None,
        }));
    }
}
