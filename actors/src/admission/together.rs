//! Admission where other replicas admit too: taken here first, then together.
//!
//! What is taken here is never more than the limit, so a request that this replica alone can refuse costs no question. The
//! others are asked once for everything. If nobody answers in time, the request gets what this replica's share allows: the
//! limit less what all had taken when they last knew of each other, divided among those that lived then.

use std::sync::Arc;
use std::time::Duration;

use super::{Ask, Permit, Refusal, Reserved, admit};
use crate::clock::Clock;
use crate::fleet::{FleetHandle, Keeping};
use crate::ids::Subject;
use crate::ports::{SharedAnswer, SharedAsk, SharedReceipt, SharedRefusal, SharedTake};
use crate::rate_limiter::{Bucket, LimitType};
use crate::spend_ledger::Balance;

/// When to ask again while the shared limits cannot be reached.
const UNREACHABLE_RETRY: Duration = Duration::from_secs(1);

/// As [`admit`], with the other replicas.
///
/// Cancel safety: nothing stays taken when the future is dropped.
///
/// # Errors
/// The first [`Refusal`], of this replica or of all.
pub async fn admit_together(
    buckets: &[Arc<Bucket>],
    balances: &[Arc<Balance>],
    ask: Ask,
    clock: Clock,
    fleet: &FleetHandle,
) -> Result<Permit<Reserved>, Refusal> {
    let mut permit = admit(buckets, balances, ask, clock)?;
    let is_asked = !buckets.is_empty() || !balances.is_empty();
    if !is_asked || fleet.standing.keeping() == Keeping::Alone {
        return Ok(permit);
    }
    let asked = Asked::of(buckets, balances);
    let now = clock.now();
    let windows = asked.balances.iter().map(|balance| balance.key());
    fleet.touched.touch_all(windows, now);
    if let Some(limits) = &fleet.limits {
        match limits.take(asked.question(ask)).await {
            SharedAnswer::Taken(take) => {
                asked.learn(&take, clock);
                permit.took_together(take);
                return Ok(permit);
            }
            SharedAnswer::Refused(refusal) => return Err(asked.refusal(refusal, ask, clock)),
            SharedAnswer::Late(receipt) => permit.weaken(Some(receipt)),
            SharedAnswer::Unknown => permit.weaken(None),
        }
        if fleet.fails_closed {
            return Err(Refusal::Unreachable {
                retry_after: UNREACHABLE_RETRY,
            });
        }
    }
    match asked.beyond_share(ask, clock, fleet) {
        Some(refusal) => Err(refusal),
        None => Ok(permit),
    }
}

/// Whom a request asks, each once, in the caller's order.
struct Asked<'a> {
    buckets: Vec<&'a Arc<Bucket>>,
    balances: Vec<&'a Arc<Balance>>,
}

// === impl Asked ===

impl<'a> Asked<'a> {
    fn of(buckets: &'a [Arc<Bucket>], balances: &'a [Arc<Balance>]) -> Self {
        let mut asked = Self {
            buckets: Vec::with_capacity(buckets.len()),
            balances: Vec::with_capacity(balances.len()),
        };
        for bucket in buckets {
            if !asked.buckets.iter().any(|known| Arc::ptr_eq(known, bucket)) {
                asked.buckets.push(bucket);
            }
        }
        for balance in balances {
            let known = |known: &&Arc<Balance>| Arc::ptr_eq(known, balance);
            if !asked.balances.iter().any(known) {
                asked.balances.push(balance);
            }
        }
        asked
    }

    fn question(&self, ask: Ask) -> SharedAsk {
        let budgets = self.balances.iter();
        let limits = self.buckets.iter();
        SharedAsk {
            tokens: ask.tokens,
            hold: ask.hold,
            budgets: budgets
                .map(|balance| (balance.key().clone(), balance.snapshot().limit))
                .collect(),
            limits: limits
                .map(|bucket| (bucket.subject().clone(), bucket.limits()))
                .collect(),
        }
    }

    /// What all replicas have taken is what each goes on with if it has to decide alone.
    fn learn(&self, take: &SharedTake, clock: Clock) {
        for (balance, spent) in self.balances.iter().zip(&take.spent) {
            balance.learn(*spent);
        }
        let now = clock.now();
        for (bucket, used) in self.buckets.iter().zip(&take.used) {
            bucket.lock().learn(*used, now);
        }
    }

    fn refusal(&self, refusal: SharedRefusal, ask: Ask, clock: Clock) -> Refusal {
        // Places outside of the question are a defect of whoever answers: nobody is let through by it.
        match refusal {
            SharedRefusal::Exceeded { budget, spent } => match self.balances.get(budget) {
                Some(balance) => {
                    balance.learn(spent);
                    Refusal::BudgetExceeded {
                        subject: balance.key().subject.clone(),
                        budget: balance.key().budget.clone(),
                        spent,
                        limit: balance.snapshot().limit,
                    }
                }
                None => Refusal::held(Subject::global()),
            },
            SharedRefusal::Held { budget } => {
                let balance = self.balances.get(budget);
                Refusal::held(balance.map_or_else(Subject::global, |it| it.key().subject.clone()))
            }
            SharedRefusal::Limit {
                subject,
                limit_type,
                used,
                retry_after,
            } => match self.buckets.get(subject) {
                Some(bucket) => {
                    let limits = bucket.limits();
                    let limit = match limit_type {
                        LimitType::Requests => limits.rpm,
                        LimitType::Tokens => limits.tpm,
                        LimitType::TokensPerDay => limits.tpd,
                        LimitType::MaxParallelRequests => limits.max_parallel.map(u64::from),
                    };
                    let limit = limit.unwrap_or_default();
                    bucket
                        .lock()
                        .learn_of(limit_type, used, ask.tokens, clock.now());
                    Refusal::Rate {
                        subject: bucket.subject().clone(),
                        limit_type,
                        limit,
                        remaining: limit.saturating_sub(used),
                        retry_after,
                    }
                }
                None => Refusal::held(Subject::global()),
            },
        }
    }

    /// The first budget or limit of which this replica's share does not admit what it has just taken.
    fn beyond_share(&self, ask: Ask, clock: Clock, fleet: &FleetHandle) -> Option<Refusal> {
        let share = fleet.standing.share();
        let now = clock.now();
        let no_money = self
            .balances
            .iter()
            .find(|balance| !balance.lock().share_admits(ask.hold, share));
        if let Some(balance) = no_money {
            return Some(Refusal::held(balance.key().subject.clone()));
        }
        self.buckets.iter().find_map(|bucket| {
            let short = bucket.lock().check_share(ask.tokens, share, now)?;
            Some(Refusal::rate(bucket.subject().clone(), &short))
        })
    }
}

// === impl Permit ===

impl Permit<Reserved> {
    fn took_together(&mut self, take: SharedTake) {
        if let Some(taken) = &mut self.taken {
            taken.shared = Some(take.receipt);
        }
    }

    fn weaken(&mut self, late: Option<Box<dyn SharedReceipt>>) {
        if let Some(taken) = &mut self.taken {
            taken.is_weakened = true;
            taken.shared = late;
        }
    }
}
