//! Caps: budgets over what is spent *at* providers and deployments, whoever asked. Who has spent its cap is left out of
//! routing; nothing is held, so the request that crosses the line is served and the next one is not (contract, routing §8).
//!
//! The figures are ordinary [`Balance`]s, so they survive a restart: a settled record names their windows beside those of
//! the caller. Windows of one length follow each other from 1970 on, which needs no state and is the same everywhere.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::balance::Balance;
use super::handle::{LedgerHandle, SeedFailed};
use crate::clock::{UnixMs, whole_millis};
use crate::ids::{DeploymentId, Subject};
use crate::money::Usd;
use crate::ports::{BudgetKey, BudgetName};

/// One cap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cap {
    /// A deployment or a provider.
    pub subject: Subject,
    /// What may be spent in one window.
    pub limit: Usd,
    /// The window's length; `None`: it never ends.
    pub period: Option<Duration>,
}

/// A cap that is spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpentCap {
    /// The deployment that is left out.
    pub deployment: DeploymentId,
    /// Whose cap it is.
    pub subject: Subject,
    /// Spent in this window.
    pub spent: Usd,
    /// The cap.
    pub limit: Usd,
}

/// How a cap stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapState {
    /// The cap.
    pub cap: Cap,
    /// Spent in this window.
    pub spent: Usd,
}

/// All caps, by the deployments that they cover.
#[derive(Debug)]
pub struct Caps {
    ledger: LedgerHandle,
    of: HashMap<DeploymentId, Vec<Arc<Window>>>,
}

/// A cap and its balance of the moment.
#[derive(Debug)]
struct Window {
    cap: Cap,
    current: Mutex<Arc<Balance>>,
}

// === impl Cap ===

impl Cap {
    /// When the window that `now` lies in ends; `None`: never.
    pub fn resets_at(&self, now: UnixMs) -> Option<UnixMs> {
        let length = whole_millis(self.period?);
        Some(UnixMs(self.key(now).window_start.0.saturating_add(length)))
    }

    fn key(&self, now: UnixMs) -> BudgetKey {
        let length = self.period.map_or(0, whole_millis);
        BudgetKey {
            subject: self.subject.clone(),
            budget: BudgetName::default(),
            generation: 0,
            window_start: UnixMs(match length {
                0 => 0,
                length => now.0 / length * length,
            }),
        }
    }
}

// === impl Caps ===

impl Caps {
    /// Opens the window of the moment of each cap, with what the books say was spent in it. A cap may cover several
    /// deployments and is then given several times.
    ///
    /// # Errors
    /// [`SeedFailed`], if the books do not say.
    pub async fn load(
        ledger: LedgerHandle,
        caps: Vec<(DeploymentId, Cap)>,
        now: UnixMs,
    ) -> Result<Self, SeedFailed> {
        let mut known: HashMap<Subject, Arc<Window>> = HashMap::new();
        let mut of: HashMap<DeploymentId, Vec<Arc<Window>>> = HashMap::new();
        for (deployment, cap) in caps {
            let window = if let Some(window) = known.get(&cap.subject) {
                Arc::clone(window)
            } else {
                let balance = ledger.load_balance(cap.key(now), cap.limit).await?;
                let window = Arc::new(Window {
                    current: Mutex::new(balance),
                    cap: cap.clone(),
                });
                known.insert(cap.subject, Arc::clone(&window));
                window
            };
            of.entry(deployment).or_default().push(window);
        }
        Ok(Self { ledger, of })
    }

    /// Every deployment that a spent cap leaves out at `now`; mostly none.
    pub fn spent(&self, now: UnixMs) -> Vec<SpentCap> {
        let mut spent = Vec::new();
        for (deployment, windows) in &self.of {
            for window in windows {
                let balance = window.at(now, &self.ledger).snapshot();
                if balance.spent >= balance.limit {
                    spent.push(SpentCap {
                        deployment: deployment.clone(),
                        subject: window.cap.subject.clone(),
                        spent: balance.spent,
                        limit: balance.limit,
                    });
                }
            }
        }
        spent
    }

    /// How every cap stands at `now`, each once, by subject.
    pub fn states(&self, now: UnixMs) -> Vec<CapState> {
        let mut states: Vec<CapState> = Vec::new();
        for window in self.of.values().flatten() {
            if states
                .iter()
                .any(|state| state.cap.subject == window.cap.subject)
            {
                continue;
            }
            states.push(CapState {
                spent: window.at(now, &self.ledger).snapshot().spent,
                cap: window.cap.clone(),
            });
        }
        states.sort_by(|a, b| a.cap.subject.cmp(&b.cap.subject));
        states
    }

    /// Charges the caps of that deployment, and answers the windows that the settled record must name.
    pub fn charge(&self, deployment: &DeploymentId, cost: Usd, now: UnixMs) -> Vec<BudgetKey> {
        let windows = self.of.get(deployment).into_iter().flatten();
        windows
            .map(|window| {
                let balance = window.at(now, &self.ledger);
                balance.charge_unheld(cost, self.ledger.clock.now());
                balance.key().clone()
            })
            .collect()
    }
}

// === impl Window ===

impl Window {
    /// The balance of the window that `now` lies in; a new window begins at nothing.
    fn at(&self, now: UnixMs, ledger: &LedgerHandle) -> Arc<Balance> {
        let key = self.cap.key(now);
        let mut current = self.lock();
        // A clock that was set back does not bring an old window back.
        if current.key().window_start < key.window_start {
            *current = ledger.open_balance(key, self.cap.limit, Usd::ZERO);
        }
        Arc::clone(&current)
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Balance>> {
        // Nothing panics under this lock; if it did, it would still hold a balance.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
