//! One worker's way to the server: its connection, what it holds there, and the task that settles and renews.
//!
//! Everything of a lane goes over one connection, in the order in which it was sent. So what a lane holds, as it stands here
//! after a settlement was sent and every call was answered, is what the server has: then, and only then, it may be written anew
//! as a whole. That repairs whatever got lost with a connection.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_rt::spawn;
use deadpool_redis::redis::aio::MultiplexedConnection;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Sender};
use trunkline_actors::ports::{BoxFuture, SharedAnswer, SharedAsk, SharedLimits};

use super::amount::Amount;
use super::breaker::{Breaker, Called};
use super::call::{self, Outcome};
use super::connect::Server;
use super::outbox;
use super::seeds::Seeds;
use super::wire::{Question, Settlement};

/// Settlements that may wait to be sent; further ones are left to the lease and to the books.
const OUTBOX: usize = 65_536;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lane(Arc<LaneState>);

/// What a lane's calls and its task share.
pub(super) struct LaneState {
    pub(super) id: String,
    pub(super) server: Server,
    seeds: Arc<Seeds>,
    link: Mutex<Link>,
    /// The connection was given up.
    pub(super) lost: Notify,
    /// By the key of the lanes it is held in.
    held: Mutex<HashMap<String, Held>>,
    /// Calls that may still take something.
    open_calls: AtomicUsize,
    outbox: Sender<Settlement>,
}

#[derive(Default)]
struct Link {
    connection: Option<MultiplexedConnection>,
    /// Which connection it is: calls on an earlier one say nothing of this one.
    number: u64,
    breaker: Breaker,
}

/// What a lane holds of one budget or limit. One that holds nothing stays until the server was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    pub(super) count: u64,
    pub(super) amount: Amount,
    /// The server may have it otherwise: only a renewal that replaces what is there makes it right.
    is_unsure: bool,
}

/// A call that may still take something.
pub(super) struct OpenCall<'a>(&'a AtomicUsize);

// === impl Lane ===

impl Lane {
    /// Starts a lane on this thread, which must be its worker's. It connects at once and goes on trying; until it has, its
    /// requests are answered with [`SharedAnswer::Unknown`].
    pub(super) fn start(id: String, server: Server, seeds: Arc<Seeds>) -> Self {
        let (outbox, waiting) = mpsc::channel(OUTBOX);
        let state = Arc::new(LaneState {
            id,
            server,
            seeds,
            link: Mutex::default(),
            lost: Notify::new(),
            held: Mutex::default(),
            open_calls: AtomicUsize::new(0),
            outbox,
        });
        spawn(outbox::run(Arc::clone(&state), waiting));
        Self(state)
    }
}

impl SharedLimits for Lane {
    fn take(&self, ask: SharedAsk) -> BoxFuture<'_, SharedAnswer> {
        Box::pin(async move {
            // Without a connection nothing is spent on the question.
            if !self.0.is_connected() {
                return SharedAnswer::Unknown;
            }
            let question = Arc::new(Question::new(ask, &self.0.server.keys));
            // Once more after seeding; what is gone again by then is nobody's.
            for _ in 0..2 {
                match call::take(&self.0, &question).await {
                    Outcome::Answered(answer) => return answer,
                    Outcome::Unseeded(missing) => {
                        for missing in &missing {
                            if !self.0.seeds.seed(missing).await {
                                return SharedAnswer::Unknown;
                            }
                        }
                    }
                }
            }
            SharedAnswer::Unknown
        })
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("id", &self.0.id)
            .finish_non_exhaustive()
    }
}

// === impl LaneState ===

impl LaneState {
    /// The connection, with its number.
    pub(super) fn connection(&self) -> Option<(MultiplexedConnection, u64)> {
        let link = self.link();
        Some((link.connection.clone()?, link.number))
    }

    pub(super) fn is_connected(&self) -> bool {
        self.link().connection.is_some()
    }

