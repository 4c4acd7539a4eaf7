//! The days of what grows with every request (`spend_logs`, `transcripts`): one partition each, made before the first row of the day comes.
//!
//! Rows of a day without one go to the default partition: they count as any other, but such a day cannot be dropped as a
//! whole, and a partition for it cannot be made any more.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use deadpool_postgres::Transaction;
use log::warn;
use tokio_postgres::error::{DbError, SqlState};

use super::convert::date;
use super::pool::{Connections, WorkError};
use crate::storage::StorageError;
use crate::storage::reports::Aging;

/// Takes turns at making partitions: "tl-parts" in ASCII.
const LOCK: i64 = 0x746c_2d70_6172_7473;
/// Made for one batch. A clock that ran wild must not fill the database with tables.
const MOST_AT_ONCE: usize = 8;
/// Days remembered.
const MOST_KNOWN: usize = 64;

/// The days that this process knows to be settled: they have a partition, or never will.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    known: Mutex<BTreeSet<(Aging, i64)>>,
}

// === impl Partitions ===

impl Partitions {
    /// Makes the partitions of those days, where they are missing and can be made.
    pub(super) async fn ensure(
        &self,
        connections: &Connections,
        of: Aging,
        days: BTreeSet<i64>,
    ) -> Result<(), StorageError> {
        let missing: Vec<i64> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            days.into_iter()
                .filter(|day| !known.contains(&(of, *day)))
                .take(MOST_AT_ONCE)
                .collect()
        };
        for day in missing {
            let made = connections
                .write("make a partition", move |transaction| {
                    Box::pin(make(transaction, of.table(), day))
                })
                .await;
            match made {
                Err(err) if is_final(&err) => {
                    warn!(day:% = date(day), err:% = err; "a day has no partition of its own; its rows go to the default one");
                }
                made => made?,
            }
            self.settle((of, day));
        }
        Ok(())
    }

    fn settle(&self, day: (Aging, i64)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(day);
    }
}

async fn make(
    transaction: &Transaction<'_>,
    table: &'static str,
    day: i64,
) -> Result<(), WorkError> {
    let day = date(day);
    let Ok(next) = day.tomorrow() else {
        return Ok(());
    };
    let name = format!("trunkline.{table}_{}", day.strftime("%Y%m%d"));
    // `IF NOT EXISTS` alone fails when two make the same table at once.
    transaction
        .batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})"))
        .await?;
    let there: bool = transaction
        .query_one("SELECT to_regclass($1) IS NOT NULL", &[&name])
        .await?
        .try_get(0)?;
    if !there {
        transaction
            .batch_execute(&format!(
                "CREATE TABLE {name} PARTITION OF trunkline.{table} FOR VALUES FROM ('{day}') TO ('{next}')"
            ))
            .await?;
    }
    Ok(())
}

/// Whether trying again would fail again: the default partition has rows of that day, or this user may not make tables.
fn is_final(err: &StorageError) -> bool {
    let StorageError::Backend { source, .. } = err else {
        return false;
    };
    source.downcast_ref::<DbError>().is_some_and(|refused| {
        [SqlState::CHECK_VIOLATION, SqlState::INSUFFICIENT_PRIVILEGE].contains(refused.code())
    })
}
