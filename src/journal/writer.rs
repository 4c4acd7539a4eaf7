//! One worker's end of the journal: turns records into frames and appends them to its lane.
//!
//! An append is one synchronous `pwrite(2)` under a lock that only this worker takes, so that even `Drop` can settle.
//! Durability against power loss is `sync`'s business; with `always` the worker can wait for it.

use std::sync::Arc;

use trunkline_actors::ports::{BoxFuture, JournalError, JournalWriter, SpendRecord, StartedRecord};

use super::books::Books;
use super::lane::Lane;
use super::sync::GroupCommit;
use super::{frame, record};

/// Appends for one worker.
#[derive(Debug)]
pub(super) struct Writer {
    books: Arc<Books>,
    lane: Arc<Lane>,
    /// Only where records are waited for.
    commit: Option<Arc<GroupCommit>>,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(books: Arc<Books>, commit: Option<Arc<GroupCommit>>) -> Self {
        Self {
            lane: books.add_lane(),
            books,
            commit,
        }
    }
}

impl JournalWriter for Writer {
    fn started(&self, started: &StartedRecord) -> Result<(), JournalError> {
        let frame = frame::encode(&record::started(started)?);
        self.lane.started(&self.books, started.id, &frame)
    }

    fn settled(&self, settled: &SpendRecord) -> Result<(), JournalError> {
        let frame = frame::encode(&record::settled(settled)?);
        self.books.settled(&self.lane, settled.id, &frame)
    }

    fn synced(&self) -> Option<BoxFuture<'static, Result<(), JournalError>>> {
        let waiting = self.commit.as_ref()?.wait();
        Some(Box::pin(waiting))
    }
}
