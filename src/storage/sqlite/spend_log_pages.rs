//! Reads pages of rows back. The statements are in `reports::log_rows`.

use rusqlite::types::FromSql;
use rusqlite::{Connection, params_from_iter};

use super::booked::record;
use super::pool::WorkError;
use super::spend_reports::values;
use crate::storage::booked;
use crate::storage::reports::log_rows::statements;
use crate::storage::reports::statement::{Dialect, Statement};
use crate::storage::reports::{LogPage, LogQuery, next_page};

/// One page.
///
/// Precondition: `connection` is in a transaction, or rows and count may be of two moments.
pub(super) fn page(connection: &Connection, query: &LogQuery) -> Result<LogPage, WorkError> {
    let statements = statements(Dialect::Sqlite, query);
    let mut prepared = connection.prepare_cached(&statements.rows.sql)?;
    let mut found = prepared.query(params_from_iter(values(&statements.rows.args)))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(record(row)?);
    }
    let walked = one::<String>(connection, statements.walked.as_ref())?
        .map(|id| booked::id(&id, "id"))
        .transpose()?;
    let total: i64 = one(connection, statements.count.as_ref())?.unwrap_or_default();
    Ok(LogPage {
        next: next_page(query, &rows, walked),
        rows,
        total: u64::try_from(total).unwrap_or_default(),
    })
}

/// The one value of the first row, if there is one.
fn one<T: FromSql>(
    connection: &Connection,
    statement: Option<&Statement>,
) -> rusqlite::Result<Option<T>> {
    let Some(statement) = statement else {
        return Ok(None);
    };
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    let mut found = prepared.query(params_from_iter(values(&statement.args)))?;
    found.next()?.map(|row| row.get(0)).transpose()
}
