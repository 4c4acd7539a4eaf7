//! The server: its address, its deadlines, and how a connection to it is made.
//!
//! The pool is for what is done now and then; a pooled connection is checked with a round trip before each use. A lane takes its
//! connection out of the pool for good and uses it without.

use std::fmt;
use std::time::Duration;

use deadpool::managed::{Object, Pool};
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo as _, RedisError,
};
use deadpool_redis::{PoolError, Runtime, TimeoutType, Timeouts};
use thiserror::Error;

use super::keys::Keys;
use super::scripts::{RENEW, SETTLE, TAKE};
use super::tls::{self, TlsFileError};
use super::whereabouts::Whereabouts;
use crate::config::RedisSettings;

/// How long making a connection may take, name, TCP and TLS included.
const CONNECT: Duration = Duration::from_secs(1);
/// How long it may take to find the server and to connect to it: whoever is asked, and the server.
const FOUND: Duration = Duration::from_secs(2);
/// How long any answer may take: requests wait for less, and what comes later is still of use.
const ANSWER: Duration = Duration::from_secs(2);
/// Connections for what is done now and then.
const POOLED: usize = 4;

/// Why no connection can be made as the settings say.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The address.
    #[error("the address cannot be used")]
    Address(#[source] RedisError),
    /// A file for TLS.
    #[error("TLS is not possible")]
    Tls(#[from] TlsFileError),
}

/// A Redis server.
#[derive(Clone)]
pub(super) struct Server {
    pool: Pool<Whereabouts>,
    pub(super) keys: Keys,
    /// How long a request waits for an answer.
    pub(super) deadline: Duration,
    shown: String,
}

// === impl Server ===

impl Server {
    /// Reads the address, and the files for TLS. Nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with either.
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, SetupError> {
        let timeouts = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        let keys = Keys::new(&settings.namespace);
        let address = address(settings)?;
        let found = Whereabouts::new(&settings.place, address, timeouts, keys.replicas());
        let pool = Pool::builder(found)
            .max_size(POOLED)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(ANSWER),
                create: Some(FOUND),
                recycle: Some(CONNECT),
            })
            .build();
        Ok(Self {
            pool: pool.map_err(|_err| SetupError::Address(no_runtime()))?,
            keys,
            deadline: settings.deadline,
            shown: settings.shown.clone(),
        })
    }

    /// The address without secrets.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// A connection for one use.
    pub(super) async fn pooled(&self) -> Result<Object<Whereabouts>, PoolError> {
        self.pool.get().await
    }

    /// A connection to keep, with the scripts loaded. It lives on the event loop that asks for it.
    pub(super) async fn own(&self) -> Result<MultiplexedConnection, PoolError> {
        let mut connection = Object::take(self.pool.get().await?);
        for script in [&*TAKE, &*SETTLE, &*RENEW] {
            let loaded = script.load_async(&mut connection).await;
            loaded.map_err(PoolError::Backend)?;
        }
        Ok(connection)
    }
}

/// The address with what TLS needs.
fn address(settings: &RedisSettings) -> Result<ConnectionInfo, SetupError> {
    let info = settings.url.expose().into_connection_info();
    let info = info.map_err(SetupError::Address)?;
    if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        return Ok(info);
    }
    let client = Client::build_with_tls(info, tls::certificates(&settings.tls)?);
    let client = client.map_err(SetupError::Address)?;
    Ok(client.get_connection_info().clone())
}

/// Why there is no connection or no answer, for people.
pub(super) fn reason(err: &PoolError) -> String {
    let err = match err {
        PoolError::Backend(err) => err,
        PoolError::Timeout(TimeoutType::Wait) => {
            return "all connections are in use".to_owned();
        }
        PoolError::Timeout(_) => return "no answer in time".to_owned(),
        other => return other.to_string(),
    };
    let refused = matches!(err.code(), Some("WRONGPASS" | "NOAUTH"))
        || err.kind() == ErrorKind::AuthenticationFailed;
    if refused {
        return format!("the server refuses user and password: {err}");
    }
    if err.code() == Some("NOPERM") {
        return format!("the server's user may not do what is needed: {err}");
    }
    let said = err.to_string();
    if said.contains("CertificateRequired") {
        return format!("the server asks for a certificate of ours: {said}");
    }
    if said.contains("certificate") {
        return format!("the server's certificate is not trusted: {said}");
    }
    said
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
