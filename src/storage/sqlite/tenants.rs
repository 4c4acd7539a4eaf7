//! Statements on `tenants`.

use rusqlite::{Connection, Row, Rows, Transaction, named_params, params, params_from_iter};
use trunkline_actors::ids::{OrganisationId, UserId};
use trunkline_actors::ports::BoxFuture;

use super::Sqlite;
use super::convert::{json, limit, parse_json, terms, time};
use super::keys::counted;
use super::pool::WorkError;
use super::spend_reports::values;
use crate::storage::books::integer;
use crate::storage::reports::statement::Dialect;
use crate::storage::tenants::{MOST_MEMBERSHIPS, REPLACE};
use crate::storage::{
    AsRead, StorageError, TenantFilter, TenantKind, TenantPage, TenantRow, TenantStore,
};

const TABLE: &str = "tenants";

const INSERT: &str = "INSERT INTO tenants (kind, id, alias, email, role, organization_id, budget_id, blocked, models, \
     max_budget, rpm_limit, tpm_limit, max_parallel, terms, settings, created_at, created_by, updated_at) \
     VALUES (:kind, :id, :alias, :email, :role, :organisation, :budget, :blocked, :models, \
     :max_budget, :rpm, :tpm, :parallel, :terms, :settings, :created_at, :created_by, :updated_at) \
     ON CONFLICT (kind, id)";

/// The index is of memberships alone: it is used where the statement says so, whatever the parameter is, and named, because
/// the planner would rather walk along the primary key.
pub(super) const MEMBERSHIPS: &str = "SELECT * FROM tenants INDEXED BY tenants_by_member \
     WHERE kind = ?1 AND kind IN ('team_member', 'organization_member') AND substr(id, instr(id, ':') + 1) = ?2 \
     ORDER BY id LIMIT ?3";

impl TenantStore for Sqlite {
    fn by_id(
        &self,
        kind: TenantKind,
        id: String,
    ) -> BoxFuture<'_, Result<Option<TenantRow>, StorageError>> {
        Box::pin(self.connections.read("read a tenant", move |connection| {
            by_id(connection, kind, &id)
        }))
    }

    fn by_ids(
        &self,
        kind: TenantKind,
        ids: Vec<String>,
    ) -> BoxFuture<'_, Result<Vec<TenantRow>, StorageError>> {
        Box::pin(self.connections.read("read tenants", move |connection| {
            by_ids(connection, kind, &ids)
        }))
    }

    fn memberships(
        &self,
        kind: TenantKind,
        user: UserId,
    ) -> BoxFuture<'_, Result<Vec<TenantRow>, StorageError>> {
        Box::pin(
            self.connections
                .read("read memberships", move |connection| {
                    memberships(connection, kind, &user)
                }),
        )
    }

    fn count(
        &self,
        kind: TenantKind,
        filter: TenantFilter,
    ) -> BoxFuture<'_, Result<u64, StorageError>> {
        Box::pin(self.connections.read("count tenants", move |connection| {
            counted(connection, &filter.count(kind, Dialect::Sqlite))
        }))
    }

    fn list(&self, page: TenantPage) -> BoxFuture<'_, Result<Vec<TenantRow>, StorageError>> {
        Box::pin(
            self.connections
                .read("list tenants", move |connection| list(connection, &page)),
        )
    }

    fn any(&self, kind: TenantKind) -> BoxFuture<'_, Result<bool, StorageError>> {
        Box::pin(
            self.connections
                .read("look for tenants", move |connection| {
                    let mut statement = connection
                        .prepare_cached("SELECT 1 FROM tenants WHERE kind = ?1 LIMIT 1")?;
                    Ok(statement.exists([kind.as_str()])?)
                }),
        )
    }
}

/// Stores it over what was stored, but for when and by whom it was made.
pub(super) fn put(transaction: &Transaction<'_>, row: &TenantRow) -> Result<(), WorkError> {
    insert(transaction, row, REPLACE).map(drop)
}

/// `known` is what happens to one that is stored already. Answers whether anything was written.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    row: &TenantRow,
    known: &'static str,
) -> Result<bool, WorkError> {
    let written = transaction
        .prepare_cached(&format!("{INSERT} {known}"))?
        .execute(named_params! {
            ":kind": row.kind.as_str(),
            ":id": row.id,
            ":alias": row.alias,
            ":email": row.email,
            ":role": row.role,
            ":organisation": row.organisation.as_ref().map(OrganisationId::as_str),
            ":budget": row.budget_id,
            ":blocked": row.blocked,
            ":models": json(&row.models),
            ":max_budget": limit("max_budget", row.terms.max_budget)?,
            ":rpm": row.terms.rpm_limit.map(integer),
            ":tpm": row.terms.tpm_limit.map(integer),
            ":parallel": row.terms.max_parallel_requests.map(integer),
            ":terms": json(&row.terms),
            ":settings": json(&row.settings),
            ":created_at": integer(row.created_at.0),
            ":created_by": row.created_by,
            ":updated_at": integer(row.updated_at.0),
        })?;
    Ok(written == 1)
}

pub(super) fn by_id(
    connection: &Connection,
    kind: TenantKind,
    id: &str,
) -> Result<Option<TenantRow>, WorkError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM tenants WHERE kind = ?1 AND id = ?2")?;
    let mut rows = statement.query([kind.as_str(), id])?;
    rows.next()?.map(|row| read(kind, row)).transpose()
}

fn by_ids(
    connection: &Connection,
    kind: TenantKind,
    ids: &[String],
) -> Result<Vec<TenantRow>, WorkError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM tenants WHERE kind = ?1 AND id IN (SELECT value FROM json_each(?2)) ORDER BY id",
    )?;
    collect(kind, statement.query(params![kind.as_str(), json(&ids)])?)
}

fn memberships(
    connection: &Connection,
    kind: TenantKind,
    user: &UserId,
) -> Result<Vec<TenantRow>, WorkError> {
    let mut statement = connection.prepare_cached(MEMBERSHIPS)?;
    let rows = statement.query(params![kind.as_str(), user.as_str(), MOST_MEMBERSHIPS])?;
    collect(kind, rows)
}

fn list(connection: &Connection, page: &TenantPage) -> Result<Vec<TenantRow>, WorkError> {
    let statement = page.statement(Dialect::Sqlite, "*");
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    let rows = prepared.query(params_from_iter(values(&statement.args)))?;
    collect(page.kind, rows)
}

fn collect(kind: TenantKind, mut rows: Rows<'_>) -> Result<Vec<TenantRow>, WorkError> {
    let mut tenants = Vec::new();
    while let Some(row) = rows.next()? {
        tenants.push(read(kind, row)?);
    }
    Ok(tenants)
}

fn read(kind: TenantKind, row: &Row<'_>) -> Result<TenantRow, WorkError> {
    let models: String = row.get("models")?;
    let settings: String = row.get("settings")?;
    let organisation: Option<String> = row.get("organization_id")?;
    Ok(TenantRow {
        kind,
        id: row.get("id")?,
        alias: row.get("alias")?,
        email: row.get("email")?,
        role: row.get("role")?,
        organisation: organisation.map(OrganisationId::from),
        budget_id: row.get("budget_id")?,
        blocked: row.get("blocked")?,
        models: parse_json(&models, TABLE, "models")?,
        terms: terms(row, TABLE)?,
        settings: parse_json(&settings, TABLE, "settings")?,
        created_at: time(row, "created_at")?,
        created_by: row.get("created_by")?,
        updated_at: time(row, "updated_at")?,
        as_read: AsRead::at(time(row, "updated_at")?),
    })
}
