//! Which server has our keys now: the one of the address, the one that sentinels call master, or the node of a cluster that has
//! our slot. All keys begin with one hash tag, so it is one server in any case.
//!
//! It is looked for whenever a connection is made, and nothing is remembered but further nodes to ask: who was master a moment ago
//! is of no use when a connection to it has just been lost. Of several that may be asked, some are asked at once, and whoever
//! first names a server that says of itself that it is the one is believed.

mod cluster;
mod sentinels;
#[cfg(test)]
mod tests;

use std::fmt;

use deadpool::managed::{self, Metrics, RecycleResult};
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, RedisConnectionInfo,
    RedisError, cmd,
};
use futures_util::StreamExt as _;
use futures_util::stream;

use self::cluster::Cluster;
use self::sentinels::Sentinels;
use crate::config::RedisPlace;

/// How many are asked at a time: enough that one which is gone keeps nobody waiting.
const AT_ONCE: usize = 4;

/// Makes connections to whoever has our keys.
pub(super) struct Whereabouts {
    place: Place,
    /// How to sign in to the server; its address where that is all there is.
    server: ConnectionInfo,
    timeouts: AsyncConnectionConfig,
}

enum Place {
    Address,
    Sentinels(Sentinels),
    Cluster(Cluster),
}

// === impl Whereabouts ===

impl Whereabouts {
    /// `key` is any of our keys.
    pub(super) fn new(
        place: &RedisPlace,
        server: ConnectionInfo,
        timeouts: AsyncConnectionConfig,
        key: String,
    ) -> Self {
        let place = match place {
            RedisPlace::Address => Place::Address,
            RedisPlace::Cluster(nodes) => Place::Cluster(Cluster::new(nodes, key)),
            RedisPlace::Sentinels {
                nodes,
                service,
                username,
                password,
            } => {
                let mut sign_in = RedisConnectionInfo::default();
                if let Some(username) = username {
                    sign_in = sign_in.set_username(username);
                }
                if let Some(password) = password {
                    sign_in = sign_in.set_password(password.expose());
                }
                let nodes = nodes.iter().map(|node| {
                    at(&server, &node.host, node.port).set_redis_settings(sign_in.clone())
                });
                Place::Sentinels(Sentinels::new(nodes.collect(), service.clone()))
            }
        };
        Self {
            place,
            server,
            timeouts,
        }
    }

    async fn connect(&self, to: &ConnectionInfo) -> Result<MultiplexedConnection, RedisError> {
        let client = Client::open(to.clone())?;
        client
            .get_multiplexed_async_connection_with_config(&self.timeouts)
            .await
    }
}

impl managed::Manager for Whereabouts {
    type Type = MultiplexedConnection;
    type Error = RedisError;

    async fn create(&self) -> Result<MultiplexedConnection, RedisError> {
        match &self.place {
            Place::Address => self.connect(&self.server).await,
            Place::Sentinels(sentinels) => sentinels.master(self).await,
            Place::Cluster(cluster) => cluster.owner(self).await,
        }
    }

    /// Whether it still leads to the server that has our keys.
    async fn recycle(
        &self,
        connection: &mut MultiplexedConnection,
        _metrics: &Metrics,
    ) -> RecycleResult<RedisError> {
        match &self.place {
            Place::Address => cmd("PING").exec_async(connection).await?,
            Place::Sentinels(_) => sentinels::is_master(connection).await?,
            Place::Cluster(cluster) => cluster.has_our_slot(connection).await?,
        }
        Ok(())
    }
}

impl fmt::Debug for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whereabouts").finish_non_exhaustive()
    }
}

/// The same way to sign in, at another address.
fn at(server: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    let address = match server.addr() {
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    server.clone().set_addr(address)
}

/// What the first of these comes to that comes to something; else an error that tells most.
async fn first<T>(
    asked: Vec<impl Future<Output = Result<T, RedisError>>>,
) -> Result<T, RedisError> {
    let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    let mut failed: Option<RedisError> = None;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(found) => return Ok(found),
            // Who cannot be reached says less than who answers.
            Err(err) if failed.is_none() || !err.is_io_error() => failed = Some(err),
            Err(_) => {}
        }
    }
    Err(failed.unwrap_or_else(|| RedisError::from((ErrorKind::Client, "there is nobody to ask"))))
}
