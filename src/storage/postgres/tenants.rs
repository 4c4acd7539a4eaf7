//! Statements on `tenants`.

use deadpool_postgres::GenericClient;
use serde_json::{Map, Value};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use trunkline_actors::ids::OrganisationId;
use trunkline_actors::ports::BoxFuture;

use super::Postgres;
use super::convert::{limit, terms, time, whole};
use super::pool::WorkError;
use crate::storage::books::integer;
use crate::storage::tenants::REPLACE;
use crate::storage::{StorageError, TenantKind, TenantPage, TenantRow, TenantStore};

const COLUMNS: &str = "kind, id, alias, email, role, organization_id, budget_id, blocked, models, max_budget, rpm_limit, \
     tpm_limit, max_parallel, terms, settings, created_at, created_by, updated_at";

impl TenantStore for Postgres {
    fn insert(&self, row: TenantRow) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(
            self.connections
                .write("insert a tenant", move |transaction| {
                    Box::pin(async move {
                        if insert(transaction, &row, "DO NOTHING").await? {
                            return Ok(());
                        }
                        Err(WorkError::Storage(StorageError::AlreadyExists {
                            what: row.kind.as_str(),
                            id: row.id,
                        }))
                    })
                }),
        )
    }

    fn ensure(&self, row: TenantRow) -> BoxFuture<'_, Result<TenantRow, StorageError>> {
        Box::pin(
            self.connections
                .write("store a tenant", move |transaction| {
                    Box::pin(async move {
                        insert(transaction, &row, "DO NOTHING").await?;
                        let stored = by_id(transaction, row.kind, &row.id).await?;
                        Ok(stored.unwrap_or(row))
                    })
                }),
        )
    }

    fn put(&self, row: TenantRow) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(
            self.connections
                .write("change a tenant", move |transaction| {
                    Box::pin(async move { put(transaction, &row).await })
                }),
        )
    }

    fn by_id(
        &self,
        kind: TenantKind,
        id: String,
    ) -> BoxFuture<'_, Result<Option<TenantRow>, StorageError>> {
        Box::pin(self.connections.read("read a tenant", move |client| {
            Box::pin(async move { by_id(client, kind, &id).await })
        }))
    }

    fn list(&self, page: TenantPage) -> BoxFuture<'_, Result<Vec<TenantRow>, StorageError>> {
        Box::pin(self.connections.read("list tenants", move |client| {
            Box::pin(async move { list(client, &page).await })
        }))
    }

    fn delete(
        &self,
        kind: TenantKind,
        ids: Vec<String>,
    ) -> BoxFuture<'_, Result<Vec<String>, StorageError>> {
        Box::pin(
            self.connections
                .write("delete tenants", move |transaction| {
                    Box::pin(async move {
                        let statement = transaction
                            .prepare_cached(
                                "DELETE FROM trunkline.tenants WHERE kind = $1 AND id = ANY($2) RETURNING id",
                            )
                            .await?;
                        let deleted = transaction
                            .query(&statement, &[&kind.as_str(), &ids])
                            .await?;
                        let deleted = deleted.iter().map(|row| row.try_get(0));
                        Ok(deleted.collect::<Result<_, _>>()?)
                    })
                }),
        )
    }

    fn any(&self, kind: TenantKind) -> BoxFuture<'_, Result<bool, StorageError>> {
        Box::pin(self.connections.read("look for tenants", move |client| {
            Box::pin(async move {
                let statement = client
                    .prepare_cached("SELECT EXISTS (SELECT FROM trunkline.tenants WHERE kind = $1)")
                    .await?;
                let found = client.query_one(&statement, &[&kind.as_str()]).await?;
                Ok(found.try_get(0)?)
            })
        }))
    }
}

/// Stores it over what was stored, but for when and by whom it was made.
pub(super) async fn put(client: &impl GenericClient, row: &TenantRow) -> Result<(), WorkError> {
    insert(client, row, REPLACE).await.map(drop)
}

