//! Chunks that differ from the one before in nothing but their texts, as nearly all of a stream do.
//!
//! What is around the texts is compared byte for byte, so such a chunk says what the one before said; only the texts are looked
//! at. That takes a fraction of what it takes to look through a chunk.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use super::types::Choice;
use crate::json::{Object, Raw, before_quote, has_no_control, span_within, spelled_bytes};
use crate::sse::SseEvent;

/// What `OpenAI` pads chunks with, so that their lengths do not tell what is in them: another text in each.
const PADDING: &str = "obfuscation";

/// A chunk with content, and the places of its texts.
#[derive(Debug)]
pub(super) struct Pattern {
    /// As it came.
    came: Pieces,
    /// As it was sent; nothing when that was as it came.
    sent: Option<Pieces>,
    /// Which texts count as output.
    counted: SmallVec<[bool; 2]>,
    /// Bytes of output that are not in the texts.
    beside: usize,
}

/// A chunk that the pattern fits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fitting {
    /// What to send.
    pub(super) bytes: Bytes,
    /// How much output it delivers.
    pub(super) output_bytes: usize,
}

/// An event whose texts are cut out.
#[derive(Debug)]
struct Pieces {
    // A copy, so that what the event was cut from is not kept with it.
    event: Box<[u8]>,
    /// Where the texts are, between their quotes, in order.
    texts: Spans,
}

type Spans = SmallVec<[Range<usize>; 2]>;

// === impl Pattern ===

impl Pattern {
    /// The pattern of a chunk with content that came in `event`, was sent as `sent`, and delivered so many bytes.
    pub(super) fn of(event: &SseEvent, sent: &Bytes, output_bytes: usize) -> Option<Self> {
        // Only the first event of a stream may have it, and means the same with it.
        let data_at = event.data_at().filter(|_| !event.has_mark())?;
        let came = event.data.as_deref()?;
        let object = Object::walk(came)?;
        let texts = texts_of(&object)?;
        let counted = texts.iter().filter(|(_, counts)| *counts);
        let counted: usize = counted.map(|(text, _)| spelled_bytes(*text)).sum();
        let pattern = Self {
            came: Pieces::of(&event.raw, data_at, &object, &texts)?,
            sent: None,
            counted: texts.iter().map(|(_, counts)| *counts).collect(),
            beside: output_bytes.checked_sub(counted)?,
        };
        if *sent == event.raw {
            return Some(pattern);
        }
        let behind = event.raw.len().checked_sub(data_at + came.len())?;
        let object = Object::walk(sent.get(data_at..sent.len().checked_sub(behind)?)?)?;
        let sent = Pieces::of(sent, data_at, &object, &texts_of(&object)?)?;
        (sent.texts.len() == pattern.came.texts.len()).then_some(Self {
            sent: Some(sent),
            ..pattern
        })
    }

    /// What becomes of an event, if it is like the one that the pattern is of.
    pub(super) fn fit(&self, event: &Bytes) -> Option<Fitting> {
        let texts = self.came.texts_in(event)?;
        let counted = texts
            .iter()
            .zip(&self.counted)
            .filter(|(_, counts)| **counts);
        let counted: usize = counted.map(|(text, _)| text.len()).sum();
        Some(Fitting {
            bytes: match &self.sent {
                Some(sent) => sent.with(&texts),
                None => event.clone(),
            },
            output_bytes: self.beside.saturating_add(counted),
        })
    }
}

// === impl Pieces ===

