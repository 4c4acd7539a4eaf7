//! Statements on `virtual_keys`.

use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{Connection, Row, Transaction, named_params, params_from_iter};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, OrganisationId, TeamId, UserId};
use trunkline_actors::ports::BoxFuture;

use super::Sqlite;
use super::convert::{json, limit, parse_json, terms, time, unsigned};
use super::pool::WorkError;
use super::spend_reports::values;
use crate::storage::books::integer;
use crate::storage::changes::REPLACE_KEY;
use crate::storage::reports::statement::{Dialect, Statement};
use crate::storage::{
    AsRead, FoundKey, KeyFilter, KeyPage, KeyRow, KeyStore, Rotation, StorageError,
};

const TABLE: &str = "virtual_keys";

const INSERT: &str = "INSERT INTO virtual_keys (id, key_name, alias, user_id, team_id, organization_id, budget_id, models, \
     max_budget, rpm_limit, tpm_limit, max_parallel, terms, expires_at, blocked, metadata, settings, created_at, \
     created_by, updated_at, rotation_interval, rotation_due_at, rotation_count, last_rotation_at) \
     VALUES (:id, :key_name, :alias, :user, :team, :organisation, :budget, :models, :max_budget, :rpm, :tpm, :parallel, \
     :terms, :expires_at, :blocked, :metadata, :settings, :created_at, :created_by, :updated_at, :rotation_interval, \
     :rotation_due_at, :rotation_count, :last_rotation_at)";

/// A key that has another secret than its first is found by that one alone.
const BY_SECRET: &str = "SELECT k.*, NULL AS secret_until FROM virtual_keys AS k WHERE k.id = ?1 \
     AND NOT EXISTS (SELECT 1 FROM key_secrets AS s WHERE s.key_id = k.id) \
     UNION ALL \
     SELECT k.*, s.expires_at AS secret_until FROM key_secrets AS s JOIN virtual_keys AS k ON k.id = s.key_id \
     WHERE s.hash = ?1 AND (s.expires_at IS NULL OR s.expires_at > ?2) LIMIT 1";

impl KeyStore for Sqlite {
    fn by_id(&self, id: KeyId) -> BoxFuture<'_, Result<Option<KeyRow>, StorageError>> {
        Box::pin(
            self.connections
                .read("read a virtual key", move |connection| {
                    by_id(connection, &id)
                }),
        )
    }

    fn by_secret(
        &self,
        hash: KeyId,
        now: UnixMs,
    ) -> BoxFuture<'_, Result<Option<FoundKey>, StorageError>> {
        Box::pin(
            self.connections
                .read("look a virtual key up", move |connection| {
                    let mut statement = connection.prepare_cached(BY_SECRET)?;
                    let mut rows = statement.query((hash.as_str(), integer(now.0)))?;
                    let Some(row) = rows.next()? else {
                        return Ok(None);
                    };
                    Ok(Some(FoundKey {
                        until: unsigned(row, "secret_until")?.map(UnixMs),
                        row: read(row)?,
                    }))
                }),
        )
    }

    fn count(&self, filter: KeyFilter) -> BoxFuture<'_, Result<u64, StorageError>> {
        Box::pin(
            self.connections
                .read("count virtual keys", move |connection| {
                    counted(connection, &filter.count(Dialect::Sqlite))
                }),
        )
    }

    fn list(&self, page: KeyPage) -> BoxFuture<'_, Result<Vec<KeyRow>, StorageError>> {
        Box::pin(
            self.connections
                .read("list virtual keys", move |connection| {
                    let statement = page.statement(Dialect::Sqlite, "*");
                    let mut prepared = connection.prepare_cached(&statement.sql)?;
                    let mut rows = prepared.query(params_from_iter(values(&statement.args)))?;
                    let mut keys = Vec::new();
                    while let Some(row) = rows.next()? {
                        keys.push(read(row)?);
                    }
                    Ok(keys)
                }),
        )
    }
}

