//! What the supervisor is told of the configuration: plain values, already validated.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;

use super::select::Strategy;
use super::tags::TagRules;
use crate::deployment::{ByClass, Grant, Rules};
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
    /// How a deployment of a group is chosen.
    pub strategy: Strategy,
    /// Whether tags decide who may answer.
    pub tags: TagRules,
    /// Retries within a group, after the first try.
    pub num_retries: u32,
    /// Retries by class of failure, instead of any other number but a request's 0.
    pub retry_policy: ByClass,
    /// The same by group, before it.
    pub group_retry_policy: HashMap<ModelGroup, ByClass>,
    /// Depth to which fallbacks of fallbacks are followed.
    pub max_fallbacks: u32,
    /// Least wait before a retry that waits at all.
    pub retry_after: Duration,
    /// Failures allowed before a cooldown; `None` or 3 is the default rule of the contract (routing §3).
    pub allowed_fails: Option<u32>,
    /// The same by class of failure.
    pub allowed_fails_policy: ByClass,
    /// How long a cooldown lasts if neither deployment nor upstream says.
    pub cooldown_time: Duration,
    /// No cooldowns at all.
    pub disable_cooldowns: bool,
    /// Goes with the table.
    pub beside: Beside,
}

/// What whoever makes a configuration wants to find beside the table that is made of it: a request that reads one has the
/// other of the same moment. Nothing here looks into it. Equal only to itself.
#[derive(Clone, Default)]
pub struct Beside(Option<Arc<dyn Any + Send + Sync>>);

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
    /// Requests that the provider grants in any 60 s; more are not sent.
    pub rpm: Option<u64>,
    /// Tokens that the provider grants in any 60 s; a request that is estimated at more is not sent.
    pub tpm: Option<u64>,
    /// Lower is tried first; without one, last.
    pub order: Option<u32>,
    /// Requests at the same time.
    pub max_parallel_requests: Option<u32>,
    /// Its own cooldown time.
    pub cooldown_time: Option<Duration>,
    /// Its own number of retries, used when it is the one that failed.
    pub num_retries: Option<u32>,
    /// Its own `allowed_fails`, before the router's.
    pub allowed_fails: Option<u32>,
    /// Its own `allowed_fails_policy`, before the router's.
    pub allowed_fails_policy: ByClass,
    /// For tag routing.
    pub tags: Vec<String>,
    /// USD for a token in and a token out; `None` is unknown.
    pub price_per_token: Option<Decimal>,
    /// Paused by the operator: it is not asked, and its counters stay.
    pub blocked: bool,
}

// === impl Beside ===

impl Beside {
    /// This.
    pub fn new<T: Any + Send + Sync>(value: Arc<T>) -> Self {
        Self(Some(value))
    }

    /// What was put there, if it is of that type.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(self.0.as_ref()?).downcast().ok()
    }
}

impl PartialEq for Beside {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beside").finish_non_exhaustive()
    }
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
            strategy: Strategy::default(),
            tags: TagRules::default(),
            num_retries: 2,
            retry_policy: ByClass::default(),
            group_retry_policy: HashMap::new(),
            max_fallbacks: 5,
            retry_after: Duration::ZERO,
            allowed_fails: None,
            allowed_fails_policy: ByClass::default(),
            cooldown_time: Duration::from_secs(5),
            disable_cooldowns: false,
            beside: Beside::default(),
        }
    }
}

impl RoutingConfig {
    /// The breakers' rules, in the order of the deployments.
    pub(super) fn rules(&self) -> impl Iterator<Item = Rules> {
        // Counted once: of thousands of deployments each would look through all others.
        let mut answering: HashMap<&ModelGroup, usize> = HashMap::new();
        for spec in self.deployments.iter().filter(|spec| !spec.blocked) {
            *answering.entry(&spec.group).or_default() += 1;
        }
        self.deployments.iter().map(move |spec| {
            let in_group = answering.get(&spec.group).copied().unwrap_or_default();
            self.rules_of(spec, in_group > usize::from(!spec.blocked))
        })
    }

    fn rules_of(&self, spec: &DeploymentSpec, has_siblings: bool) -> Rules {
        Rules {
            // The catch-all's names are the client's invention: the contract never cools it down.
            disabled: self.disable_cooldowns || spec.group.as_str() == "*",
            allowed_fails: spec.allowed_fails.or(self.allowed_fails),
            allowed_fails_policy: if spec.allowed_fails_policy.is_empty() {
                self.allowed_fails_policy
            } else {
                spec.allowed_fails_policy
            },
            own_cooldown: spec.cooldown_time,
            cooldown: self.cooldown_time,
            has_siblings,
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
            allowed_fails: None,
            allowed_fails_policy: ByClass::default(),
            tags: Vec::new(),
            price_per_token: None,
            blocked: false,
        }
    }

    /// What its provider grants a minute.
    pub(super) fn grant(&self) -> Grant {
        Grant {
            rpm: self.rpm,
            tpm: self.tpm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_are_those_of_the_group_that_may_answer() {
        let spec = |id: &str, group: &str, blocked| DeploymentSpec {
            blocked,
            ..DeploymentSpec::new(id, group, "m")
        };
        let config = RoutingConfig {
            deployments: vec![
                spec("one", "two together", false),
                spec("alone", "alone", false),
                spec("other", "two together", false),
                spec("left", "one of them blocked", false),
                spec("paused", "one of them blocked", true),
                spec("nobody", "all blocked", true),
                spec("nobody either", "all blocked", true),
            ],
            ..RoutingConfig::default()
        };
        let found: Vec<bool> = config.rules().map(|rules| rules.has_siblings).collect();
        assert_eq!(found, [true, false, true, false, true, false, false]);
    }
}