impl Pieces {
    fn of(
        event: &[u8],
        data_at: usize,
        object: &Object<'_>,
        texts: &[(Raw<'_>, bool)],
    ) -> Option<Self> {
        let within = |(text, _): &(Raw<'_>, bool)| {
            let span = span_within(object.source(), text.get())?;
            // Without its quotes.
            Some(data_at + span.start + 1..(data_at + span.end).checked_sub(1)?)
        };
        let texts = texts.iter().map(within).collect::<Option<Spans>>()?;
        let is_in_order = texts.is_sorted_by_key(|text| text.start);
        is_in_order.then(|| Self {
            event: event.into(),
            texts,
        })
    }

    /// The texts of an event that has the same pieces around them.
    fn texts_in<'e>(&self, event: &'e [u8]) -> Option<SmallVec<[&'e str; 2]>> {
        let mut rest = str::from_utf8(event).ok()?;
        let mut known = 0;
        let mut found = SmallVec::new();
        for span in &self.texts {
            rest = behind(rest, self.event.get(known..span.start)?)?;
            let text = before_quote(rest)?;
            // Nothing is delivered by an empty one, and a line end would end the data.
            if text.is_empty() || !has_no_control(text.as_bytes()) {
                return None;
            }
            found.push(text);
            rest = rest.get(text.len()..)?;
            known = span.end;
        }
        (rest.as_bytes() == self.event.get(known..)?).then_some(found)
    }

    /// The event with other texts.
    fn with(&self, texts: &[&str]) -> Bytes {
        let added: usize = texts.iter().map(|text| text.len()).sum();
        let mut out = Vec::with_capacity(self.event.len().saturating_add(added));
        let mut known = 0;
        for (span, text) in self.texts.iter().zip(texts) {
            out.extend_from_slice(self.event.get(known..span.start).unwrap_or_default());
            out.extend_from_slice(text.as_bytes());
            known = span.end;
        }
        out.extend_from_slice(self.event.get(known..).unwrap_or_default());
        Bytes::from(out)
    }
}

/// What of `text` follows `piece`, if it begins with it.
fn behind<'t>(text: &'t str, piece: &[u8]) -> Option<&'t str> {
    text.as_bytes()
        .starts_with(piece)
        .then(|| text.get(piece.len()..))?
}

