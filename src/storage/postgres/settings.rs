//! Statements on `settings`.

use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use trunkline_actors::ports::BoxFuture;

use super::Postgres;
use super::convert::time;
use super::pool::WorkError;
use crate::storage::books::integer;
use crate::storage::{AsRead, SettingRow, SettingStore, StorageError};

const COLUMNS: &str = "name, value, updated_at, updated_by";

impl SettingStore for Postgres {
    fn all(&self) -> BoxFuture<'_, Result<Vec<SettingRow>, StorageError>> {
        Box::pin(self.connections.read("read the settings", |client| {
            Box::pin(async move {
                let statement = client
                    .prepare_cached(&format!(
                        "SELECT {COLUMNS} FROM trunkline.settings ORDER BY name"
                    ))
                    .await?;
                let rows = client.query(&statement, &[]).await?;
                Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
            })
        }))
    }
}

pub(super) async fn by_name(
    client: &impl GenericClient,
    name: &str,
) -> Result<Option<SettingRow>, WorkError> {
    let statement = client
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM trunkline.settings WHERE name = $1"
        ))
        .await?;
    let found = client.query_opt(&statement, &[&name]).await?;
    Ok(found.as_ref().map(read).transpose()?)
}

pub(super) async fn put(transaction: &Transaction<'_>, row: &SettingRow) -> Result<(), WorkError> {
    let statement = transaction
        .prepare_cached(&format!(
            "INSERT INTO trunkline.settings ({COLUMNS}) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at, \
             updated_by = excluded.updated_by"
        ))
        .await?;
    transaction
        .execute(
            &statement,
            &[
                &row.name,
                &Json(&row.value),
                &integer(row.updated_at.0),
                &row.updated_by,
            ],
        )
        .await?;
    Ok(())
}

fn read(row: &Row) -> Result<SettingRow, tokio_postgres::Error> {
    let Json(value) = row.try_get("value")?;
    Ok(SettingRow {
        name: row.try_get("name")?,
        value,
        updated_at: time(row, "updated_at")?,
        updated_by: row.try_get("updated_by")?,
        as_read: AsRead::at(time(row, "updated_at")?),
    })
}
