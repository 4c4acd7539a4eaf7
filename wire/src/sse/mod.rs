//! Push decoder for server-sent events.
//!
//! Bytes go in as they arrive, events come out whole; how the bytes were cut makes no difference. The exact original
//! bytes of each event are kept, so that a relay can pass them on untouched. It knows nothing of what the data means.
//!
//! Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream", read 2026-11-22. Two departures: events without
//! data (comments, stray blank lines) are handed out too, and an unterminated last event is not thrown away but marked.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::iter;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr2};

/// The most bytes one event may have, its blank line included: 16 MiB.
pub const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a stream cannot be decoded further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SseError {
    /// An event is larger than the decoder's limit; the decoder stays in this state.
    #[error("an event of the stream is larger than {limit} bytes")]
    EventTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

/// One event, or one run of comment lines, up to and including its blank line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The original bytes, blank line included.
    pub raw: Bytes,
    /// The last `event:` field; `None` when there is none (which means `message`).
    pub event: Option<Bytes>,
    /// The `data:` fields joined by line feeds; `None` when there is none (comments, a lone `retry:` or `id:`).
    pub data: Option<Bytes>,
    /// Whether the blank line was there. Only the last event of a stream can lack it.
    pub terminated: bool,
    /// Where `data` lies in `raw`, when it came in one line.
    data_span: Option<Range<usize>>,
}

/// Cuts a byte stream into [`SseEvent`]s.
///
/// Feed it with [`push`](Self::push), take events with [`next_event`](Self::next_event) until it gives `None`; when the
/// peer has closed call [`finish`](Self::finish) and take events once more.
///
/// LF, CRLF and CR end a line. A CR at the very end of the bytes so far is only known to be a whole line end when the
/// next byte comes, so an event of a CR-only stream is handed out one push later.
///
/// ```
/// use bytes::Bytes;
/// use trunkline_wire::sse::SseDecoder;
/// let mut decoder = SseDecoder::new();
/// decoder.push(Bytes::from_static(b"data: one\n\nda"));
/// let event = decoder.next_event()?.expect("one event is complete");
/// assert_eq!(event.data.as_deref(), Some(&b"one"[..]));
/// assert_eq!(decoder.next_event()?, None);
/// # Ok::<(), trunkline_wire::sse::SseError>(())
/// ```
#[derive(Debug)]
pub struct SseDecoder {
    buffer: BytesMut,
    /// Start of the line that is not known to be complete; everything before it belongs to the open event.
    line_start: usize,
    /// Bytes already searched for a line end.
    searched: usize,
    /// No event has been handed out, so a byte order mark may come.
    at_start: bool,
    closed: bool,
    limit: usize,
}

/// The data of every event of a whole stream that can be decoded.
pub(crate) fn data_of(stream: Bytes) -> impl Iterator<Item = Bytes> {
    let mut decoder = SseDecoder::new();
    decoder.push(stream);
    decoder.finish();
    iter::from_fn(move || decoder.next_event().ok().flatten()).filter_map(|event| event.data)
}

// === impl SseEvent ===

impl SseEvent {
    /// Whether the event carries neither data nor a name: comments, blank lines, `id:` or `retry:` alone.
    pub fn is_comment(&self) -> bool {
        self.data.is_none() && self.event.is_none()
    }

    /// The event with other data and everything else as it was: name, id, comments, line ends.
    ///
    /// Line feeds in `data` start a new `data:` line.
    pub fn with_data(&self, data: &[u8]) -> Bytes {
        if let Some(span) = &self.data_span
            && memchr2(b'\n', b'\r', data).is_none()
        {
            let before = self.raw.get(..span.start).unwrap_or_default();
            let after = self.raw.get(span.end..).unwrap_or_default();
            return Bytes::from([before, data, after].concat());
        }
        let mut out = Vec::with_capacity(self.raw.len().saturating_add(data.len()));
        let mut pending = Some(data);
        let mut rest: &[u8] = &self.raw;
        while let Some(line) = take_line(&mut rest) {
            if !is_data(line.text) {
                out.extend_from_slice(line.whole);
            } else if let Some(data) = pending.take() {
                for text in data.split(|byte| *byte == b'\n') {
                    out.extend_from_slice(b"data: ");
                    out.extend_from_slice(text.strip_suffix(b"\r").unwrap_or(text));
                    out.push(b'\n');
                }
            }
        }
        Bytes::from(out)
    }

