//! From the config to what the Supervisor is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use trunkline_actors::deployment::ByClass;
use trunkline_actors::ids::{DeploymentId, ModelGroup};
use trunkline_actors::supervisor::{
    Beside, DeploymentSpec, LatencyArgs, RoutingConfig, Strategy, TagRules,
};

use super::target::Target;
use super::targets::Targets;
use crate::config::{ByError, RouterSettings, RoutingHint, RoutingStrategy};
use crate::cost::Part;

/// Everything that routing depends on, and the targets that belong to it.
pub fn routing_config(router: &RouterSettings, targets: &Arc<Targets>) -> RoutingConfig {
    let by_group = router.model_group_retry_policy.iter();
    RoutingConfig {
        deployments: deployments(router, targets),
        aliases: router.model_group_alias.clone(),
        fallbacks: router.fallbacks.clone(),
        context_window_fallbacks: router.context_window_fallbacks.clone(),
        content_policy_fallbacks: router.content_policy_fallbacks.clone(),
        strategy: strategy(router),
        tags: TagRules {
            enabled: router.enable_tag_filtering,
            match_any: router.tag_filtering_match_any,
        },
        num_retries: router.num_retries,
        retry_policy: by_class(router.retry_policy),
        group_retry_policy: by_group
            .map(|(group, policy)| (ModelGroup::new(group.as_str()), by_class(*policy)))
            .collect(),
        max_fallbacks: router.max_fallbacks,
        retry_after: router.retry_after,
        allowed_fails: router.allowed_fails,
        allowed_fails_policy: by_class(router.allowed_fails_policy),
        cooldown_time: router.cooldown_time,
        disable_cooldowns: router.disable_cooldowns,
        beside: Beside::new(Arc::clone(targets)),
    }
}

fn strategy(router: &RouterSettings) -> Strategy {
    match router.routing_strategy {
        RoutingStrategy::SimpleShuffle => Strategy::SimpleShuffle,
        RoutingStrategy::LeastBusy => Strategy::LeastBusy,
        RoutingStrategy::LatencyBased => Strategy::LatencyBased(LatencyArgs {
            buffer: router.strategy_args.lowest_latency_buffer,
            ttl: router.strategy_args.ttl,
        }),
        RoutingStrategy::UsageBased => Strategy::UsageBased,
        RoutingStrategy::UsageBasedV2 => Strategy::UsageBasedV2,
        RoutingStrategy::CostBased => Strategy::CostBased,
        RoutingStrategy::PowerOfTwoChoices => Strategy::PowerOfTwoChoices,
    }
}

fn by_class(numbers: ByError) -> ByClass {
    let ByError {
        bad_request,
        authentication,
        timeout,
        rate_limit,
        content_policy,
        internal_server,
    } = numbers;
    ByClass {
        bad_request,
        authentication,
        timeout,
        rate_limit,
        content_policy,
        internal_server,
    }
}

fn deployments(router: &RouterSettings, targets: &Targets) -> Vec<DeploymentSpec> {
    // The tutorial's `mode: fallback`: one after the other, in the order of the file.
    let mut places: HashMap<&str, u32> = HashMap::new();
    targets
        .iter()
        .map(|target| {
            let mut spec = spec(target, router);
            let deployment = &target.config;
            let hint = deployment.model_info.routing_hint;
            if hint == Some(RoutingHint::Fallback) && spec.order.is_none() {
                let place = places.entry(&deployment.model_name).or_default();
                *place = place.saturating_add(1);
                spec.order = Some(*place);
            }
            spec
        })
        .collect()
}

fn spec(target: &Target, router: &RouterSettings) -> DeploymentSpec {
    let deployment = &target.config;
    let price = target.price(&deployment.upstream_model);
    let price = price.as_ref().map(|priced| priced.price());
    DeploymentSpec {
        weight: deployment.weight,
        rpm: deployment.rpm,
        tpm: deployment.tpm,
        order: deployment.order,
        max_parallel_requests: deployment
            .max_parallel_requests
            .or(router.default_max_parallel_requests),
        cooldown_time: deployment
            .cooldown_time_secs
            .and_then(|secs| Duration::try_from_secs_f64(secs).ok()),
        num_retries: deployment.num_retries,
        allowed_fails: deployment.allowed_fails,
        allowed_fails_policy: by_class(deployment.allowed_fails_policy),
        tags: deployment.tags.clone(),
        blocked: deployment.blocked,
        price_per_token: price.and_then(|price| {
            let output = price.of(Part::Output).unwrap_or_default();
            price.of(Part::Input)?.checked_add(output)
        }),
        ..DeploymentSpec::new(
            DeploymentId::new(deployment.id.as_str()),
            ModelGroup::new(deployment.model_name.as_str()),
            deployment.upstream_model.as_str(),
        )
    }
}
