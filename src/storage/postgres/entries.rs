//! Statements on `entries`.

use deadpool_postgres::{GenericClient, Transaction};
use serde_json::{Map, Value};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use trunkline_actors::ports::BoxFuture;

use super::Postgres;
use super::convert::time;
use super::pool::WorkError;
use crate::storage::books::integer;
use crate::storage::entries::REPLACE;
use crate::storage::{AsRead, EntryKind, EntryRow, EntryStore, StorageError};

const COLUMNS: &str =
    "kind, id, name, params, info, blocked, created_at, created_by, updated_at, updated_by";

impl EntryStore for Postgres {
    fn by_id(
        &self,
        kind: EntryKind,
        id: String,
    ) -> BoxFuture<'_, Result<Option<EntryRow>, StorageError>> {
        Box::pin(self.connections.read("read an entry", move |client| {
            Box::pin(async move { by_id(client, kind, &id).await })
        }))
    }

    fn all(&self) -> BoxFuture<'_, Result<Vec<EntryRow>, StorageError>> {
        Box::pin(self.connections.read("read the entries", |client| {
            Box::pin(async move {
                let statement = client
                    .prepare_cached(&format!(
                        "SELECT {COLUMNS} FROM trunkline.entries ORDER BY created_at, kind, id"
                    ))
                    .await?;
                let rows = client.query(&statement, &[]).await?;
                Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
            })
        }))
    }
}

pub(super) async fn by_id(
    client: &impl GenericClient,
    kind: EntryKind,
    id: &str,
) -> Result<Option<EntryRow>, WorkError> {
    Ok(by_ids(client, kind, &[id]).await?.pop())
}

pub(super) async fn by_ids(
    client: &impl GenericClient,
    kind: EntryKind,
    ids: &[&str],
) -> Result<Vec<EntryRow>, WorkError> {
    let statement = client
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM trunkline.entries WHERE kind = $1 AND id = ANY($2)"
        ))
        .await?;
    let rows = client.query(&statement, &[&kind.as_str(), &ids]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// False: there is one of that id, and it stays.
pub(super) async fn insert(
    transaction: &Transaction<'_>,
    row: &EntryRow,
) -> Result<bool, WorkError> {
    write(transaction, row, "NOTHING").await
}

/// Stores the entry over what was stored, but for when and by whom it was made.
pub(super) async fn put(transaction: &Transaction<'_>, row: &EntryRow) -> Result<(), WorkError> {
    write(transaction, row, REPLACE).await.map(drop)
}

pub(super) async fn delete(
    transaction: &Transaction<'_>,
    kind: EntryKind,
    id: &str,
) -> Result<(), WorkError> {
    let statement = transaction
        .prepare_cached("DELETE FROM trunkline.entries WHERE kind = $1 AND id = $2")
        .await?;
    transaction
        .execute(&statement, &[&kind.as_str(), &id])
        .await?;
    Ok(())
}

/// `known` is what happens to one that is stored already.
async fn write(
    transaction: &Transaction<'_>,
    row: &EntryRow,
    known: &'static str,
) -> Result<bool, WorkError> {
    let statement = transaction
        .prepare_cached(&format!(
            "INSERT INTO trunkline.entries ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (kind, id) DO {known}"
        ))
        .await?;
    let written = transaction
        .execute(
            &statement,
            &[
                &row.kind.as_str(),
                &row.id,
                &row.name,
                &Json(&row.params),
                &Json(&row.info),
                &row.blocked,
                &integer(row.created_at.0),
                &row.created_by,
                &integer(row.updated_at.0),
                &row.updated_by,
            ],
        )
        .await?;
    Ok(written > 0)
}

fn read(row: &Row) -> Result<EntryRow, tokio_postgres::Error> {
    let Json(params): Json<Map<String, Value>> = row.try_get("params")?;
    let Json(info): Json<Map<String, Value>> = row.try_get("info")?;
    Ok(EntryRow {
        kind: EntryKind::read(row.try_get("kind")?),
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        params,
        info,
        blocked: row.try_get("blocked")?,
        created_at: time(row, "created_at")?,
        created_by: row.try_get("created_by")?,
        updated_at: time(row, "updated_at")?,
        updated_by: row.try_get("updated_by")?,
        as_read: AsRead::at(time(row, "updated_at")?),
    })
}
