//! How the request path reaches balances, and others the ledger: without a message for either.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::Addr;
use arc_swap::ArcSwap;
use dashmap::DashMap;

use super::balance::Balance;
use super::messages::{CarryOver, Flush, FlushFailed, JournalHasMore, LedgerStatus};
use super::{Drain, SpendLedger};
use crate::clock::Clock;
use crate::money::Usd;
use crate::ports::{BudgetKey, Carry, SpendStore, StoreError};

/// Balances, flushing and the ledger's status. Cheap to clone; the same ledger for every clone.
#[derive(Clone)]
pub struct LedgerHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Arc<dyn SpendStore>,
    pub(super) clock: Clock,
    pub(super) rows: usize,
    pub(super) addr: Addr<SpendLedger>,
}

/// What the actor and its handles share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Written by whoever opens a balance, and by the actor's sweep, which removes what nobody holds.
    pub(super) balances: DashMap<BudgetKey, Arc<Balance>>,
    /// Written by the actor only.
    pub(super) status: ArcSwap<LedgerStatus>,
    /// Records settled since the last hint; by any worker.
    pub(super) settled: AtomicUsize,
}

/// A balance could not be seeded.
#[derive(Debug, thiserror::Error)]
pub enum SeedFailed {
    /// What is in the journal could not be shipped first.
    #[error("a balance cannot be seeded before the journal is shipped")]
    Flush(#[from] FlushFailed),
    /// The store did not tell what was charged.
    #[error("the store did not tell what was charged")]
    Store(#[from] StoreError),
}

// === impl LedgerHandle ===

impl LedgerHandle {
    /// The balance of that window, if it was opened.
    pub fn balance(&self, key: &BudgetKey) -> Option<Arc<Balance>> {
        self.shared
            .balances
            .get(key)
            .map(|balance| Arc::clone(&balance))
    }

    /// The balance of that window; opened with `seed` as spent if it is new. An open one keeps what it knows and
    /// takes the limit.
    pub fn open_balance(&self, key: BudgetKey, limit: Usd, seed: Usd) -> Arc<Balance> {
        let now = self.clock.now();
        let entry = self.shared.balances.entry(key.clone());
        let balance = entry.or_insert_with(|| Arc::new(Balance::new(key, limit, seed, now)));
        balance.set_limit(limit);
        Arc::clone(&balance)
    }

    /// As [`open_balance`](Self::open_balance), seeded from the store: with what was charged to the window, and what it takes
    /// over from the one before it. What the journal still holds is shipped first, or it would be forgotten in the seed. Safe
    /// to cancel.
    ///
    /// # Errors
    /// [`SeedFailed`]; no balance is opened then.
    pub(super) async fn load_balance(
        &self,
        key: BudgetKey,
        limit: Usd,
        carry: Option<Carry>,
    ) -> Result<Arc<Balance>, SeedFailed> {
        if let Some(balance) = self.balance(&key) {
            balance.set_limit(limit);
            return Ok(balance);
        }
        self.flush().await?;
        if let Some(carry) = carry {
            self.store.carry_over(key.clone(), carry).await?;
        }
        let seed = self.store.charged(key.clone()).await?;
        Ok(self.open_balance(key, limit, seed))
    }

    /// What the books say was spent in a window, by whoever it was; what is in the journal is shipped first.
    ///
    /// # Errors
    /// [`SeedFailed`].
    pub async fn charged(&self, key: BudgetKey) -> Result<Usd, SeedFailed> {
        self.flush().await?;
        Ok(self.charged_in_books(key).await?)
    }

    /// What the books say was spent in a window; what is still in a journal is not in it.
    ///
    /// # Errors
    /// The store's.
    pub async fn charged_in_books(&self, key: BudgetKey) -> Result<Usd, StoreError> {
        self.store.charged(key).await
    }

    /// Begins a new generation of a budget with that much spent already, and answers when the store knows.
    ///
    /// # Errors
    /// The store's.
    pub async fn begin_with(&self, key: BudgetKey, spent: Usd) -> Result<(), StoreError> {
        self.store.begin_with(key, spent).await
    }

    /// Has the store told, in time, that a window takes over what the one before it was exceeded by. If that fails, whoever
    /// loads the window next does it.
    pub(super) fn carry_over_later(&self, key: BudgetKey, carry: Carry) {
        if self.addr.try_send(CarryOver { key, carry }).is_err() {
            log::debug!(
                "the spend ledger's mailbox is full or gone; the window is carried over when it is loaded"
            );
        }
    }

    /// Counts a record that was just settled in the journal. Each full batch wakes the ledger once; a full mailbox
    /// is ignored, since the ledger is busy then and its tick comes anyway.
    pub fn note_settled(&self) {
        let settled = self.shared.settled.fetch_add(1, Ordering::Relaxed) + 1;
        if settled.is_multiple_of(self.rows) && self.addr.try_send(JournalHasMore).is_err() {
            log::debug!("the spend ledger's mailbox is full or gone; its tick ships instead");
        }
    }

    /// Ships what is in the journal now; returns when the store has it. Cancelling waits no longer, ships all the same.
    ///
    /// # Errors
    /// [`FlushFailed::Busy`] or [`FlushFailed::Gone`].
    pub async fn flush(&self) -> Result<(), FlushFailed> {
        let sent = self.addr.send(Flush).await;
        sent.unwrap_or(Err(FlushFailed::Gone))
    }

    /// Ships what is in the journal, then stops the ledger; for shutdown.
    ///
    /// # Errors
    /// [`FlushFailed::TimedOut`] if that takes too long.
    pub async fn drain(&self, drain: Drain) -> Result<(), FlushFailed> {
        let sent = self.addr.send(drain).await;
        sent.unwrap_or(Err(FlushFailed::Gone))
    }

    /// The latest facts.
    pub fn status(&self) -> Arc<LedgerStatus> {
        self.shared.status.load_full()
    }

    /// The actor is there. Without it the journal grows: readiness should say so.
    pub fn is_live(&self) -> bool {
        self.addr.connected()
    }
}

impl fmt::Debug for LedgerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerHandle")
            .field("balances", &self.shared.balances.len())
            .field("status", &self.shared.status.load())
            .finish_non_exhaustive()
    }
}
