//! The store for fleets: a PostgreSQL database that several gateways may share, in a schema of its own (`trunkline`).
//!
//! File by file as in `sqlite`; beyond that, `address` reads database URLs, `tls` makes connections safe, `thread` is where
//! the connections live, and `partitions` makes the days that rows go to. Every statement names the schema, so that
//! nothing depends on a session's `search_path`.

mod address;
mod booked;
mod changes;
mod convert;
mod entries;
mod expiry;
mod import;
mod keys;
mod ledger_reads;
mod listen;
pub(super) mod litellm;
pub(super) mod litellm_views;
mod migrate;
mod partitions;
mod pool;
mod replicas;
mod settings;
mod spend_columns;
mod spend_insert;
mod spend_log_pages;
mod spend_queries;
mod spend_reports;
mod tenants;
mod thread;
mod tls;
mod transcripts;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use trunkline_actors::ports::BoxFuture;

use self::address::Address;
use self::partitions::Partitions;
use self::pool::Connections;
use self::thread::StorageThread;
use super::{Lifecycle, PoolSettings, SchemaVersion, StorageError, Store};

/// All domains over the same connections.
#[derive(Debug)]
struct Postgres {
    address: Arc<Address>,
    connections: Connections,
    partitions: Partitions,
}

/// See [`open_postgres`](super::open_postgres).
pub(super) async fn open(
    url: &str,
    shown: &str,
    settings: PoolSettings,
) -> Result<Store, StorageError> {
    let address = Arc::new(Address::read(url, shown, settings)?);
    let thread = StorageThread::start()?;
    let reached = Arc::clone(&address);
    thread
        .run("open the database", async move {
            migrate::prepare(&reached).await
        })
        .await?;
    let postgres = Arc::new(Postgres {
        connections: Connections::new(&address, thread)?,
        partitions: Partitions::default(),
        address,
    });
    Ok(Store {
        keys: Arc::clone(&postgres) as _,
        tenants: Arc::clone(&postgres) as _,
        entries: Arc::clone(&postgres) as _,
        settings: Arc::clone(&postgres) as _,
        changes: Arc::clone(&postgres) as _,
        change_log: Arc::clone(&postgres) as _,
        spend: Arc::clone(&postgres) as _,
        audit: Arc::clone(&postgres) as _,
        reports: Arc::clone(&postgres) as _,
        transcripts: Arc::clone(&postgres) as _,
        expiry: Arc::clone(&postgres) as _,
        imports: Arc::clone(&postgres) as _,
        ledger: Arc::clone(&postgres) as _,
        replicas: Some(Arc::clone(&postgres) as _),
        feed: Arc::clone(&postgres) as _,
        lifecycle: postgres,
    })
}

/// See [`postgres_schema`](super::postgres_schema).
pub(super) async fn schema(
    url: &str,
    shown: &str,
    settings: PoolSettings,
) -> Result<SchemaVersion, StorageError> {
    let address = Address::read(url, shown, settings)?;
    StorageThread::start()?
        .run("look at the schema", async move {
            migrate::version(&address).await
        })
        .await
}

impl Lifecycle for Postgres {
    fn ping(&self, deadline: Duration) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let operation = "ping";
            let answer = self.connections.read(operation, |client| {
                Box::pin(async move { Ok(client.batch_execute("SELECT 1").await?) })
            });
            timeout(deadline, answer)
                .await
                .unwrap_or(Err(StorageError::Timeout { operation }))
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            self.connections.close();
            Ok(())
        })
    }
}
