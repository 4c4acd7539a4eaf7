//! Admission: all limits and budgets of a request's subjects, in one atomic step.
//!
//! Every subject has one short mutex. They are locked in [`Subject`] order, all are checked, then all are taken;
//! nothing is awaited in between. Take-then-undo was rejected: others would be refused by a take about to be undone.
//!
//! The result is a [`Permit`], a typestate. `Reserved` is dropped when the request never left: all is given back.
//! `InFlight` begins with the first byte sent upstream; dropped, it is settled with the estimate: hanging up evades no
//! limit. Whoever knows what was delivered settles explicitly, in its own drop if need be.
//!
//! ```text
//! admit ──▶ Permit<Reserved> ──in_flight()──▶ Permit<InFlight> ──settle(actual)──▶ done
//!                 │ drop: given back                │ drop: settled with the estimate
//! ```

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::clock::{Clock, Millis};
use crate::ids::Subject;
use crate::money::Usd;
use crate::ports::{BudgetName, SharedReceipt};
use crate::rate_limiter::{Bucket, BucketTake, LimitType, Remaining, Short};
use crate::spend_ledger::{Balance, Hold, NoMoney};

mod locks;
mod queue;
#[cfg(test)]
mod queue_tests;
#[cfg(test)]
mod tests;
mod together;
#[cfg(test)]
mod together_tests;

pub use queue::{Queue, QueueSettings};
pub use together::admit_together;

use locks::{Entry, Guard, Target, lock_all};

/// Money held by others comes back when their requests end, which nobody knows: this is when to ask again.
const HELD_RETRY: Duration = Duration::from_secs(1);

/// Most requests have a key, a user and a team or two.
const USUAL: usize = 4;

/// What a request wants to take of each of its subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Estimated tokens, prompt and completion.
    pub tokens: u64,
    /// Money that it may cost.
    pub hold: Usd,
}

/// What a request took in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actual {
    /// Tokens, prompt and completion.
    pub tokens: u64,
    /// What it cost; `None`: no better figure than the hold, which is charged.
    pub cost: Option<Usd>,
}

/// The first limit or budget that did not admit; nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A rate limit.
    #[error("rate limit of {subject}: {limit} {limit_type}, {remaining} remaining")]
    Rate {
        /// Whose.
        subject: Subject,
        /// Which one.
        limit_type: LimitType,
        /// The limit.
        limit: u64,
        /// What is left of it: less than asked for.
        remaining: u64,
        /// When what is missing will have come back.
        retry_after: Duration,
    },
    /// The budget is spent.
    #[error("budget of {subject} is exceeded: {spent} of {limit} USD")]
    BudgetExceeded {
        /// Whose.
        subject: Subject,
        /// Which of the subject's.
        budget: BudgetName,
        /// Charged in this window.
        spent: Usd,
        /// The budget.
        limit: Usd,
    },
    /// The budget would do but for what requests under way may cost.
    #[error("budget of {subject} is held by requests under way")]
    BudgetHeld {
        /// Whose.
        subject: Subject,
        /// When to ask again.
        retry_after: Duration,
    },
    /// The limits that replicas keep together cannot be reached, and the operator wants none to be kept apart.
    #[error("the shared limits cannot be reached")]
    Unreachable {
        /// When to ask again.
        retry_after: Duration,
    },
}

/// State of a [`Permit`]: admitted, nothing sent.
#[derive(Debug)]
pub struct Reserved(());

/// State of a [`Permit`]: the upstream has, or may have, the request.
#[derive(Debug)]
pub struct InFlight(());

/// What was taken for one request. See the [module](self) for its life.
#[derive(Debug)]
#[must_use = "a dropped permit is given back or settled at once"]
pub struct Permit<S: PermitState> {
    /// `None` once settled or passed on.
    taken: Option<Taken>,
    state: PhantomData<S>,
}

/// The states of a [`Permit`]; sealed.
pub trait PermitState: sealed::Sealed {}

mod sealed {
    /// What a drop does in this state.
    pub trait Sealed {
        fn end(taken: super::Taken);
    }
}

/// What the subjects gave, and to whom it goes back.
#[derive(Debug)]
pub struct Taken {
    clock: Clock,
    ask: Ask,
    buckets: SmallVec<[(Arc<Bucket>, BucketTake); USUAL]>,
    balances: SmallVec<[(Arc<Balance>, Hold); USUAL]>,
    /// What was taken together with other replicas.
    shared: Option<Box<dyn SharedReceipt>>,
    /// This replica decided alone although limits are kept together.
    is_weakened: bool,
}

/// Takes `ask` of all buckets and balances, or of none.
///
/// Refusals are reported in the caller's order, budgets before limits, as the contract checks them. The same bucket
/// or balance given twice counts once. Locks are held for the checks alone; nothing is awaited.
///
/// # Errors
/// The first [`Refusal`].
pub fn admit(
    buckets: &[Arc<Bucket>],
    balances: &[Arc<Balance>],
    ask: Ask,
    clock: Clock,
) -> Result<Permit<Reserved>, Refusal> {
    let mut guards = lock_all(buckets, balances);
    // Read after the locks: whoever waited for them must not take in a second that is already over.
    let now = clock.now();
    let refused = guards
        .iter_mut()
        .filter_map(|(entry, guard)| Some((entry.rank, refusal(entry, guard, ask, now)?)))
        .min_by_key(|(rank, _refusal)| *rank);
    if let Some((_rank, refusal)) = refused {
        return Err(refusal);
    }
    let mut taken = Taken {
        clock,
        ask,
        buckets: SmallVec::new(),
        balances: SmallVec::new(),
        shared: None,
        is_weakened: false,
    };
    for (entry, guard) in &mut guards {
        match (entry.target, guard) {
            (Target::Bucket(bucket), Guard::Bucket(state)) => {
                let take = state.take(ask.tokens, now);
                taken.buckets.push((Arc::clone(bucket), take));
            }
            (Target::Balance(balance), Guard::Balance(state)) => {
                let hold = state.hold(ask.hold);
                taken.balances.push((Arc::clone(balance), hold));
            }
            _ => {}
        }
    }
    drop(guards);
    Ok(Permit::of(taken))
}

