//! Changes that people make, each with its line in `audit_log`, and the lines themselves.

use rusqlite::{Connection, Row, Transaction, params, params_from_iter};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::KeyId;
use trunkline_actors::ports::BoxFuture;

use super::Sqlite;
use super::convert::{time, unsigned};
use super::entries;
use super::keys::{self, counted};
use super::pool::WorkError;
use super::settings;
use super::spend_reports::values;
use super::tenants;
use crate::storage::books::integer;
use crate::storage::change_log::{Change, ChangeFilter, ChangeHead, ChangeLog, ChangeRecord};
use crate::storage::changes::{new_ones, of_key, of_tenant};
use crate::storage::lists::{change_page, count_changes};
use crate::storage::reports::statement::Dialect;
use crate::storage::{ChangeStore, ChangedBy, KeyRow, StorageError, TenantKind, TenantRow, Write};

impl ChangeStore for Sqlite {
    fn apply(&self, by: ChangedBy, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(self.connections.write(
            "change keys, tenants, entries and settings",
            move |transaction| {
                let mut lines = Vec::new();
                for write in &writes {
                    lines.extend(apply(transaction, write)?);
                }
                write_lines(transaction, &by, lines)
            },
        ))
    }
}

impl ChangeLog for Sqlite {
    fn page(
        &self,
        filter: ChangeFilter,
        skip: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<ChangeRecord>, StorageError>> {
        Box::pin(
            self.connections
                .read("read the change log", move |connection| {
                    let statement = change_page(Dialect::Sqlite, &filter, skip, limit);
                    let mut prepared = connection.prepare_cached(&statement.sql)?;
                    let rows =
                        prepared.query_map(params_from_iter(values(&statement.args)), read)?;
                    Ok(rows.collect::<Result<_, _>>()?)
                }),
        )
    }

    fn count(&self, filter: ChangeFilter) -> BoxFuture<'_, Result<u64, StorageError>> {
        Box::pin(
            self.connections
                .read("count the change log", move |connection| {
                    counted(connection, &count_changes(Dialect::Sqlite, &filter))
                }),
        )
    }

    fn behind(
        &self,
        seq: u64,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<ChangeRecord>, StorageError>> {
        Box::pin(
            self.connections
                .read("read the change log", move |connection| {
                    let mut statement = connection.prepare_cached(
                        "SELECT * FROM audit_log WHERE seq > ?1 ORDER BY seq LIMIT ?2",
                    )?;
                    let rows = statement.query_map(params![integer(seq), limit], read)?;
                    Ok(rows.collect::<Result<_, _>>()?)
                }),
        )
    }

    fn head(&self) -> BoxFuture<'_, Result<ChangeHead, StorageError>> {
        Box::pin(
            self.connections
                .read("read the head of the change log", |connection| {
                    head(connection)
                }),
        )
    }
}

/// Writes the lines of changes that were made in this transaction.
pub(super) fn write_lines(
    transaction: &Transaction<'_>,
    by: &ChangedBy,
    lines: Vec<Change>,
) -> Result<(), WorkError> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut head = head(transaction)?;
    let now = UnixMs::now();
    for line in lines {
        let record = line.record(&head, by, now);
        append(transaction, &record)?;
        head = record.head();
    }
    transaction.execute(
        "UPDATE audit_head SET seq = ?1, hash = ?2 WHERE one = 1",
        params![integer(head.seq), head.hash],
    )?;
    Ok(())
}

