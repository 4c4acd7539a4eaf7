//! Statements on `tenants`.

use deadpool_postgres::GenericClient;
use serde_json::{Map, Value};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use trunkline_actors::ids::{OrganisationId, UserId};
use trunkline_actors::ports::BoxFuture;

use super::Postgres;
use super::convert::{limit, terms, time, whole};
use super::keys::counted;
use super::pool::WorkError;
use super::spend_reports::rows_exactly;
use crate::storage::books::integer;
use crate::storage::reports::statement::Dialect;
use crate::storage::tenants::MOST_MEMBERSHIPS;
use crate::storage::tenants::REPLACE;
use crate::storage::{
    AsRead, StorageError, TenantFilter, TenantKind, TenantPage, TenantRow, TenantStore,
};

const COLUMNS: &str = "kind, id, alias, email, role, organization_id, budget_id, blocked, models, max_budget, rpm_limit, \
     tpm_limit, max_parallel, terms, settings, created_at, created_by, updated_at";

impl TenantStore for Postgres {
    fn by_id(
        &self,
        kind: TenantKind,
        id: String,
    ) -> BoxFuture<'_, Result<Option<TenantRow>, StorageError>> {
        Box::pin(self.connections.read("read a tenant", move |client| {
            Box::pin(async move { by_id(client, kind, &id).await })
        }))
    }

    fn by_ids(
        &self,
        kind: TenantKind,
        ids: Vec<String>,
    ) -> BoxFuture<'_, Result<Vec<TenantRow>, StorageError>> {
        Box::pin(self.connections.read("read tenants", move |client| {
            Box::pin(async move {
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                by_ids(client, kind, &ids).await
            })
        }))
    }

    fn memberships(
        &self,
        kind: TenantKind,
        user: UserId,
    ) -> BoxFuture<'_, Result<Vec<TenantRow>, StorageError>> {
        Box::pin(self.connections.read("read memberships", move |client| {
            Box::pin(async move { memberships(client, kind, &user).await })
        }))
    }

    fn count(
        &self,
        kind: TenantKind,
        filter: TenantFilter,
    ) -> BoxFuture<'_, Result<u64, StorageError>> {
        Box::pin(self.connections.read("count tenants", move |client| {
            Box::pin(async move { counted(client, &filter.count(kind, Dialect::Postgres)).await })
        }))
    }

    fn list(&self, page: TenantPage) -> BoxFuture<'_, Result<Vec<TenantRow>, StorageError>> {
        Box::pin(self.connections.read("list tenants", move |client| {
            Box::pin(async move { list(client, &page).await })
        }))
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

/// `known` is what happens to one that is stored already. Answers whether anything was written.
pub(super) async fn insert(
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

pub(super) async fn by_id(
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

/// Those of that kind with those ids.
pub(super) async fn by_ids(
    client: &impl GenericClient,
    kind: TenantKind,
    ids: &[&str],
) -> Result<Vec<TenantRow>, WorkError> {
    let statement = client
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM trunkline.tenants WHERE kind = $1 AND id = ANY($2) ORDER BY id"
        ))
        .await?;
    let rows = client.query(&statement, &[&kind.as_str(), &ids]).await?;
    collect(kind, &rows)
}

async fn memberships(
    client: &impl GenericClient,
    kind: TenantKind,
    user: &UserId,
) -> Result<Vec<TenantRow>, WorkError> {
    let statement = client
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM trunkline.tenants WHERE kind = $1 AND substr(id, strpos(id, ':') + 1) = $2 \
             ORDER BY id LIMIT $3"
        ))
        .await?;
    let most = i64::from(MOST_MEMBERSHIPS);
    let rows = client
        .query(&statement, &[&kind.as_str(), &user.as_str(), &most])
        .await?;
    collect(kind, &rows)
}

async fn list(client: &impl GenericClient, page: &TenantPage) -> Result<Vec<TenantRow>, WorkError> {
    let rows = rows_exactly(client, &page.statement(Dialect::Postgres, COLUMNS)).await?;
    collect(page.kind, &rows)
}

fn collect(kind: TenantKind, rows: &[Row]) -> Result<Vec<TenantRow>, WorkError> {
    let tenants = rows.iter().map(|row| read(kind, row));
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
        as_read: AsRead::at(time(row, "updated_at")?),
    })
}
