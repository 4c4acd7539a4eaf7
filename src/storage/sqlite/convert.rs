//! How values of the gateway lie in SQLite's columns: money as INTEGER pico-USD, times as INTEGER unix milliseconds,
//! counts as INTEGER, lists and maps as JSON text.

use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::money::Usd;

use crate::storage::StorageError;

/// Milliseconds of one day.
pub(super) const DAY_MS: u64 = 86_400_000;

/// No request uses this many tokens. Larger counts, a broken provider's, are cut to it: they would overflow the sums, and
/// a row that cannot be inserted would hold up every row behind it.
const MOST_TOKENS: u64 = 1_000_000_000_000;

/// A time, limit or other number that never comes near the end of the range.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A token count.
pub(super) fn tokens(count: u64) -> i64 {
    integer(count.min(MOST_TOKENS))
}

/// The day on which a time lies, in days since 1970-01-01 UTC.
pub(super) fn day(unix_ms: u64) -> i64 {
    integer(unix_ms / DAY_MS)
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

/// A JSON text.
pub(super) fn json(value: &impl Serialize) -> String {
    // Fails only for maps whose keys are not strings, which the gateway has none of.
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads a number that was stored by [`integer`].
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