/// One change. `None` where it changed nothing.
fn apply(transaction: &Transaction<'_>, write: &Write) -> Result<Option<Change>, WorkError> {
    Ok(match write {
        Write::InsertKey(row) => {
            check_unused(transaction, &row.id, &row.id)?;
            check_named(transaction, new_ones(None, of_key(row)))?;
            keys::insert(transaction, row)?;
            Change::of_key(None, Some(row))
        }
        Write::UpdateKey(row) => {
            let before = existing(transaction, &row.id)?;
            row.as_read
                .check(Some(before.updated_at), "virtual key", row.id.as_str())?;
            check_named(transaction, new_ones(Some(of_key(&before)), of_key(row)))?;
            keys::put(transaction, row)?;
            Change::of_key(Some(&before), Some(row))
        }
        Write::RotateKey { row, secret, until } => {
            let before = existing(transaction, &row.id)?;
            row.as_read
                .check(Some(before.updated_at), "virtual key", row.id.as_str())?;
            check_named(transaction, new_ones(Some(of_key(&before)), of_key(row)))?;
            check_unused(transaction, secret, &row.id)?;
            keys::put(transaction, row)?;
            rotate(transaction, &row.id, secret, *until)?;
            Some(Change::of_secret(&before, row))
        }
        Write::DeleteKey(id) => {
            let before = keys::by_id(transaction, id)?;
            transaction.execute("DELETE FROM virtual_keys WHERE id = ?1", [id.as_str()])?;
            transaction.execute("DELETE FROM key_secrets WHERE key_id = ?1", [id.as_str()])?;
            Change::of_key(before.as_ref(), None)
        }
        Write::InsertTenant(row) => {
            check_named(transaction, new_ones(None, of_tenant(row)))?;
            if !tenants::insert(transaction, row, "DO NOTHING")? {
                return Err(WorkError::Storage(StorageError::AlreadyExists {
                    what: row.kind.as_str(),
                    id: row.id.clone(),
                }));
            }
            Change::of_tenant(None, Some(row))
        }
        Write::EnsureTenant(row) => tenants::insert(transaction, row, "DO NOTHING")?
            .then(|| Change::of_tenant(None, Some(row)))
            .flatten(),
        Write::PutTenant(row) => {
            let before = tenants::by_id(transaction, row.kind, &row.id)?;
            let stored = before.as_ref().map(|before| before.updated_at);
            row.as_read.check(stored, row.kind.as_str(), &row.id)?;
            let known = before.as_ref().map(of_tenant);
            check_named(transaction, new_ones(known, of_tenant(row)))?;
            tenants::put(transaction, row)?;
            Change::of_tenant(before.as_ref(), Some(row))
        }
        Write::DeleteTenant(kind, id) => {
            let before = delete_tenant(transaction, *kind, id)?;
            Change::of_tenant(before.as_ref(), None)
        }
        Write::InsertEntry(row) => {
            if !entries::insert(transaction, row)? {
                return Err(WorkError::Storage(StorageError::AlreadyExists {
                    what: row.kind.as_str(),
                    id: row.id.clone(),
                }));
            }
            Change::of_entry(None, Some(row))
        }
        Write::UpdateEntry(row) => {
            let before = entries::by_id(transaction, row.kind, &row.id)?;
            let Some(before) = before else {
                return Err(WorkError::Storage(StorageError::Missing {
                    what: row.kind.as_str(),
                    id: row.id.clone(),
                }));
            };
            row.as_read
                .check(Some(before.updated_at), row.kind.as_str(), &row.id)?;
            entries::put(transaction, row)?;
            Change::of_entry(Some(&before), Some(row))
        }
        Write::DeleteEntry(kind, id) => {
            let before = entries::by_id(transaction, *kind, id)?;
            entries::delete(transaction, *kind, id)?;
            Change::of_entry(before.as_ref(), None)
        }
        Write::PutSetting(row) => {
            let before = settings::by_name(transaction, &row.name)?;
            let stored = before.as_ref().map(|before| before.updated_at);
            row.as_read.check_known(stored, "setting", &row.name)?;
            settings::put(transaction, row)?;
            Change::of_setting(before.as_ref(), row)
        }
    })
}

fn existing(transaction: &Transaction<'_>, id: &KeyId) -> Result<KeyRow, WorkError> {
    keys::by_id(transaction, id)?.ok_or_else(|| {
        WorkError::Storage(StorageError::Missing {
            what: "virtual key",
            id: id.as_str().to_owned(),
        })
    })
}

/// Whoever is named must be there.
fn check_named<'a>(
    transaction: &Transaction<'_>,
    named: impl Iterator<Item = (TenantKind, &'a str)>,
) -> Result<(), WorkError> {
    for (kind, id) in named {
        if tenants::by_id(transaction, kind, id)?.is_none() {
            return Err(WorkError::Storage(StorageError::Missing {
                what: kind.as_str(),
                id: id.to_owned(),
            }));
        }
    }
    Ok(())
}

