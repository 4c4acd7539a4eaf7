//! Puts the pieces of an answer in an order that every dialect can write: tool calls one after the other.
//!
//! `OpenAI`'s chunks may mix the pieces of several calls; in Anthropic's stream a block ends before the next begins. While a
//! call is open and its arguments are not yet a whole JSON value, everything else of the answer waits; it is let go when
//! they are, or when the answer ends. Servers that send call after call, which is nearly all, never wait.

use std::collections::VecDeque;
use std::mem;

use crate::UpstreamError;
use crate::error::UpstreamErrorKind;
use crate::event::ChatEvent;
use crate::openai::decode::made_up_id;

/// The most tool calls that one answer may hold.
const MAX_CALLS: usize = 1024;

/// The most bytes that may wait behind an open call: 4 MiB.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;

/// A piece of a tool call as a chunk spells it.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) arguments: String,
}

/// One answer's events in order.
#[derive(Debug)]
pub(super) struct Ordered {
    choice: u64,
    /// Distinguishes made-up ids of different answers.
    answer_id: Option<String>,
    calls: Vec<Call>,
    /// The call whose arguments are being sent; an index into `calls`.
    open: Option<usize>,
    waiting: VecDeque<ChatEvent>,
    waiting_bytes: usize,
}

#[derive(Debug)]
struct Call {
    /// The server's number for it.
    index: Option<u64>,
    id: Option<String>,
    arguments: Progress,
    /// Its beginning does not wait any more.
    sent: bool,
}

