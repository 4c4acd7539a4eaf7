//! The call by which a replica says that it lives, and hears of the others.

use std::time::Duration;

use deadpool_redis::PoolError;
use deadpool_redis::redis::{self, AsyncCommands as _};
use trunkline_actors::ids::DeploymentId;

use super::connect::Server;
use super::scripts::BEAT;
use super::wire::{LEASE, millis};

/// What the others say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Beat {
    /// All that live, this one among them.
    pub(super) replicas: Vec<String>,
    /// Deployments that cool down by their word, and how long.
    pub(super) cooldowns: Vec<(String, Duration)>,
}

/// Says that the replica lives, and which deployments cool down by its word.
pub(super) async fn send(
    server: &Server,
    replica: &str,
    told: &[(DeploymentId, Duration)],
) -> Result<Beat, PoolError> {
    let mut call = BEAT.prepare_invoke();
    call.key(server.keys.replicas())
        .key(server.keys.cooldowns())
        .arg("")
        .arg(replica)
        .arg(millis(LEASE));
    for (deployment, left) in told {
        call.arg(deployment.as_str()).arg(millis(*left));
    }
    let mut connection = server.pooled().await?;
    let answer = call.invoke_async(&mut *connection).await;
    let (replicas, cooldowns): (Vec<String>, Vec<(String, u64)>) =
        answer.map_err(PoolError::Backend)?;
    let cooldowns = cooldowns.into_iter();
    Ok(Beat {
        replicas,
        cooldowns: cooldowns
            .map(|(deployment, left)| (deployment, Duration::from_millis(left)))
            .collect(),
    })
}

/// The replica stops.
pub(super) async fn leave(server: &Server, replica: &str) -> Result<(), PoolError> {
    let mut connection = server.pooled().await?;
    let left: Result<u64, redis::RedisError> =
        connection.zrem(server.keys.replicas(), replica).await;
    left.map(drop).map_err(PoolError::Backend)
}
