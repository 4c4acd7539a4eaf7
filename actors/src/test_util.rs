//! For tests: ports that record what they are asked, and fail when told to.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::yield_now;

use crate::ids::{ModelGroup, RequestId};
use crate::money::Usd;
use crate::ports::{
    BoxFuture, BudgetKey, Carry, JournalBatch, JournalError, JournalPosition, JournalReader,
    JournalWriter, SpendRecord, SpendStatus, SpendStore, StartedRecord, StoreError,
};

/// A journal in memory.
#[derive(Debug, Default)]
pub struct RecordingJournal {
    state: Mutex<JournalState>,
}

#[derive(Debug, Default)]
struct JournalState {
    started: Vec<StartedRecord>,
    settled: VecDeque<SpendRecord>,
    released: u64,
    failures: u32,
}

/// A store in memory.
#[derive(Debug, Default)]
pub struct RecordingStore {
    state: Mutex<StoreState>,
}

#[derive(Debug, Default)]
struct StoreState {
    rows: Vec<SpendRecord>,
    ids: HashSet<RequestId>,
    begun: HashMap<BudgetKey, Usd>,
    inserts: u32,
    failures: u32,
    failures_after_commit: u32,
}

/// A settled record with that number as its id and an otherwise plain content.
pub fn spend_record(number: u64) -> SpendRecord {
    SpendRecord {
        status: SpendStatus::Success,
        model: "model".to_owned(),
        provider: "openai".to_owned(),
        cost: Some(Usd::from_pico(1)),
        attempts: 1,
        ..SpendRecord::of(started_record(number))
    }
}

/// The `started` record of a request with that number as its id.
pub fn started_record(number: u64) -> StartedRecord {
    let id = RequestId::generate(number, 0);
    StartedRecord::new(id, ModelGroup::from("group"), "acompletion")
}

/// Lets the actors of this thread handle what they have, on a paused clock: no time passes.
pub async fn settle_down() {
    for _ in 0..50 {
        yield_now().await;
    }
}

// === impl RecordingJournal ===

impl RecordingJournal {
    /// The next reads and releases fail, that many times.
    pub fn fail(&self, times: u32) {
        lock(&self.state).failures = times;
    }

    /// Settled records that are not released.
    pub fn unreleased(&self) -> usize {
        lock(&self.state).settled.len()
    }

    /// Everything that was started.
    pub fn started(&self) -> Vec<StartedRecord> {
        lock(&self.state).started.clone()
    }
}

impl JournalState {
    fn check(&mut self) -> Result<(), JournalError> {
        if self.failures == 0 {
            return Ok(());
        }
        self.failures -= 1;
        Err(JournalError::Io {
            operation: "read a segment",
            source: io::Error::other("told to fail"),
        })
    }
}

impl JournalWriter for RecordingJournal {
    fn started(&self, record: &StartedRecord) -> Result<(), JournalError> {
        lock(&self.state).started.push(record.clone());
        Ok(())
    }

    fn settled(&self, record: &SpendRecord) -> Result<(), JournalError> {
        lock(&self.state).settled.push_back(record.clone());
        Ok(())
    }
}

impl JournalReader for RecordingJournal {
    fn next_batch(&self, max: usize) -> Result<JournalBatch, JournalError> {
        let mut state = lock(&self.state);
        state.check()?;
        let records: Vec<SpendRecord> = state.settled.iter().take(max).cloned().collect();
        Ok(JournalBatch {
            up_to: JournalPosition(state.released + records.len() as u64),
            records,
        })
    }

    fn release(&self, up_to: JournalPosition) -> Result<(), JournalError> {
        let mut state = lock(&self.state);
        state.check()?;
        while state.released < up_to.0 {
            state.settled.pop_front();
            state.released += 1;
        }
        Ok(())
    }
}

// === impl RecordingStore ===

impl RecordingStore {
    /// What windows were told to begin with, by window.
    pub fn begun(&self) -> Vec<(BudgetKey, Usd)> {
        let mut begun: Vec<_> = lock(&self.state).begun.clone().into_iter().collect();
        begun.sort();
        begun
    }

    /// The next inserts fail, that many times, with nothing inserted.
    pub fn fail(&self, times: u32) {
        lock(&self.state).failures = times;
    }

    /// The next inserts commit and then fail, that many times: the answer was lost on its way.
    pub fn fail_after_commit(&self, times: u32) {
        lock(&self.state).failures_after_commit = times;
    }

    /// All rows, in the order of their insertion.
    pub fn rows(&self) -> Vec<SpendRecord> {
        lock(&self.state).rows.clone()
    }

    /// Inserts that were tried.
    pub fn inserts(&self) -> u32 {
        lock(&self.state).inserts
    }
}

impl StoreState {
    fn insert(&mut self, rows: Vec<SpendRecord>) -> Result<u64, StoreError> {
        self.inserts += 1;
        if self.failures > 0 {
            self.failures -= 1;
            return Err(failed());
        }
        let mut new = 0;
        for row in rows {
            if self.ids.insert(row.id) {
                new += 1;
                self.rows.push(row);
            }
        }
        if self.failures_after_commit > 0 {
            self.failures_after_commit -= 1;
            return Err(failed());
        }
        Ok(new)
    }

    fn charged(&self, key: &BudgetKey) -> Usd {
        let rows = self.rows.iter().filter(|row| row.budgets.contains(key));
        let begun = self.begun.get(key).copied().unwrap_or_default();
        begun + rows.filter_map(|row| row.cost).sum()
    }
}

impl SpendStore for RecordingStore {
    fn insert(&self, rows: Vec<SpendRecord>) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { lock(&self.state).insert(rows) })
    }

    fn charged(&self, key: BudgetKey) -> BoxFuture<'_, Result<Usd, StoreError>> {
        Box::pin(async move { Ok(lock(&self.state).charged(&key)) })
    }

    fn carry_over(&self, key: BudgetKey, carry: Carry) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let mut state = lock(&self.state);
            let excess = (state.charged(&carry.previous) - carry.limit).max(Usd::ZERO);
            state.begun.entry(key).or_insert(excess);
            Ok(())
        })
    }

    fn begin_with(&self, key: BudgetKey, spent: Usd) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            lock(&self.state).begun.entry(key).or_insert(spent);
            Ok(())
        })
    }
}

fn failed() -> StoreError {
    StoreError::Failed {
        operation: "insert rows",
        source: "told to fail".into(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