/// How far a JSON text is, told from its brackets and quotes alone.
#[derive(Debug, Default, Clone, Copy)]
struct Progress {
    begun: bool,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

// === impl Ordered ===

impl Ordered {
    pub(super) fn new(choice: u64, answer_id: Option<&str>) -> Self {
        Self {
            choice,
            answer_id: answer_id.map(str::to_owned),
            calls: Vec::new(),
            open: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    pub(super) fn choice(&self) -> u64 {
        self.choice
    }

    /// Takes anything but a tool call.
    pub(super) fn push(
        &mut self,
        event: ChatEvent,
        ready: &mut VecDeque<ChatEvent>,
    ) -> Result<(), UpstreamError> {
        if self.must_wait() {
            return self.wait(event);
        }
        self.open = None;
        ready.push_back(event);
        Ok(())
    }

    /// Takes a piece of a tool call.
    pub(super) fn call(
        &mut self,
        piece: Piece,
        ready: &mut VecDeque<ChatEvent>,
    ) -> Result<(), UpstreamError> {
        let at = match self.find(&piece) {
            Some(at) => at,
            None => self.begin(&piece, ready)?,
        };
        self.arguments(at, piece.arguments, ready)
    }

    /// The answer is over: whatever waits comes now.
    pub(super) fn end(&mut self, ready: &mut VecDeque<ChatEvent>) {
        while !self.waiting.is_empty() {
            self.release(ready);
        }
        self.open = None;
    }

    /// The call that a piece continues.
    ///
    /// A piece names its call by id; by index; or by nothing, then it continues the last. Servers that number every call
    /// 0, or none, are told apart by a new id, or by a name after whole arguments.
    fn find(&self, piece: &Piece) -> Option<usize> {
        let by_id = |id: &String| {
            let same = |call: &Call| call.id.as_ref() == Some(id);
            self.calls.iter().rposition(same)
        };
        if let Some(at) = piece.id.as_ref().and_then(by_id) {
            return Some(at);
        }
        let at = match piece.index {
            Some(_) => {
                let same = |call: &Call| call.index == piece.index;
                self.calls.iter().rposition(same)?
            }
            None => self.calls.len().checked_sub(1)?,
        };
        let call = self.calls.get(at)?;
        let other_id = piece.id.is_some() && call.id.is_some();
        let next = piece.name.is_some() && (piece.index.is_none() || call.arguments.is_whole());
        (!other_id && !next).then_some(at)
    }

    fn begin(
        &mut self,
        piece: &Piece,
        ready: &mut VecDeque<ChatEvent>,
    ) -> Result<usize, UpstreamError> {
        let at = self.calls.len();
        if at >= MAX_CALLS {
            return Err(too_much());
        }
        let id = piece.id.clone();
        let event = ChatEvent::ToolCall {
            choice: self.choice,
            index: number(at),
            id: id
                .clone()
                .unwrap_or_else(|| made_up_id(self.answer_id.as_deref(), at)),
            name: piece.name.clone().unwrap_or_default(),
        };
        let waits = self.must_wait();
        self.calls.push(Call {
            index: piece.index,
            id,
            arguments: Progress::default(),
            sent: !waits,
        });
        if waits {
            self.wait(event)?;
        } else {
            self.open = Some(at);
            ready.push_back(event);
        }
        Ok(at)
    }

    fn arguments(
        &mut self,
        at: usize,
        json: String,
        ready: &mut VecDeque<ChatEvent>,
    ) -> Result<(), UpstreamError> {
        let Some(call) = self.calls.get_mut(at).filter(|_| !json.is_empty()) else {
            return Ok(());
        };
        call.arguments.read(&json);
        let sent = call.sent;
        let event = ChatEvent::ToolArguments {
            choice: self.choice,
            index: number(at),
            json,
        };
        if self.open == Some(at) {
            ready.push_back(event);
            if !self.must_wait() && !self.waiting.is_empty() {
                self.release(ready);
            }
        } else if !sent {
            self.wait(event)?;
        }
        // Otherwise the call has ended, with arguments that were whole: what follows them belongs to nothing.
        Ok(())
    }

    /// Whether a call is open that still lacks arguments.
    fn must_wait(&self) -> bool {
        self.open
            .and_then(|at| self.calls.get(at))
            .is_some_and(|call| !call.arguments.is_whole())
    }

    fn wait(&mut self, event: ChatEvent) -> Result<(), UpstreamError> {
        self.waiting_bytes = self.waiting_bytes.saturating_add(size(&event));
        if self.waiting_bytes > MAX_WAITING_BYTES {
            return Err(too_much());
        }
        self.waiting.push_back(event);
        Ok(())
    }

    /// Ends the open call and lets go what waits, up to the next call that still lacks arguments.
    fn release(&mut self, ready: &mut VecDeque<ChatEvent>) {
        self.open = None;
        while let Some(event) = self.waiting.pop_front() {
            let begun = match &event {
                ChatEvent::ToolCall { index, .. } => Some(*index),
                _ => None,
            };
            ready.push_back(event);
            let Some(index) = begun else {
                self.open = None;
                continue;
            };
            // Its arguments, wherever they stand.
            let (own, others) = mem::take(&mut self.waiting).into_iter().partition(
                |event| matches!(event, ChatEvent::ToolArguments { index: of, .. } if *of == index),
            );
            let own: VecDeque<ChatEvent> = own;
            ready.extend(own);
            self.waiting = others;
            self.open = usize::try_from(index).ok();
            if let Some(call) = self.open.and_then(|at| self.calls.get_mut(at)) {
                call.sent = true;
            }
            if self.must_wait() {
                break;
            }
        }
        self.waiting_bytes = self.waiting.iter().map(size).fold(0, usize::saturating_add);
    }
}

// === impl Progress ===

impl Progress {
    fn read(&mut self, text: &str) {
        for byte in text.bytes() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.begun |= !byte.is_ascii_whitespace();
        }
    }

    fn is_whole(self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}

fn size(event: &ChatEvent) -> usize {
    let text = match event {
        ChatEvent::Text { text, .. }
        | ChatEvent::Reasoning { text, .. }
        | ChatEvent::Refusal { text, .. } => text.len(),
        ChatEvent::ToolArguments { json, .. } => json.len(),
        ChatEvent::ToolCall { id, name, .. } => id.len().saturating_add(name.len()),
        ChatEvent::Citation { citation, .. } => citation.to_string().len(),
        _ => 0,
    };
    text.saturating_add(size_of::<ChatEvent>())
}

fn number(at: usize) -> u64 {
    u64::try_from(at).unwrap_or(u64::MAX)
}

fn too_much() -> UpstreamError {
    UpstreamError::new(
        UpstreamErrorKind::BrokenAnswer,
        Some(200),
        format!(
            "the provider's answer holds more than {MAX_CALLS} tool calls, or mixes more than {MAX_WAITING_BYTES} bytes of them"
        ),
    )
}