/// A secret is that of one key: none has it as its id or as its secret, but for its own.
fn check_unused(
    transaction: &Transaction<'_>,
    secret: &KeyId,
    own: &KeyId,
) -> Result<(), WorkError> {
    let is_used: bool = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM virtual_keys WHERE id = ?1 AND id <> ?2) \
         OR EXISTS (SELECT 1 FROM key_secrets WHERE hash = ?1 AND key_id <> ?2)",
        [secret.as_str(), own.as_str()],
        |row| row.get(0),
    )?;
    if is_used {
        return Err(WorkError::Storage(StorageError::AlreadyExists {
            what: "virtual key",
            id: secret.as_str().to_owned(),
        }));
    }
    Ok(())
}

/// The secret of the moment works until then; what worked before it does not any more.
fn rotate(
    transaction: &Transaction<'_>,
    id: &KeyId,
    secret: &KeyId,
    until: Option<UnixMs>,
) -> Result<(), WorkError> {
    let current: Option<String> = transaction
        .prepare_cached("SELECT hash FROM key_secrets WHERE key_id = ?1 AND expires_at IS NULL")?
        .query_map([id.as_str()], |row| row.get(0))?
        .next()
        .transpose()?;
    let current = current.unwrap_or_else(|| id.as_str().to_owned());
    transaction.execute("DELETE FROM key_secrets WHERE key_id = ?1", [id.as_str()])?;
    let mut insert = transaction
        .prepare_cached("INSERT INTO key_secrets (hash, key_id, expires_at) VALUES (?1, ?2, ?3)")?;
    insert.execute(params![secret.as_str(), id.as_str(), None::<i64>])?;
    if let Some(until) = until {
        insert.execute(params![current, id.as_str(), integer(until.0)])?;
    }
    Ok(())
}

fn delete_tenant(
    transaction: &Transaction<'_>,
    kind: TenantKind,
    id: &str,
) -> Result<Option<TenantRow>, WorkError> {
    if kind == TenantKind::Budget {
        let is_used: bool = transaction.query_row(
            "SELECT EXISTS (SELECT 1 FROM virtual_keys WHERE budget_id = ?1) \
             OR EXISTS (SELECT 1 FROM tenants WHERE budget_id = ?1)",
            [id],
            |row| row.get(0),
        )?;
        if is_used {
            return Err(WorkError::Storage(StorageError::InUse {
                what: kind.as_str(),
                id: id.to_owned(),
            }));
        }
    }
    let before = tenants::by_id(transaction, kind, id)?;
    transaction.execute(
        "DELETE FROM tenants WHERE kind = ?1 AND id = ?2",
        [kind.as_str(), id],
    )?;
    Ok(before)
}

pub(super) fn head(connection: &Connection) -> Result<ChangeHead, WorkError> {
    Ok(
        connection.query_row("SELECT seq, hash FROM audit_head", [], |row| {
            Ok(ChangeHead {
                seq: unsigned(row, "seq")?.unwrap_or_default(),
                hash: row.get("hash")?,
            })
        })?,
    )
}

fn append(transaction: &Transaction<'_>, record: &ChangeRecord) -> Result<(), WorkError> {
    transaction
        .prepare_cached(
            "INSERT INTO audit_log (seq, id, updated_at, changed_by, changed_by_key, action, table_name, object_id, \
             before_value, updated_values, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            integer(record.seq),
            record.id,
            integer(record.updated_at.0),
            record.changed_by,
            record.changed_by_key,
            record.action,
            record.table_name,
            record.object_id,
            record.before_value,
            record.updated_values,
            record.hash,
        ])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<ChangeRecord> {
    Ok(ChangeRecord {
        seq: unsigned(row, "seq")?.unwrap_or_default(),
        id: row.get("id")?,
        updated_at: time(row, "updated_at")?,
        changed_by: row.get("changed_by")?,
        changed_by_key: row.get("changed_by_key")?,
        action: row.get("action")?,
        table_name: row.get("table_name")?,
        object_id: row.get("object_id")?,
        before_value: row.get("before_value")?,
        updated_values: row.get("updated_values")?,
        hash: row.get("hash")?,
    })
}
