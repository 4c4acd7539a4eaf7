//! Statements on `virtual_keys`.

use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{Row, Transaction, named_params};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, UserId};
use trunkline_actors::ports::BoxFuture;

use super::Sqlite;
use super::convert::{json, limit, money, parse_json, time, unsigned};
use super::pool::WorkError;
use crate::storage::books::integer;
use crate::storage::{KeyPage, KeyRow, KeyStore, StorageError};

const TABLE: &str = "virtual_keys";

impl KeyStore for Sqlite {
    fn insert(&self, row: KeyRow) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(
            self.connections
                .write("insert a virtual key", move |transaction| {
                    insert(transaction, &row)
                }),
        )
    }

    fn by_id(&self, id: KeyId) -> BoxFuture<'_, Result<Option<KeyRow>, StorageError>> {
        Box::pin(
            self.connections
                .read("read a virtual key", move |connection| {
                    let mut statement =
                        connection.prepare_cached("SELECT * FROM virtual_keys WHERE id = ?1")?;
                    let mut rows = statement.query([id.as_str()])?;
                    rows.next()?.map(read).transpose()
                }),
        )
    }

    fn list(&self, page: KeyPage) -> BoxFuture<'_, Result<Vec<KeyRow>, StorageError>> {
        Box::pin(
            self.connections
                .read("list virtual keys", move |connection| {
                    let after = page.after.as_ref().map_or("", KeyId::as_str);
                    let mut keys = Vec::new();
                    if let Some(user) = &page.user {
                        let mut statement = connection.prepare_cached(
                            "SELECT * FROM virtual_keys WHERE user_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                        )?;
                        let mut rows = statement.query((user.as_str(), after, page.limit))?;
                        while let Some(row) = rows.next()? {
                            keys.push(read(row)?);
                        }
                    } else {
                        let mut statement = connection.prepare_cached(
                            "SELECT * FROM virtual_keys WHERE id > ?1 ORDER BY id LIMIT ?2",
                        )?;
                        let mut rows = statement.query((after, page.limit))?;
                        while let Some(row) = rows.next()? {
                            keys.push(read(row)?);
                        }
                    }
                    Ok(keys)
                }),
        )
    }
}

fn insert(transaction: &Transaction<'_>, row: &KeyRow) -> Result<(), WorkError> {
    let inserted = transaction.execute(
        "INSERT INTO virtual_keys (id, key_name, alias, user_id, models, max_budget, rpm_limit, tpm_limit, \
         max_parallel, expires_at, blocked, metadata, created_at, created_by) \
         VALUES (:id, :key_name, :alias, :user, :models, :max_budget, :rpm, :tpm, \
         :parallel, :expires_at, :blocked, :metadata, :created_at, :created_by)",
        named_params! {
            ":id": row.id.as_str(),
            ":key_name": row.key_name,
            ":alias": row.alias,
            ":user": row.user.as_ref().map(UserId::as_str),
            ":models": json(&row.models),
            ":max_budget": limit("max_budget", row.max_budget)?,
            ":rpm": row.rpm_limit.map(integer),
            ":tpm": row.tpm_limit.map(integer),
            ":parallel": row.max_parallel_requests.map(integer),
            ":expires_at": row.expires_at.map(|at| integer(at.0)),
            ":blocked": row.blocked,
            ":metadata": json(&row.metadata),
            ":created_at": integer(row.created_at.0),
            ":created_by": row.created_by,
        },
    );
    match inserted {
        Ok(_) => Ok(()),
        Err(err) => Err(taken(&err, row).map_or(WorkError::Driver(err), WorkError::Storage)),
    }
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
        models: parse_json(&models, TABLE, "models")?,
        max_budget: money(row, "max_budget")?,
        rpm_limit: unsigned(row, "rpm_limit")?,
        tpm_limit: unsigned(row, "tpm_limit")?,
        max_parallel_requests: unsigned(row, "max_parallel")?,
        expires_at: unsigned(row, "expires_at")?.map(UnixMs),
        blocked: row.get("blocked")?,
        metadata: parse_json(&metadata, TABLE, "metadata")?,
        created_at: time(row, "created_at")?,
        created_by: row.get("created_by")?,
    })
}
