//! Statements on `entries`.

use rusqlite::{Connection, Row, Transaction, named_params, params};
use trunkline_actors::ports::BoxFuture;

use super::Sqlite;
use super::convert::{json, parse_json, time};
use super::pool::WorkError;
use crate::storage::books::integer;
use crate::storage::entries::REPLACE;
use crate::storage::{AsRead, EntryKind, EntryRow, EntryStore, StorageError};

const TABLE: &str = "entries";

const INSERT: &str = "INSERT INTO entries (kind, id, name, params, info, blocked, created_at, created_by, updated_at, updated_by) \
     VALUES (:kind, :id, :name, :params, :info, :blocked, :created_at, :created_by, :updated_at, :updated_by) \
     ON CONFLICT (kind, id)";

impl EntryStore for Sqlite {
    fn by_id(
        &self,
        kind: EntryKind,
        id: String,
    ) -> BoxFuture<'_, Result<Option<EntryRow>, StorageError>> {
        Box::pin(self.connections.read("read an entry", move |connection| {
            by_id(connection, kind, &id)
        }))
    }

    fn all(&self) -> BoxFuture<'_, Result<Vec<EntryRow>, StorageError>> {
        Box::pin(self.connections.read("read the entries", |connection| {
            let mut statement =
                connection.prepare_cached("SELECT * FROM entries ORDER BY created_at, kind, id")?;
            let mut rows = statement.query([])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                entries.push(read(row)?);
            }
            Ok(entries)
        }))
    }
}

pub(super) fn by_id(
    connection: &Connection,
    kind: EntryKind,
    id: &str,
) -> Result<Option<EntryRow>, WorkError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM entries WHERE kind = ?1 AND id = ?2")?;
    let mut rows = statement.query([kind.as_str(), id])?;
    rows.next()?.map(read).transpose()
}

/// False: there is one of that id, and it stays.
pub(super) fn insert(transaction: &Transaction<'_>, row: &EntryRow) -> Result<bool, WorkError> {
    write(transaction, row, "NOTHING")
}

/// Stores the entry over what was stored, but for when and by whom it was made.
pub(super) fn put(transaction: &Transaction<'_>, row: &EntryRow) -> Result<(), WorkError> {
    write(transaction, row, REPLACE).map(drop)
}

pub(super) fn delete(
    transaction: &Transaction<'_>,
    kind: EntryKind,
    id: &str,
) -> Result<(), WorkError> {
    transaction.execute(
        "DELETE FROM entries WHERE kind = ?1 AND id = ?2",
        params![kind.as_str(), id],
    )?;
    Ok(())
}

/// `known` is what happens to one that is stored already.
fn write(
    transaction: &Transaction<'_>,
    row: &EntryRow,
    known: &'static str,
) -> Result<bool, WorkError> {
    let mut statement = transaction.prepare_cached(&format!("{INSERT} DO {known}"))?;
    let written = statement.execute(named_params! {
        ":kind": row.kind.as_str(),
        ":id": row.id,
        ":name": row.name,
        ":params": json(&row.params),
        ":info": json(&row.info),
        ":blocked": row.blocked,
        ":created_at": integer(row.created_at.0),
        ":created_by": row.created_by,
        ":updated_at": integer(row.updated_at.0),
        ":updated_by": row.updated_by,
    })?;
    Ok(written > 0)
}

fn read(row: &Row<'_>) -> Result<EntryRow, WorkError> {
    let kind: String = row.get("kind")?;
    Ok(EntryRow {
        kind: EntryKind::read(&kind),
        id: row.get("id")?,
        name: row.get("name")?,
        params: parse_json(&row.get::<_, String>("params")?, TABLE, "params")?,
        info: parse_json(&row.get::<_, String>("info")?, TABLE, "info")?,
        blocked: row.get("blocked")?,
        created_at: time(row, "created_at")?,
        created_by: row.get("created_by")?,
        updated_at: time(row, "updated_at")?,
        updated_by: row.get("updated_by")?,
        as_read: AsRead::at(time(row, "updated_at")?),
    })
}
