//! Changes that people make, each with its line in `audit_log`, and the lines themselves. Changes take turns: each locks the
//! head of the log before it reads what it changes.

use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::KeyId;
use trunkline_actors::ports::BoxFuture;

use super::Postgres;
use super::convert::{time, unsigned};
use super::entries;
use super::keys::{self, counted};
use super::pool::WorkError;
use super::settings;
use super::spend_reports::rows_exactly;
use super::tenants;
use crate::storage::books::integer;
use crate::storage::change_log::{Change, ChangeFilter, ChangeHead, ChangeLog, ChangeRecord};
use crate::storage::changes::{new_ones, of_key, of_tenant};
use crate::storage::lists::{change_page, count_changes};
use crate::storage::reports::statement::Dialect;
use crate::storage::{ChangeStore, ChangedBy, KeyRow, StorageError, TenantKind, TenantRow, Write};

impl ChangeStore for Postgres {
    fn apply(&self, by: ChangedBy, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(self.connections.write(
            "change keys, tenants, entries and settings",
            move |transaction| {
                Box::pin(async move {
                    let head = lock_head(transaction).await?;
                    let mut lines = Vec::new();
                    for write in &writes {
                        lines.extend(apply(transaction, write).await?);
                    }
                    write_lines(transaction, head, &by, lines).await
                })
            },
        ))
    }
}

impl ChangeLog for Postgres {
    fn page(
        &self,
        filter: ChangeFilter,
        skip: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<ChangeRecord>, StorageError>> {
        Box::pin(self.connections.read("read the change log", move |client| {
            Box::pin(async move {
                let statement = change_page(Dialect::Postgres, &filter, skip, limit);
                let rows = rows_exactly(client, &statement).await?;
                Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
            })
        }))
    }

    fn count(&self, filter: ChangeFilter) -> BoxFuture<'_, Result<u64, StorageError>> {
        Box::pin(
            self.connections
                .read("count the change log", move |client| {
                    Box::pin(async move {
                        counted(client, &count_changes(Dialect::Postgres, &filter)).await
                    })
                }),
        )
    }

    fn behind(
        &self,
        seq: u64,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<ChangeRecord>, StorageError>> {
        Box::pin(self.connections.read("read the change log", move |client| {
            Box::pin(async move {
                let statement = client
                    .prepare_cached(
                        "SELECT * FROM trunkline.audit_log WHERE seq > $1 ORDER BY seq LIMIT $2",
                    )
                    .await?;
                let rows = client
                    .query(&statement, &[&integer(seq), &i64::from(limit)])
                    .await?;
                Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
            })
        }))
    }

    fn head(&self) -> BoxFuture<'_, Result<ChangeHead, StorageError>> {
        Box::pin(
            self.connections
                .read("read the head of the change log", |client| {
                    Box::pin(async move { head(client, "").await })
                }),
        )
    }
}

/// Writes the lines of changes that were made in this transaction. `head` is what was locked before them.
pub(super) async fn write_lines(
    transaction: &Transaction<'_>,
    mut head: ChangeHead,
    by: &ChangedBy,
    lines: Vec<Change>,
) -> Result<(), WorkError> {
    if lines.is_empty() {
        return Ok(());
    }
    let now = UnixMs::now();
    let mut records = Vec::with_capacity(lines.len());
    for line in lines {
        let record = line.record(&head, by, now);
        head = record.head();
        records.push(record);
    }
    append(transaction, &records).await?;
    let statement = transaction
        .prepare_cached("UPDATE trunkline.audit_head SET seq = $1, hash = $2 WHERE one = 1")
        .await?;
    transaction
        .execute(&statement, &[&integer(head.seq), &head.hash])
        .await?;
    Ok(())
}

