//! How values of the gateway lie in SQLite's columns: money as INTEGER pico-USD, times as INTEGER unix milliseconds,
//! counts as INTEGER, lists and maps as JSON text.

use rusqlite::Row;
use rusqlite::types::ToSqlOutput;
use serde::Serialize;
use serde::de::DeserializeOwned;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::BudgetKey;

use super::pool::WorkError;
use crate::storage::books::integer;
use crate::storage::{StorageError, Terms};

/// An amount on the books; what no column holds is cut to what one does.
pub(super) fn pico(amount: Usd) -> i64 {
    amount.to_pico().unwrap_or(i64::MAX)
}

/// A limit in USD, which a user chose.
pub(super) fn limit(what: &'static str, amount: Option<Usd>) -> Result<Option<i64>, StorageError> {
    amount
        .map(|amount| {
            amount.to_pico().ok_or(StorageError::OutOfRange {
                what,
                most: "9223372 USD, to 12 decimal places",
            })
        })
        .transpose()
}

/// The columns that name a window, in their order.
pub(super) fn window(key: &BudgetKey) -> [ToSqlOutput<'_>; 5] {
    [
        key.subject.kind.as_str().into(),
        (&*key.subject.id).into(),
        key.budget.as_str().into(),
        integer(key.generation).into(),
        integer(key.window_start.0).into(),
    ]
}

/// A JSON text.
pub(super) fn json(value: &impl Serialize) -> String {
    // Fails only for maps whose keys are not strings, which the gateway has none of.
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads a number that was stored as an integer.
pub(super) fn unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    let stored: Option<i64> = row.get(column)?;
    Ok(stored.map(|value| u64::try_from(value).unwrap_or_default()))
}

/// Reads a time that must be there.
pub(super) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<UnixMs> {
    Ok(UnixMs(unsigned(row, column)?.unwrap_or_default()))
}

/// Reads an amount.
pub(super) fn money(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Usd>> {
    let stored: Option<i64> = row.get(column)?;
    Ok(stored.map(Usd::from_pico))
}

/// Reads a JSON text.
pub(super) fn parse_json<T: DeserializeOwned>(
    text: &str,
    table: &'static str,
    column: &'static str,
) -> Result<T, StorageError> {
    serde_json::from_str(text).map_err(|err| StorageError::Unreadable {
        table,
        column,
        source: err.into(),
    })
}

/// Reads what somebody may spend, and how fast.
pub(super) fn terms(row: &Row<'_>, table: &'static str) -> Result<Terms, WorkError> {
    let rest: String = row.get("terms")?;
    Ok(Terms {
        max_budget: money(row, "max_budget")?,
        rpm_limit: unsigned(row, "rpm_limit")?,
        tpm_limit: unsigned(row, "tpm_limit")?,
        max_parallel_requests: unsigned(row, "max_parallel")?,
        ..parse_json(&rest, table, "terms")?
    })
}
