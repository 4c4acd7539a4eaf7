//! The board: one row of atomics per deployment, read by every request, locked by none.
//!
//! Who writes what: *averages* are written by the deployment's actor only; *counters, the cooldown deadline and how far it is
//! healed* by anyone, and they only ever grow. So no order of writes can take a deployment out of a cooldown that somebody
//! else just raised. What health checks found is apart from the breaker: written by the checker only.
//!
//! ```text
//! closed ──raise_cooldown──▶ open until t ──t passes──▶ half-open: one Probe ──heal──▶ closed
//!                               ▲                              │ the probe fails: raised again
//!                               └──────────────────────────────┘ dropped: no verdict, the next may probe
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use dashmap::DashMap;

use crate::clock::Millis;
use crate::deployment::{Cooldown, Counts, Measure, Speeds};
use crate::ids::DeploymentId;

/// All rows. Rows are put in and taken out by the supervisor only; everybody else reads.
#[derive(Debug, Default)]
pub struct Board {
    rows: DashMap<DeploymentId, Arc<Row>>,
}

/// What everybody knows of one deployment. Outlives a restart of its actor and a re-applied config.
#[derive(Debug, Default)]
pub struct Row {
    // By anyone, growing.
    cooldown_until: AtomicU64,
    healed_until: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
    tokens: AtomicU64,
    cooldowns: AtomicU64,
    /// Explains `cooldown_until`; for people, decides nothing.
    why: ArcSwapOption<Cooldown>,
    // Up and down, by RAII guards only.
    in_flight: AtomicU32,
    probing: AtomicBool,
    // By the deployment's actor only.
    latency_micros: AtomicU64,
    speeds: Speeds,
    minute_requests: AtomicU32,
    minute_failures: AtomicU32,
    failed_in_a_row: AtomicU32,
    // By the health checker only.
    unhealthy_until: AtomicU64,
}

/// State of a deployment's breaker at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests go through.
    Closed,
    /// No request goes through before the deadline.
    Open {
        /// The deadline.
        until: Millis,
    },
    /// The deadline has passed; one request may find out.
    HalfOpen {
        /// Somebody is finding out.
        probing: bool,
    },
}

/// Counts one request in flight for as long as it lives.
#[derive(Debug)]
pub struct InFlight(Arc<Row>);

/// The right to be the one request to a half-open deployment. Dropped without a verdict, the next request may try.
#[derive(Debug)]
pub struct Probe {
    row: Arc<Row>,
    /// The cooldown that is being tested.
    deadline: u64,
}

// === impl Board ===

impl Board {
    /// The row, if there is such a deployment.
    pub fn row(&self, id: &DeploymentId) -> Option<Arc<Row>> {
        self.rows.get(id).map(|row| Arc::clone(&row))
    }

    /// Every deployment with its row; for status pages, not for requests.
    pub fn rows(&self) -> Vec<(DeploymentId, Arc<Row>)> {
        self.rows
            .iter()
            .map(|entry| (entry.key().clone(), Arc::clone(entry.value())))
            .collect()
    }

    pub(crate) fn open_row(&self, id: &DeploymentId) -> Arc<Row> {
        Arc::clone(&self.rows.entry(id.clone()).or_default())
    }

    pub(crate) fn close_row(&self, id: &DeploymentId) {
        self.rows.remove(id);
    }
}

// === impl Row ===

impl Row {
    /// The breaker's state at `now`.
    pub fn state(&self, now: Millis) -> BreakerState {
        match self.open_deadline() {
            None => BreakerState::Closed,
            Some(until) if now < until => BreakerState::Open { until },
            Some(_) => BreakerState::HalfOpen {
                probing: self.probing.load(Ordering::Acquire),
            },
        }
    }

    /// Opens the breaker at least until the cooldown's end; by anyone. Answers whether that is later than before.
    pub fn raise(&self, cooldown: &Cooldown) -> bool {
        let (now, until) = (cooldown.since, cooldown.until);
        let before = self.cooldown_until.fetch_max(until.0, Ordering::AcqRel);
        let raised = before < until.0;
        // Several requests of one moment may raise it by a little each: that is one cooldown. One whose deadline has
        // passed, or that was healed, is over: a failed probe begins another.
        let over = before <= now.0 || before <= self.healed_until.load(Ordering::Acquire);
        if raised && over {
            self.cooldowns.fetch_add(1, Ordering::Relaxed);
        }
        if raised {
            self.why.rcu(|known| match known.as_deref() {
                // Somebody raised it further meanwhile.
                Some(known) if known.until > until => Some(Arc::new(*known)),
                // The same cooldown, a little longer: it began when it began.
                Some(known) if !over && known.since < now => Some(Arc::new(Cooldown {
                    since: known.since,
                    ..*cooldown
                })),
                _ => Some(Arc::new(*cooldown)),
            });
        }
        raised
    }

