//! What one subject may still take: requests and tokens of the last 60 s, tokens of the last 24 h, and parallel slots.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::counter::Counter;
use super::day::Day;
use super::window::TakenIn;
use crate::clock::Millis;
use crate::fleet::Share;
use crate::ids::Subject;
use crate::ports::SharedUse;

/// A parallel slot comes back when some request ends, which nobody knows: this is when to ask again.
pub const PARALLEL_RETRY: Duration = Duration::from_secs(1);

/// Limits of one subject; `None` is no limit, 0 admits nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests in any 60 s.
    pub rpm: Option<u64>,
    /// Tokens in any 60 s: estimated at admission, corrected at settlement.
    pub tpm: Option<u64>,
    /// Tokens in any 24 h, likewise.
    pub tpd: Option<u64>,
    /// Requests at the same time.
    pub max_parallel: Option<u32>,
}

/// Which of the limits refused; `Display` gives the contract's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitType {
    /// Requests per minute.
    Requests,
    /// Tokens per minute.
    Tokens,
    /// Tokens per day.
    TokensPerDay,
    /// Requests at the same time.
    MaxParallelRequests,
}

/// The limits of one subject and what is taken of them. Reached by handle, from any worker.
#[derive(Debug)]
pub struct Bucket {
    subject: Subject,
    state: Mutex<BucketState>,
}

/// What is left of one subject's limits, for `x-ratelimit-<scope>-*` headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remaining {
    /// Whose limits.
    pub subject: Subject,
    /// The limits.
    pub limits: Limits,
    /// Requests left; `None` without a limit.
    pub requests: Option<u64>,
    /// Tokens left; `None` without a limit, 0 while in debt.
    pub tokens: Option<u64>,
    /// The same of the day's.
    pub day_tokens: Option<u64>,
    /// Parallel slots left beside those that this replica's requests hold; `None` without a limit.
    pub parallel: Option<u32>,
}

/// The plain state under the bucket's lock.
#[derive(Debug, Default)]
pub(crate) struct BucketState {
    limits: Limits,
    requests: Minute,
    tokens: Minute,
    /// Only where the day has, or had, a limit: it is large, and few have one.
    day: Option<Box<Day>>,
    parallel: u32,
}

type Minute = Counter<1_000, 61>;

/// Proof of what was taken, to be given back or settled exactly once.
#[derive(Debug)]
pub(crate) struct BucketTake {
    requests: TakenIn,
    tokens: TakenIn,
    day: Option<TakenIn>,
    estimate: u64,
}

/// The first limit that does not admit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Short {
    pub(crate) limit_type: LimitType,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) retry_after: Duration,
}

// === impl LimitType ===

impl LimitType {
    /// The contract's word (auth-budgets-limits §6.1); it has none for the day, whose limit LiteLLM keeps for batches alone.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::TokensPerDay => "tokens_per_day",
            Self::MaxParallelRequests => "max_parallel_requests",
        }
    }
}

impl fmt::Display for LimitType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Bucket ===

impl Bucket {
    pub(crate) fn new(subject: Subject, limits: Limits) -> Self {
        let mut state = BucketState::default();
        state.resize(limits);
        Self {
            subject,
            state: Mutex::new(state),
        }
    }

    /// Whose limits these are.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What is left at `now`.
    pub fn remaining(&self, now: Millis) -> Remaining {
        let mut state = self.lock();
        let limits = state.limits;
        Remaining {
            subject: self.subject.clone(),
            limits,
            requests: limits
                .rpm
                .map(|rpm| rpm.saturating_sub(state.requests.used_by_all(now))),
            tokens: limits
                .tpm
                .map(|tpm| tpm.saturating_sub(state.tokens.used_by_all(now))),
            day_tokens: limits
                .tpd
                .map(|tpd| tpd.saturating_sub(state.day_tokens_of_all(now))),
            parallel: limits
                .max_parallel
                .map(|max| max.saturating_sub(state.parallel)),
        }
    }

    /// The limits of the moment.
    pub fn limits(&self) -> Limits {
        self.lock().limits
    }

    /// Whether what was taken of the day before this bucket was made is known; how much was taken since.
    pub(crate) fn day(&self, now: Millis) -> Option<(bool, u64)> {
        let mut state = self.lock();
        let day = state.day.as_mut()?;
        Some((day.is_begun(), day.used(now)))
    }

    /// Enters what was taken of the day before: how long ago, and how much, the oldest first. Once.
    pub(crate) fn begin_day(&self, past: &[(Duration, u64)], now: Millis) {
        let mut state = self.lock();
        if let Some(day) = state.day.as_mut().filter(|day| !day.is_begun()) {
            day.begin(past, now);
        }
    }

    /// Changes the limits; what is taken stays taken.
    pub(crate) fn resize(&self, limits: Limits) {
        self.lock().resize(limits);
    }

