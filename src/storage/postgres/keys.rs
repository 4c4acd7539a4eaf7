//! Statements on `virtual_keys`.

use deadpool_postgres::{GenericClient, Transaction};
use serde_json::{Map, Value};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Json;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, UserId};
use trunkline_actors::ports::BoxFuture;

use super::Postgres;
use super::convert::{limit, money, time, unsigned, whole};
use super::pool::WorkError;
use crate::storage::books::integer;
use crate::storage::{KeyPage, KeyRow, KeyStore, StorageError};

const COLUMNS: &str = "id, key_name, alias, user_id, models, max_budget, rpm_limit, tpm_limit, max_parallel, \
     expires_at, blocked, metadata, created_at, created_by";

impl KeyStore for Postgres {
    fn insert(&self, row: KeyRow) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(
            self.connections
                .write("insert a virtual key", move |transaction| {
                    Box::pin(async move { insert(transaction, &row).await })
                }),
        )
    }

    fn by_id(&self, id: KeyId) -> BoxFuture<'_, Result<Option<KeyRow>, StorageError>> {
        Box::pin(self.connections.read("read a virtual key", move |client| {
            Box::pin(async move {
                let statement = client
                    .prepare_cached(&format!(
                        "SELECT {COLUMNS} FROM trunkline.virtual_keys WHERE id = $1"
                    ))
                    .await?;
                let found = client.query_opt(&statement, &[&id.as_str()]).await?;
                Ok(found.as_ref().map(read).transpose()?)
            })
        }))
    }

    fn list(&self, page: KeyPage) -> BoxFuture<'_, Result<Vec<KeyRow>, StorageError>> {
        Box::pin(self.connections.read("list virtual keys", move |client| {
            Box::pin(async move { list(client, &page).await })
        }))
    }
}

async fn list(client: &impl GenericClient, page: &KeyPage) -> Result<Vec<KeyRow>, WorkError> {
    let after = page.after.as_ref().map_or("", KeyId::as_str);
    let limit = i64::from(page.limit);
    let rows = if let Some(user) = &page.user {
        let statement = client
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM trunkline.virtual_keys WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3"
            ))
            .await?;
        client
            .query(&statement, &[&user.as_str(), &after, &limit])
            .await?
    } else {
        let statement = client
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM trunkline.virtual_keys WHERE id > $1 ORDER BY id LIMIT $2"
            ))
            .await?;
        client.query(&statement, &[&after, &limit]).await?
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

async fn insert(transaction: &Transaction<'_>, row: &KeyRow) -> Result<(), WorkError> {
    let statement = transaction
        .prepare_cached(&format!(
            "INSERT INTO trunkline.virtual_keys ({COLUMNS}) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
        ))
        .await?;
    let inserted = transaction
        .execute(
            &statement,
            &[
                &row.id.as_str(),
                &row.key_name,
                &row.alias,
                &row.user.as_ref().map(UserId::as_str),
                &Json(&row.models),
                &limit("max_budget", row.max_budget)?,
                &whole(row.rpm_limit),
                &whole(row.tpm_limit),
                &whole(row.max_parallel_requests),
                &row.expires_at.map(|at| integer(at.0)),
                &row.blocked,
                &Json(&row.metadata),
                &integer(row.created_at.0),
                &row.created_by,
            ],
        )
        .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(err) => Err(taken(&err, row).map_or(WorkError::Driver(err), WorkError::Storage)),
    }
}

/// The id is the table's primary key, the alias its only other unique column.
fn taken(err: &tokio_postgres::Error, row: &KeyRow) -> Option<StorageError> {
    let refused = err.as_db_error()?;
    if *refused.code() != SqlState::UNIQUE_VIOLATION {
        return None;
    }
    Some(if refused.constraint() == Some("virtual_keys_pkey") {
        StorageError::AlreadyExists {
            what: "virtual key",
            id: row.key_name.clone(),
        }
    } else {
        StorageError::AlreadyExists {
            what: "key alias",
            id: row.alias.clone().unwrap_or_default(),
        }
    })
}

fn read(row: &Row) -> Result<KeyRow, tokio_postgres::Error> {
    let id: String = row.try_get("id")?;
    let user: Option<String> = row.try_get("user_id")?;
    let Json(models): Json<Vec<String>> = row.try_get("models")?;
    let Json(metadata): Json<Map<String, Value>> = row.try_get("metadata")?;
    Ok(KeyRow {
        id: KeyId::from(id),
        key_name: row.try_get("key_name")?,
        alias: row.try_get("alias")?,
        user: user.map(UserId::from),
        models,
        max_budget: money(row, "max_budget")?,
        rpm_limit: unsigned(row, "rpm_limit")?,
        tpm_limit: unsigned(row, "tpm_limit")?,
        max_parallel_requests: unsigned(row, "max_parallel")?,
        expires_at: unsigned(row, "expires_at")?.map(UnixMs),
        blocked: row.try_get("blocked")?,
        metadata,
        created_at: time(row, "created_at")?,
        created_by: row.try_get("created_by")?,
    })
}
