//! Removes old rows, a few at a time: the writing connection is the ledger's too, and each batch is a transaction of its own.

use rusqlite::params;
use trunkline_actors::ports::BoxFuture;

use super::Sqlite;
use crate::storage::StorageError;
use crate::storage::books::{DAY_MS, first_id_at};
use crate::storage::reports::{Aging, Expiry, Removed};

impl Expiry for Sqlite {
    fn remove_before(
        &self,
        what: Aging,
        day: i64,
        batch: u32,
    ) -> BoxFuture<'_, Result<Removed, StorageError>> {
        Box::pin(
            self.connections
                .write("remove what is old", move |transaction| {
                    let table = what.table();
                    let first_kept = first_id_at(u64::try_from(day).unwrap_or_default() * DAY_MS);
                    let removed = transaction
                        .prepare_cached(&format!(
                            "DELETE FROM {table} WHERE id IN \
                             (SELECT id FROM {table} WHERE id < ?1 ORDER BY id LIMIT ?2)"
                        ))?
                        .execute(params![first_kept, batch])?;
                    Ok(Removed {
                        rows: removed as u64,
                        days: 0,
                    })
                }),
        )
    }
}
