//! What the [`SpendLedger`](super::SpendLedger) is told. Spend is not among it: that is in the journal.

use std::sync::Arc;
use std::time::Duration;

use actix::Message;

use crate::clock::{Millis, UnixMs};
use crate::ports::{BudgetKey, Carry};

/// A batch's worth of records was settled since the last hint. Losing it costs at most one flush interval.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct JournalHasMore;

/// Ship everything that is in the journal now; answered when the store has it, however long that takes.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), FlushFailed>")]
pub struct Flush;

/// Tell the store what a window begins with. Losing it costs nothing: whoever loads the window next does it.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(super) struct CarryOver {
    pub(super) key: BudgetKey,
    pub(super) carry: Carry,
}

/// As [`Flush`], with a deadline, then stop. What is left stays in the journal for the next start.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), FlushFailed>")]
pub struct Drain {
    /// Give up after this.
    pub within: Duration,
}

/// A flush that did not happen. Nothing is lost: the records are still in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FlushFailed {
    /// The deadline passed first.
    #[error("the spend ledger did not drain in time; the rest stays in the journal")]
    TimedOut,
    /// Too many flushes wait already.
    #[error("too many flushes of the spend ledger are waiting")]
    Busy,
    /// The ledger is gone.
    #[error("the spend ledger is not running")]
    Gone,
}

/// Facts of the ledger, for readiness and metrics; published after every batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerStatus {
    /// Rows handed to the store and committed.
    pub rows_shipped: u64,
    /// Of these, rows that the store did not have yet.
    pub rows_new: u64,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// The last failure, if it was not followed by a success.
    pub last_error: Option<Arc<str>>,
    /// When a read last found nothing more to ship.
    pub caught_up_at: Option<Millis>,
    /// When the oldest record that is known to be unshipped was settled.
    pub oldest_unshipped: Option<UnixMs>,
}

// === impl LedgerStatus ===

impl LedgerStatus {
    /// How far the store is behind the journal.
    pub fn lag(&self, now: UnixMs) -> Duration {
        self.oldest_unshipped.map_or(Duration::ZERO, |oldest| {
            Duration::from_millis(now.0.saturating_sub(oldest.0))
        })
    }
}