    /// The original bytes, with the blank line that the last event of a stream may lack.
    pub fn completed(&self) -> Bytes {
        if self.terminated {
            return self.raw.clone();
        }
        let end: &[u8] = match self.raw.last() {
            Some(b'\n') => b"\n",
            Some(b'\r') => b"\r",
            _ => b"\n\n",
        };
        Bytes::from([&self.raw, end].concat())
    }

    /// Whether it begins with a byte order mark.
    pub(crate) fn has_mark(&self) -> bool {
        self.raw.starts_with(BYTE_ORDER_MARK)
    }

    /// Where `data` begins in `raw`, when it came in one line.
    pub(crate) fn data_at(&self) -> Option<usize> {
        self.data_span.as_ref().map(|span| span.start)
    }

    fn parse(raw: Bytes, at_start: bool, terminated: bool) -> Self {
        let mut event = None;
        let mut first: Option<Range<usize>> = None;
        let mut joined: Option<Vec<u8>> = None;
        let mut rest: &[u8] = &raw;
        let mut consumed = 0_usize;
        let mut may_hold_mark = at_start;
        while let Some(line) = take_line(&mut rest) {
            let mut start = consumed;
            let mut text = line.text;
            consumed = consumed.saturating_add(line.whole.len());
            if may_hold_mark && let Some(unmarked) = text.strip_prefix(BYTE_ORDER_MARK) {
                text = unmarked;
                start = start.saturating_add(BYTE_ORDER_MARK.len());
            }
            may_hold_mark = false;
            let (name, value) = field(text);
            let span = || {
                let end = start.saturating_add(text.len());
                end.saturating_sub(value.len())..end
            };
            match name {
                b"data" => {
                    if let Some(joined) = &mut joined {
                        joined.push(b'\n');
                        joined.extend_from_slice(value);
                    } else if let Some(first) = first.take() {
                        let earlier = raw.get(first).unwrap_or_default();
                        joined = Some([earlier, b"\n", value].concat());
                    } else {
                        first = Some(span());
                    }
                }
                b"event" => event = Some(span()),
                _ => {}
            }
        }
        let event = event.map(|span| raw.slice(span));
        let data = match (joined, &first) {
            (Some(joined), _) => Some(Bytes::from(joined)),
            (None, Some(span)) => Some(raw.slice(span.clone())),
            (None, None) => None,
        };
        Self {
            event,
            data,
            terminated,
            data_span: first,
            raw,
        }
    }

    /// The event's name as text; `None` for an unnamed event.
    pub fn name(&self) -> Option<Cow<'_, str>> {
        self.event.as_deref().map(String::from_utf8_lossy)
    }
}

// === impl SseDecoder ===

impl SseDecoder {
    /// A decoder at the start of a stream, with the limit [`MAX_EVENT_BYTES`].
    pub fn new() -> Self {
        Self::with_limit(MAX_EVENT_BYTES)
    }

