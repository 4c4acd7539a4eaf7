//! One budget window: its limit, what was charged to it, and what is held for requests under way.
//!
//! A hold is money that may be spent; a charge is money that was. They are never the same number: a reservation that
//! is added to the spend and not taken back blocks users on money they never spent.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Millis;
use crate::fleet::Share;
use crate::money::Usd;
use crate::ports::BudgetKey;

/// A budget window, reached by handle from any worker.
#[derive(Debug)]
pub struct Balance {
    key: BudgetKey,
    state: Mutex<BalanceState>,
}

/// What a window holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceSnapshot {
    /// The limit.
    pub limit: Usd,
    /// Charged so far.
    pub spent: Usd,
    /// Held for requests under way.
    pub held: Usd,
    /// How many holds that is.
    pub live_holds: u64,
}

/// The plain state under the balance's lock.
#[derive(Debug)]
pub(crate) struct BalanceState {
    limit: Usd,
    soft_limit: Option<Usd>,
    spent: Usd,
    held: Usd,
    live_holds: u64,
    charged_at: Millis,
    /// The most that all replicas were known to have spent; what `spent` has beyond it was charged here since.
    known: Usd,
}

/// Proof of a hold, to be released or charged exactly once.
#[derive(Debug)]
pub(crate) struct Hold(Usd);

/// Why a balance does not admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoMoney {
    /// The limit is spent.
    Exceeded { spent: Usd, limit: Usd },
    /// It would fit but for the holds of other requests.
    Held,
}

// === impl Balance ===

impl Balance {
    pub(crate) fn new(key: BudgetKey, limit: Usd, seed: Usd, now: Millis) -> Self {
        Self {
            key,
            state: Mutex::new(BalanceState {
                limit,
                soft_limit: None,
                spent: seed,
                held: Usd::ZERO,
                live_holds: 0,
                charged_at: now,
                known: seed,
            }),
        }
    }

    /// Charges what nobody held.
    pub(crate) fn charge_unheld(&self, cost: Usd, now: Millis) {
        let mut state = self.lock();
        state.spent += cost;
        state.charged_at = now;
    }

    /// All replicas have spent that much, this one included. What is known is never taken back: a figure may be a moment old.
    pub fn learn(&self, spent_by_all: Usd) {
        let mut state = self.lock();
        state.spent = state.spent.max(spent_by_all);
        state.known = state.known.max(spent_by_all);
    }

    /// Which window this is.
    pub fn key(&self) -> &BudgetKey {
        &self.key
    }

    /// The figures as they are now.
    pub fn snapshot(&self) -> BalanceSnapshot {
        let state = self.lock();
        BalanceSnapshot {
            limit: state.limit,
            spent: state.spent,
            held: state.held,
            live_holds: state.live_holds,
        }
    }

    pub(crate) fn set_limit(&self, limit: Usd) {
        self.lock().limit = limit;
    }

    pub(crate) fn set_soft_limit(&self, soft_limit: Option<Usd>) {
        self.lock().soft_limit = soft_limit;
    }

    /// No hold is live and nothing was charged since `since`.
    pub(crate) fn is_idle_since(&self, since: Millis) -> bool {
        let state = self.lock();
        state.live_holds == 0 && state.charged_at < since
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BalanceState> {
        // Nothing panics under this lock; if it did, the figures would still be whole amounts.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl BalanceSnapshot ===

impl BalanceSnapshot {
    /// What is not charged yet, holds aside; nothing where more was charged than the limit.
    pub fn remaining(&self) -> Usd {
        (self.limit - self.spent).max(Usd::ZERO)
    }
}

// === impl BalanceState ===

impl BalanceState {
    /// The one comparison, for every subject: spent < limit, and nobody else holds money or all of it fits.
    /// So sequential use gets its whole budget, and concurrent use overshoots by at most one request when
    /// estimates cover.
    pub(crate) fn check(&self, amount: Usd) -> Option<NoMoney> {
        if self.spent >= self.limit {
            return Some(NoMoney::Exceeded {
                spent: self.spent,
                limit: self.limit,
            });
        }
        if self.live_holds == 0 || self.spent + self.held + amount <= self.limit {
            None
        } else {
            Some(NoMoney::Held)
        }
    }

    /// Whether one replica's share of what was left when the replicas last knew of each other admits a hold that was just taken.
    /// An amount that is larger than any share is served by one of them, while it holds nothing else. Whether the others have
    /// spent theirs is not known: where it does not admit, money is held, and not spent.
    pub(crate) fn share_admits(&self, amount: Usd, share: Share) -> bool {
        let left = (self.limit - self.known).max(Usd::ZERO);
        let part = share.of_money(left);
        let since = self.spent - self.known;
        let is_only = self.live_holds <= 1;
        let fits = since + self.held <= part;
        let first = is_only && since < part && (amount <= part || share.is_elected());
        fits || first
    }

    pub(crate) fn hold(&mut self, amount: Usd) -> Hold {
        self.held += amount;
        self.live_holds = self.live_holds.saturating_add(1);
        Hold(amount)
    }

    pub(crate) fn release(&mut self, hold: &Hold) {
        self.held -= hold.0;
        self.live_holds = self.live_holds.saturating_sub(1);
        if self.live_holds == 0 {
            // Amounts far apart in size may have lost their last digits on the way; nobody holds nothing.
            self.held = Usd::ZERO;
        }
    }

    /// A charge ends its hold. Answers with the soft limit if this charge has crossed it.
    pub(crate) fn charge(&mut self, hold: &Hold, cost: Usd, now: Millis) -> Option<Usd> {
        self.release(hold);
        let before = self.spent;
        self.spent += cost;
        self.charged_at = now;
        self.soft_limit
            .filter(|soft| before < *soft && *soft <= self.spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::ids::Subject;
    use crate::ports::BudgetName;

    #[test]
    fn a_soft_limit_is_told_once_by_the_charge_that_crosses_it() {
        let key = BudgetKey {
            subject: Subject::global(),
            budget: BudgetName::default(),
            generation: 0,
            window_start: UnixMs(0),
        };
        let pico = Usd::from_pico;
        let balance = Balance::new(key, pico(100), Usd::ZERO, Millis::ZERO);
        balance.set_soft_limit(Some(pico(10)));
        let told: Vec<Option<Usd>> = [9, 1, 5, 200]
            .into_iter()
            .map(|cost| {
                let mut state = balance.lock();
                let hold = state.hold(pico(1));
                state.charge(&hold, pico(cost), Millis::ZERO)
            })
            .collect();
        assert_eq!(told, [None, Some(pico(10)), None, None]);
    }
}
