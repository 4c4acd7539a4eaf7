//! Prometheus metrics of the gateway. Names are `trunkline_<noun>_<unit>`; labels are bounded: model groups come from the
//! config (a wildcard counts under its pattern, an unknown model under `other`), statuses and endpoints from fixed sets.
//!
//! Counters of money are floats here and only here: a scrape is a display, the books are decimal.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds in seconds, those of LiteLLM's latency histograms.
const LATENCY_BUCKETS: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

/// All metric families, registered once.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    duration: Family<GroupLabels, Histogram, LatencyHistogram>,
    first_content: Family<GroupLabels, Histogram, LatencyHistogram>,
    tokens: Family<TokenLabels, Counter>,
    spend: Family<GroupLabels, Counter<f64, AtomicU64>>,
    unpriced: Family<GroupLabels, Counter>,
    retries: Family<GroupLabels, Counter>,
    fallbacks: Family<GroupLabels, Counter>,
    in_flight: Gauge,
    refused: Family<RefusalLabels, Counter>,
}

/// One finished request, as the metrics see it.
#[derive(Debug, Clone, Copy)]
pub struct Finished<'a> {
    /// `chat_completions`, `completions` or `embeddings`.
    pub endpoint: &'static str,
    /// The group that answered, as the config spells it.
    pub model_group: &'a str,
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    endpoint: &'static str,
    model_group: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabels {
    model_group: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    model_group: String,
    direction: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Direction {
    #[expect(non_camel_case_types, reason = "label values are lower case")]
    prompt,
    #[expect(non_camel_case_types, reason = "label values are lower case")]
    completion,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    code: &'static str,
}

#[derive(Debug, Clone, Copy)]
struct LatencyHistogram;

/// Counts a request as in flight until dropped.
#[derive(Debug)]
pub struct InFlightGuard(Gauge);

// === impl Metrics ===

impl Metrics {
    /// Registers every family.
    pub fn new(version: &'static str) -> Self {
        let mut registry = Registry::with_prefix("trunkline");
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(LatencyHistogram),
            first_content: Family::new_with_constructor(LatencyHistogram),
            tokens: Family::default(),
            spend: Family::default(),
            unpriced: Family::default(),
            retries: Family::default(),
            fallbacks: Family::default(),
            in_flight: Gauge::default(),
            refused: Family::default(),
            registry: Registry::default(),
        };
        let build = Family::<Vec<(&'static str, &'static str)>, Gauge>::default();
        build.get_or_create(&vec![("version", version)]).set(1);
        registry.register("build_info", "The running version", build);
        registry.register(
            "requests",
            "Finished requests by endpoint, model group and HTTP status (499: the client left)",
            metrics.requests.clone(),
        );
        registry.register(
            "request_duration_seconds",
            "Time from a request's arrival to its settlement",
            metrics.duration.clone(),
        );
        registry.register(
            "first_content_seconds",
            "Time from a streamed request's arrival to its first content",
            metrics.first_content.clone(),
        );
        registry.register("tokens", "Tokens billed", metrics.tokens.clone());
        registry.register("spend_usd", "Cost in USD", metrics.spend.clone());
        registry.register(
            "unpriced_requests",
            "Successful requests whose model has no known price",
            metrics.unpriced.clone(),
        );
        registry.register(
            "retries",
            "Attempts after the first",
            metrics.retries.clone(),
        );
        registry.register(
            "fallbacks",
            "Fallback groups tried",
            metrics.fallbacks.clone(),
        );
        registry.register(
            "in_flight_requests",
            "Requests being served now",
            metrics.in_flight.clone(),
        );
        registry.register(
            "refused_requests",
            "Requests refused before any provider was called, by error code",
            metrics.refused.clone(),
        );
        Self {
            registry,
            ..metrics
        }
    }

    /// Counts a request as in flight until the guard is dropped.
    pub fn begin(&self) -> InFlightGuard {
        self.in_flight.inc();
        InFlightGuard(self.in_flight.clone())
    }

    /// Counts a request that was refused before a provider was called.
    pub fn refused(&self, code: &'static str) {
        self.refused.get_or_create(&RefusalLabels { code }).inc();
    }

    /// Counts a finished request.
    pub fn finished(&self, done: &Finished<'_>) {
        let group = GroupLabels {
            model_group: done.model_group.to_owned(),
        };
        self.requests
            .get_or_create(&RequestLabels {
                endpoint: done.endpoint,
                model_group: done.model_group.to_owned(),
                status: done.status,
            })
            .inc();
        self.duration
            .get_or_create(&group)
            .observe(done.duration.as_secs_f64());
        if let Some(first) = done.first_content {
            self.first_content
                .get_or_create(&group)
                .observe(first.as_secs_f64());
        }
        for (direction, tokens) in [
            (Direction::prompt, done.prompt_tokens),
            (Direction::completion, done.completion_tokens),
        ] {
            if tokens > 0 {
                self.tokens
                    .get_or_create(&TokenLabels {
                        model_group: done.model_group.to_owned(),
                        direction,
                    })
                    .inc_by(tokens);
            }
        }
        match done.cost_usd {
            Some(cost) => {
                self.spend.get_or_create(&group).inc_by(cost.max(0.0));
            }
            None => {
                self.unpriced.get_or_create(&group).inc();
            }
        }
        if done.retries > 0 {
            self.retries
                .get_or_create(&group)
                .inc_by(done.retries.into());
        }
        if done.fallbacks > 0 {
            self.fallbacks
                .get_or_create(&group)
                .inc_by(done.fallbacks.into());
        }
    }

    /// The `OpenMetrics` text of every family.
    ///
    /// # Errors
    /// Never in practice: writing to a string cannot fail.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

// === impl LatencyHistogram ===

impl MetricConstructor<Histogram> for LatencyHistogram {
    fn new_metric(&self) -> Histogram {
        Histogram::new(LATENCY_BUCKETS)
    }
}

// === impl InFlightGuard ===

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}