    /// Takes a new connection, and gives it a number.
    pub(super) fn connected(&self, connection: MultiplexedConnection) -> u64 {
        let mut link = self.link();
        link.connection = Some(connection);
        link.number += 1;
        link.breaker = Breaker::default();
        link.number
    }

    /// Notes how a call on the connection of that number went; one that has had its chances is given up, and the lane's task
    /// makes another.
    pub(super) fn called(&self, number: u64, called: Called) {
        let mut link = self.link();
        if link.number == number && link.breaker.opens(called) && link.connection.take().is_some() {
            drop(link);
            self.lost.notify_one();
        }
    }

    pub(super) fn open_call(&self) -> OpenCall<'_> {
        self.open_calls.fetch_add(1, Ordering::AcqRel);
        OpenCall(&self.open_calls)
    }

    /// Every call has been answered.
    pub(super) fn is_sure(&self) -> bool {
        self.open_calls.load(Ordering::Acquire) == 0
    }

    /// The server has taken what the question asks for.
    pub(super) fn took(&self, question: &Question) {
        let mut held = self.held();
        for (lanes, amount) in question.holdings() {
            let known = held.entry(lanes.to_owned()).or_default();
            known.count += 1;
            known.amount = known.amount.plus(amount);
        }
    }

    /// What the server has of this may not be what is held: nobody knows what it did. It is renewed until it is right.
    pub(super) fn unsure(&self, question: &Question) {
        let mut held = self.held();
        for (lanes, _) in question.holdings() {
            held.entry(lanes.to_owned()).or_default().is_unsure = true;
        }
    }

    /// The server is being told that this is over, or will learn it with the next renewal.
    pub(super) fn gave_back(&self, question: &Question) {
        let mut held = self.held();
        for (lanes, amount) in question.holdings() {
            if let Some(known) = held.get_mut(lanes) {
                known.count = known.count.saturating_sub(1);
                known.amount = known.amount.minus(amount);
            }
        }
    }

    /// The server knows what these gave back.
    pub(super) fn told(&self, batch: &[Settlement]) {
        let mut held = self.held();
        for settlement in batch {
            for (lanes, _) in settlement.question.holdings() {
                if held.get(lanes).is_some_and(Held::is_settled) {
                    held.remove(lanes);
                }
            }
        }
    }

    /// Where something is held, or was until the server is told.
    pub(super) fn holdings(&self) -> Vec<String> {
        self.held().keys().cloned().collect()
    }

    /// What is held there at this moment; it is sure if it is `telling` the server now, and forgotten if it is nothing.
    pub(super) fn held_at(&self, lanes: &str, telling: bool) -> Held {
        let mut held = self.held();
        let Some(known) = held.get_mut(lanes) else {
            return Held::default();
        };
        known.is_unsure &= !telling;
        let now = *known;
        if telling && now.is_settled() {
            held.remove(lanes);
        }
        now
    }

    /// A renewal of these may not have come there.
    pub(super) fn not_told(&self, renewed: &[String]) {
        let mut held = self.held();
        for lanes in renewed {
            held.entry(lanes.clone()).or_default().is_unsure = true;
        }
    }

    /// Has the server told in a moment. Without a connection the lease and the books say it.
    pub(super) fn settle(&self, settlement: Settlement) {
        if let Err(err) = self.outbox.try_send(settlement) {
            self.dropped(&err.into_inner());
        }
    }

    /// The server is not told that this is over.
    pub(super) fn dropped(&self, settlement: &Settlement) {
        self.gave_back(&settlement.question);
        self.unsure(&settlement.question);
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        // Nothing panics under this lock, nor under the next one.
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Held ===

impl Held {
    /// Nothing is held, and the server has nothing of it either.
    fn is_settled(&self) -> bool {
        self.count == 0 && !self.is_unsure
    }
}

// === impl OpenCall ===

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
