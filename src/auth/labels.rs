//! Whom a request is charged to beyond its key: the customer and the tags that it names, and the gateway as a whole.
//!
//! Who writes what: a miss inserts, an expired entry is replaced, nobody else writes. As long as no customer and no tag has terms,
//! which is one look at the database every few seconds, names cost nothing. While the database fails, what is known goes on
//! counting, and names that are not known have no budget: a customer's budget is no reason to refuse every other customer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::timeout;
use trunkline_actors::clock::{Clock, Millis, UnixMs};
use trunkline_actors::ids::Subject;
use trunkline_actors::rate_limiter::Limits;
use trunkline_actors::spend_ledger::{Balance, Budget};

use super::error::AuthError;
use super::identity::Identity;
use super::outage::Outage;
use super::payer::{Charges, Label, PayerReader};
use super::table::make_room;
use crate::storage::TenantKind;

/// How long a request waits for a database that may be failing.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it is believed that no customer, or no tag, has terms.
const NONE_TTL: Duration = Duration::from_secs(5);

/// Everything that must admit a request, in the order in which it is asked.
#[derive(Debug, Default)]
pub struct Asked {
    /// The windows of the moment.
    pub balances: Vec<Arc<Balance>>,
    /// Limits of requests and tokens.
    pub limits: Vec<(Subject, Limits)>,
}

/// See the module.
#[derive(Debug)]
pub struct LabelTable {
    reader: PayerReader,
    clock: Clock,
    ttl: Duration,
    global: Option<Arc<Budget>>,
    end_users: Labels,
    tags: Labels,
    outage: Outage,
    /// Whatever was read before, in milliseconds, is read again.
    expired_at: AtomicU64,
}

/// Customers, or tags.
#[derive(Debug)]
struct Labels {
    kind: TenantKind,
    /// The config gives each of them a budget, or some.
    by_config: bool,
    /// Some had terms when it was last looked.
    any: AtomicBool,
    looked_at: AtomicU64,
    known: DashMap<String, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    label: Arc<Label>,
    loaded_at: Millis,
}

// === impl LabelTable ===

impl LabelTable {
    /// An empty table. Reads what was spent of the gateway's own budget.
    ///
    /// # Errors
    /// If the books do not say.
    pub async fn new(reader: PayerReader, ttl: Duration, clock: Clock) -> Result<Self, AuthError> {
        let rules = reader.rules();
        let every_customer =
            rules.default_end_user.is_some() || rules.default_end_user_id.is_some();
        Ok(Self {
            end_users: Labels::new(TenantKind::EndUser, every_customer),
            tags: Labels::new(TenantKind::Tag, !rules.tags.is_empty()),
            global: reader.global().await?,
            outage: Outage::saying(
                "customers and tags that are not known have no budget: the database does not tell it",
            ),
            reader,
            clock,
            ttl,
            expired_at: AtomicU64::new(0),
        })
    }

    /// Whom a request asks: the caller, the customer and the tags that it names, and the gateway. `models` are the names of what it asks for. The master key is charged for nothing (contract
    /// `auth-budgets-limits` §2).
    ///
    /// # Errors
    /// [`AuthError::EndUserBlocked`].
    pub async fn asked(
        &self,
        identity: &Identity,
        end_user: Option<&str>,
        tags: &[String],
        models: &[&str],
    ) -> Result<Asked, AuthError> {
        let mut asked = Asked::default();
        if matches!(identity, Identity::Master) {
            return Ok(asked);
        }
        let now = UnixMs::now();
        if let Some(key) = identity.key() {
            asked.add(&key.charges, models, now);
        }
        for tag in tags {
            if let Some(label) = self.label(&self.tags, tag).await {
                asked.add(&label.charges, models, now);
            }
        }
        if let Some(id) = end_user
            && let Some(label) = self.label(&self.end_users, id).await
        {
            if label.is_blocked {
                return Err(AuthError::EndUserBlocked(id.to_owned()));
            }
            asked.add(&label.charges, models, now);
        }
        let global = self.global.iter().map(|budget| budget.at(now));
        asked.balances.extend(global);
        Ok(asked)
    }

