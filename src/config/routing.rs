//! `router_settings` that say how a deployment is chosen and when it is given up: the strategy, and numbers by class of
//! error.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::error::NoticeKind;
use super::model::{Budget, ByError, RoutingStrategy};
use super::providers::PROVIDERS;
use super::raw::{RawAllowedFails, RawRetries, RawRouter};
use super::report::Report;
use super::section::seconds_above_zero;
use super::span;
use super::suggest::nearest;
use super::yaml::KeyPath;
use crate::cost::parse_price;

/// LiteLLM's `ttl` of a latency, where the file has none.
const LATENCY_TTL: Duration = Duration::from_hours(1);

/// `routing_strategy_args`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StrategyArgs {
    /// Share by which a deployment may be slower than the quickest and still be picked.
    pub lowest_latency_buffer: f64,
    /// A latency that old is forgotten.
    pub ttl: Duration,
}

/// `routing_strategy`; a name that is not known is noted, and the default counts.
pub(super) fn strategy(
    raw: &RawRouter,
    here: &KeyPath,
    report: &mut Report<'_>,
) -> RoutingStrategy {
    let Some(name) = raw.routing_strategy.as_deref() else {
        return RoutingStrategy::default();
    };
    let known = RoutingStrategy::ALL.into_iter();
    known
        .into_iter()
        .find(|strategy| strategy.as_str() == name.trim())
        .unwrap_or_else(|| {
            let names = RoutingStrategy::ALL.map(RoutingStrategy::as_str).join(", ");
            let message = format!(
                "{name} is not acted on: deployments are picked by simple-shuffle; the others are {names}"
            );
            report.notice(
                NoticeKind::NotActedOn,
                &here.key("routing_strategy"),
                message,
            );
            RoutingStrategy::default()
        })
}

/// `routing_strategy_args`.
pub(super) fn strategy_args(
    raw: &RawRouter,
    here: &KeyPath,
    report: &mut Report<'_>,
) -> StrategyArgs {
    let args = &raw.routing_strategy_args;
    let here = here.key("routing_strategy_args");
    seconds_above_zero(args.ttl, &here.key("ttl"), report);
    if args
        .lowest_latency_buffer
        .is_some_and(|buffer| buffer.is_nan() || buffer < 0.0)
    {
        report.problem(
            &here.key("lowest_latency_buffer"),
            "is below zero",
            "write a share such as 0.1 for a tenth",
        );
    }
    StrategyArgs {
        lowest_latency_buffer: args.lowest_latency_buffer.unwrap_or(0.0),
        ttl: args
            .ttl
            .and_then(|secs| Duration::try_from_secs_f64(secs).ok())
            .unwrap_or(LATENCY_TTL),
    }
}

/// `model_group_retry_policy`.
pub(super) fn by_group(raw: &BTreeMap<String, RawRetries>) -> Vec<(String, ByError)> {
    raw.iter()
        .map(|(group, policy)| (group.clone(), ByError::from(policy)))
        .collect()
}

/// `provider_budget_config`.
pub(super) fn provider_budgets(
    raw: &RawRouter,
    here: &KeyPath,
    report: &mut Report<'_>,
) -> Vec<(String, Budget)> {
    let here = here.key("provider_budget_config");
    let mut budgets = Vec::new();
    for (provider, raw) in &raw.provider_budget_config {
        let path = here.key(provider);
        let budget = budget(
            raw.budget_limit.as_deref(),
            &path.key("budget_limit"),
            raw.time_period.as_deref(),
            &path.key("time_period"),
            report,
        );
        if PROVIDERS.iter().all(|known| known.name != provider) {
            let message = match nearest(provider, PROVIDERS.iter().map(|known| known.name)) {
                Some(meant) => format!("no provider is called so; did you mean `{meant}`?"),
                None => "no provider is called so, and nothing counts for it".to_owned(),
            };
            report.notice(NoticeKind::Weak, &path, message);
        }
        budgets.extend(budget.map(|budget| (provider.clone(), budget)));
    }
    budgets
}

/// An amount and its period.
pub(super) fn budget(
    limit: Option<&str>,
    limit_path: &KeyPath,
    period: Option<&str>,
    period_path: &KeyPath,
    report: &mut Report<'_>,
) -> Option<Budget> {
    let period = period.map(str::trim).and_then(|text| {
        let length = span::parse(text);
        if length.is_none() {
            report.problem(period_path, "is not a length of time", span::FIX);
        }
        Some((length?, text.to_owned()))
    });
    let limit = parse_price(limit?);
    if limit.is_none() {
        report.problem(
            limit_path,
            "is not an amount",
            "write USD, 0 or more, such as 100.0",
        );
    }
    let (period, written_period) = period.unzip();
    limit.map(|limit| Budget {
        limit,
        period,
        written_period,
    })
}

// === impl RoutingStrategy ===

impl RoutingStrategy {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::SimpleShuffle,
        Self::LeastBusy,
        Self::LatencyBased,
        Self::UsageBased,
        Self::UsageBasedV2,
        Self::CostBased,
        Self::PowerOfTwoChoices,
    ];

    /// Its name in a file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SimpleShuffle => "simple-shuffle",
            Self::LeastBusy => "least-busy",
            Self::LatencyBased => "latency-based-routing",
            Self::UsageBased => "usage-based-routing",
            Self::UsageBasedV2 => "usage-based-routing-v2",
            Self::CostBased => "cost-based-routing",
            Self::PowerOfTwoChoices => "power-of-two-choices",
        }
    }

    /// Whom it picks, in one line.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::SimpleShuffle => "At random, by weight, rpm or tpm.",
            Self::LeastBusy => "The fewest requests in flight.",
            Self::LatencyBased => "The quickest of late.",
            Self::UsageBased => "The fewest tokens of the last minute.",
            Self::UsageBasedV2 => "The most head-room in rpm and tpm.",
            Self::CostBased => "The cheapest.",
            Self::PowerOfTwoChoices => "The less loaded of two at random.",
        }
    }
}

impl fmt::Display for RoutingStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl ByError ===

impl From<&RawRetries> for ByError {
    fn from(raw: &RawRetries) -> Self {
        Self {
            bad_request: raw.bad_request,
            authentication: raw.authentication,
            timeout: raw.timeout,
            rate_limit: raw.rate_limit,
            content_policy: raw.content_policy,
            internal_server: raw.internal_server,
        }
    }
}

impl From<&RawAllowedFails> for ByError {
    fn from(raw: &RawAllowedFails) -> Self {
        Self {
            bad_request: raw.bad_request,
            authentication: raw.authentication,
            timeout: raw.timeout,
            rate_limit: raw.rate_limit,
            content_policy: raw.content_policy,
            internal_server: raw.internal_server,
        }
    }
}

impl fmt::Display for ByError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes = [
            ("bad request", self.bad_request),
            ("authentication", self.authentication),
            ("timeout", self.timeout),
            ("rate limit", self.rate_limit),
            ("content policy", self.content_policy),
            ("internal server", self.internal_server),
        ];
        let named = classes
            .into_iter()
            .filter_map(|(class, number)| Some(format!("{class} {}", number?)));
        f.write_str(&named.collect::<Vec<_>>().join(", "))
    }
}
