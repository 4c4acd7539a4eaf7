//! Statements on `users`.

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use trunkline_actors::ids::UserId;
use trunkline_actors::ports::BoxFuture;

use super::Postgres;
use super::convert::{limit, money, time};
use super::pool::WorkError;
use crate::storage::books::integer;
use crate::storage::{StorageError, UserRow, UserStore};

impl UserStore for Postgres {
    fn ensure(&self, row: UserRow) -> BoxFuture<'_, Result<UserRow, StorageError>> {
        Box::pin(self.connections.write("store a user", move |transaction| {
            Box::pin(async move {
                insert(transaction, &row, "DO NOTHING").await?;
                let stored = by_id(transaction, &row.id).await?;
                Ok(stored.unwrap_or(row))
            })
        }))
    }

    fn declare(&self, row: UserRow) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(self.connections.write("declare a user", move |transaction| {
            Box::pin(async move {
                let known =
                    "DO UPDATE SET email = excluded.email, role = excluded.role, max_budget = excluded.max_budget";
                insert(transaction, &row, known).await
            })
        }))
    }

    fn by_id(&self, id: UserId) -> BoxFuture<'_, Result<Option<UserRow>, StorageError>> {
        Box::pin(self.connections.read("read a user", move |client| {
            Box::pin(async move { by_id(client, &id).await })
        }))
    }
}

/// `known` is what happens to a user that is stored already.
async fn insert(
    client: &impl GenericClient,
    row: &UserRow,
    known: &'static str,
) -> Result<(), WorkError> {
    let statement = client
        .prepare_cached(&format!(
            "INSERT INTO trunkline.users (id, email, role, max_budget, created_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) {known}"
        ))
        .await?;
    client
        .execute(
            &statement,
            &[
                &row.id.as_str(),
                &row.email,
                &row.role,
                &limit("max_budget", row.max_budget)?,
                &integer(row.created_at.0),
            ],
        )
        .await?;
    Ok(())
}

async fn by_id(client: &impl GenericClient, id: &UserId) -> Result<Option<UserRow>, WorkError> {
    let statement = client
        .prepare_cached(
            "SELECT id, email, role, max_budget, created_at FROM trunkline.users WHERE id = $1",
        )
        .await?;
    let found = client.query_opt(&statement, &[&id.as_str()]).await?;
    Ok(found.as_ref().map(read).transpose()?)
}

fn read(row: &Row) -> Result<UserRow, tokio_postgres::Error> {
    let id: String = row.try_get("id")?;
    Ok(UserRow {
        id: UserId::from(id),
        email: row.try_get("email")?,
        role: row.try_get("role")?,
        max_budget: money(row, "max_budget")?,
        created_at: time(row, "created_at")?,
    })
}
