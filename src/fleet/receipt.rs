//! What one request took together with the other replicas.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trunkline_actors::money::Usd;
use trunkline_actors::ports::SharedReceipt;

use super::amount::Amount;
use super::lane::LaneState;
use super::wire::{Question, Settlement};

/// See the module.
pub(super) struct Receipt {
    lane: Arc<LaneState>,
    question: Arc<Question>,
    at: u64,
}

// === impl Receipt ===

impl Receipt {
    pub(super) fn new(lane: &Arc<LaneState>, question: &Arc<Question>, at: u64) -> Self {
        Self {
            lane: Arc::clone(lane),
            question: Arc::clone(question),
            at,
        }
    }

    fn end(self, used: Option<(u64, Amount)>) {
        self.lane.settle(Settlement {
            question: self.question,
            at: self.at,
            used,
        });
    }
}

impl SharedReceipt for Receipt {
    fn settle(self: Box<Self>, tokens: u64, cost: Usd) {
        self.end(Some((tokens, Amount::of(cost))));
    }

    fn give_back(self: Box<Self>) {
        self.end(None);
    }
}

/// What a call takes that nobody waits for any more: its request went on. Whoever comes last, the answer or the end of the
/// request, settles it.
#[derive(Debug, Clone, Default)]
pub(super) struct LateReceipt(Arc<Mutex<Late>>);

#[derive(Debug, Default)]
enum Late {
    #[default]
    Waiting,
    /// The answer came: all is taken.
    Taken(Box<dyn SharedReceipt>),
    /// The request is over; `None`: it was never sent.
    Ended(Option<(u64, Usd)>),
}

// === impl LateReceipt ===

impl LateReceipt {
    /// The call has taken something after all.
    pub(super) fn arrived(&self, receipt: Box<dyn SharedReceipt>) {
        let mut state = self.lock();
        match mem::take(&mut *state) {
            Late::Ended(used) => {
                drop(state);
                end(receipt, used);
            }
            Late::Waiting | Late::Taken(_) => *state = Late::Taken(receipt),
        }
    }

    fn ended(&self, used: Option<(u64, Usd)>) {
        let mut state = self.lock();
        match mem::take(&mut *state) {
            Late::Taken(receipt) => {
                drop(state);
                end(receipt, used);
            }
            Late::Waiting | Late::Ended(_) => *state = Late::Ended(used),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Late> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedReceipt for LateReceipt {
    fn settle(self: Box<Self>, tokens: u64, cost: Usd) {
        self.ended(Some((tokens, cost)));
    }

    fn give_back(self: Box<Self>) {
        self.ended(None);
    }
}

fn end(receipt: Box<dyn SharedReceipt>, used: Option<(u64, Usd)>) {
    match used {
        Some((tokens, cost)) => receipt.settle(tokens, cost),
        None => receipt.give_back(),
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
