//! What the [`Supervisor`](super::Supervisor) is told. Choosing a deployment is not among it.

use actix::Message;

use super::config::RoutingConfig;
use crate::ids::DeploymentId;

/// A new configuration. When it is answered, the routing table is the new one.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Applied")]
pub struct ApplyConfig(pub RoutingConfig);

/// What a configuration changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, actix::MessageResponse)]
pub struct Applied {
    /// Deployments that are new.
    pub started: usize,
    /// Deployments that stay, with their counters and cooldowns.
    pub kept: usize,
    /// Deployments that are no more.
    pub stopped: usize,
}

/// Asks for the facts, for readiness and status pages.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "SupervisorSnapshot")]
pub struct HealthSnapshot;

/// Facts of the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Default, actix::MessageResponse)]
pub struct SupervisorSnapshot {
    /// Actors that run.
    pub running: usize,
    /// Actors that are dead at this moment; the next tick re-creates them.
    pub dead: Vec<DeploymentId>,
    /// Actors that were re-created since the start.
    pub restarts: u64,
}

/// Makes the actor of that deployment panic, to see it re-created. Answers whether there is one.
#[cfg(any(test, feature = "test-util"))]
#[derive(Debug, Clone, Message)]
#[rtype(result = "bool")]
pub struct PoisonDeployment(pub DeploymentId);