    /// The gateway's own budget.
    pub fn global(&self) -> Option<&Arc<Budget>> {
        self.global.as_ref()
    }

    /// Forgets what is known of customers and tags, after one was made or changed by this process.
    pub fn forget_all(&self) {
        for labels in [&self.end_users, &self.tags] {
            labels.known.clear();
            labels.looked_at.store(0, Ordering::Relaxed);
        }
    }

    /// Has customers and tags read again, after somebody else may have changed any. While the store fails they are kept.
    pub fn expire_all(&self) {
        let next = self.clock.now().0.saturating_add(1);
        self.expired_at.fetch_max(next, Ordering::AcqRel);
        for labels in [&self.end_users, &self.tags] {
            labels.looked_at.store(0, Ordering::Relaxed);
        }
    }

    /// The store was found to answer: customers and tags are read from it again.
    pub fn store_answers(&self) {
        self.outage.over();
    }

    /// Customers and tags go without budgets that the database could not tell.
    pub fn is_weakened(&self) -> bool {
        self.outage.is_on()
    }

    async fn label(&self, labels: &Labels, id: &str) -> Option<Arc<Label>> {
        let now = self.clock.now();
        let known = labels.known.get(id).map(|known| known.clone());
        let expired_at = self.expired_at.load(Ordering::Acquire);
        let is_fresh = |known: &Known| {
            now.since(known.loaded_at) < self.ttl && known.loaded_at.0 >= expired_at
        };
        if let Some(known) = &known
            && (is_fresh(known) || self.outage.pauses(now))
        {
            return Some(Arc::clone(&known.label));
        }
        if self.outage.pauses(now) {
            return None;
        }
        let read = timeout(PATIENCE, self.read(labels, id, now)).await;
        let failure = match read {
            Ok(Ok(label)) => {
                self.outage.over();
                return label;
            }
            Ok(Err(err)) => Some(err),
            Err(_elapsed) => None,
        };
        self.outage.failed(failure.as_ref(), now);
        known.map(|known| known.label)
    }

    async fn read(
        &self,
        labels: &Labels,
        id: &str,
        now: Millis,
    ) -> Result<Option<Arc<Label>>, AuthError> {
        if !labels.by_config && !self.any(labels, now).await? {
            return Ok(None);
        }
        let label = Arc::new(self.reader.of_label(labels.kind, id).await?);
        make_room(&labels.known);
        let known = Known {
            label: Arc::clone(&label),
            loaded_at: now,
        };
        labels.known.insert(id.to_owned(), known);
        Ok(Some(label))
    }

    /// Whether any of them has terms: asked again every few seconds while none has, then no more.
    async fn any(&self, labels: &Labels, now: Millis) -> Result<bool, AuthError> {
        let looked_at = Millis(labels.looked_at.load(Ordering::Relaxed));
        let fresh = looked_at != Millis::ZERO && now.since(looked_at) < NONE_TTL;
        if labels.any.load(Ordering::Relaxed) || fresh {
            return Ok(labels.any.load(Ordering::Relaxed));
        }
        let any = self.reader.any(labels.kind).await?;
        labels.any.store(any, Ordering::Relaxed);
        labels.looked_at.store(now.0.max(1), Ordering::Relaxed);
        Ok(any)
    }
}

// === impl Asked ===

impl Asked {
    fn add(&mut self, charges: &Charges, models: &[&str], now: UnixMs) {
        let of_models = charges.model_budgets.iter();
        let of_models = of_models.filter(|(group, _)| models.contains(&&**group));
        let of_models = of_models.map(|(_, budget)| budget);
        let budgets = charges.budgets.iter().chain(of_models);
        self.balances.extend(budgets.map(|budget| budget.at(now)));
        self.limits.extend_from_slice(&charges.limits);
    }
}

// === impl Labels ===

impl Labels {
    fn new(kind: TenantKind, by_config: bool) -> Self {
        Self {
            kind,
            by_config,
            any: AtomicBool::new(false),
            looked_at: AtomicU64::new(0),
            known: DashMap::new(),
        }
    }
}
