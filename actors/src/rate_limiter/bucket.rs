//! What one subject may still take: requests and tokens of the last 60 s, and parallel slots.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::known::{Known, Seen, of_all, share_admits};
use super::window::{TakenIn, Window};
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
    /// Parallel slots left beside those that this replica's requests hold; `None` without a limit.
    pub parallel: Option<u32>,
}

/// The plain state under the bucket's lock.
#[derive(Debug, Default)]
pub(crate) struct BucketState {
    limits: Limits,
    requests: Window,
    tokens: Window,
    parallel: u32,
    /// What all replicas had taken when one of them was last told; `None` where there are none.
    known: Option<Known>,
}

/// Proof of what was taken, to be given back or settled exactly once.
#[derive(Debug)]
pub(crate) struct BucketTake {
    requests: TakenIn,
    tokens: TakenIn,
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
    /// The contract's word (auth-budgets-limits §6.1).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
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
        Self {
            subject,
            state: Mutex::new(BucketState {
                limits,
                ..BucketState::default()
            }),
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
                .map(|rpm| rpm.saturating_sub(state.requests_of_all(now))),
            tokens: limits
                .tpm
                .map(|tpm| tpm.saturating_sub(state.tokens_of_all(now))),
            parallel: limits
                .max_parallel
                .map(|max| max.saturating_sub(state.parallel)),
        }
    }

    /// The limits of the moment.
    pub fn limits(&self) -> Limits {
        self.lock().limits
    }

    /// Changes the limits; what is taken stays taken.
    pub(crate) fn resize(&self, limits: Limits) {
        self.lock().limits = limits;
    }

    /// Nothing is taken: the bucket can be forgotten and made anew without anybody noticing.
    pub(crate) fn is_idle(&self, now: Millis) -> bool {
        let mut state = self.lock();
        state.parallel == 0 && state.requests.used(now) == 0 && state.tokens.used(now) == 0
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BucketState> {
        // Nothing panics under this lock; if it did, the counts would still be whole numbers.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl BucketState ===

impl BucketState {
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
        if let Some(rpm) = limits.rpm
            && !self.requests.fits(1, rpm, now)
        {
            return Some(Short::of(
                LimitType::Requests,
                &mut self.requests,
                1,
                rpm,
                now,
            ));
        }
        if let Some(tpm) = limits.tpm
            && !self.tokens.fits(tokens, tpm, now)
        {
            return Some(Short::of(
                LimitType::Tokens,
                &mut self.tokens,
                tokens,
                tpm,
                now,
            ));
        }
        None
    }

    /// Takes one request, its tokens and a slot. Everything is counted, limited or not: a limit that is set a moment
    /// later finds the minute as it was.
    pub(crate) fn take(&mut self, tokens: u64, now: Millis) -> BucketTake {
        self.parallel = self.parallel.saturating_add(1);
        BucketTake {
            requests: self.requests.take(1, now),
            tokens: self.tokens.take(tokens, now),
            estimate: tokens,
        }
    }

    /// What all replicas have taken, as one of them was just told.
    pub(crate) fn learn(&mut self, used: SharedUse, now: Millis) {
        self.known = Some(Known {
            at: now,
            requests: Seen {
                all: used.requests,
                own: self.requests.used(now),
            },
            tokens: Seen {
                all: used.tokens,
                own: self.tokens.used(now),
            },
        });
    }

    /// The same of one limit alone, which refused what was just taken here and is about to be given back.
    pub(crate) fn learn_of(&mut self, limit_type: LimitType, used: u64, tokens: u64, now: Millis) {
        let mut known = Known {
            at: now,
            requests: Seen {
                all: self.requests_of_all(now).saturating_sub(1),
                own: self.requests.used(now).saturating_sub(1),
            },
            tokens: Seen {
                all: self.tokens_of_all(now).saturating_sub(tokens),
                own: self.tokens.used(now).saturating_sub(tokens),
            },
        };
        match limit_type {
            LimitType::Requests => known.requests.all = used,
            LimitType::Tokens => known.tokens.all = used,
            LimitType::MaxParallelRequests => return,
        }
        self.known = Some(known);
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
        let known = self.known(now);
        if let Some(rpm) = limits.rpm
            && !share_admits(
                &mut self.requests,
                known.map(|it| it.requests),
                1,
                rpm,
                share,
                now,
            )
        {
            return Some(Short::of(
                LimitType::Requests,
                &mut self.requests,
                1,
                rpm,
                now,
            ));
        }
        if let Some(tpm) = limits.tpm
            && !share_admits(
                &mut self.tokens,
                known.map(|it| it.tokens),
                tokens,
                tpm,
                share,
                now,
            )
        {
            return Some(Short::of(
                LimitType::Tokens,
                &mut self.tokens,
                tokens,
                tpm,
                now,
            ));
        }
        None
    }

    fn requests_of_all(&mut self, now: Millis) -> u64 {
        let own = self.requests.used(now);
        of_all(self.known(now).map(|it| it.requests), own)
    }

    fn tokens_of_all(&mut self, now: Millis) -> u64 {
        let own = self.tokens.used(now);
        of_all(self.known(now).map(|it| it.tokens), own)
    }

    /// What was known a minute ago has come back since.
    fn known(&self, now: Millis) -> Option<Known> {
        self.known.filter(|known| known.counts_at(now))
    }

    /// The request was never sent: as if it had not been.
    pub(crate) fn give_back(&mut self, take: &BucketTake, now: Millis) {
        self.requests.settle(take.requests, 1, 0, now);
        self.settle(take, 0, now);
    }

    /// The request is over: its slot is free, its tokens are what they were.
    pub(crate) fn settle(&mut self, take: &BucketTake, actual: u64, now: Millis) {
        self.tokens.settle(take.tokens, take.estimate, actual, now);
        self.parallel = self.parallel.saturating_sub(1);
    }
}

// === impl Short ===

impl Short {
    fn of(limit_type: LimitType, window: &mut Window, units: u64, limit: u64, now: Millis) -> Self {
        Self {
            limit_type,
            limit,
            remaining: limit.saturating_sub(window.used(now)),
            retry_after: window.wait_for(units, limit, now),
        }
    }
}