    /// A decoder whose events may have at most `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            line_start: 0,
            searched: 0,
            at_start: true,
            closed: false,
            limit,
        }
    }

    /// Takes the next bytes of the stream. Take all events out before pushing more: that is what bounds the buffer.
    pub fn push(&mut self, chunk: Bytes) {
        if self.buffer.is_empty() {
            // The usual case, one chunk holding whole events: no copy when nobody else holds the chunk.
            match chunk.try_into_mut() {
                Ok(chunk) => self.buffer = chunk,
                Err(chunk) => self.buffer.extend_from_slice(&chunk),
            }
        } else {
            self.buffer.extend_from_slice(&chunk);
        }
    }

    /// Says that no more bytes will come. Afterwards [`next_event`](Self::next_event) also hands out what lacks its
    /// blank line, marked as not `terminated`.
    pub fn finish(&mut self) {
        self.closed = true;
    }

    /// How many bytes wait for the rest of their event.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole event, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`SseError::EventTooLarge`], for this and every later call.
    pub fn next_event(&mut self) -> Result<Option<SseEvent>, SseError> {
        while let Some(end) = self.next_line_end() {
            let line = self.buffer.get(self.line_start..end).unwrap_or_default();
            let marked = self.at_start && self.line_start == 0;
            let blank = is_blank(line, marked);
            self.line_start = end;
            self.searched = end;
            self.check_size(end)?;
            if blank {
                return Ok(Some(self.take(end, true)));
            }
        }
        self.check_size(self.buffer.len())?;
        if self.closed && !self.buffer.is_empty() {
            return Ok(Some(self.take(self.buffer.len(), false)));
        }
        Ok(None)
    }

    fn check_size(&self, bytes: usize) -> Result<(), SseError> {
        if bytes > self.limit {
            return Err(SseError::EventTooLarge { limit: self.limit });
        }
        Ok(())
    }

    /// The end of the current line, behind its line end.
    fn next_line_end(&mut self) -> Option<usize> {
        let unsearched = self.buffer.get(self.searched..)?;
        let Some(found) = memchr2(b'\n', b'\r', unsearched) else {
            self.searched = self.buffer.len();
            return None;
        };
        let at = self.searched.saturating_add(found);
        let after = at.saturating_add(1);
        if self.buffer.get(at) == Some(&b'\n') {
            return Some(after);
        }
        match self.buffer.get(after) {
            Some(b'\n') => Some(after.saturating_add(1)),
            Some(_) => Some(after),
            // Half of a CRLF, perhaps.
            None if self.closed => Some(after),
            None => {
                self.searched = at;
                None
            }
        }
    }

    fn take(&mut self, end: usize, terminated: bool) -> SseEvent {
        let raw = self.buffer.split_to(end).freeze();
        let event = SseEvent::parse(raw, self.at_start, terminated);
        self.at_start = false;
        self.line_start = 0;
        self.searched = 0;
        event
    }
}

impl Default for SseDecoder {
    fn default() -> Self {
        Self::new()
    }
}

/// A line with and without its line end.
struct Line<'a> {
    whole: &'a [u8],
    text: &'a [u8],
}

/// Cuts the first line off `rest`.
fn take_line<'a>(rest: &mut &'a [u8]) -> Option<Line<'a>> {
    let all = *rest;
    if all.is_empty() {
        return None;
    }
    let (text_end, line_end) = match memchr2(b'\n', b'\r', all) {
        Some(at) => {
            let after = at.saturating_add(1);
            let pair = all.get(at) == Some(&b'\r') && all.get(after) == Some(&b'\n');
            (at, if pair { after.saturating_add(1) } else { after })
        }
        None => (all.len(), all.len()),
    };
    *rest = all.get(line_end..).unwrap_or_default();
    Some(Line {
        whole: all.get(..line_end).unwrap_or_default(),
        text: all.get(..text_end).unwrap_or_default(),
    })
}

fn is_blank(line: &[u8], may_hold_mark: bool) -> bool {
    let text = if may_hold_mark {
        line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
    } else {
        line
    };
    matches!(text, b"\n" | b"\r" | b"\r\n")
}

/// Splits `name: value`; one space behind the colon belongs to neither. A comment has an empty name.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b':', line) {
        None => (line, &[]),
        Some(at) => {
            let name = line.get(..at).unwrap_or_default();
            let value = line.get(at.saturating_add(1)..).unwrap_or_default();
            (name, value.strip_prefix(b" ").unwrap_or(value))
        }
    }
}

fn is_data(line: &[u8]) -> bool {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    field(line).0 == b"data"
}
