//! Limits and budgets that replicas keep together: what a replica asks, and what it is told.
//!
//! One question takes everything that a request needs, or nothing. Whoever answers knows nothing of the local buckets and
//! balances: these say what to do when there is no answer.

use std::fmt;
use std::time::Duration;

use super::{BoxFuture, BudgetKey};
use crate::ids::Subject;
use crate::money::Usd;
use crate::rate_limiter::{LimitType, Limits};

/// What one request needs, in the order in which refusals are reported: budgets first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedAsk {
    /// Tokens, by estimate.
    pub tokens: u64,
    /// Money that it may cost.
    pub hold: Usd,
    /// Windows, each once, with what may be spent in them.
    pub budgets: Vec<(BudgetKey, Usd)>,
    /// Subjects with limits, each once.
    pub limits: Vec<(Subject, Limits)>,
}

/// What became of a [`SharedAsk`].
#[derive(Debug)]
pub enum SharedAnswer {
    /// All is taken.
    Taken(SharedTake),
    /// Nothing is.
    Refused(SharedRefusal),
    /// Nobody could be asked; nothing is taken.
    Unknown,
    /// Nobody said it in time. The receipt stands for what may be taken all the same: it goes on with the request.
    Late(Box<dyn SharedReceipt>),
}

/// What was taken, and how much all replicas have taken together.
#[derive(Debug)]
pub struct SharedTake {
    /// To be settled or given back, once.
    pub receipt: Box<dyn SharedReceipt>,
    /// Spent of each budget, in the order of the question.
    pub spent: Vec<Usd>,
    /// Taken of each subject's limits, in the order of the question, this request included.
    pub used: Vec<SharedUse>,
}

/// What all replicas have taken of one subject's minute and day; `None` where the question had no limit. Slots are not in it: they come and go with
/// every request, so that the figure would be wrong by the time it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SharedUse {
    /// Requests of the last 60 s.
    pub requests: Option<u64>,
    /// Tokens of the last 60 s.
    pub tokens: Option<u64>,
    /// Tokens of the last 24 h.
    pub day_tokens: Option<u64>,
}

/// What stands against a [`SharedAsk`]; the place is that in the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedRefusal {
    /// The budget is spent.
    Exceeded {
        /// Which one.
        budget: usize,
        /// By this much.
        spent: Usd,
    },
    /// The budget would do but for requests under way.
    Held {
        /// Which one.
        budget: usize,
    },
    /// A limit is used up.
    Limit {
        /// Whose.
        subject: usize,
        /// Which one.
        limit_type: LimitType,
        /// Taken of it.
        used: u64,
        /// When what is missing will have come back.
        retry_after: Duration,
    },
}

/// Limits and budgets that all replicas keep together. One for each worker.
pub trait SharedLimits: fmt::Debug + Send + Sync {
    /// Takes everything or nothing. Answers within some 25 ms, but for the first request of a budget's window, which waits for
    /// the books.
    ///
    /// Cancel safety: what is taken after the future is dropped is given back.
    fn take(&self, ask: SharedAsk) -> BoxFuture<'_, SharedAnswer>;
}

/// Proof of what was taken together. Both calls are synchronous, so that a drop can make them; what they say reaches the other
/// replicas a moment later.
pub trait SharedReceipt: fmt::Debug + Send + Sync {
    /// The request is over.
    fn settle(self: Box<Self>, tokens: u64, cost: Usd);

    /// The request was never sent.
    fn give_back(self: Box<Self>);
}
