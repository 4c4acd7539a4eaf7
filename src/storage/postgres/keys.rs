//! Statements on `virtual_keys`.

use deadpool_postgres::{GenericClient, Transaction};
use serde_json::{Map, Value};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Json;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, OrganisationId, TeamId, UserId};
use trunkline_actors::ports::BoxFuture;

use super::Postgres;
use super::convert::{limit, terms, time, unsigned, whole};
use super::pool::WorkError;
use super::spend_reports::rows_exactly;
use crate::storage::books::integer;
use crate::storage::changes::REPLACE_KEY;
use crate::storage::reports::statement::{Dialect, Statement};
use crate::storage::{
    AsRead, FoundKey, KeyFilter, KeyPage, KeyRow, KeyStore, Rotation, StorageError,
};

const COLUMNS: &str = "id, key_name, alias, user_id, team_id, organization_id, budget_id, models, max_budget, rpm_limit, \
     tpm_limit, max_parallel, terms, expires_at, blocked, metadata, settings, created_at, created_by, updated_at, rotation_interval, \
     rotation_due_at, rotation_count, last_rotation_at";

const VALUES: &str = "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, \
     $23, $24)";

/// A key that has another secret than its first is found by that one alone.
const BY_SECRET: &str = "SELECT k.*, NULL::bigint AS secret_until FROM trunkline.virtual_keys AS k WHERE k.id = $1 \
     AND NOT EXISTS (SELECT FROM trunkline.key_secrets AS s WHERE s.key_id = k.id) \
     UNION ALL \
     SELECT k.*, s.expires_at AS secret_until FROM trunkline.key_secrets AS s \
     JOIN trunkline.virtual_keys AS k ON k.id = s.key_id \
     WHERE s.hash = $1 AND (s.expires_at IS NULL OR s.expires_at > $2) LIMIT 1";

impl KeyStore for Postgres {
    fn by_id(&self, id: KeyId) -> BoxFuture<'_, Result<Option<KeyRow>, StorageError>> {
        Box::pin(self.connections.read("read a virtual key", move |client| {
            Box::pin(async move { by_id(client, &id).await })
        }))
    }

    fn by_secret(
        &self,
        hash: KeyId,
        now: UnixMs,
    ) -> BoxFuture<'_, Result<Option<FoundKey>, StorageError>> {
        Box::pin(
            self.connections
                .read("look a virtual key up", move |client| {
                    Box::pin(async move {
                        let statement = client.prepare_cached(BY_SECRET).await?;
                        let found = client
                            .query_opt(&statement, &[&hash.as_str(), &integer(now.0)])
                            .await?;
                        let found = found.as_ref().map(|row| {
                            Ok::<_, tokio_postgres::Error>(FoundKey {
                                until: unsigned(row, "secret_until")?.map(UnixMs),
                                row: read(row)?,
                            })
                        });
                        Ok(found.transpose()?)
                    })
                }),
        )
    }

    fn count(&self, filter: KeyFilter) -> BoxFuture<'_, Result<u64, StorageError>> {
        Box::pin(self.connections.read("count virtual keys", move |client| {
            Box::pin(async move { counted(client, &filter.count(Dialect::Postgres)).await })
        }))
    }

    fn list(&self, page: KeyPage) -> BoxFuture<'_, Result<Vec<KeyRow>, StorageError>> {
        Box::pin(self.connections.read("list virtual keys", move |client| {
            Box::pin(async move { list(client, &page).await })
        }))
    }
}

