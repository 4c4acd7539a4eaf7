//! Keeps what is asked and answered, word by word, where the operator wants that (`store_prompts_in_spend_logs`).
//!
//! Not the books: nobody waits for it, and what no room is left for is not kept, but counted. A [`Draft`] goes along with a
//! request and collects what its client is sent; when the request settles it is put into a bounded queue, from which
//! [`Writer`] makes it fit (`text`) and stores it. All bodies in memory together have one bound, `Room`.

mod room;
mod text;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc::{self, Receiver, Sender};
use trunkline_actors::ids::RequestId;
use trunkline_wire::request::Endpoint;

use self::room::{Claim, Room};
pub use self::writer::Writer;
use crate::config::TranscriptSettings;
use crate::telemetry::metrics::TranscriptCounters;

/// Drafts that wait to be written; their bytes are bounded by [`Room`].
const QUEUE: usize = 4096;
/// Of a stream, no more than this is collected.
const MOST_STREAMED: usize = 8 << 20;

/// Where requests leave what they asked and were answered. One for all workers.
#[derive(Debug)]
pub struct Transcripts {
    room: Arc<Room>,
    queue: Sender<Draft>,
    counters: TranscriptCounters,
    /// The database did not take the last ones.
    waiting: Arc<AtomicBool>,
}

/// What is waiting to be written, for [`Writer`].
#[derive(Debug)]
pub struct Queue {
    drafts: Receiver<Draft>,
    kept: Counter,
    waiting: Arc<AtomicBool>,
    settings: TranscriptSettings,
}

/// What one request has asked and been answered so far.
pub struct Draft {
    id: RequestId,
    endpoint: Endpoint,
    request: Bytes,
    answer: Answer,
    claim: Claim,
}

#[derive(Default)]
enum Answer {
    #[default]
    None,
    Whole(Bytes),
    Stream {
        sent: BytesMut,
        /// There was no room for the rest.
        is_cut: bool,
    },
}

// === impl Transcripts ===

impl Transcripts {
    /// With the queue that a [`Writer`] is to empty.
    pub fn new(settings: TranscriptSettings, counters: TranscriptCounters) -> (Self, Queue) {
        let (queue, drafts) = mpsc::channel(QUEUE);
        let waiting = Arc::new(AtomicBool::new(false));
        let kept = counters.kept.clone();
        let transcripts = Self {
            room: Arc::new(Room::new(settings.buffer_bytes)),
            queue,
            counters,
            waiting: Arc::clone(&waiting),
        };
        let queue = Queue {
            drafts,
            kept,
            waiting,
            settings,
        };
        (transcripts, queue)
    }

    /// Begins with what is asked. `None`: there is no room.
    pub fn begin(&self, id: RequestId, endpoint: Endpoint, request: &Bytes) -> Option<Draft> {
        let Some(claim) = Room::claim(&self.room, request.len()) else {
            self.counters.dropped.inc();
            return None;
        };
        Some(Draft {
            id,
            endpoint,
            claim,
            request: request.clone(),
            answer: Answer::None,
        })
    }

    /// The request is over.
    pub fn keep(&self, draft: Draft) {
        if self.queue.try_send(draft).is_err() {
            self.counters.dropped.inc();
        }
    }

    /// The database takes none at the moment.
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }
}

// === impl Draft ===

impl Draft {
    /// What a client gets in one piece. One that there is no room for is not kept.
    pub fn whole(&mut self, answer: &Bytes) {
        if self.claim.grow(answer.len()) {
            self.answer = Answer::Whole(answer.clone());
        }
    }

    /// One more piece of what a client of a stream gets.
    pub fn streamed(&mut self, piece: &[u8]) {
        if matches!(self.answer, Answer::None) {
            self.answer = Answer::Stream {
                sent: BytesMut::new(),
                is_cut: false,
            };
        }
        if let Answer::Stream { sent, is_cut } = &mut self.answer
            && !*is_cut
        {
            *is_cut = sent.len() + piece.len() > MOST_STREAMED || !self.claim.grow(piece.len());
            if !*is_cut {
                sent.extend_from_slice(piece);
            }
        }
    }

    fn bytes(&self) -> usize {
        self.claim.bytes()
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the bodies: they are people's.
        f.debug_struct("Draft")
            .field("id", &self.id)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
