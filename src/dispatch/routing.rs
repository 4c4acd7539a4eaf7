//! From the config to what the Supervisor is told.

use std::time::Duration;

use trunkline_actors::ids::{DeploymentId, ModelGroup};
use trunkline_actors::supervisor::{DeploymentSpec, RoutingConfig};

use crate::config::{Config, DeploymentConfig};

/// Everything that routing depends on.
pub fn routing_config(config: &Config) -> RoutingConfig {
    let router = &config.router;
    RoutingConfig {
        deployments: config.deployments.iter().map(spec).collect(),
        aliases: router.model_group_alias.clone(),
        fallbacks: router.fallbacks.clone(),
        context_window_fallbacks: router.context_window_fallbacks.clone(),
        content_policy_fallbacks: router.content_policy_fallbacks.clone(),
        num_retries: router.num_retries,
        max_fallbacks: router.max_fallbacks,
        retry_after: router.retry_after,
        allowed_fails: router.allowed_fails,
        cooldown_time: router.cooldown_time,
        disable_cooldowns: router.disable_cooldowns,
        ..RoutingConfig::default()
    }
}

fn spec(deployment: &DeploymentConfig) -> DeploymentSpec {
    DeploymentSpec {
        weight: deployment.weight,
        rpm: deployment.rpm,
        tpm: deployment.tpm,
        order: deployment.order,
        max_parallel_requests: deployment.max_parallel_requests,
        cooldown_time: deployment
            .cooldown_time_secs
            .and_then(|secs| Duration::try_from_secs_f64(secs).ok()),
        num_retries: deployment.num_retries,
        ..DeploymentSpec::new(
            DeploymentId::new(deployment.id.as_str()),
            ModelGroup::new(deployment.model_name.as_str()),
            deployment.upstream_model.as_str(),
        )
    }
}
