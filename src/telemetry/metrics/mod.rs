//! Prometheus metrics of the gateway. Names are `trunkline_<noun>_<unit>`; labels are bounded: model groups come from the
//! config (a wildcard counts under its pattern, an unknown model under `other`), statuses and endpoints from fixed sets.
//!
//! Counters of money are floats here and only here: a scrape is a display, the books are decimal.

mod group;
mod labels;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::group::Held;
use self::labels::{
    DeploymentLabels, Direction, GroupLabels, RefusalLabels, RequestLabels, TableLabels,
    TokenLabels, TranscriptEnd, TranscriptLabels,
};

pub use self::group::{ENDPOINTS, Finished, GroupMetrics};

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
    waiting: Gauge,
    waited: Histogram,
    refused: Family<RefusalLabels, Counter>,
    cooldowns: Family<DeploymentLabels, Counter>,
    keys_weakened: Gauge,
    budgets_weakened: Gauge,
    keys_rotation_due: Gauge,
    rows_removed: Family<TableLabels, Counter>,
    transcripts: Family<TranscriptLabels, Counter>,
    limits_weakened: Gauge,
    replicas: Gauge,
    weakened_requests: Counter,
    healthy: Family<DeploymentLabels, Gauge>,
    journal_bytes: Gauge,
    journal_limit: Gauge,
    unrecorded: Counter,
}

