//! Whom a request is charged to beyond its key: the customer and the tags that it names, and the gateway as a whole.
//!
//! Who writes what: a miss inserts, an expired entry is replaced, nobody else writes. As long as no customer and no tag has terms,
//! which is one look at the database every few seconds, names cost nothing. While the database fails, what is known goes on
//! counting, and names that are not known have no budget: a customer's budget is no reason to refuse every other customer.

use std::collections::HashMap;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::timeout;
use trunkline_actors::clock::{Clock, Millis, UnixMs};
use trunkline_actors::ids::Subject;
use trunkline_actors::rate_limiter::Limits;
use trunkline_actors::spend_ledger::{Balance, Budget};

use super::access::ModelList;
use super::error::AuthError;
use super::freshness::Freshness;
use super::identity::Identity;
use super::outage::{DATABASE_IS_BACK, Outage};
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
    /// The customer, which may have a list of models.
    customer: Option<Arc<Label>>,
}

/// See the module.
#[derive(Debug)]
pub struct LabelTable {
    reader: PayerReader,
    clock: Clock,
    freshness: Freshness,
    global: Option<Arc<Budget>>,
    /// The gateway itself, if it has limits.
    global_limits: Option<(Subject, Limits)>,
    end_users: Labels,
    tags: Labels,
    outage: Outage,
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
    /// An empty table. Reads what was spent of the gateway's own budget; `limits` are those of the gateway.
    ///
    /// # Errors
    /// If the books do not say.
    pub async fn new(
        reader: PayerReader,
        limits: Limits,
        ttl: Duration,
        clock: Clock,
    ) -> Result<Self, AuthError> {
        let rules = reader.rules();
        Ok(Self {
            end_users: Labels::new(TenantKind::EndUser, rules.has_customer_budget()),
            tags: Labels::new(TenantKind::Tag, !rules.tags.is_empty()),
            global: reader.global().await?,
            global_limits: (limits != Limits::default()).then(|| (Subject::global(), limits)),
            outage: Outage::saying(
                "customers and tags that are not known have no budget: the database does not tell it",
                DATABASE_IS_BACK,
            ),
            reader,
            clock,
            freshness: Freshness::of(ttl),
        })
    }

