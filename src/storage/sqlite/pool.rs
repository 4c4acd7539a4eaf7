//! The connections: one that writes, a few that read.
//!
//! SQLite has one writer at a time anyway. With a pool of one the waiting is done here, in order, and not inside SQLite
//! by polling. Other processes (`trunkline generate-key` beside a serving gateway) are waited for with `busy_timeout`.
//! Statements are the other files' business.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use deadpool_sqlite::{Config, Hook, HookError, Pool, PoolError, Runtime, TimeoutType};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::storage::StorageError;

/// How long a statement waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for a free connection.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: usize = 3;
/// Pages that the writer may keep, in KiB; it takes them when it needs them.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// The write-ahead log is copied into the file from so many pages on: 16 MiB.
const CHECKPOINT_PAGES: i64 = 4096;

/// Both pools. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connections {
    writer: Pool,
    readers: Pool,
}

/// What work on a connection can fail with: the driver's error gets the operation's name on the way out.
#[derive(Debug)]
pub(super) enum WorkError {
    Driver(rusqlite::Error),
    Storage(StorageError),
}

// === impl Connections ===

impl Connections {
    /// Precondition: the file exists and its schema is current; connections are opened when they are first needed.
    pub(super) fn new(path: &Path) -> Result<Self, StorageError> {
        Ok(Self {
            writer: pool(path, 1, Access::Write)?,
            readers: pool(path, READERS, Access::Read)?,
        })
    }

    /// Runs `work` on a reading connection.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, WorkError> + Send + 'static,
    ) -> Result<T, StorageError> {
        run(&self.readers, operation, work).await
    }

    /// Runs `work` in a transaction of the writing connection; an error rolls it back.
    ///
    /// Cancel safety: when the future is dropped while `work` runs, the transaction may still be committed.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, WorkError> + Send + 'static,
    ) -> Result<T, StorageError> {
        run(&self.writer, operation, move |connection| {
            // Immediate: a transaction that reads first and writes later fails with "database is locked", at once and
            // whatever the busy timeout, when another process wrote in between.
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
        .await
    }

    /// Until they are closed.
    pub(super) fn are_open(&self) -> bool {
        !self.readers.is_closed()
    }

    /// Moves the write-ahead log into the file, so that a copy of the file alone is whole, and closes the connections.
    pub(super) async fn close(&self) -> Result<(), StorageError> {
        let merged = run(&self.writer, "merge the write-ahead log", |connection| {
            Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
        })
        .await;
        self.readers.close();
        self.writer.close();
        merged
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

// === impl WorkError ===

impl WorkError {
    fn at(self, operation: &'static str) -> StorageError {
        match self {
            Self::Driver(err) => backend(operation, err),
            Self::Storage(err) => err,
        }
    }
}

impl From<rusqlite::Error> for WorkError {
    fn from(err: rusqlite::Error) -> Self {
        Self::Driver(err)
    }
}

impl From<StorageError> for WorkError {
    fn from(err: StorageError) -> Self {
        Self::Storage(err)
    }
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

/// Settings that hold for one connection and are not kept in the file.
pub(super) fn prepare_writer(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // NORMAL can lose the last commits on power loss, and the journal is released after the commit.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A batch of rows of thousands of keys changes thousands of pages. With the usual 2 MiB they would be written out in the
    // middle of the transaction and read again, and with a checkpoint each 4 MiB be copied into the file at each batch.
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "foreign_keys", true)
}

fn prepare(connection: &Connection, access: Access) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    match access {
        Access::Write => prepare_writer(connection),
        Access::Read => {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "query_only", true)
        }
    }
}

fn pool(path: &Path, size: usize, access: Access) -> Result<Pool, StorageError> {
    let operation = "open the connection pool";
    Config::new(path)
        .builder(Runtime::Tokio1)
        .map_err(|err| backend(operation, err))?
        .max_size(size)
        .wait_timeout(Some(WAIT_TIMEOUT))
        .post_create(Hook::async_fn(move |connection, _| {
            Box::pin(async move {
                connection
                    .interact(move |connection| prepare(connection, access))
                    .await
                    .map_err(|err| HookError::message(err.to_string()))?
                    .map_err(HookError::Backend)
            })
        }))
        .build()
        .map_err(|err| backend(operation, err))
}

async fn run<T: Send + 'static>(
    pool: &Pool,
    operation: &'static str,
    work: impl FnOnce(&mut Connection) -> Result<T, WorkError> + Send + 'static,
) -> Result<T, StorageError> {
    let connection = pool.get().await.map_err(|err| match err {
        PoolError::Timeout(TimeoutType::Wait) => StorageError::Timeout { operation },
        err => backend(operation, err),
    })?;
    connection
        .interact(work)
        .await
        // The work panicked: the connection's lock is poisoned and the pool replaces it.
        .map_err(|err| backend(operation, err.to_string()))?
        .map_err(|err| err.at(operation))
}

fn backend(
    operation: &'static str,
    source: impl Into<Box<dyn Error + Send + Sync>>,
) -> StorageError {
    StorageError::Backend {
        operation,
        source: source.into(),
    }
}
