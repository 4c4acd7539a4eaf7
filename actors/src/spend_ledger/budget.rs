//! A budget: an amount for each of the windows that follow each other. [`Budget::at`] is the window of the moment.
//!
//! A window that begins while the gateway runs begins at nothing (or with what the one before it was exceeded by) and needs
//! no look at the store; one that has begun before is seeded from there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::balance::Balance;
use super::handle::{LedgerHandle, SeedFailed};
use super::period::{Window, Windows};
use crate::clock::{Clock, UnixMs};
use crate::ids::Subject;
use crate::money::Usd;
use crate::ports::{BudgetKey, BudgetName, Carry};

/// What a budget is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetTerms {
    /// Whose it is.
    pub subject: Subject,
    /// Which of the subject's.
    pub budget: BudgetName,
    /// When it was last reset by hand; see [`BudgetKey::generation`].
    pub generation: u64,
    /// What may be spent in one window.
    pub limit: Usd,
    /// Spending more than this is said in the log, once a window.
    pub soft_limit: Option<Usd>,
    /// More, for a while.
    pub increase: Option<Increase>,
    /// How its windows follow each other.
    pub windows: Windows,
    /// What was spent beyond the limit counts in the next window.
    pub carries_over: bool,
}

/// An amount on top of a limit, until a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Increase {
    /// How much more.
    pub amount: Usd,
    /// Not any more from here on.
    pub until: UnixMs,
}

/// An amount for each of the windows that follow each other.
#[derive(Debug)]
pub struct Budget {
    terms: BudgetTerms,
    ledger: LedgerHandle,
    current: Mutex<Current>,
}

/// The window of the moment.
#[derive(Debug)]
struct Current {
    window: Window,
    balance: Arc<Balance>,
}

// === impl BudgetTerms ===

impl BudgetTerms {
    /// A plain budget over one window that never ends.
    pub fn endless(subject: Subject, limit: Usd) -> Self {
        Self {
            subject,
            budget: BudgetName::default(),
            generation: 0,
            limit,
            soft_limit: None,
            increase: None,
            windows: Windows::Endless,
            carries_over: false,
        }
    }

    /// What may be spent at `now`.
    pub fn limit_at(&self, now: UnixMs) -> Usd {
        match self.increase {
            Some(increase) if now < increase.until => self.limit + increase.amount,
            _ => self.limit,
        }
    }

    /// The window that `now` lies in.
    pub fn key_at(&self, now: UnixMs) -> BudgetKey {
        self.key(self.windows.at(now))
    }

    fn key(&self, window: Window) -> BudgetKey {
        BudgetKey {
            subject: self.subject.clone(),
            budget: self.budget.clone(),
            generation: self.generation,
            window_start: window.start,
        }
    }

    /// What a window takes over. A window in which the budget was reset takes nothing.
    fn carry(&self, window: Window) -> Option<Carry> {
        if !self.carries_over || window.start.0 == 0 || window.start.0 < self.generation {
            return None;
        }
        let before = UnixMs(window.start.0 - 1);
        Some(Carry {
            previous: self.key(self.windows.at(before)),
            limit: self.limit_at(before),
        })
    }
}

// === impl Budget ===

impl Budget {
    /// Opens the window that `now` lies in, with what the books say was spent in it.
    ///
    /// # Errors
    /// [`SeedFailed`], if the books do not say.
    pub async fn load(
        ledger: &LedgerHandle,
        terms: BudgetTerms,
        now: UnixMs,
    ) -> Result<Self, SeedFailed> {
        let window = terms.windows.at(now);
        let balance = ledger
            .load_balance(terms.key(window), terms.limit_at(now), terms.carry(window))
            .await?;
        balance.set_soft_limit(terms.soft_limit);
        Ok(Self {
            current: Mutex::new(Current { window, balance }),
            ledger: ledger.clone(),
            terms,
        })
    }

    /// The ledger's.
    pub(super) fn clock(&self) -> Clock {
        self.ledger.clock
    }

    /// What it is.
    pub fn terms(&self) -> &BudgetTerms {
        &self.terms
    }

    /// When the window that `now` lies in ends; `None`: never.
    pub fn resets_at(&self, now: UnixMs) -> Option<UnixMs> {
        self.terms.windows.at(now).end
    }

    /// The balance of the window that `now` lies in.
    pub fn at(&self, now: UnixMs) -> Arc<Balance> {
        let mut current = self.lock();
        if current.window.end.is_some_and(|end| end <= now) {
            let window = self.terms.windows.at(now);
            // A clock that was set back does not bring an old window back.
            if current.window.start < window.start {
                *current = self.begin(window, now);
            }
        }
        if self.terms.increase.is_some() {
            current.balance.set_limit(self.terms.limit_at(now));
        }
        Arc::clone(&current.balance)
    }

    /// A window that begins now.
    fn begin(&self, window: Window, now: UnixMs) -> Current {
        let key = self.terms.key(window);
        let seed = match self.terms.carry(window) {
            None => Usd::ZERO,
            Some(carry) => {
                let before = self.ledger.balance(&carry.previous);
                let spent = before.map_or(Usd::ZERO, |balance| balance.snapshot().spent);
                let excess = (spent - carry.limit).max(Usd::ZERO);
                self.ledger.carry_over_later(key.clone(), carry);
                excess
            }
        };
        let balance = self
            .ledger
            .open_balance(key, self.terms.limit_at(now), seed);
        balance.set_soft_limit(self.terms.soft_limit);
        Current { window, balance }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        // Nothing panics under this lock; if it did, it would still hold a balance.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