/// Requests whose words were to be kept.
#[derive(Debug, Clone, Default)]
pub struct TranscriptCounters {
    /// Those whose words are in the database.
    pub kept: Counter,
    /// Those whose words no room was left for.
    pub dropped: Counter,
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
            waiting: Gauge::default(),
            waited: LatencyHistogram.new_metric(),
            refused: Family::default(),
            cooldowns: Family::default(),
            keys_weakened: Gauge::default(),
            budgets_weakened: Gauge::default(),
            keys_rotation_due: Gauge::default(),
            rows_removed: Family::default(),
            transcripts: Family::default(),
            limits_weakened: Gauge::default(),
            replicas: Gauge::default(),
            weakened_requests: Counter::default(),
            healthy: Family::default(),
            journal_bytes: Gauge::default(),
            journal_limit: Gauge::default(),
            unrecorded: Counter::default(),
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
            "Requests whose cost is unknown because their model has no price",
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
            "queue_waiting_requests",
            "Requests that wait for their turn because a rate limit refused them",
            metrics.waiting.clone(),
        );
        registry.register(
            "queue_seconds",
            "Time from a request's arrival at its limits to its admission or refusal; only where there is a queue",
            metrics.waited.clone(),
        );
        registry.register(
            "refused_requests",
            "Requests refused before any provider was called, by error code",
            metrics.refused.clone(),
        );
        metrics.register_states(&mut registry);
        metrics.register_books(&mut registry);
        Self {
            registry,
            ..metrics
        }
    }

    /// Registers what is told of the gateway itself and of its deployments.
    fn register_states(&self, registry: &mut Registry) {
        registry.register(
            "deployment_cooldowns",
            "Cooldowns of a deployment",
            self.cooldowns.clone(),
        );
        registry.register(
            "keys_weakened",
            "1 while keys are served that the database could not confirm",
            self.keys_weakened.clone(),
        );
        registry.register(
            "budgets_weakened",
            "1 while customers and tags go without budgets that the database could not tell",
            self.budgets_weakened.clone(),
        );
        registry.register(
            "keys_rotation_due",
            "Keys whose secret is to be replaced by another one, and was not yet",
            self.keys_rotation_due.clone(),
        );
        registry.register(
            "limits_weakened",
            "1 while the limits that replicas keep together cannot be reached, and each keeps its share",
            self.limits_weakened.clone(),
        );
        registry.register(
            "replicas",
            "Replicas of the gateway that are known to live",
            self.replicas.clone(),
        );
        registry.register(
            "weakened_requests",
            "Requests that a replica admitted by its share of the limits because the shared ones did not answer",
            self.weakened_requests.clone(),
        );
        registry.register(
            "deployment_healthy",
            "Whether a deployment's last background health check passed (1) or failed (0)",
            self.healthy.clone(),
        );
    }

    /// Registers what tells of the books on disk.
    fn register_books(&self, registry: &mut Registry) {
        registry.register(
            "rows_removed",
            "Rows removed from the database because of their age",
            self.rows_removed.clone(),
        );
        registry.register(
            "transcripts",
            "Requests whose words were to be kept, by whether they were",
            self.transcripts.clone(),
        );
        registry.register(
            "journal_bytes",
            "Bytes of disk that the journal takes",
            self.journal_bytes.clone(),
        );
        registry.register(
            "journal_limit_bytes",
            "Bytes of disk that the journal may take",
            self.journal_limit.clone(),
        );
        registry.register(
            "unrecorded_requests",
            "Requests that are on no books because the journal took no records",
            self.unrecorded.clone(),
        );
    }

    /// Counts a request as in flight until the guard is dropped.
    pub fn begin(&self) -> InFlightGuard {
        self.in_flight.inc();
        InFlightGuard(self.in_flight.clone())
    }

    /// Counts rows that were removed from a table.
    pub fn rows_removed(&self, table: &'static str, rows: u64) {
        let labels = TableLabels { table };
        self.rows_removed.get_or_create(&labels).inc_by(rows);
    }

    /// What becomes of transcripts.
    pub fn transcripts(&self) -> TranscriptCounters {
        let of = |end| {
            self.transcripts
                .get_or_create_owned(&TranscriptLabels { end })
        };
        TranscriptCounters {
            kept: of(TranscriptEnd::kept),
            dropped: of(TranscriptEnd::dropped),
        }
    }

    /// Counts a request that was refused before a provider was called.
    pub fn refused(&self, code: &'static str) {
        self.refused.get_or_create(&RefusalLabels { code }).inc();
    }

    /// Takes over how often that deployment cooled down since the start: the board counts, this shows.
    pub fn cooldowns(&self, deployment: &str, model_group: &str, total: u64) {
        let labels = DeploymentLabels {
            deployment: deployment.to_owned(),
            model_group: model_group.to_owned(),
        };
        let counter = self.cooldowns.get_or_create_owned(&labels);
        counter.inner().fetch_max(total, Ordering::Relaxed);
    }

    /// Takes over whether the shared limits do not answer, and how many replicas live.
    pub fn fleet(&self, weakened: bool, replicas: u64) {
        self.limits_weakened.set(weakened.into());
        self.replicas
            .set(i64::try_from(replicas).unwrap_or(i64::MAX));
    }

    /// Takes over how many requests wait for their turn.
    pub fn waiting(&self, requests: usize) {
        self.waiting
            .set(i64::try_from(requests).unwrap_or(i64::MAX));
    }

    /// A request came to its limits, and was admitted or refused after that time.
    pub fn waited(&self, time: Duration) {
        self.waited.observe(time.as_secs_f64());
    }

    /// A request was admitted by a share of the limits.
    pub fn weakened_request(&self) {
        self.weakened_requests.inc();
    }

    /// Takes over whether keys are served that the database could not confirm.
    pub fn keys_weakened(&self, weakened: bool) {
        self.keys_weakened.set(weakened.into());
    }

    /// Takes over whether customers and tags go without budgets that the database could not tell.
    pub fn budgets_weakened(&self, weakened: bool) {
        self.budgets_weakened.set(weakened.into());
    }

    /// Takes over how many keys are to get another secret.
    pub fn keys_rotation_due(&self, keys: u64) {
        self.keys_rotation_due
            .set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// Takes over how much room the journal takes, in bytes.
    pub fn journal(&self, bytes: u64, limit: u64) {
        let shown = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.journal_bytes.set(shown(bytes));
        self.journal_limit.set(shown(limit));
    }

    /// Counts a request that is on no books.
    pub fn unrecorded(&self) {
        self.unrecorded.inc();
    }

    /// Takes note of a background health check.
    pub fn checked(&self, deployment: &str, model_group: &str, passed: bool) {
        let labels = DeploymentLabels {
            deployment: deployment.to_owned(),
            model_group: model_group.to_owned(),
        };
        self.healthy
            .get_or_create_owned(&labels)
            .set(i64::from(passed));
    }

    /// Requests in flight now.
    pub fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// The metrics of a group, as the config spells its name.
    pub fn group(&self, model_group: &str) -> GroupMetrics {
        let group = GroupLabels {
            model_group: model_group.to_owned(),
        };
        let tokens = |direction| TokenLabels {
            model_group: model_group.to_owned(),
            direction,
        };
        GroupMetrics {
            requests: self.requests.clone(),
            succeeded: Default::default(),
            duration: Held::new(&self.duration, &group),
            first_content: Held::new(&self.first_content, &group),
            prompt_tokens: Held::new(&self.tokens, &tokens(Direction::prompt)),
            completion_tokens: Held::new(&self.tokens, &tokens(Direction::completion)),
            spend: Held::new(&self.spend, &group),
            unpriced: Held::new(&self.unpriced, &group),
            retries: Held::new(&self.retries, &group),
            fallbacks: Held::new(&self.fallbacks, &group),
            model_group: group.model_group,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_looked_up_once_counts_in_the_families_of_all() {
        let metrics = Metrics::new("1");
        let (one, same) = (metrics.group("m"), metrics.group("m"));
        let done = Finished {
            endpoint: "chat_completions",
            status: 200,
            duration: Duration::from_millis(20),
            first_content: None,
            prompt_tokens: 3,
            completion_tokens: 4,
            cost_usd: Some(0.5),
            retries: 1,
            fallbacks: 0,
        };
        one.finished(&done);
        same.finished(&done);
        same.finished(&Finished {
            status: 499,
            ..done
        });

        let text = metrics.render().unwrap();

        for line in [
            "trunkline_requests_total{endpoint=\"chat_completions\",model_group=\"m\",status=\"200\"} 2",
            "trunkline_requests_total{endpoint=\"chat_completions\",model_group=\"m\",status=\"499\"} 1",
            "trunkline_tokens_total{model_group=\"m\",direction=\"completion\"} 12",
            "trunkline_spend_usd_total{model_group=\"m\"} 1.5",
            "trunkline_retries_total{model_group=\"m\"} 3",
        ] {
            assert!(text.contains(line), "no {line} in\n{text}");
        }
    }
}
