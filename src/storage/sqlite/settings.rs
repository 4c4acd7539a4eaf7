//! Statements on `settings`.

use rusqlite::{Connection, Row, Transaction, params};
use trunkline_actors::ports::BoxFuture;

use super::Sqlite;
use super::convert::{parse_json, time};
use super::pool::WorkError;
use crate::storage::books::integer;
use crate::storage::{AsRead, SettingRow, SettingStore, StorageError};

const TABLE: &str = "settings";

impl SettingStore for Sqlite {
    fn all(&self) -> BoxFuture<'_, Result<Vec<SettingRow>, StorageError>> {
        Box::pin(self.connections.read("read the settings", |connection| {
            let mut statement =
                connection.prepare_cached("SELECT * FROM settings ORDER BY name")?;
            let mut rows = statement.query([])?;
            let mut settings = Vec::new();
            while let Some(row) = rows.next()? {
                settings.push(read(row)?);
            }
            Ok(settings)
        }))
    }
}

pub(super) fn by_name(
    connection: &Connection,
    name: &str,
) -> Result<Option<SettingRow>, WorkError> {
    let mut statement = connection.prepare_cached("SELECT * FROM settings WHERE name = ?1")?;
    let mut rows = statement.query([name])?;
    rows.next()?.map(read).transpose()
}

pub(super) fn put(transaction: &Transaction<'_>, row: &SettingRow) -> Result<(), WorkError> {
    transaction
        .prepare_cached(
            "INSERT INTO settings (name, value, updated_at, updated_by) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at, \
             updated_by = excluded.updated_by",
        )?
        .execute(params![
            row.name,
            row.value.to_string(),
            integer(row.updated_at.0),
            row.updated_by,
        ])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<SettingRow, WorkError> {
    Ok(SettingRow {
        name: row.get("name")?,
        value: parse_json(&row.get::<_, String>("value")?, TABLE, "value")?,
        updated_at: time(row, "updated_at")?,
        updated_by: row.get("updated_by")?,
        as_read: AsRead::at(time(row, "updated_at")?),
    })
}