/// The one number that a statement answers with.
pub(super) fn counted(connection: &Connection, statement: &Statement) -> Result<u64, WorkError> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    let count: i64 =
        prepared.query_row(params_from_iter(values(&statement.args)), |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

pub(super) fn by_id(connection: &Connection, id: &KeyId) -> Result<Option<KeyRow>, WorkError> {
    let mut statement = connection.prepare_cached("SELECT * FROM virtual_keys WHERE id = ?1")?;
    let mut rows = statement.query([id.as_str()])?;
    rows.next()?.map(read).transpose()
}

/// Stores the key over what was stored, but for when and by whom it was made.
pub(super) fn put(transaction: &Transaction<'_>, row: &KeyRow) -> Result<(), WorkError> {
    write(transaction, row, REPLACE_KEY)
}

pub(super) fn insert(transaction: &Transaction<'_>, row: &KeyRow) -> Result<(), WorkError> {
    write(transaction, row, "")
}

/// `known` is what happens to one that is stored already.
fn write(
    transaction: &Transaction<'_>,
    row: &KeyRow,
    known: &'static str,
) -> Result<(), WorkError> {
    let mut statement = transaction.prepare_cached(&format!("{INSERT} {known}"))?;
    let written = statement.execute(named_params! {
        ":id": row.id.as_str(),
        ":key_name": row.key_name,
        ":alias": row.alias,
        ":user": row.user.as_ref().map(UserId::as_str),
        ":team": row.team.as_ref().map(TeamId::as_str),
        ":organisation": row.organisation.as_ref().map(OrganisationId::as_str),
        ":budget": row.budget_id,
        ":models": json(&row.models),
        ":max_budget": limit("max_budget", row.terms.max_budget)?,
        ":rpm": row.terms.rpm_limit.map(integer),
        ":tpm": row.terms.tpm_limit.map(integer),
        ":parallel": row.terms.max_parallel_requests.map(integer),
        ":terms": json(&row.terms),
        ":expires_at": row.expires_at.map(|at| integer(at.0)),
        ":blocked": row.blocked,
        ":metadata": json(&row.metadata),
        ":settings": json(&row.settings),
        ":created_at": integer(row.created_at.0),
        ":created_by": row.created_by,
        ":updated_at": integer(row.updated_at.0),
        ":rotation_interval": row.rotation.interval,
        ":rotation_due_at": row.rotation.due_at.map(|at| integer(at.0)),
        ":rotation_count": integer(row.rotation.count),
        ":last_rotation_at": row.rotation.last_at.map(|at| integer(at.0)),
    });
    written
        .map(drop)
        .map_err(|err| taken(&err, row).map_or(WorkError::Driver(err), WorkError::Storage))
}

/// The id is the table's primary key, the alias its only other unique column.
fn taken(err: &rusqlite::Error, row: &KeyRow) -> Option<StorageError> {
    match err.sqlite_error()?.extended_code {
        SQLITE_CONSTRAINT_PRIMARYKEY => Some(StorageError::AlreadyExists {
            what: "virtual key",
            id: row.key_name.clone(),
        }),
        SQLITE_CONSTRAINT_UNIQUE => Some(StorageError::AlreadyExists {
            what: "key alias",
            id: row.alias.clone().unwrap_or_default(),
        }),
        _ => None,
    }
}

fn read(row: &Row<'_>) -> Result<KeyRow, WorkError> {
    let id: String = row.get("id")?;
    let user: Option<String> = row.get("user_id")?;
    let models: String = row.get("models")?;
    let metadata: String = row.get("metadata")?;
    Ok(KeyRow {
        id: KeyId::from(id),
        key_name: row.get("key_name")?,
        alias: row.get("alias")?,
        user: user.map(UserId::from),
        team: row.get::<_, Option<String>>("team_id")?.map(TeamId::from),
        organisation: row
            .get::<_, Option<String>>("organization_id")?
            .map(OrganisationId::from),
        budget_id: row.get("budget_id")?,
        models: parse_json(&models, TABLE, "models")?,
        terms: terms(row, TABLE)?,
        expires_at: unsigned(row, "expires_at")?.map(UnixMs),
        rotation: Rotation {
            interval: row.get("rotation_interval")?,
            due_at: unsigned(row, "rotation_due_at")?.map(UnixMs),
            count: unsigned(row, "rotation_count")?.unwrap_or_default(),
            last_at: unsigned(row, "last_rotation_at")?.map(UnixMs),
        },
        blocked: row.get("blocked")?,
        metadata: parse_json(&metadata, TABLE, "metadata")?,
        settings: parse_json(&row.get::<_, String>("settings")?, TABLE, "settings")?,
        created_at: time(row, "created_at")?,
        created_by: row.get("created_by")?,
        updated_at: time(row, "updated_at")?,
        as_read: AsRead::at(time(row, "updated_at")?),
    })
}