/// What this subject has against it.
fn refusal(entry: &Entry<'_>, guard: &mut Guard<'_>, ask: Ask, now: Millis) -> Option<Refusal> {
    let subject = || entry.target.subject().clone();
    match guard {
        Guard::Bucket(state) => {
            let short = state.check(ask.tokens, now);
            short.map(|short| Refusal::rate(subject(), &short))
        }
        Guard::Balance(state) => state.check(ask.hold).map(|why| match why {
            NoMoney::Exceeded { spent, limit } => Refusal::BudgetExceeded {
                subject: subject(),
                budget: entry.target.budget(),
                spent,
                limit,
            },
            NoMoney::Held => Refusal::held(subject()),
        }),
    }
}

// === impl Refusal ===

impl Refusal {
    fn rate(subject: Subject, short: &Short) -> Self {
        Self::Rate {
            subject,
            limit_type: short.limit_type,
            limit: short.limit,
            remaining: short.remaining,
            retry_after: short.retry_after,
        }
    }

    fn held(subject: Subject) -> Self {
        Self::BudgetHeld {
            subject,
            retry_after: HELD_RETRY,
        }
    }
}

// === impl Permit ===

impl<S: PermitState> Permit<S> {
    fn of(taken: Taken) -> Self {
        Self {
            taken: Some(taken),
            state: PhantomData,
        }
    }

    /// What is left of each subject's limits now, for response headers; in lock order.
    pub fn remaining(&self) -> Vec<Remaining> {
        self.taken.as_ref().map_or_else(Vec::new, |taken| {
            let now = taken.clock.now();
            let buckets = taken.buckets.iter();
            buckets.map(|(bucket, _)| bucket.remaining(now)).collect()
        })
    }
}

impl<S: PermitState> Permit<S> {
    /// One replica's share was all that could be looked at, because the shared limits did not answer.
    pub fn is_weakened(&self) -> bool {
        self.taken.as_ref().is_some_and(|taken| taken.is_weakened)
    }

    /// Of the budgets that are charged, the one with the least left in it. All are charged the same, so it stays the one.
    pub fn tightest(&self) -> Option<Arc<Balance>> {
        let balances = self.taken.iter().flat_map(|taken| &taken.balances);
        balances
            .min_by_key(|(balance, _)| balance.snapshot().remaining())
            .map(|(balance, _)| Arc::clone(balance))
    }
}

impl Permit<Reserved> {
    /// The first byte goes upstream: from here on the request counts, whatever happens.
    pub fn in_flight(mut self) -> Permit<InFlight> {
        Permit {
            taken: self.taken.take(),
            state: PhantomData,
        }
    }
}

impl Permit<InFlight> {
    /// Ends the request with its actual figures. An upstream call that failed and delivered nothing has 0 tokens and
    /// a cost of 0; it keeps its place in the request count.
    pub fn settle(mut self, actual: Actual) {
        if let Some(taken) = self.taken.take() {
            taken.settle(actual);
        }
    }
}

impl<S: PermitState> Drop for Permit<S> {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            S::end(taken);
        }
    }
}

impl PermitState for Reserved {}

impl sealed::Sealed for Reserved {
    fn end(taken: Taken) {
        taken.give_back();
    }
}

impl PermitState for InFlight {}

impl sealed::Sealed for InFlight {
    fn end(taken: Taken) {
        let estimate = Actual {
            tokens: taken.ask.tokens,
            cost: None,
        };
        taken.settle(estimate);
    }
}

// === impl Taken ===

impl Taken {
    fn give_back(self) {
        if let Some(shared) = self.shared {
            shared.give_back();
        }
        let now = self.clock.now();
        for (bucket, take) in &self.buckets {
            bucket.lock().give_back(take, now);
        }
        for (balance, hold) in &self.balances {
            balance.lock().release(hold);
        }
    }

    fn settle(self, actual: Actual) {
        let now = self.clock.now();
        for (bucket, take) in &self.buckets {
            bucket.lock().settle(take, actual.tokens, now);
        }
        let cost = actual.cost.unwrap_or(self.ask.hold);
        for (balance, hold) in &self.balances {
            let crossed = balance.lock().charge(hold, cost, now);
            if let Some(soft_limit) = crossed {
                let key = balance.key();
                log::warn!(
                    subject:% = key.subject, budget = key.budget.as_str(), soft_budget_usd:% = soft_limit;
                    "a soft budget is crossed; requests go on"
                );
            }
        }
        // Last: what all have spent, which comes back from there, is not to be added to here.
        if let Some(shared) = self.shared {
            shared.settle(actual.tokens, cost);
        }
    }
}