    /// Why the breaker is open or half-open; `None` while it is closed.
    pub fn why(&self) -> Option<Cooldown> {
        self.open_deadline()?;
        self.why.load().as_deref().copied()
    }

    /// What the minute of the last verdict saw.
    pub fn counts(&self) -> Counts {
        Counts {
            requests: self.minute_requests.load(Ordering::Relaxed),
            failures: self.minute_failures.load(Ordering::Relaxed),
            in_a_row: self.failed_in_a_row.load(Ordering::Relaxed),
        }
    }

    /// Until when the breaker is open, or was before its probe; `None` while it is closed.
    pub fn deadline(&self) -> Option<Millis> {
        self.open_deadline()
    }

    /// The probe of a half-open breaker; `None` when it is not half-open at `now` or somebody else has it.
    pub fn try_probe(self: &Arc<Self>, now: Millis) -> Option<Probe> {
        if self.probing.swap(true, Ordering::AcqRel) {
            return None;
        }
        // From here on the token is ours, and its drop frees it. Only now is the deadline read: a probe that failed
        // just before has raised it before it freed the token.
        let mut probe = Probe {
            row: Arc::clone(self),
            deadline: 0,
        };
        let deadline = self.open_deadline()?;
        if now < deadline {
            return None;
        }
        probe.deadline = deadline.0;
        Some(probe)
    }

    /// Counts a request in flight; `None` if `max` are already.
    pub fn enter(self: &Arc<Self>, max: Option<u32>) -> Option<InFlight> {
        let max = max.unwrap_or(u32::MAX);
        self.in_flight
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                (count < max).then(|| count + 1)
            })
            .is_ok()
            .then(|| InFlight(Arc::clone(self)))
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Outcomes with a verdict, since the start.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Failures among them, but for those that were the request's own fault.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Completion tokens, since the start.
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }

    /// How often the breaker opened, since the start.
    pub fn cooldowns(&self) -> u64 {
        self.cooldowns.load(Ordering::Relaxed)
    }

    /// Smoothed time to first content (or to the whole answer, if not streamed); `None` before the first success.
    pub fn latency(&self) -> Option<Duration> {
        match self.latency_micros.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    /// Until when a failed health check counts; `None` when none does at `now`.
    pub fn unhealthy_until(&self, now: Millis) -> Option<Millis> {
        let until = Millis(self.unhealthy_until.load(Ordering::Acquire));
        (now < until).then_some(until)
    }

    /// Publishes a health check: until when its failure counts, `None` for one that passed. By the health checker only.
    pub fn publish_check(&self, unhealthy_until: Option<Millis>) {
        let until = unhealthy_until.unwrap_or(Millis::ZERO);
        self.unhealthy_until.store(until.0, Ordering::Release);
    }

    /// The smoothed figure of that measure at `now`; `None` if there is none younger than `ttl`.
    pub fn speed(&self, measure: Measure, now: Millis, ttl: Duration) -> Option<Duration> {
        self.speeds.get(measure, now, ttl)
    }

    pub(crate) fn count(&self, failed: bool, tokens: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.failures
            .fetch_add(u64::from(failed), Ordering::Relaxed);
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
    }

    /// Closes the breaker, unless a later cooldown was raised meanwhile. By whose probe was answered.
    pub(crate) fn heal(&self, probe: &Probe) {
        self.healed_until
            .fetch_max(probe.deadline, Ordering::AcqRel);
    }

    /// By the deployment's actor only.
    pub(crate) fn publish_latency(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_micros.store(micros.max(1), Ordering::Relaxed);
    }

    /// By the deployment's actor only.
    pub(crate) fn publish_speed(&self, measure: Measure, figure: Duration, at: Millis) {
        self.speeds.set(measure, figure, at);
    }

    /// By the deployment's actor only.
    pub(crate) fn publish_counts(&self, counts: Counts) {
        self.minute_requests
            .store(counts.requests, Ordering::Relaxed);
        self.minute_failures
            .store(counts.failures, Ordering::Relaxed);
        self.failed_in_a_row
            .store(counts.in_a_row, Ordering::Relaxed);
    }

    fn open_deadline(&self) -> Option<Millis> {
        let deadline = self.cooldown_until.load(Ordering::Acquire);
        (deadline > self.healed_until.load(Ordering::Acquire)).then_some(Millis(deadline))
    }
}

// === impl InFlight ===

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

// === impl Probe ===

impl Drop for Probe {
    fn drop(&mut self) {
        self.row.probing.store(false, Ordering::Release);
    }
}

#[cfg(test)]
impl Row {
    /// As [`raise`](Self::raise), for whatever reason.
    pub(crate) fn raise_cooldown(&self, until: Millis, now: Millis) -> bool {
        self.raise(&Cooldown::elsewhere(now, until))
    }
}

#[cfg(test)]
mod tests;
