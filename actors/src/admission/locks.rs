//! The locks of one admission: which, in which order.

use std::cmp::Ordering;
use std::sync::{Arc, MutexGuard};

use smallvec::SmallVec;

use super::USUAL;
use crate::ids::Subject;
use crate::ports::BudgetName;
use crate::rate_limiter::{Bucket, BucketState};
use crate::spend_ledger::{Balance, BalanceState};

/// Something to take from.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    Bucket(&'a Arc<Bucket>),
    Balance(&'a Arc<Balance>),
}

/// One of a request's subjects.
pub(super) struct Entry<'a> {
    /// Place in the order of reporting.
    pub(super) rank: usize,
    pub(super) target: Target<'a>,
}

/// Its lock, held.
pub(super) enum Guard<'a> {
    Bucket(MutexGuard<'a, BucketState>),
    Balance(MutexGuard<'a, BalanceState>),
}

/// All of them, in lock order.
pub(super) type Locked<'a> = SmallVec<[(Entry<'a>, Guard<'a>); 2 * USUAL]>;

/// Locks every bucket and balance once, in [`Subject`] order. Ranks are the caller's order, balances first.
pub(super) fn lock_all<'a>(buckets: &'a [Arc<Bucket>], balances: &'a [Arc<Balance>]) -> Locked<'a> {
    let balances = balances.iter().map(Target::Balance);
    let buckets = buckets.iter().map(Target::Bucket);
    let mut entries: SmallVec<[Entry<'a>; 2 * USUAL]> = balances
        .chain(buckets)
        .enumerate()
        .map(|(rank, target)| Entry { rank, target })
        .collect();
    entries.sort_by(|a, b| a.target.lock_order(&b.target));
    // Locking one mutex twice would wait for itself.
    entries.dedup_by(|a, b| a.target.lock_order(&b.target) == Ordering::Equal);
    entries
        .into_iter()
        .map(|entry| {
            let guard = match entry.target {
                Target::Bucket(bucket) => Guard::Bucket(bucket.lock()),
                Target::Balance(balance) => Guard::Balance(balance.lock()),
            };
            (entry, guard)
        })
        .collect()
}

impl Target<'_> {
    pub(super) fn subject(&self) -> &Subject {
        match self {
            Self::Bucket(bucket) => bucket.subject(),
            Self::Balance(balance) => &balance.key().subject,
        }
    }

    /// Which of the subject's budgets; a bucket has no name.
    pub(super) fn budget(&self) -> BudgetName {
        match self {
            Self::Bucket(_) => BudgetName::default(),
            Self::Balance(balance) => balance.key().budget.clone(),
        }
    }

    /// A total order over mutexes: by subject, and among one subject's by kind, window and, last, address, so that
    /// two buckets of one subject (one just swept, one just made) are still locked in the same order by everybody.
    fn lock_order(&self, other: &Self) -> Ordering {
        let by_subject = self.subject().cmp(other.subject());
        by_subject.then_with(|| match (self, other) {
            (Self::Bucket(a), Self::Bucket(b)) => Arc::as_ptr(a).cmp(&Arc::as_ptr(b)),
            (Self::Bucket(_), Self::Balance(_)) => Ordering::Less,
            (Self::Balance(_), Self::Bucket(_)) => Ordering::Greater,
            (Self::Balance(a), Self::Balance(b)) => a
                .key()
                .cmp(b.key())
                .then_with(|| Arc::as_ptr(a).cmp(&Arc::as_ptr(b))),
        })
    }
}