    /// Whom a request asks: the caller, the customer and the tags that it names, and the gateway. `models` are the names of what it
    /// asks for. The master key is charged for nothing (contract `auth-budgets-limits` §2), and counts as everybody does towards
    /// the gateway's limits: these are about what the gateway is to bear.
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
        asked.limits.extend(self.global_limits.clone());
        if matches!(identity, Identity::Master) {
            return Ok(asked);
        }
        let now = UnixMs::now();
        if let Some(key) = identity.key() {
            asked.add(&key.charges, models, now);
        }
        for label in self.labels(&self.tags, tags).await.into_iter().flatten() {
            asked.add(&label.charges, models, now);
        }
        if let Some(id) = end_user
            && let Some(label) = self.label(&self.end_users, id).await
        {
            if label.is_blocked {
                return Err(AuthError::EndUserBlocked(id.to_owned()));
            }
            asked.add(&label.charges, models, now);
            asked.customer = Some(label);
        }
        let global = self.global.iter().map(|budget| budget.at(now));
        asked.balances.extend(global);
        Ok(asked)
    }

    /// The gateway's own budget.
    pub fn global(&self) -> Option<&Arc<Budget>> {
        self.global.as_ref()
    }

    /// Has customers and tags read again, after any may have been changed, by whomever; what is being read just now is read again
    /// too. While the store fails they are kept.
    pub fn expire_all(&self) {
        self.freshness.expire(self.clock.now());
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
        self.labels(labels, slice::from_ref(&id)).await.pop()?
    }

    /// The labels of those names, in order; `None` where one has no terms that anybody knows of, and nothing at all where none
    /// has. Those that are not known are read with one question.
    async fn labels<S: AsRef<str>>(&self, labels: &Labels, ids: &[S]) -> Vec<Option<Arc<Label>>> {
        let now = self.clock.now();
        if labels.has_none(&self.freshness, now) {
            return Vec::new();
        }
        let is_fresh = |known: &Known| self.freshness.is_fresh(known.loaded_at, now);
        let pauses = self.outage.pauses(now);
        let mut misses = Vec::new();
        let mut found: Vec<Option<Arc<Label>>> = Vec::with_capacity(ids.len());
        for (at, id) in ids.iter().map(AsRef::as_ref).enumerate() {
            let known = labels.known.get(id).map(|known| known.clone());
            let is_fresh = known.as_ref().is_some_and(is_fresh);
            if !is_fresh && !pauses {
                misses.push((at, id.to_owned()));
            }
            found.push(known.map(|known| known.label));
        }
        if misses.is_empty() {
            return found;
        }
        let names = misses.iter().map(|(_, id)| id.clone()).collect();
        let read = timeout(PATIENCE, self.read(labels, names, now)).await;
        let failure = match read {
            Ok(Ok(read)) => {
                self.outage.over();
                for (at, id) in misses {
                    if let Some(found) = found.get_mut(at) {
                        *found = read.get(&id).map(Arc::clone);
                    }
                }
                return found;
            }
            Ok(Err(err)) => Some(err),
            Err(_elapsed) => None,
        };
        // What was known goes on counting.
        self.outage.failed(failure.as_ref(), now);
        found
    }

    async fn read(
        &self,
        labels: &Labels,
        ids: Vec<String>,
        now: Millis,
    ) -> Result<HashMap<String, Arc<Label>>, AuthError> {
        if !labels.by_config && !self.any(labels, now).await? {
            return Ok(HashMap::new());
        }
        let read = self.reader.of_labels(labels.kind, ids).await?;
        let mut found = HashMap::with_capacity(read.len());
        for (id, label) in read {
            let label = Arc::new(label);
            make_room(&labels.known);
            let known = Known {
                label: Arc::clone(&label),
                loaded_at: now,
            };
            labels.known.insert(id.clone(), known);
            found.insert(id, label);
        }
        Ok(found)
    }

    /// Whether any of them has terms: asked again every few seconds while none has, then no more.
    async fn any(&self, labels: &Labels, now: Millis) -> Result<bool, AuthError> {
        if labels.any.load(Ordering::Relaxed) {
            return Ok(true);
        }
        if labels.is_looked_at(&self.freshness, now) {
            return Ok(false);
        }
        let any = self.reader.any(labels.kind).await?;
        labels.any.store(any, Ordering::Relaxed);
        labels.looked_at.store(now.0.max(1), Ordering::Relaxed);
        Ok(any)
    }
}

// === impl Asked ===

impl Asked {
    /// The models that the customer may ask for, if it has a list.
    pub fn customer_models(&self) -> Option<&ModelList> {
        self.customer.as_ref()?.models.as_ref()
    }

    fn add(&mut self, charges: &Charges, models: &[&str], now: UnixMs) {
        let of_models = charges.model_budgets.iter();
        let of_models = of_models.filter(|(group, _)| models.contains(&&**group));
        let of_models = of_models.map(|(_, budget)| budget);
        let budgets = charges.budgets.iter().chain(of_models);
        self.balances.extend(budgets.map(|budget| budget.at(now)));
        self.limits.extend_from_slice(&charges.limits);
        let of_models = charges.model_limits.iter();
        let of_models = of_models.filter(|(group, ..)| models.contains(&&**group));
        self.limits
            .extend(of_models.map(|(_, subject, limits)| (subject.clone(), *limits)));
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

    /// None of them has terms, as far as is known: nothing to look for.
    fn has_none(&self, freshness: &Freshness, now: Millis) -> bool {
        !self.by_config && !self.any.load(Ordering::Relaxed) && self.is_looked_at(freshness, now)
    }

    /// A look that was under way when one may have got terms counts for nothing.
    fn is_looked_at(&self, freshness: &Freshness, now: Millis) -> bool {
        let looked_at = Millis(self.looked_at.load(Ordering::Relaxed));
        looked_at != Millis::ZERO
            && now.since(looked_at) < NONE_TTL
            && freshness.is_after(looked_at)
    }
}