/// One change. `None` where it changed nothing.
async fn apply(transaction: &Transaction<'_>, write: &Write) -> Result<Option<Change>, WorkError> {
    Ok(match write {
        Write::InsertKey(row) => {
            check_unused(transaction, &row.id, &row.id).await?;
            check_named(transaction, new_ones(None, of_key(row))).await?;
            keys::insert(transaction, row).await?;
            Change::of_key(None, Some(row))
        }
        Write::UpdateKey(row) => {
            let before = existing(transaction, &row.id).await?;
            row.as_read
                .check(Some(before.updated_at), "virtual key", row.id.as_str())?;
            check_named(transaction, new_ones(Some(of_key(&before)), of_key(row))).await?;
            keys::put(transaction, row).await?;
            Change::of_key(Some(&before), Some(row))
        }
        Write::RotateKey { row, secret, until } => {
            let before = existing(transaction, &row.id).await?;
            row.as_read
                .check(Some(before.updated_at), "virtual key", row.id.as_str())?;
            check_named(transaction, new_ones(Some(of_key(&before)), of_key(row))).await?;
            check_unused(transaction, secret, &row.id).await?;
            keys::put(transaction, row).await?;
            rotate(transaction, &row.id, secret, *until).await?;
            Some(Change::of_secret(&before, row))
        }
        Write::DeleteKey(id) => {
            let before = keys::by_id(transaction, id).await?;
            for sql in [
                "DELETE FROM trunkline.virtual_keys WHERE id = $1",
                "DELETE FROM trunkline.key_secrets WHERE key_id = $1",
            ] {
                transaction.execute(sql, &[&id.as_str()]).await?;
            }
            Change::of_key(before.as_ref(), None)
        }
        Write::InsertTenant(row) => {
            check_named(transaction, new_ones(None, of_tenant(row))).await?;
            if !tenants::insert(transaction, row, "DO NOTHING").await? {
                return Err(WorkError::Storage(StorageError::AlreadyExists {
                    what: row.kind.as_str(),
                    id: row.id.clone(),
                }));
            }
            Change::of_tenant(None, Some(row))
        }
        Write::EnsureTenant(row) => tenants::insert(transaction, row, "DO NOTHING")
            .await?
            .then(|| Change::of_tenant(None, Some(row)))
            .flatten(),
        Write::PutTenant(row) => {
            let before = tenants::by_id(transaction, row.kind, &row.id).await?;
            let stored = before.as_ref().map(|before| before.updated_at);
            row.as_read.check(stored, row.kind.as_str(), &row.id)?;
            let known = before.as_ref().map(of_tenant);
            check_named(transaction, new_ones(known, of_tenant(row))).await?;
            tenants::put(transaction, row).await?;
            Change::of_tenant(before.as_ref(), Some(row))
        }
        Write::DeleteTenant(kind, id) => {
            let before = delete_tenant(transaction, *kind, id).await?;
            Change::of_tenant(before.as_ref(), None)
        }
        Write::InsertEntry(row) => {
            if !entries::insert(transaction, row).await? {
                return Err(WorkError::Storage(StorageError::AlreadyExists {
                    what: row.kind.as_str(),
                    id: row.id.clone(),
                }));
            }
            Change::of_entry(None, Some(row))
        }
        Write::UpdateEntry(row) => {
            let before = entries::by_id(transaction, row.kind, &row.id).await?;
            let Some(before) = before else {
                return Err(WorkError::Storage(StorageError::Missing {
                    what: row.kind.as_str(),
                    id: row.id.clone(),
                }));
            };
            row.as_read
                .check(Some(before.updated_at), row.kind.as_str(), &row.id)?;
            entries::put(transaction, row).await?;
            Change::of_entry(Some(&before), Some(row))
        }
        Write::DeleteEntry(kind, id) => {
            let before = entries::by_id(transaction, *kind, id).await?;
            entries::delete(transaction, *kind, id).await?;
            Change::of_entry(before.as_ref(), None)
        }
        Write::PutSetting(row) => {
            let before = settings::by_name(transaction, &row.name).await?;
            let stored = before.as_ref().map(|before| before.updated_at);
            row.as_read.check_known(stored, "setting", &row.name)?;
            settings::put(transaction, row).await?;
            Change::of_setting(before.as_ref(), row)
        }
    })
}

async fn existing(transaction: &Transaction<'_>, id: &KeyId) -> Result<KeyRow, WorkError> {
    keys::by_id(transaction, id).await?.ok_or_else(|| {
        WorkError::Storage(StorageError::Missing {
            what: "virtual key",
            id: id.as_str().to_owned(),
        })
    })
}

/// Whoever is named must be there.
async fn check_named<'a>(
    transaction: &Transaction<'_>,
    named: impl Iterator<Item = (TenantKind, &'a str)>,
) -> Result<(), WorkError> {
    for (kind, id) in named {
        if tenants::by_id(transaction, kind, id).await?.is_none() {
            return Err(WorkError::Storage(StorageError::Missing {
                what: kind.as_str(),
                id: id.to_owned(),
            }));
        }
    }
    Ok(())
}

/// A secret is that of one key: none has it as its id or as its secret, but for its own.
async fn check_unused(
    transaction: &Transaction<'_>,
    secret: &KeyId,
    own: &KeyId,
) -> Result<(), WorkError> {
    let found = transaction
        .query_one(
            "SELECT EXISTS (SELECT FROM trunkline.virtual_keys WHERE id = $1 AND id <> $2) \
             OR EXISTS (SELECT FROM trunkline.key_secrets WHERE hash = $1 AND key_id <> $2)",
            &[&secret.as_str(), &own.as_str()],
        )
        .await?;
    if found.try_get(0)? {
        return Err(WorkError::Storage(StorageError::AlreadyExists {
            what: "virtual key",
            id: secret.as_str().to_owned(),
        }));
    }
    Ok(())
}

