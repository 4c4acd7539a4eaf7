//! When a deployment cools down, by the contract's rules (routing §3), and when it is well again.
//!
//! Plain data with `now` as an argument. Rules that need one failure only ([`Rules::trips_alone`]) are applied by the
//! request that saw it; those that count are applied by the actor.

use std::time::Duration;

use super::outcome::{Failure, FailureKind, Outcome};
use crate::clock::{Millis, whole_millis};

/// The contract's `allowed_fails` that means "not set".
const UNSET_ALLOWED_FAILS: u32 = 3;
/// LiteLLM's `SINGLE_DEPLOYMENT_TRAFFIC_FAILURE_THRESHOLD`.
const ALL_FAILED_REQUESTS: u32 = 1000;
/// Requests of a minute below which a share of failures says nothing.
const SHARE_REQUESTS: u32 = 5;
/// An upstream's `retry-after` is believed up to here: a provider that says "tomorrow" would switch itself off.
const LONGEST_UPSTREAM_COOLDOWN: Duration = Duration::from_hours(1);

/// What decides about one deployment's cooldowns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// No cooldowns at all.
    pub disabled: bool,
    /// Failures allowed within a cooldown time; `None` or 3 selects the default rule.
    pub allowed_fails: Option<u32>,
    /// The deployment's own cooldown time, before the upstream's `retry-after`.
    pub own_cooldown: Option<Duration>,
    /// The router's, after it.
    pub cooldown: Duration,
    /// The group has other deployments.
    pub has_siblings: bool,
    /// It serves names that the client makes up (`openai/*`), so a 404 speaks of the name, not of the deployment.
    pub wildcard: bool,
}

/// What an outcome means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing changes.
    Nothing,
    /// Open at least until then.
    Open(Millis),
    /// The probe found it well: close.
    Close,
}

/// Counts of one deployment. The breaker's *state* is on the board: see [`BreakerState`](crate::board::BreakerState).
#[derive(Debug, Clone)]
pub struct Breaker {
    rules: Rules,
    minute: u64,
    requests: u32,
    failures: u32,
    strikes: u32,
    strikes_since: Millis,
}

// === impl Rules ===

impl Rules {
    /// How long this failure cools down if it trips: the deployment's time, the upstream's, the router's.
    fn duration(&self, failure: &Failure) -> Option<Duration> {
        let upstream = || failure.retry_after.filter(|wait| !wait.is_zero());
        let duration = self
            .own_cooldown
            .or_else(|| upstream().map(|wait| wait.min(LONGEST_UPSTREAM_COOLDOWN)))
            .unwrap_or(self.cooldown);
        (!duration.is_zero()).then_some(duration)
    }

    /// The failure may count or trip at all.
    fn concerns(&self, failure: &Failure) -> bool {
        let name_unknown = self.wildcard && failure.kind == FailureKind::NotFound;
        !self.disabled && !name_unknown && failure.may_cool_down()
    }

    fn counting(&self) -> Option<u32> {
        self.allowed_fails
            .filter(|allowed| *allowed != UNSET_ALLOWED_FAILS)
    }

    /// For how long this failure cools the deployment down, by itself, whatever came before it.
    ///
    /// `probe`: it was the one request to a half-open deployment, which any failure sends back to sleep.
    pub fn trips_alone(&self, failure: &Failure, probe: bool) -> Option<Duration> {
        if !self.concerns(failure) {
            return None;
        }
        let trips = probe
            || match self.counting() {
                Some(allowed) => allowed == 0,
                // A 429 while others can answer; and what a retry cannot mend, even for the only deployment.
                None => (failure.status == 429 && self.has_siblings) || !failure.is_retryable(),
            };
        if trips { self.duration(failure) } else { None }
    }
}

// === impl Breaker ===

impl Breaker {
    /// A breaker that has seen nothing.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            minute: 0,
            requests: 0,
            failures: 0,
            strikes: 0,
            strikes_since: Millis::ZERO,
        }
    }

    /// New rules; the counts stay.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Takes note of an outcome of `at`, and says what it means.
    pub fn outcome(&mut self, outcome: &Outcome, probe: bool, at: Millis) -> Verdict {
        self.enter_minute(at);
        match outcome {
            Outcome::Neutral => Verdict::Nothing,
            Outcome::Success { .. } => self.success(probe),
            Outcome::Failure(failure) => self.failure(failure, probe, at),
        }
    }

    fn success(&mut self, probe: bool) -> Verdict {
        self.requests = self.requests.saturating_add(1);
        if !probe {
            return Verdict::Nothing;
        }
        // It is well: what it did before its cooldown must not trip it at the next hiccup.
        self.requests = 0;
        self.failures = 0;
        self.strikes = 0;
        Verdict::Close
    }

    fn failure(&mut self, failure: &Failure, probe: bool, at: Millis) -> Verdict {
        if failure.is_the_requests_fault() {
            return self.success(probe);
        }
        if !self.rules.concerns(failure) {
            return Verdict::Nothing;
        }
        self.requests = self.requests.saturating_add(1);
        self.failures = self.failures.saturating_add(1);
        let Some(duration) = self.rules.duration(failure) else {
            return Verdict::Nothing;
        };
        let trips = self.rules.trips_alone(failure, probe).is_some()
            || match self.rules.counting() {
                Some(allowed) => self.strike(at) > allowed,
                None => self.too_many(),
            };
        if trips {
            self.strikes = 0;
            Verdict::Open(at.after(duration))
        } else {
            Verdict::Nothing
        }
    }

    /// Rules (b) and (c) of the contract's default.
    fn too_many(&self) -> bool {
        let all_failed = self.failures == self.requests && self.requests >= ALL_FAILED_REQUESTS;
        let most_failed = self.failures.saturating_mul(2) > self.requests;
        all_failed || (most_failed && self.requests >= SHARE_REQUESTS && self.rules.has_siblings)
    }

    /// The counting rule's counter: it lives for one cooldown time from its first failure.
    fn strike(&mut self, at: Millis) -> u32 {
        let life = self.rules.own_cooldown.unwrap_or(self.rules.cooldown);
        if self.strikes == 0 || at.since(self.strikes_since) >= life {
            self.strikes = 0;
            self.strikes_since = at;
        }
        self.strikes = self.strikes.saturating_add(1);
        self.strikes
    }

    fn enter_minute(&mut self, at: Millis) {
        let minute = at.0 / whole_millis(Duration::from_mins(1));
        if minute > self.minute {
            self.minute = minute;
            self.requests = 0;
            self.failures = 0;
        }
    }
}