/// Those of that kind with those ids.
pub(super) async fn by_ids(
    client: &impl GenericClient,
    kind: TenantKind,
    ids: &[&str],
) -> Result<Vec<TenantRow>, WorkError> {
    let statement = client
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM trunkline.tenants WHERE kind = $1 AND id = ANY($2)"
        ))
        .await?;
    let rows = client.query(&statement, &[&kind.as_str(), &ids]).await?;
    Ok(rows
        .iter()
        .map(|row| read(kind, row))
        .collect::<Result<_, _>>()?)
}

/// `known` is what happens to one that is stored already. Answers whether anything was written.
async fn insert(
    client: &impl GenericClient,
    row: &TenantRow,
    known: &'static str,
) -> Result<bool, WorkError> {
    let statement = client
        .prepare_cached(&format!(
            "INSERT INTO trunkline.tenants ({COLUMNS}) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
             ON CONFLICT (kind, id) {known}"
        ))
        .await?;
    let written = client
        .execute(
            &statement,
            &[
                &row.kind.as_str(),
                &row.id,
                &row.alias,
                &row.email,
                &row.role,
                &row.organisation.as_ref().map(OrganisationId::as_str),
                &row.budget_id,
                &row.blocked,
                &Json(&row.models),
                &limit("max_budget", row.terms.max_budget)?,
                &whole(row.terms.rpm_limit),
                &whole(row.terms.tpm_limit),
                &whole(row.terms.max_parallel_requests),
                &Json(&row.terms),
                &Json(&row.settings),
                &integer(row.created_at.0),
                &row.created_by,
                &integer(row.updated_at.0),
            ],
        )
        .await?;
    Ok(written == 1)
}

async fn by_id(
    client: &impl GenericClient,
    kind: TenantKind,
    id: &str,
) -> Result<Option<TenantRow>, WorkError> {
    let statement = client
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM trunkline.tenants WHERE kind = $1 AND id = $2"
        ))
        .await?;
    let found = client.query_opt(&statement, &[&kind.as_str(), &id]).await?;
    Ok(found.as_ref().map(|row| read(kind, row)).transpose()?)
}

async fn list(client: &impl GenericClient, page: &TenantPage) -> Result<Vec<TenantRow>, WorkError> {
    let after = page.after.as_deref().unwrap_or_default();
    let organisation = page.organisation.as_ref().map(OrganisationId::as_str);
    let statement = client
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM trunkline.tenants WHERE kind = $1 AND id > $2 AND id >= $3 AND starts_with(id, $3) \
             AND ($4::text IS NULL OR organization_id = $4::text) ORDER BY id LIMIT $5"
        ))
        .await?;
    let rows = client
        .query(
            &statement,
            &[
                &page.kind.as_str(),
                &after,
                &page.prefix,
                &organisation,
                &i64::from(page.limit),
            ],
        )
        .await?;
    let tenants = rows.iter().map(|row| read(page.kind, row));
    Ok(tenants.collect::<Result<_, _>>()?)
}

fn read(kind: TenantKind, row: &Row) -> Result<TenantRow, tokio_postgres::Error> {
    let Json(models): Json<Vec<String>> = row.try_get("models")?;
    let Json(settings): Json<Map<String, Value>> = row.try_get("settings")?;
    let organisation: Option<String> = row.try_get("organization_id")?;
    Ok(TenantRow {
        kind,
        id: row.try_get("id")?,
        alias: row.try_get("alias")?,
        email: row.try_get("email")?,
        role: row.try_get("role")?,
        organisation: organisation.map(OrganisationId::from),
        budget_id: row.try_get("budget_id")?,
        blocked: row.try_get("blocked")?,
        models,
        terms: terms(row)?,
        settings,
        created_at: time(row, "created_at")?,
        created_by: row.try_get("created_by")?,
        updated_at: time(row, "updated_at")?,
    })
}
