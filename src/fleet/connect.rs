//! The server: its address, its deadlines, and how a connection to it is made.
//!
//! The pool is for what is done now and then; a pooled connection is checked with a round trip before each use. A lane takes its
//! connection out of the pool for good and uses it without.

use std::fmt;
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{AsyncConnectionConfig, ErrorKind, RedisError};
use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime, Timeouts};

use super::keys::Keys;
use super::scripts::{RENEW, SETTLE, TAKE};
use crate::config::RedisSettings;

/// How long making a connection may take, name, TCP and TLS included.
const CONNECT: Duration = Duration::from_secs(1);
/// How long any answer may take: requests wait for less, and what comes later is still of use.
const ANSWER: Duration = Duration::from_secs(2);
/// Connections for what is done now and then.
const POOLED: usize = 4;

/// A Redis server.
#[derive(Clone)]
pub(super) struct Server {
    pool: Pool,
    pub(super) keys: Keys,
    /// How long a request waits for an answer.
    pub(super) deadline: Duration,
    shown: String,
}

// === impl Server ===

impl Server {
    /// Reads the address. Nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, RedisError> {
        let timeouts = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        let manager = Manager::new_with_config(settings.url.expose(), timeouts)?;
        let pool = Pool::builder(manager)
            .max_size(POOLED)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(ANSWER),
                create: Some(CONNECT),
                recycle: Some(CONNECT),
            })
            .build();
        Ok(Self {
            pool: pool.map_err(|_err| no_runtime())?,
            keys: Keys::new(&settings.namespace),
            deadline: settings.deadline,
            shown: settings.shown.clone(),
        })
    }

    /// The address without secrets.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// A connection for one use.
    pub(super) async fn pooled(&self) -> Result<Connection, PoolError> {
        self.pool.get().await
    }

    /// A connection to keep, with the scripts loaded. It lives on the event loop that asks for it.
    pub(super) async fn own(&self) -> Result<MultiplexedConnection, PoolError> {
        let mut connection = Connection::take(self.pool.get().await?);
        for script in [&*TAKE, &*SETTLE, &*RENEW] {
            let loaded = script.load_async(&mut connection).await;
            loaded.map_err(PoolError::Backend)?;
        }
        Ok(connection)
    }
}

fn no_runtime() -> RedisError {
    RedisError::from((ErrorKind::Client, "the pool has no clock"))
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("at", &self.shown)
            .finish_non_exhaustive()
    }
}
