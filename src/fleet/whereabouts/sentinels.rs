//! The master, by the word of its sentinels. Source: the manual's "Guidelines for Redis clients with support for Redis Sentinel".

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{ConnectionInfo, ErrorKind, RedisError, Value, cmd, from_redis_value};

use super::{Whereabouts, at, first};

/// See the module.
pub(super) struct Sentinels {
    nodes: Vec<ConnectionInfo>,
    service: String,
}

// === impl Sentinels ===

impl Sentinels {
    pub(super) fn new(nodes: Vec<ConnectionInfo>, service: String) -> Self {
        Self { nodes, service }
    }

    pub(super) async fn master(
        &self,
        whereabouts: &Whereabouts,
    ) -> Result<MultiplexedConnection, RedisError> {
        let nodes = self.nodes.iter();
        let asked = nodes.map(|sentinel| self.by_word_of(sentinel, whereabouts));
        first(asked.collect()).await
    }

    /// The master that this one names, if it says so itself: a sentinel may not know yet.
    async fn by_word_of(
        &self,
        sentinel: &ConnectionInfo,
        whereabouts: &Whereabouts,
    ) -> Result<MultiplexedConnection, RedisError> {
        let mut asked = whereabouts.connect(sentinel).await?;
        let named: Option<(String, u16)> = cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(&self.service)
            .query_async(&mut asked)
            .await?;
        let Some((host, port)) = named else {
            let service = self.service.clone();
            let what = "the sentinels know no server of this name";
            return Err(RedisError::from((ErrorKind::Client, what, service)));
        };
        let master = at(&whereabouts.server, &host, port);
        let mut master = whereabouts.connect(&master).await?;
        is_master(&mut master).await?;
        Ok(master)
    }
}

/// An error for whom another one is master. Who may not tell is found out by the first call that writes.
pub(super) async fn is_master(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    let role: Result<Vec<Value>, RedisError> = cmd("ROLE").query_async(connection).await;
    let role = match role {
        Err(err) if err.code() == Some("NOPERM") => {
            return cmd("PING").exec_async(connection).await;
        }
        role => role?.into_iter().next(),
    };
    let role: String = from_redis_value(role.unwrap_or(Value::Nil))?;
    if role == "master" {
        return Ok(());
    }
    let what = "the server is no master";
    Err(RedisError::from((ErrorKind::Client, what, role)))
}
