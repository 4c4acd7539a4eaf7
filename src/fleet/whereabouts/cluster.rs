//! The node of a cluster that has our slot, by the word of any node. Source: the Redis cluster specification, "Redirection and
//! resharding".

use std::sync::{Mutex, MutexGuard, PoisonError};

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{
    ErrorKind, FromRedisValue as _, RedisError, ServerErrorKind, Value, cmd, pipe,
};

use super::{Whereabouts, at, first};
use crate::config::RedisNode;

/// Nodes that are remembered, beside those of the config.
const KNOWN: usize = 64;
/// How often a node may point to another one.
const REDIRECTIONS: usize = 3;

/// See the module.
pub(super) struct Cluster {
    start: Vec<RedisNode>,
    /// All that were named when the node was found last: those of the config may all be gone one day.
    known: Mutex<Vec<RedisNode>>,
    /// Any key of our slot.
    key: String,
}

/// What `CLUSTER SLOTS` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Who has the slot; none, where nobody has.
    pub(super) owner: Option<RedisNode>,
    /// Everybody, replicas too.
    pub(super) nodes: Vec<RedisNode>,
}

// === impl Cluster ===

impl Cluster {
    pub(super) fn new(start: &[RedisNode], key: String) -> Self {
        Self {
            start: start.to_vec(),
            known: Mutex::default(),
            key,
        }
    }

    pub(super) async fn owner(
        &self,
        whereabouts: &Whereabouts,
    ) -> Result<MultiplexedConnection, RedisError> {
        let mut nodes = self.known().clone();
        let further = self.start.iter().filter(|node| !nodes.contains(node));
        let further: Vec<_> = further.cloned().collect();
        nodes.extend(further);
        let asked = nodes.iter().map(|node| self.by_word_of(node, whereabouts));
        first(asked.collect()).await
    }

    /// The owner that this node names, if it says so itself: a node may not know yet.
    async fn by_word_of(
        &self,
        node: &RedisNode,
        whereabouts: &Whereabouts,
    ) -> Result<MultiplexedConnection, RedisError> {
        let address = at(&whereabouts.server, &node.host, node.port);
        let mut asked = whereabouts.connect(&address).await?;
        let (slot, slots): (u64, Value) = pipe()
            .cmd("CLUSTER")
            .arg("KEYSLOT")
            .arg(&self.key)
            .cmd("CLUSTER")
            .arg("SLOTS")
            .query_async(&mut asked)
            .await?;
        let told = read(&slots, slot, &node.host);
        let Some(mut owner) = told.owner else {
            let what = "no node of the cluster has the slot of our keys";
            return Err(RedisError::from((ErrorKind::Client, what)));
        };
        for _ in 0..REDIRECTIONS {
            let address = at(&whereabouts.server, &owner.host, owner.port);
            let mut connection = whereabouts.connect(&address).await?;
            let refused = match self.has_our_slot(&mut connection).await {
                Ok(()) => {
                    *self.known() = told.nodes;
                    return Ok(connection);
                }
                Err(err) => err,
            };
            match refused.redirect_node() {
                Some((host, port)) if refused.kind() == ServerErrorKind::Moved.into() => {
                    // Without a host it means the one that was asked.
                    let host = if host.is_empty() { &owner.host } else { host };
                    owner = RedisNode {
                        host: host.to_owned(),
                        port,
                    };
                }
                _ => return Err(refused),
            }
        }
        let what = "the nodes of the cluster do not agree who has the slot of our keys";
        Err(RedisError::from((ErrorKind::Client, what)))
    }

    /// An error for whom another node has it, and for who is cut off from the others.
    pub(super) async fn has_our_slot(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), RedisError> {
        let mut asked = cmd("EXISTS");
        asked.arg(&self.key).exec_async(connection).await
    }

    fn known(&self) -> MutexGuard<'_, Vec<RedisNode>> {
        // Nothing panics under this lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads `[[from, to, [host, port, …], [host, port, …], …], …]`, the owner first. `asked` is the host of who says it, which leaves
/// its own out when it does not know it.
pub(super) fn read(slots: &Value, slot: u64, asked: &str) -> Told {
    let mut told = Told {
        owner: None,
        nodes: Vec::new(),
    };
    for range in list(slots) {
        let [from, to, nodes @ ..] = list(range) else {
            continue;
        };
        let mut nodes = nodes.iter().filter_map(|said| node(said, asked)).peekable();
        let (from, to) = (number(from), number(to));
        if from.is_some_and(|from| from <= slot) && to.is_some_and(|to| slot <= to) {
            told.owner = nodes.peek().cloned();
        }
        for node in nodes {
            if told.nodes.len() < KNOWN && !told.nodes.contains(&node) {
                told.nodes.push(node);
            }
        }
    }
    told
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        _ => &[],
    }
}

fn number(value: &Value) -> Option<u64> {
    u64::from_redis_value_ref(value).ok()
}

fn node(said: &Value, asked: &str) -> Option<RedisNode> {
    let [host, port, ..] = list(said) else {
        return None;
    };
    let host = String::from_redis_value_ref(host).unwrap_or_default();
    let host = match host.as_str() {
        // Some say `?` where they do not know.
        "" | "?" => asked.to_owned(),
        _ => host,
    };
    // Read as `u16` at once the driver would cut it.
    let port = u16::try_from(number(port)?).ok()?;
    Some(RedisNode { host, port })
}