async fn list(client: &impl GenericClient, page: &KeyPage) -> Result<Vec<KeyRow>, WorkError> {
    let rows = rows_exactly(client, &page.statement(Dialect::Postgres, COLUMNS)).await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// The keys with those ids.
pub(super) async fn by_ids(
    client: &impl GenericClient,
    ids: &[&str],
) -> Result<Vec<KeyRow>, WorkError> {
    let statement = client
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM trunkline.virtual_keys WHERE id = ANY($1)"
        ))
        .await?;
    let rows = client.query(&statement, &[&ids]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// Stores the key over what was stored, but for when and by whom it was made.
pub(super) async fn put(transaction: &Transaction<'_>, row: &KeyRow) -> Result<(), WorkError> {
    write(transaction, row, REPLACE_KEY).await
}

pub(super) async fn insert(transaction: &Transaction<'_>, row: &KeyRow) -> Result<(), WorkError> {
    write(transaction, row, "").await
}

/// The one number that a statement answers with.
pub(super) async fn counted(
    client: &impl GenericClient,
    statement: &Statement,
) -> Result<u64, WorkError> {
    let rows = rows_exactly(client, statement).await?;
    let count: i64 = match rows.first() {
        Some(row) => row.try_get(0)?,
        None => 0,
    };
    Ok(u64::try_from(count).unwrap_or_default())
}

pub(super) async fn by_id(
    client: &impl GenericClient,
    id: &KeyId,
) -> Result<Option<KeyRow>, WorkError> {
    let statement = client
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM trunkline.virtual_keys WHERE id = $1"
        ))
        .await?;
    let found = client.query_opt(&statement, &[&id.as_str()]).await?;
    Ok(found.as_ref().map(read).transpose()?)
}

/// `known` is what happens to one that is stored already.
async fn write(
    transaction: &Transaction<'_>,
    row: &KeyRow,
    known: &'static str,
) -> Result<(), WorkError> {
    let statement = transaction
        .prepare_cached(&format!(
            "INSERT INTO trunkline.virtual_keys ({COLUMNS}) {VALUES} {known}"
        ))
        .await?;
    let written = transaction
        .execute(
            &statement,
            &[
                &row.id.as_str(),
                &row.key_name,
                &row.alias,
                &row.user.as_ref().map(UserId::as_str),
                &row.team.as_ref().map(TeamId::as_str),
                &row.organisation.as_ref().map(OrganisationId::as_str),
                &row.budget_id,
                &Json(&row.models),
                &limit("max_budget", row.terms.max_budget)?,
                &whole(row.terms.rpm_limit),
                &whole(row.terms.tpm_limit),
                &whole(row.terms.max_parallel_requests),
                &Json(&row.terms),
                &row.expires_at.map(|at| integer(at.0)),
                &row.blocked,
                &Json(&row.metadata),
                &Json(&row.settings),
                &integer(row.created_at.0),
                &row.created_by,
                &integer(row.updated_at.0),
                &row.rotation.interval,
                &row.rotation.due_at.map(|at| integer(at.0)),
                &integer(row.rotation.count),
                &row.rotation.last_at.map(|at| integer(at.0)),
            ],
        )
        .await;
    written
        .map(drop)
        .map_err(|err| taken(&err, row).map_or(WorkError::Driver(err), WorkError::Storage))
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
    let Json(settings): Json<Map<String, Value>> = row.try_get("settings")?;
    Ok(KeyRow {
        id: KeyId::from(id),
        key_name: row.try_get("key_name")?,
        alias: row.try_get("alias")?,
        user: user.map(UserId::from),
        team: row
            .try_get::<_, Option<String>>("team_id")?
            .map(TeamId::from),
        organisation: row
            .try_get::<_, Option<String>>("organization_id")?
            .map(OrganisationId::from),
        budget_id: row.try_get("budget_id")?,
        models,
        terms: terms(row)?,
        expires_at: unsigned(row, "expires_at")?.map(UnixMs),
        rotation: Rotation {
            interval: row.try_get("rotation_interval")?,
            due_at: unsigned(row, "rotation_due_at")?.map(UnixMs),
            count: unsigned(row, "rotation_count")?.unwrap_or_default(),
            last_at: unsigned(row, "last_rotation_at")?.map(UnixMs),
        },
        blocked: row.try_get("blocked")?,
        metadata,
        settings,
        created_at: time(row, "created_at")?,
        created_by: row.try_get("created_by")?,
        updated_at: time(row, "updated_at")?,
        as_read: AsRead::at(time(row, "updated_at")?),
    })
}