/// The texts of a chunk that change from chunk to chunk, in order, and whether they count as output.
fn texts_of<'a>(object: &Object<'a>) -> Option<SmallVec<[(Raw<'a>, bool); 2]>> {
    let choices = Choice::parse_all(object.get("choices")?)?;
    let [choice] = choices.as_slice() else {
        return None;
    };
    let padding = object.get(PADDING).map(|padding| (padding, false));
    let texts = choice.texts().into_iter().chain(padding);
    let texts = texts.filter(|(text, _)| text.get().len() > 2 && text.get().starts_with('"'));
    let mut texts: SmallVec<[_; 2]> = texts.collect();
    texts.sort_by_key(|(text, _)| text.get().as_ptr());
    texts.iter().any(|(_, counts)| *counts).then_some(texts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::exchange::AnswerOptions;
    use crate::openai::relay::StreamRelay;
    use crate::relay::{Frame, FrameKind};
    use crate::sse::SseDecoder;
    use crate::{Endpoint, Usage};

    /// What became of a stream: its frames, and what was noted after each of them.
    type Noted = Vec<(Frame, usize, Option<Usage>, bool)>;

    fn relayed(mut relay: StreamRelay, events: &[String]) -> (Noted, bool) {
        let mut noted = Vec::new();
        for event in events {
            relay.push(Bytes::copy_from_slice(event.as_bytes()));
            loop {
                match relay.next_frame() {
                    Ok(Some(frame)) => noted.push((
                        frame,
                        relay.output_bytes(),
                        relay.usage().copied(),
                        relay.saw_finish(),
                    )),
                    Ok(None) => break,
                    Err(_) => return (noted, false),
                }
            }
        }
        let is_whole = relay.finish().is_ok();
        (noted, is_whole)
    }

    fn options(requested_model: Option<&str>, include_usage: bool) -> AnswerOptions {
        AnswerOptions {
            requested_model: requested_model.map(str::to_owned),
            include_usage,
            ..AnswerOptions::new(Endpoint::ChatCompletions)
        }
    }

    const PATTERN: &str = "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"TEXT\"}}],\"usage\":null,\"obfuscation\":\"MORE\"}\n\n";

    fn of_pattern(text: &str, padding: &str) -> String {
        PATTERN.replace("TEXT", text).replace("MORE", padding)
    }

    #[test]
    fn a_chunk_that_differs_in_its_texts_alone_fits() {
        let first = of_pattern("one", "x");
        let mut decoder = SseDecoder::new();
        decoder.push(Bytes::from(first.clone().into_bytes()));
        let event = decoder.next_event().unwrap().unwrap();
        let sent = Bytes::from(first.replace("\"m\"", "\"mine\"").into_bytes());
        let pattern = Pattern::of(&event, &sent, 3).unwrap();

        let next = of_pattern("a \\\"é\\\" b", "yyyy");
        let fitting = pattern
            .fit(&Bytes::from(next.clone().into_bytes()))
            .unwrap();
        assert_eq!(fitting.output_bytes, 10);
        let expected = next.replace("\"m\"", "\"mine\"");
        assert_eq!(fitting.bytes, expected.as_bytes());

        for other in [
            of_pattern("", "x"),
            of_pattern("a\",\"b\":\"c", "x"),
            of_pattern("a\n", "x"),
            of_pattern("a", "x").replace("\"index\":0", "\"index\":1"),
            of_pattern("a", "x").replace("\n\n", ""),
        ] {
            assert_eq!(pattern.fit(&Bytes::from(other.into_bytes())), None);
        }
    }

    #[test]
    fn a_stream_whose_chunks_never_fit_is_relayed_all_the_same() {
        let events: Vec<String> = (0..20)
            .map(|at| of_pattern("text", "x").replace("\"c\"", &format!("\"c{at}\"")))
            .collect();
        let (noted, _) = relayed(StreamRelay::new(options(Some("mine"), false)), &events);
        assert_eq!(noted.len(), 20);
        assert!(
            noted
                .iter()
                .all(|(frame, ..)| frame.kind == FrameKind::Content)
        );
    }

    fn events() -> impl Strategy<Value = Vec<String>> {
        let shape = prop::sample::select(vec![
            PATTERN,
            "data: {\"choices\":[{\"delta\":{\"content\":\"TEXT\"}}]}\n\n",
            "event: x\r\ndata:{\"model\":\"m\",\"choices\":[{\"delta\":{\"reasoning_content\":\"TEXT\",\"reasoning\":\"TEXT\",\"content\":null}}]}\r\n\r\n",
            "data: {\"obfuscation\":\"MORE\",\"choices\":[{\"delta\":{\"content\":\"MORE\",\"content\":\"TEXT\",\"refusal\":\"TEXT\"}}],\"model\":\"m\"}\n\n",
            "data: {\"choices\":[{\"text\":\"TEXT\",\"index\":1,\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"TEXT\",\"tool_calls\":[{\"function\":{\"arguments\":\"MORE\"}}]},\"finish_reason\":\"stop\"}]}\n\n",
            "\u{feff}data: {\"choices\":[{\"delta\":{\"content\":\"TEXT\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"TEXT\"}},{\"index\":1,\"delta\":{\"content\":\"MORE\"}}]}\n\n",
            "data: {\"error\":\"TEXT\"}\n\n",
            "event: error\ndata: {\"choices\":[{\"delta\":{\"content\":\"TEXT\"}}]}\n\n",
            "data: [DONE]\n\n",
        ]);
        let text = prop_oneof![
            4 => "[a-z é😀]{0,6}",
            1 => prop::sample::select(vec!["\\\"", "\\\\", "\\n", "\\", "\"", "\n", "\t", "\",\"a\":\"", "\u{7f}", "\r\n"]).prop_map(str::to_owned),
        ];
        let run = (shape, prop::collection::vec((text.clone(), text), 1..6));
        prop::collection::vec(run, 1..5).prop_map(|runs| {
            let events = runs.into_iter().flat_map(|(shape, texts)| {
                texts
                    .into_iter()
                    .map(move |(text, more)| shape.replace("TEXT", &text).replace("MORE", &more))
            });
            events.collect()
        })
    }

    proptest! {
        #[test]
        fn with_patterns_a_stream_becomes_what_it_becomes_without(
            events in events(), renamed in any::<bool>(), include_usage in any::<bool>(),
        ) {
            let model = renamed.then_some("mine");
            let with = relayed(StreamRelay::new(options(model, include_usage)), &events);
            let without = relayed(StreamRelay::without_patterns(options(model, include_usage)), &events);
            prop_assert_eq!(with, without);
        }
    }
}
