//! The connections: at most so many as were asked for, all on a thread of their own.
//!
//! A caller waits for its turn here; from then on its work runs on the storage thread to its end, whether the caller still
//! waits or not. So at most one task a connection is there, and no transaction stops between its statements.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod,
    Runtime, Transaction,
};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_postgres::IsolationLevel;
use tokio_postgres::error::DbError;
use trunkline_actors::ports::BoxFuture;

use super::address::Address;
use super::thread::StorageThread;
use crate::storage::StorageError;

/// For the whole of one operation; longer than each statement may take, so that the server's answer comes first.
const OPERATION: Duration = Duration::from_secs(30);

/// Set for each connection. A lock that is not given in time is somebody else's trouble, and the work is tried again.
/// Without synchronous commits a crash of the server loses the last ones, and the journal is released after the commit.
const SESSION: &str = "SET statement_timeout = '20s'; SET lock_timeout = '10s'; \
    SET idle_in_transaction_session_timeout = '60s'; \
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// Set for one transaction that may take as long as it likes.
const UNHURRIED: &str =
    "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// The pool.
pub(super) struct Connections {
    pool: Pool,
    turns: Arc<Semaphore>,
    wait: Duration,
    thread: StorageThread,
}

/// What work on a connection can fail with: the driver's error gets the operation's name on the way out.
#[derive(Debug)]
pub(super) enum WorkError {
    Driver(tokio_postgres::Error),
    Storage(StorageError),
}

// === impl Connections ===

impl Connections {
    /// Precondition: the schema is current. Connections are opened when they are first needed.
    pub(super) fn new(address: &Address, thread: StorageThread) -> Result<Self, StorageError> {
        let manager = Manager::from_config(
            address.config.clone(),
            address.tls.clone(),
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .runtime(Runtime::Tokio1)
            .max_size(address.connections)
            .wait_timeout(Some(address.wait))
            .create_timeout(Some(address.connect))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move {
                    client
                        .batch_execute(SESSION)
                        .await
                        .map_err(HookError::Backend)
                })
            }))
            .build()
            .map_err(|err| backend("open the connection pool", err))?;
        Ok(Self {
            pool,
            turns: Arc::new(Semaphore::new(address.connections)),
            wait: address.wait,
            thread,
        })
    }

    /// The thread that they live on.
    pub(super) fn thread(&self) -> &StorageThread {
        &self.thread
    }

    /// Runs `work`, a single statement, on a connection.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl for<'c> FnOnce(&'c Client) -> BoxFuture<'c, Result<T, WorkError>> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.run(operation, move |client| work(client)).await
    }

    /// Runs `work` over one moment of the database, without writing.
    pub(super) async fn snapshot<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl for<'c> FnOnce(&'c Transaction<'c>) -> BoxFuture<'c, Result<T, WorkError>>
        + Send
        + 'static,
    ) -> Result<T, StorageError> {
        self.look(operation, OPERATION, work).await
    }

    /// As [`snapshot`](Self::snapshot), however long it takes: for an audit, which reads everything.
    pub(super) async fn long_snapshot<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl for<'c> FnOnce(&'c Transaction<'c>) -> BoxFuture<'c, Result<T, WorkError>>
        + Send
        + 'static,
    ) -> Result<T, StorageError> {
        self.look(operation, Duration::MAX, move |transaction| {
            Box::pin(async move {
                transaction.batch_execute(UNHURRIED).await?;
                work(transaction).await
            })
        })
        .await
    }

    /// Runs `work` in a transaction; an error rolls it back.
    ///
    /// Cancel safety: when the future is dropped while `work` runs, the transaction goes on and is committed.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl for<'c> FnOnce(&'c Transaction<'c>) -> BoxFuture<'c, Result<T, WorkError>>
        + Send
        + 'static,
    ) -> Result<T, StorageError> {
        self.run(operation, move |client| {
            Box::pin(async move {
                // Said, because a server's default may be another: each statement sees what was committed before it.
                let transaction = client
                    .build_transaction()
                    .isolation_level(IsolationLevel::ReadCommitted)
                    .start()
                    .await?;
                let done = work(&transaction).await?;
                transaction.commit().await?;
                Ok(done)
            })
        })
        .await
    }

    pub(super) fn close(&self) {
        self.turns.close();
        self.pool.close();
    }

    /// Over one moment of the database, for that long at most.
    async fn look<T: Send + 'static>(
        &self,
        operation: &'static str,
        deadline: Duration,
        work: impl for<'c> FnOnce(&'c Transaction<'c>) -> BoxFuture<'c, Result<T, WorkError>>
        + Send
        + 'static,
    ) -> Result<T, StorageError> {
        self.run_within(operation, deadline, move |client| {
            Box::pin(async move {
                let transaction = client
                    .build_transaction()
                    .isolation_level(IsolationLevel::RepeatableRead)
                    .read_only(true)
                    .start()
                    .await?;
                let done = work(&transaction).await?;
                transaction.commit().await?;
                Ok(done)
            })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl for<'c> FnOnce(&'c mut Client) -> BoxFuture<'c, Result<T, WorkError>>
        + Send
        + 'static,
    ) -> Result<T, StorageError> {
        self.run_within(operation, OPERATION, work).await
    }

    async fn run_within<T: Send + 'static>(
        &self,
        operation: &'static str,
        deadline: Duration,
        work: impl for<'c> FnOnce(&'c mut Client) -> BoxFuture<'c, Result<T, WorkError>>
        + Send
        + 'static,
    ) -> Result<T, StorageError> {
        let turn = timeout(self.wait, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_elapsed| StorageError::Timeout { operation })?
            .map_err(|err| backend(operation, err))?;
        let pool = self.pool.clone();
        let work = async move {
            let _turn = turn;
            let mut client = pool.get().await.map_err(|err| match err {
                PoolError::Timeout(_) => StorageError::Timeout { operation },
                PoolError::Backend(err) => driver(operation, err),
                err => backend(operation, err),
            })?;
            match timeout(deadline, work(&mut client)).await {
                Ok(done) => done.map_err(|err| err.at(operation)),
                Err(_elapsed) => {
                    // Nobody knows what this connection still waits for: not for the next one to use.
                    drop(Object::take(client));
                    Err(StorageError::Timeout { operation })
                }
            }
        };
        self.thread.run(operation, work).await
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

// === impl WorkError ===

impl WorkError {
    /// The error of an operation.
    pub(super) fn at(self, operation: &'static str) -> StorageError {
        match self {
            Self::Driver(err) => driver(operation, err),
            Self::Storage(err) => err,
        }
    }
}

impl From<tokio_postgres::Error> for WorkError {
    fn from(err: tokio_postgres::Error) -> Self {
        Self::Driver(err)
    }
}

impl From<StorageError> for WorkError {
    fn from(err: StorageError) -> Self {
        Self::Storage(err)
    }
}

/// What the server or the operating system said is one level down in the driver's error, whose own text is "db error".
pub(super) fn said(err: tokio_postgres::Error) -> Box<dyn Error + Send + Sync> {
    let says_more = err
        .source()
        .is_some_and(|cause| cause.is::<DbError>() || cause.is::<io::Error>());
    if !says_more {
        return err.into();
    }
    err.into_source()
        .unwrap_or_else(|| "the server refused".into())
}

fn driver(operation: &'static str, err: tokio_postgres::Error) -> StorageError {
    backend(operation, said(err))
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
