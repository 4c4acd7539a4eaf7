//! The default store: one SQLite file, embedded, in WAL mode.
//!
//! A second process may use the same file at any time. Statements of one domain are in one file: `keys`, `tenants`,
//! `spend_insert` (the books' only writer), `spend_queries`. How columns and values correspond is in `convert`.

mod booked;
mod changes;
mod convert;
mod entries;
mod expiry;
mod follow;
mod import;
mod keys;
mod ledger_reads;
mod migrate;
mod pool;
mod settings;
mod spend_insert;
mod spend_log_pages;
mod spend_queries;
mod spend_reports;
mod tenants;
mod transcripts;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;
use trunkline_actors::ports::BoxFuture;

use self::pool::Connections;
use super::{Lifecycle, SchemaVersion, StorageError, Store};

/// All domains over the same connections.
#[derive(Debug)]
struct Sqlite {
    connections: Connections,
    /// For what follows it as long as it lives.
    own: Weak<Self>,
}

/// See [`open_sqlite`](super::open_sqlite).
pub(super) async fn open(path: &Path) -> Result<Store, StorageError> {
    let file = path.to_owned();
    spawn_blocking(move || migrate::prepare_file(&file))
        .await
        .map_err(|err| StorageError::Backend {
            operation: "open the database",
            source: err.into(),
        })??;
    let connections = Connections::new(path)?;
    let sqlite = Arc::new_cyclic(|own| Sqlite {
        connections,
        own: Weak::clone(own),
    });
    Ok(Store {
        keys: Arc::clone(&sqlite) as _,
        tenants: Arc::clone(&sqlite) as _,
        entries: Arc::clone(&sqlite) as _,
        settings: Arc::clone(&sqlite) as _,
        changes: Arc::clone(&sqlite) as _,
        change_log: Arc::clone(&sqlite) as _,
        spend: Arc::clone(&sqlite) as _,
        audit: Arc::clone(&sqlite) as _,
        reports: Arc::clone(&sqlite) as _,
        transcripts: Arc::clone(&sqlite) as _,
        expiry: Arc::clone(&sqlite) as _,
        imports: Arc::clone(&sqlite) as _,
        ledger: Arc::clone(&sqlite) as _,
        replicas: None,
        feed: Arc::clone(&sqlite) as _,
        lifecycle: sqlite,
    })
}

/// See [`sqlite_schema`](super::sqlite_schema).
pub(super) async fn schema(path: &Path) -> Result<SchemaVersion, StorageError> {
    let file = path.to_owned();
    spawn_blocking(move || migrate::version(&file))
        .await
        .map_err(|err| StorageError::Backend {
            operation: "look at the schema",
            source: err.into(),
        })?
}

impl Lifecycle for Sqlite {
    fn ping(&self, deadline: Duration) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let operation = "ping";
            let answer = self.connections.read(operation, |connection| {
                Ok(connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?)
            });
            timeout(deadline, answer)
                .await
                .unwrap_or(Err(StorageError::Timeout { operation }))
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(self.connections.close())
    }
}
