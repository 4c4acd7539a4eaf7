//! Statements on `users`.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use trunkline_actors::ids::UserId;
use trunkline_actors::ports::BoxFuture;

use super::Sqlite;
use super::convert::{limit, money, time};
use super::pool::WorkError;
use crate::storage::books::integer;
use crate::storage::{StorageError, UserRow, UserStore};

impl UserStore for Sqlite {
    fn ensure(&self, row: UserRow) -> BoxFuture<'_, Result<UserRow, StorageError>> {
        Box::pin(self.connections.write("store a user", move |transaction| {
            insert(transaction, &row, "DO NOTHING")?;
            let stored = by_id(transaction, &row.id)?;
            Ok(stored.unwrap_or(row))
        }))
    }

    fn declare(&self, row: UserRow) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(self.connections.write("declare a user", move |transaction| {
            insert(
                transaction,
                &row,
                "DO UPDATE SET email = excluded.email, role = excluded.role, max_budget = excluded.max_budget",
            )
        }))
    }

    fn by_id(&self, id: UserId) -> BoxFuture<'_, Result<Option<UserRow>, StorageError>> {
        Box::pin(
            self.connections
                .read("read a user", move |connection| Ok(by_id(connection, &id)?)),
        )
    }
}

/// `known` is what happens to a user that is stored already.
fn insert(connection: &Connection, row: &UserRow, known: &'static str) -> Result<(), WorkError> {
    connection
        .prepare_cached(&format!(
            "INSERT INTO users (id, email, role, max_budget, created_at) \
             VALUES (:id, :email, :role, :max_budget, :created_at) ON CONFLICT (id) {known}"
        ))?
        .execute(named_params! {
            ":id": row.id.as_str(),
            ":email": row.email,
            ":role": row.role,
            ":max_budget": limit("max_budget", row.max_budget)?,
            ":created_at": integer(row.created_at.0),
        })?;
    Ok(())
}

fn by_id(connection: &Connection, id: &UserId) -> rusqlite::Result<Option<UserRow>> {
    connection
        .prepare_cached("SELECT * FROM users WHERE id = ?1")?
        .query_row([id.as_str()], read)
        .optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    let id: String = row.get("id")?;
    Ok(UserRow {
        id: UserId::from(id),
        email: row.get("email")?,
        role: row.get("role")?,
        max_budget: money(row, "max_budget")?,
        created_at: time(row, "created_at")?,
    })
}
