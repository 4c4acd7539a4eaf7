//! One batch's way: read, insert, release.

use std::sync::Arc;

use tokio::task::{JoinError, spawn_blocking};

use crate::clock::UnixMs;
use crate::ports::{JournalError, JournalReader, SpendStore, StoreError};

/// A batch that is in the store.
pub(super) struct Shipped {
    /// Its rows.
    pub(super) rows: usize,
    /// Of these, rows that the store did not have.
    pub(super) new: u64,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ShipError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Journal(#[from] JournalError),
    #[error("shipping a batch broke off: {0}")]
    BrokeOff(#[from] JoinError),
}

/// A batch that is not in the store, or not released.
pub(super) struct NotShipped {
    pub(super) err: ShipError,
    /// When its oldest row was settled, if it could be read.
    pub(super) oldest: Option<UnixMs>,
}

/// Reads, inserts, releases. Dropped or failed at any point, the next call does the same batch again.
pub(super) async fn ship_batch(
    reader: Arc<dyn JournalReader>,
    store: Arc<dyn SpendStore>,
    max: usize,
) -> Result<Shipped, NotShipped> {
    let mut oldest = None;
    let shipped = read_insert_release(reader, store, max, &mut oldest).await;
    shipped.map_err(|err| NotShipped { err, oldest })
}

async fn read_insert_release(
    reader: Arc<dyn JournalReader>,
    store: Arc<dyn SpendStore>,
    max: usize,
    oldest: &mut Option<UnixMs>,
) -> Result<Shipped, ShipError> {
    let from = Arc::clone(&reader);
    let batch = spawn_blocking(move || from.next_batch(max)).await??;
    let rows = batch.records.len();
    if rows == 0 {
        return Ok(Shipped { rows, new: 0 });
    }
    *oldest = batch.records.iter().map(|row| row.ended_at).min();
    let new = store.insert(batch.records).await?;
    spawn_blocking(move || reader.release(batch.up_to)).await??;
    Ok(Shipped { rows, new })
}
