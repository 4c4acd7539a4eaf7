//! Removes what is old: rows of the books, as `general_settings.maximum_spend_logs_retention_period` says, and transcripts.
//!
//! A round begins by shipping the journal: a row that is removed before its record is gone from the journal would come again,
//! and be counted twice. Sums and balances stay for ever. Rows go a few at a time, with pauses in which the ledger writes;
//! PostgreSQL drops whole days.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::spawn;
use actix_rt::task::JoinHandle;
use log::{info, warn};
use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio::time::sleep;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::spend_ledger::LedgerHandle;

use crate::dispatch::Shared;
use crate::storage::reports::Removed;
use crate::storage::{Aging, Expiry, StorageError};

const DAY_MS: u64 = 86_400_000;
/// Rows that go in one transaction: some milliseconds.
const BATCH: u32 = 500;
/// Between two transactions.
const PAUSE: Duration = Duration::from_millis(50);
/// The first round is not at the start, when everything else begins, but not a day later either.
const FIRST_AFTER: Duration = Duration::from_mins(1);

/// How long what is kept, and how often is looked for what is older.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeping {
    /// Each at least a day.
    pub periods: Vec<(Aging, Duration)>,
    /// Between two rounds.
    pub interval: Duration,
}

/// The running job.
pub struct Retention {
    stop: Sender<()>,
    running: JoinHandle<()>,
}

/// What a round needs.
struct Round {
    keeping: Keeping,
    store: Arc<dyn Expiry>,
    ledger: LedgerHandle,
    shared: Arc<Shared>,
}

// === impl Retention ===

impl fmt::Debug for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retention").finish_non_exhaustive()
    }
}

impl Retention {
    /// Starts the job on this thread.
    pub fn start(
        keeping: Keeping,
        store: Arc<dyn Expiry>,
        ledger: LedgerHandle,
        shared: Arc<Shared>,
    ) -> Self {
        let (stop, stop_asked_for) = oneshot::channel();
        let round = Round {
            keeping,
            store,
            ledger,
            shared,
        };
        Self {
            stop,
            running: spawn(round.for_ever(stop_asked_for)),
        }
    }

    /// Stops between two batches; one that runs is finished by the store.
    pub async fn stop(self) {
        // An error is a job that has ended already.
        self.stop.send(()).ok();
        if self.running.await.is_err() {
            warn!("the removal of old rows ended with a panic");
        }
    }
}

// === impl Round ===

impl Round {
    async fn for_ever(self, stop_asked_for: Receiver<()>) {
        tokio::select! {
            _ = stop_asked_for => {}
            () = self.rounds() => {}
        }
    }

    async fn rounds(&self) {
        sleep(FIRST_AFTER.min(self.keeping.interval)).await;
        loop {
            if let Err(err) = self.ledger.flush().await {
                warn!(err:% = err; "old rows stay: the journal could not be shipped");
            } else if let Err(err) = self.round(UnixMs::now()).await {
                warn!(err:% = err; "old rows could not be removed; the next round goes on");
            }
            sleep(self.keeping.interval).await;
        }
    }

    async fn round(&self, now: UnixMs) -> Result<(), StorageError> {
        for (what, period) in &self.keeping.periods {
            self.remove(*what, first_kept(now, *period)).await?;
        }
        Ok(())
    }

    async fn remove(&self, what: Aging, day: i64) -> Result<(), StorageError> {
        let mut all = Removed::default();
        let ended = loop {
            match self.store.remove_before(what, day, BATCH).await {
                Ok(removed) if removed.is_nothing() => break Ok(()),
                Ok(removed) => {
                    self.shared.metrics.rows_removed(what.table(), removed.rows);
                    all.rows += removed.rows;
                    all.days += removed.days;
                }
                Err(err) => break Err(err),
            }
            sleep(PAUSE).await;
        };
        if !all.is_nothing() {
            info!(table = what.table(), rows = all.rows, days = all.days; "old rows were removed");
        }
        ended
    }
}

/// The first day of which rows are kept: whole days go, so a row stays for the period and at most a day more.
fn first_kept(now: UnixMs, period: Duration) -> i64 {
    i64::try_from(now.before(period).0 / DAY_MS).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_kept_for_the_whole_period() {
        let day = Duration::from_hours(24);
        for (now, period, want) in [
            (100 * DAY_MS, 30 * day, 70),
            (100 * DAY_MS + 1, 30 * day, 70),
            (101 * DAY_MS - 1, 30 * day, 70),
            (101 * DAY_MS, 30 * day, 71),
            (5 * DAY_MS, 30 * day, 0),
        ] {
            assert_eq!(first_kept(UnixMs(now), period), want, "{now}");
        }
    }
}