    /// Nothing is taken: the bucket can be forgotten and made anew without anybody noticing.
    pub(crate) fn is_idle(&self, now: Millis) -> bool {
        let mut state = self.lock();
        state.parallel == 0
            && state.requests.used(now) == 0
            && state.tokens.used(now) == 0
            && state.day.as_mut().is_none_or(|day| day.used(now) == 0)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BucketState> {
        // Nothing panics under this lock; if it did, the counts would still be whole numbers.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl BucketState ===

impl BucketState {
    fn resize(&mut self, limits: Limits) {
        self.limits = limits;
        // Kept when its limit is gone: a request that still has the terms of before may be the next to set it again.
        if limits.tpd.is_some() && self.day.is_none() {
            self.day = Some(Box::default());
        }
    }

    /// The first limit that one more request of that many tokens would exceed.
    pub(crate) fn check(&mut self, tokens: u64, now: Millis) -> Option<Short> {
        let limits = self.limits;
        if let Some(max) = limits.max_parallel
            && self.parallel >= max
        {
            return Some(Short {
                limit_type: LimitType::MaxParallelRequests,
                limit: u64::from(max),
                remaining: 0,
                retry_after: PARALLEL_RETRY,
            });
        }
        if let Some(rpm) = limits.rpm {
            let short = self.requests.check(LimitType::Requests, 1, rpm, now);
            if short.is_some() {
                return short;
            }
        }
        if let Some(tpm) = limits.tpm {
            let short = self.tokens.check(LimitType::Tokens, tokens, tpm, now);
            if short.is_some() {
                return short;
            }
        }
        let (tpd, day) = (limits.tpd?, self.day.as_mut()?);
        day.check(tokens, tpd, now)
    }

    /// Takes one request, its tokens and a slot. Everything is counted, limited or not: a limit that is set a moment
    /// later finds the minute as it was.
    pub(crate) fn take(&mut self, tokens: u64, now: Millis) -> BucketTake {
        self.parallel = self.parallel.saturating_add(1);
        BucketTake {
            requests: self.requests.take(1, now),
            tokens: self.tokens.take(tokens, now),
            day: self.day.as_mut().map(|day| day.take(tokens, now)),
            estimate: tokens,
        }
    }

    /// What all replicas have taken, as one of them was just told.
    pub(crate) fn learn(&mut self, used: SharedUse, now: Millis) {
        if let Some(requests) = used.requests {
            self.requests.learn(requests, 0, now);
        }
        if let Some(tokens) = used.tokens {
            self.tokens.learn(tokens, 0, now);
        }
        if let (Some(day), Some(tokens)) = (&mut self.day, used.day_tokens) {
            day.learn(tokens, 0, now);
        }
    }

    /// The same of one limit alone, which refused what was just taken here and is about to be given back.
    pub(crate) fn learn_of(&mut self, limit_type: LimitType, used: u64, tokens: u64, now: Millis) {
        match limit_type {
            LimitType::Requests => self.requests.learn(used, 1, now),
            LimitType::Tokens => self.tokens.learn(used, tokens, now),
            LimitType::TokensPerDay => {
                if let Some(day) = &mut self.day {
                    day.learn(used, tokens, now);
                }
            }
            LimitType::MaxParallelRequests => {}
        }
    }

    /// The first limit whose share, for one replica, does not admit what was just taken here. What all had taken when they were
    /// last told is left out for as long as it may still be taken.
    pub(crate) fn check_share(&mut self, tokens: u64, share: Share, now: Millis) -> Option<Short> {
        let limits = self.limits;
        if let Some(max) = limits.max_parallel.map(u64::from)
            && u64::from(self.parallel) > share.of(max)
        {
            return Some(Short {
                limit_type: LimitType::MaxParallelRequests,
                limit: max,
                remaining: 0,
                retry_after: PARALLEL_RETRY,
            });
        }
        if let Some(rpm) = limits.rpm {
            let short = self
                .requests
                .check_share(LimitType::Requests, 1, rpm, share, now);
            if short.is_some() {
                return short;
            }
        }
        if let Some(tpm) = limits.tpm {
            let short = self
                .tokens
                .check_share(LimitType::Tokens, tokens, tpm, share, now);
            if short.is_some() {
                return short;
            }
        }
        let (tpd, day) = (limits.tpd?, self.day.as_mut()?);
        day.check_share(tokens, tpd, share, now)
    }

    fn day_tokens_of_all(&mut self, now: Millis) -> u64 {
        self.day.as_mut().map_or(0, |day| day.used_by_all(now))
    }

    /// The request was never sent: as if it had not been.
    pub(crate) fn give_back(&mut self, take: &BucketTake, now: Millis) {
        self.requests.settle(take.requests, 1, 0, now);
        self.settle(take, 0, now);
    }

    /// The request is over: its slot is free, its tokens are what they were.
    pub(crate) fn settle(&mut self, take: &BucketTake, actual: u64, now: Millis) {
        self.tokens.settle(take.tokens, take.estimate, actual, now);
        if let (Some(day), Some(taken)) = (&mut self.day, take.day) {
            day.settle(taken, take.estimate, actual, now);
        }
        self.parallel = self.parallel.saturating_sub(1);
    }
}
