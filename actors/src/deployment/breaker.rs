//! When a deployment cools down, by the contract's rules (routing §3), and when it is well again.
//!
//! Plain data with `now` as an argument. Rules that need one failure only ([`Rules::trips_alone`]) are applied by the
//! request that saw it; those that count are applied by the actor.

use std::time::Duration;

use super::cooldown::{Cooldown, Rule};
use super::failure::{Blame, Failure, FailureKind, Trips};
use super::outcome::Outcome;
use super::policy::ByClass;
use crate::clock::{Millis, whole_millis};

/// The contract's `allowed_fails` that means "not set".
const UNSET_ALLOWED_FAILS: u32 = 3;
/// LiteLLM's `SINGLE_DEPLOYMENT_TRAFFIC_FAILURE_THRESHOLD`.
const ALL_FAILED_REQUESTS: u32 = 1000;
/// Requests of a minute below which a share of failures says nothing.
const SHARE_REQUESTS: u32 = 5;
/// Failures in a row that are enough, however many successes the minute had before. Not LiteLLM's: there a provider
/// that dies in a busy minute is asked until half of the minute's requests have failed.
const IN_A_ROW: u32 = 5;
/// An upstream's `retry-after` is believed up to here: a provider that says "tomorrow" would switch itself off.
const LONGEST_UPSTREAM_COOLDOWN: Duration = Duration::from_hours(1);

/// What decides about one deployment's cooldowns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// No cooldowns at all.
    pub disabled: bool,
    /// Failures allowed within a cooldown time; `None` or 3 selects the default rule.
    pub allowed_fails: Option<u32>,
    /// The same by class of failure; one that is named comes before `allowed_fails`, and selects the counting rule.
    pub allowed_fails_policy: ByClass,
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
    /// Open at least until that cooldown's end.
    Open(Cooldown),
    /// The probe found it well: close.
    Close,
}

/// Counts of one deployment. The breaker's *state* is on the board: see [`BreakerState`](crate::board::BreakerState).
#[derive(Debug, Clone)]
pub struct Breaker {
    rules: Rules,
    minute: u64,
    counts: Counts,
    strikes: u32,
    strikes_since: Millis,
}

/// What a minute saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests with a verdict.
    pub requests: u32,
    /// Failures among them.
    pub failures: u32,
    /// Failures since the last success, whatever the minute.
    pub in_a_row: u32,
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
        let named = || self.named(failure).is_some();
        !self.disabled
            && !name_unknown
            && (failure.treatment().blame == Blame::Deployment || named())
    }

    /// What the policy allows of such failures, if it names them.
    fn named(&self, failure: &Failure) -> Option<u32> {
        let class = failure.treatment().class?;
        self.allowed_fails_policy.get(class)
    }

    /// Failures of this kind that are allowed under the counting rule; `None`: the default rule decides.
    fn allowed(&self, failure: &Failure) -> Option<u32> {
        let counting = self
            .allowed_fails
            .filter(|allowed| *allowed != UNSET_ALLOWED_FAILS);
        self.named(failure)
            .or(counting)
            .or_else(|| (!self.allowed_fails_policy.is_empty()).then_some(UNSET_ALLOWED_FAILS))
    }

    /// For how long this failure cools the deployment down, by itself, whatever came before it; and by which rule.
    ///
    /// `probe`: it was the one request to a half-open deployment, which any failure sends back to sleep.
    pub fn trips_alone(&self, failure: &Failure, probe: bool) -> Option<(Rule, Duration)> {
        if !self.concerns(failure) {
            return None;
        }
        let rule = match self.allowed(failure) {
            _ if probe => Rule::ProbeFailed,
            Some(0) => Rule::AllowedFails,
            Some(_) => return None,
            None => match failure.treatment().trips {
                Trips::Always => Rule::NotRetryable,
                Trips::AmongOthers if self.has_siblings => Rule::RateLimited,
                Trips::AmongOthers | Trips::Counted => return None,
            },
        };
        Some((rule, self.duration(failure)?))
    }
}

// === impl Breaker ===

impl Breaker {
    /// A breaker that has seen nothing.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            minute: 0,
            counts: Counts::default(),
            strikes: 0,
            strikes_since: Millis::ZERO,
        }
    }

    /// New rules; the counts stay.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// What the minute of the last outcome saw.
    pub fn counts(&self) -> Counts {
        self.counts
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
        self.counts.requests = self.counts.requests.saturating_add(1);
        self.counts.in_a_row = 0;
        if !probe {
            return Verdict::Nothing;
        }
        // It is well: what it did before its cooldown must not trip it at the next hiccup.
        self.counts = Counts::default();
        self.strikes = 0;
        Verdict::Close
    }

    fn failure(&mut self, failure: &Failure, probe: bool, at: Millis) -> Verdict {
        if !self.rules.concerns(failure) {
            // That nothing follows from them here is no reason not to tell of them.
            if self.rules.disabled && failure.treatment().blame == Blame::Deployment {
                self.counts.requests = self.counts.requests.saturating_add(1);
                self.counts.failures = self.counts.failures.saturating_add(1);
            }
            return match failure.treatment().blame {
                Blame::Request => self.success(probe),
                Blame::Deployment | Blame::Nobody => Verdict::Nothing,
            };
        }
        self.counts.requests = self.counts.requests.saturating_add(1);
        self.counts.failures = self.counts.failures.saturating_add(1);
        self.counts.in_a_row = self.counts.in_a_row.saturating_add(1);
        let Some(duration) = self.rules.duration(failure) else {
            return Verdict::Nothing;
        };
        let alone = self.rules.trips_alone(failure, probe);
        let rule = match (alone, self.rules.allowed(failure)) {
            (Some((rule, _)), _) => Some(rule),
            (None, Some(allowed)) => (self.strike(at) > allowed).then_some(Rule::AllowedFails),
            (None, None) => self.too_many(),
        };
        let Some(rule) = rule else {
            return Verdict::Nothing;
        };
        let counts = self.counts;
        self.strikes = 0;
        self.counts.in_a_row = 0;
        Verdict::Open(Cooldown {
            rule,
            kind: Some(failure.kind),
            status: failure.status,
            since: at,
            until: at.after(duration),
            requests: counts.requests,
            failures: counts.failures,
        })
    }

    /// Rules (b) and (c) of the contract's default, and ours.
    fn too_many(&self) -> Option<Rule> {
        let Counts {
            requests,
            failures,
            in_a_row,
        } = self.counts;
        if failures == requests && requests >= ALL_FAILED_REQUESTS {
            return Some(Rule::AllFailed);
        }
        if !self.rules.has_siblings {
            return None;
        }
        if failures.saturating_mul(2) > requests && requests >= SHARE_REQUESTS {
            return Some(Rule::FailureRate);
        }
        (in_a_row >= IN_A_ROW).then_some(Rule::InARow)
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
            self.counts.requests = 0;
            self.counts.failures = 0;
        }
    }
}