/// The secret of the moment works until then; what worked before it does not any more.
async fn rotate(
    transaction: &Transaction<'_>,
    id: &KeyId,
    secret: &KeyId,
    until: Option<UnixMs>,
) -> Result<(), WorkError> {
    let current = transaction
        .query_opt(
            "SELECT hash FROM trunkline.key_secrets WHERE key_id = $1 AND expires_at IS NULL",
            &[&id.as_str()],
        )
        .await?;
    let current = match current {
        Some(row) => row.try_get(0)?,
        None => id.as_str().to_owned(),
    };
    transaction
        .execute(
            "DELETE FROM trunkline.key_secrets WHERE key_id = $1",
            &[&id.as_str()],
        )
        .await?;
    let former = until.map(|until| (current, Some(integer(until.0))));
    let secrets = [(secret.as_str().to_owned(), None::<i64>)];
    for (hash, expires_at) in secrets.into_iter().chain(former) {
        transaction
            .execute(
                "INSERT INTO trunkline.key_secrets (hash, key_id, expires_at) VALUES ($1, $2, $3)",
                &[&hash, &id.as_str(), &expires_at],
            )
            .await?;
    }
    Ok(())
}

async fn delete_tenant(
    transaction: &Transaction<'_>,
    kind: TenantKind,
    id: &str,
) -> Result<Option<TenantRow>, WorkError> {
    if kind == TenantKind::Budget {
        let found = transaction
            .query_one(
                "SELECT EXISTS (SELECT FROM trunkline.virtual_keys WHERE budget_id = $1) \
                 OR EXISTS (SELECT FROM trunkline.tenants WHERE budget_id = $1)",
                &[&id],
            )
            .await?;
        if found.try_get(0)? {
            return Err(WorkError::Storage(StorageError::InUse {
                what: kind.as_str(),
                id: id.to_owned(),
            }));
        }
    }
    let before = tenants::by_id(transaction, kind, id).await?;
    transaction
        .execute(
            "DELETE FROM trunkline.tenants WHERE kind = $1 AND id = $2",
            &[&kind.as_str(), &id],
        )
        .await?;
    Ok(before)
}

/// Takes the turn of whoever changes rows; it is held until the transaction ends.
pub(super) async fn lock_head(transaction: &Transaction<'_>) -> Result<ChangeHead, WorkError> {
    head(transaction, " FOR UPDATE").await
}

async fn head(client: &impl GenericClient, lock: &'static str) -> Result<ChangeHead, WorkError> {
    let statement = client
        .prepare_cached(&format!("SELECT seq, hash FROM trunkline.audit_head{lock}"))
        .await?;
    let row = client.query_one(&statement, &[]).await?;
    Ok(ChangeHead {
        seq: unsigned(&row, "seq")?.unwrap_or_default(),
        hash: row.try_get("hash")?,
    })
}

/// In one statement: an import brings hundreds at once.
async fn append(transaction: &Transaction<'_>, records: &[ChangeRecord]) -> Result<(), WorkError> {
    let numbers = |of: fn(&ChangeRecord) -> u64| -> Vec<i64> {
        records.iter().map(|record| integer(of(record))).collect()
    };
    let texts = |of: fn(&ChangeRecord) -> Option<&str>| -> Vec<Option<&str>> {
        records.iter().map(of).collect()
    };
    let statement = transaction
        .prepare_cached(
            "INSERT INTO trunkline.audit_log (seq, id, updated_at, changed_by, changed_by_key, action, table_name, \
             object_id, before_value, updated_values, hash) \
             SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], \
             $8::text[], $9::text[], $10::text[], $11::text[])",
        )
        .await?;
    transaction
        .execute(
            &statement,
            &[
                &numbers(|record| record.seq),
                &texts(|record| Some(&record.id)),
                &numbers(|record| record.updated_at.0),
                &texts(|record| record.changed_by.as_deref()),
                &texts(|record| record.changed_by_key.as_deref()),
                &texts(|record| Some(&record.action)),
                &texts(|record| Some(&record.table_name)),
                &texts(|record| Some(&record.object_id)),
                &texts(|record| record.before_value.as_deref()),
                &texts(|record| record.updated_values.as_deref()),
                &texts(|record| Some(&record.hash)),
            ],
        )
        .await?;
    Ok(())
}

fn read(row: &Row) -> Result<ChangeRecord, tokio_postgres::Error> {
    Ok(ChangeRecord {
        seq: unsigned(row, "seq")?.unwrap_or_default(),
        id: row.try_get("id")?,
        updated_at: time(row, "updated_at")?,
        changed_by: row.try_get("changed_by")?,
        changed_by_key: row.try_get("changed_by_key")?,
        action: row.try_get("action")?,
        table_name: row.try_get("table_name")?,
        object_id: row.try_get("object_id")?,
        before_value: row.try_get("before_value")?,
        updated_values: row.try_get("updated_values")?,
        hash: row.try_get("hash")?,
    })
}
