//! Caps: budgets over what is spent *at* providers and deployments, whoever asked. Who has spent its cap is left out of
//! routing; nothing is held, so the request that crosses the line is served and the next one is not (contract, routing §8).
//!
//! The figures are ordinary [`Balance`](super::Balance)s, so they survive a restart: a settled record names their windows beside those of
//! the caller. Windows of one length follow each other from 1970 on, which needs no state and is the same everywhere.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::budget::{Budget, BudgetTerms};
use super::handle::{LedgerHandle, SeedFailed};
use super::period::Windows;
use crate::clock::UnixMs;
use crate::ids::{DeploymentId, Subject};
use crate::money::Usd;
use crate::ports::BudgetKey;

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
#[derive(Debug, Default)]
pub struct Caps {
    of: HashMap<DeploymentId, Vec<Arc<Capped>>>,
}

#[derive(Debug)]
struct Capped {
    cap: Cap,
    budget: Budget,
}

// === impl Cap ===

impl Cap {
    /// When the window that `now` lies in ends; `None`: never.
    pub fn resets_at(&self, now: UnixMs) -> Option<UnixMs> {
        self.windows().at(now).end
    }

    fn windows(&self) -> Windows {
        self.period.map_or(Windows::Endless, Windows::Fixed)
    }
}

// === impl Caps ===

impl Caps {
    /// Opens the window of the moment of each cap, with what the books say was spent in it; one that is open already stays
    /// as it is. A cap may cover several deployments and is then given several times.
    ///
    /// # Errors
    /// [`SeedFailed`], if the books do not say.
    pub async fn load(
        ledger: &LedgerHandle,
        caps: Vec<(DeploymentId, Cap)>,
        now: UnixMs,
    ) -> Result<Self, SeedFailed> {
        let mut known: HashMap<Subject, Arc<Capped>> = HashMap::new();
        let mut of: HashMap<DeploymentId, Vec<Arc<Capped>>> = HashMap::new();
        for (deployment, cap) in caps {
            let capped = if let Some(capped) = known.get(&cap.subject) {
                Arc::clone(capped)
            } else {
                let terms = BudgetTerms {
                    windows: cap.windows(),
                    ..BudgetTerms::endless(cap.subject.clone(), cap.limit)
                };
                let budget = Budget::load(ledger, terms, now).await?;
                let subject = cap.subject.clone();
                let capped = Arc::new(Capped { cap, budget });
                known.insert(subject, Arc::clone(&capped));
                capped
            };
            of.entry(deployment).or_default().push(capped);
        }
        Ok(Self { of })
    }

    /// Every deployment that a spent cap leaves out at `now`; mostly none.
    pub fn spent(&self, now: UnixMs) -> Vec<SpentCap> {
        let mut spent = Vec::new();
        for (deployment, caps) in &self.of {
            for capped in caps {
                let balance = capped.budget.at(now).snapshot();
                if balance.spent >= balance.limit {
                    spent.push(SpentCap {
                        deployment: deployment.clone(),
                        subject: capped.cap.subject.clone(),
                        spent: balance.spent,
                        limit: balance.limit,
                    });
                }
            }
        }
        spent
    }

    /// The windows that `now` lies in: of every cap, each once.
    pub fn windows(&self, now: UnixMs) -> Vec<BudgetKey> {
        let caps = self.of.values().flatten();
        let mut keys: Vec<BudgetKey> = caps
            .map(|capped| capped.budget.at(now).key().clone())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// How every cap stands at `now`, each once, by subject.
    pub fn states(&self, now: UnixMs) -> Vec<CapState> {
        let mut states: Vec<CapState> = Vec::new();
        for capped in self.of.values().flatten() {
            if states
                .iter()
                .any(|state| state.cap.subject == capped.cap.subject)
            {
                continue;
            }
            states.push(CapState {
                spent: capped.budget.at(now).snapshot().spent,
                cap: capped.cap.clone(),
            });
        }
        states.sort_by(|a, b| a.cap.subject.cmp(&b.cap.subject));
        states
    }

    /// Charges the caps of that deployment, and answers the windows that the settled record must name.
    pub fn charge(&self, deployment: &DeploymentId, cost: Usd, now: UnixMs) -> Vec<BudgetKey> {
        let caps = self.of.get(deployment).into_iter().flatten();
        caps.map(|capped| {
            let balance = capped.budget.at(now);
            balance.charge_unheld(cost, capped.budget.clock().now());
            balance.key().clone()
        })
        .collect()
    }
}
