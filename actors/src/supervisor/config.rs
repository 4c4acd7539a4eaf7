//! What the supervisor is told of the configuration: plain values, already validated.

use std::sync::Arc;
use std::time::Duration;

use crate::deployment::Rules;
use crate::ids::{DeploymentId, ModelGroup};

/// Everything that routing depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutingConfig {
    /// The entries of `model_list`, in order.
    pub deployments: Vec<DeploymentSpec>,
    /// `model_group_alias`: alias, group.
    pub aliases: Vec<(String, String)>,
    /// General fallbacks: group (`*` for all others), targets in order.
    pub fallbacks: Vec<(String, Vec<String>)>,
    /// For prompts that are too long; `None`: the general ones.
    pub context_window_fallbacks: Option<Vec<(String, Vec<String>)>>,
    /// For refusals by content policy; `None`: the general ones.
    pub content_policy_fallbacks: Option<Vec<(String, Vec<String>)>>,
    /// Retries within a group, after the first try.
    pub num_retries: u32,
    /// Depth to which fallbacks of fallbacks are followed.
    pub max_fallbacks: u32,
    /// Least wait before a retry that waits at all.
    pub retry_after: Duration,
    /// Failures allowed before a cooldown; `None` or 3 is the default rule of the contract (routing §3).
    pub allowed_fails: Option<u32>,
    /// How long a cooldown lasts if neither deployment nor upstream says.
    pub cooldown_time: Duration,
    /// No cooldowns at all.
    pub disable_cooldowns: bool,
}

/// One deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentSpec {
    /// Its id; unique.
    pub id: DeploymentId,
    /// Its group, which may be a pattern such as `openai/*`.
    pub group: ModelGroup,
    /// The provider's model name; `*` stands for what the pattern's `*` matched.
    pub upstream_model: Arc<str>,
    /// Share of the group's traffic; before `rpm`, before `tpm`.
    pub weight: Option<f64>,
    /// Requests per minute that the provider grants.
    pub rpm: Option<u64>,
    /// Tokens per minute that the provider grants.
    pub tpm: Option<u64>,
    /// Lower is tried first; without one, last.
    pub order: Option<u32>,
    /// Requests at the same time.
    pub max_parallel_requests: Option<u32>,
    /// Its own cooldown time.
    pub cooldown_time: Option<Duration>,
    /// Its own number of retries, used when it is the one that failed.
    pub num_retries: Option<u32>,
}

// === impl RoutingConfig ===

impl Default for RoutingConfig {
    fn default() -> Self {
        Self {
            deployments: Vec::new(),
            aliases: Vec::new(),
            fallbacks: Vec::new(),
            context_window_fallbacks: None,
            content_policy_fallbacks: None,
            num_retries: 2,
            max_fallbacks: 5,
            retry_after: Duration::ZERO,
            allowed_fails: None,
            cooldown_time: Duration::from_secs(5),
            disable_cooldowns: false,
        }
    }
}

impl RoutingConfig {
    /// The breaker's rules for that deployment.
    pub(super) fn rules(&self, spec: &DeploymentSpec) -> Rules {
        let in_group = |other: &&DeploymentSpec| other.group == spec.group;
        Rules {
            // The catch-all's names are the client's invention: the contract never cools it down.
            disabled: self.disable_cooldowns || spec.group.as_str() == "*",
            allowed_fails: self.allowed_fails,
            own_cooldown: spec.cooldown_time,
            cooldown: self.cooldown_time,
            has_siblings: self.deployments.iter().filter(in_group).count() > 1,
            wildcard: spec.group.as_str().contains('*'),
        }
    }
}

impl DeploymentSpec {
    /// A deployment with nothing but what it needs.
    pub fn new(
        id: impl Into<DeploymentId>,
        group: impl Into<ModelGroup>,
        upstream_model: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            id: id.into(),
            group: group.into(),
            upstream_model: upstream_model.into(),
            weight: None,
            rpm: None,
            tpm: None,
            order: None,
            max_parallel_requests: None,
            cooldown_time: None,
            num_retries: None,
        }
    }
}
