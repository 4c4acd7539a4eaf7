//! Removes old rows: a day is a partition and goes as a whole; what lies in the default partition goes a few rows at a time.

use deadpool_postgres::Transaction;
use trunkline_actors::ports::BoxFuture;

use super::Postgres;
use super::convert::date;
use super::pool::WorkError;
use crate::storage::StorageError;
use crate::storage::reports::{Aging, Expiry, Removed};

/// One gateway of a fleet at a time: "tl-old-d" in ASCII.
const LOCK: i64 = 0x746c_2d6f_6c64_2d64;

/// The oldest day's partition, if all of it is older.
const OLDEST_DAY: &str = "SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid \
     WHERE inhparent = ('trunkline.' || $2::text)::regclass AND relname ~ ('^' || $2::text || '_[0-9]{8}$') \
     AND relname < $2::text || '_' || to_char($1::text::date, 'YYYYMMDD') ORDER BY relname LIMIT 1";

impl Expiry for Postgres {
    fn remove_before(
        &self,
        what: Aging,
        day: i64,
        batch: u32,
    ) -> BoxFuture<'_, Result<Removed, StorageError>> {
        Box::pin(
            self.connections
                .write("remove what is old", move |transaction| {
                    Box::pin(remove(transaction, what.table(), day, batch))
                }),
        )
    }
}

async fn remove(
    transaction: &Transaction<'_>,
    table: &'static str,
    day: i64,
    batch: u32,
) -> Result<Removed, WorkError> {
    let mine: bool = transaction
        .query_one("SELECT pg_try_advisory_xact_lock($1)", &[&LOCK])
        .await?
        .try_get(0)?;
    if !mine {
        return Ok(Removed::default());
    }
    // Whoever writes rows waits behind a drop that waits for somebody who reads: not for long.
    transaction
        .batch_execute("SET LOCAL lock_timeout = '2s'")
        .await?;
    let before = date(day).to_string();
    let oldest = transaction
        .query_opt(OLDEST_DAY, &[&before, &table])
        .await?;
    if let Some(oldest) = oldest {
        let name: String = oldest.try_get(0)?;
        let rows: i64 = transaction
            .query_one(&format!("SELECT count(*) FROM trunkline.{name}"), &[])
            .await?
            .try_get(0)?;
        transaction
            .batch_execute(&format!("DROP TABLE trunkline.{name}"))
            .await?;
        return Ok(Removed {
            rows: u64::try_from(rows).unwrap_or_default(),
            days: 1,
        });
    }
    let rows = transaction
        .execute(
            &format!(
                "DELETE FROM trunkline.{table}_default WHERE (day, id) IN \
                 (SELECT day, id FROM trunkline.{table}_default WHERE day < $1::text::date ORDER BY day, id LIMIT $2)"
            ),
            &[&before, &i64::from(batch)],
        )
        .await?;
    Ok(Removed { rows, days: 0 })
}
