//! The metrics of one model group, which requests count in.

use std::hash::Hash;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;

use super::LatencyHistogram;
use super::labels::{GroupLabels, RequestLabels, TokenLabels};

/// The label values of `endpoint`.
pub const ENDPOINTS: [&str; 3] = ["chat_completions", "completions", "embeddings"];

/// The metrics of one model group: counting a request allocates nothing.
#[derive(Debug)]
pub struct GroupMetrics {
    pub(super) model_group: String,
    pub(super) requests: Family<RequestLabels, Counter>,
    /// The requests with status 200, by place in [`ENDPOINTS`].
    pub(super) succeeded: [OnceLock<Counter>; ENDPOINTS.len()],
    pub(super) duration: Held<GroupLabels, Histogram, LatencyHistogram>,
    pub(super) first_content: Held<GroupLabels, Histogram, LatencyHistogram>,
    pub(super) prompt_tokens: Held<TokenLabels, Counter>,
    pub(super) completion_tokens: Held<TokenLabels, Counter>,
    pub(super) spend: Held<GroupLabels, Counter<f64, AtomicU64>>,
    pub(super) unpriced: Held<GroupLabels, Counter>,
    pub(super) retries: Held<GroupLabels, Counter>,
    pub(super) fallbacks: Held<GroupLabels, Counter>,
}

/// One metric of a family, looked up at its first use: what never happened is not shown.
#[derive(Debug)]
pub(super) struct Held<S, M, C = fn() -> M> {
    family: Family<S, M, C>,
    labels: S,
    metric: OnceLock<M>,
}

/// One finished request, as the metrics see it.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// One of [`ENDPOINTS`].
    pub endpoint: &'static str,
    /// HTTP status the client got, 499 when it left.
    pub status: u16,
    /// From the request's arrival to its settlement.
    pub duration: Duration,
    /// From the request's arrival to the first content, streams only.
    pub first_content: Option<Duration>,
    /// Prompt tokens billed.
    pub prompt_tokens: u64,
    /// Completion tokens billed.
    pub completion_tokens: u64,
    /// Cost in USD, `None` when no price is known.
    pub cost_usd: Option<f64>,
    /// Attempts after the first one in the same group.
    pub retries: u32,
    /// Groups tried after the first one.
    pub fallbacks: u32,
}

// === impl GroupMetrics ===

impl GroupMetrics {
    /// Counts a finished request.
    pub fn finished(&self, done: &Finished) {
        self.count(done.endpoint, done.status);
        self.duration.get().observe(done.duration.as_secs_f64());
        if let Some(first) = done.first_content {
            self.first_content.get().observe(first.as_secs_f64());
        }
        match done.cost_usd {
            Some(cost) => {
                self.spend.get().inc_by(cost.max(0.0));
            }
            None => {
                self.unpriced.get().inc();
            }
        }
        for (counter, by) in [
            (&self.retries, done.retries),
            (&self.fallbacks, done.fallbacks),
        ] {
            if by > 0 {
                counter.get().inc_by(by.into());
            }
        }
        for (counter, tokens) in [
            (&self.prompt_tokens, done.prompt_tokens),
            (&self.completion_tokens, done.completion_tokens),
        ] {
            if tokens > 0 {
                counter.get().inc_by(tokens);
            }
        }
    }

    fn count(&self, endpoint: &'static str, status: u16) {
        let counter = || {
            self.requests.get_or_create_owned(&RequestLabels {
                endpoint,
                model_group: self.model_group.clone(),
                status,
            })
        };
        let usual = ENDPOINTS
            .iter()
            .position(|known| *known == endpoint)
            .filter(|_| status == 200)
            .and_then(|place| self.succeeded.get(place));
        match usual {
            Some(succeeded) => succeeded.get_or_init(counter).inc(),
            None => counter().inc(),
        };
    }
}

// === impl Held ===

impl<S: Clone + Hash + Eq, M: Clone, C: MetricConstructor<M> + Clone> Held<S, M, C> {
    pub(super) fn new(family: &Family<S, M, C>, labels: &S) -> Self {
        Self {
            family: family.clone(),
            labels: labels.clone(),
            metric: OnceLock::new(),
        }
    }

    fn get(&self) -> &M {
        self.metric
            .get_or_init(|| self.family.get_or_create_owned(&self.labels))
    }
}
