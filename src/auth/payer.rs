//! Reads the terms of whoever a request is charged to, and opens their budgets and limits.
//!
//! A request is charged to its key, to the key's user, team, membership and organisation, to the customer and the tags that
//! it names, and to the gateway as a whole. What has no terms has no budget and costs nothing here.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{OrganisationId, Subject, SubjectKind, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::rate_limiter::Limits;
use trunkline_actors::spend_ledger::{Budget, BudgetTerms, LedgerHandle, SeedFailed};

use super::access::{Layer, ModelList};
use super::budgets::BudgetRules;
use super::days::Days;
use super::error::AuthError;
use super::key_rules::{ALIASES, MODEL_ALIASES};
use crate::storage::{KeyRow, Store, TenantKind, TenantRow, Terms};

/// Where a team's settings have its metadata.
const METADATA: &str = "metadata";
/// The member of a key's or team's metadata that says whose share of a model group its requests take.
pub const PRIORITY: &str = "priority";

/// Setting of a key: what its limit of requests promises, `dynamic` among others.
pub const RPM_LIMIT_TYPE: &str = "rpm_limit_type";
/// The same of its limit of tokens.
pub const TPM_LIMIT_TYPE: &str = "tpm_limit_type";

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PayerReader {
    store: Store,
    ledger: LedgerHandle,
    rules: Arc<BudgetRules>,
    default_parallel: Option<u32>,
    days: Option<Arc<Days>>,
}

/// Whom all requests of a key are charged to.
#[derive(Debug, Default)]
pub(super) struct KeyPayers {
    pub(super) charges: Charges,
    pub(super) organisation: Option<OrganisationId>,
    pub(super) team_is_blocked: bool,
    /// Its team or organisation, where there is none of that id: nobody knows the limits that it is under.
    pub(super) missing: Option<String>,
    pub(super) role: Option<String>,
    pub(super) aliases: HashMap<String, String>,
    pub(super) manages: Option<OrganisationId>,
    pub(super) models: Vec<ModelList>,
}

/// A customer or tag.
#[derive(Debug, Default)]
pub(super) struct Label {
    pub(super) charges: Charges,
    pub(super) is_blocked: bool,
    pub(super) models: Option<ModelList>,
}

/// What counts for the requests of somebody.
#[derive(Debug, Default)]
pub struct Charges {
    /// Budgets, in the order in which they are asked.
    pub budgets: Vec<Arc<Budget>>,
    /// Budgets that count for requests of one model group.
    pub model_budgets: Vec<(String, Arc<Budget>)>,
    /// Limits of requests and tokens, in the same order.
    pub limits: Vec<(Subject, Limits)>,
    /// Limits that count for requests of one model group.
    pub model_limits: Vec<(String, Subject, Limits)>,
    /// Whose share of a model group its requests take.
    pub priority: Option<String>,
    /// Which of its own limits hold only while a model fails.
    pub dynamic: Dynamic,
}

/// Which limits of a key hold only while a deployment of the model that is asked for fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dynamic {
    /// Requests a minute.
    pub rpm: bool,
    /// Tokens a minute.
    pub tpm: bool,
}

/// How a budget stands.
#[derive(Debug)]
pub struct BudgetState {
    /// What was spent in the window of the moment.
    pub spent: Usd,
    /// When it ends; `None`: never.
    pub resets_at: Option<UnixMs>,
}

// === impl PayerReader ===

impl PayerReader {
    /// Over that database and those books. `default_parallel` is `general_settings.max_parallel_requests`, for keys without
    /// a number of their own.
    pub fn new(
        store: Store,
        ledger: LedgerHandle,
        rules: BudgetRules,
        default_parallel: Option<u32>,
    ) -> Self {
        Self {
            store,
            ledger,
            rules: Arc::new(rules),
            default_parallel,
            days: None,
        }
    }

    /// The same; limits of a day begin with what the books have of it.
    #[must_use]
    pub fn with_days(self, days: Days) -> Self {
        Self {
            days: Some(Arc::new(days)),
            ..self
        }
    }

    /// What the config says.
    pub(super) fn rules(&self) -> &BudgetRules {
        &self.rules
    }

    /// Whether any customer or tag has terms of its own.
    pub(super) async fn any(&self, kind: TenantKind) -> Result<bool, AuthError> {
        Ok(self.store.tenants.any(kind).await?)
    }

    /// Opens the budgets of a key and of whom it belongs to.
    pub(super) async fn of_key(&self, row: &KeyRow) -> Result<KeyPayers, AuthError> {
        let team = match &row.team {
            Some(team) => self.tenant(TenantKind::Team, team.as_str()).await?,
            None => None,
        };
        let mut payers = KeyPayers {
            organisation: team
                .as_ref()
                .and_then(|team| team.organisation.clone())
                .or_else(|| row.organisation.clone()),
            team_is_blocked: team.as_ref().is_some_and(|team| team.blocked),
            ..KeyPayers::default()
        };
        let own = self.with_shared(row.terms.clone(), row.budget_id.as_deref());
        let mut terms = vec![(Subject::from(&row.id), own.await?)];
        payers.add_models(Layer::Key, &row.models);
        if let (Some(id), None) = (&row.team, &team) {
            payers.missing = Some(format!("Team={id}"));
        }
        let of_team = team.as_ref().and_then(|team| team.settings.get(METADATA));
        payers.charges.dynamic = Dynamic::of(&row.settings);
        payers.charges.priority = of_team
            .and_then(|metadata| metadata.get(PRIORITY))
            .or_else(|| row.metadata.get(PRIORITY))
            .and_then(Value::as_str)
            .map(str::to_owned);
        if let (Some(id), Some(team)) = (&row.team, team) {
            payers.add_models(Layer::Team, &team.models);
            payers.aliases = aliases(&team.settings, MODEL_ALIASES);
            terms.push((Subject::from(id), self.terms(team).await?));
        }
        if let Some((subject, member)) = self.member(row).await? {
            payers.add_models(Layer::Member, &member.models);
            terms.push((subject, self.terms(member).await?));
        }
        let organisation = match &payers.organisation {
            Some(id) => self.tenant(TenantKind::Organisation, id.as_str()).await?,
            None => None,
        };
        if let (Some(id), None) = (&payers.organisation, &organisation) {
            payers.missing = Some(format!("Organization={id}"));
        }
        if let (Some(id), Some(organisation)) = (payers.organisation.clone(), organisation) {
            payers.add_models(Layer::Organisation, &organisation.models);
            terms.push((Subject::from(&id), self.terms(organisation).await?));
        }
        if let Some(id) = &row.user {
            let user = self.tenant(TenantKind::User, id.as_str()).await?;
            // A team's key spends the team's money, and asks for the team's models.
            let is_personal = row.team.is_none();
            if let Some(user) = &user {
                payers.role.clone_from(&user.role);
                payers.manages.clone_from(&user.organisation);
                if is_personal {
                    payers.add_models(Layer::User, &user.models);
                }
            }
            if is_personal || self.rules.users_on_team_keys {
                terms.push((Subject::from(id), self.terms_of_user(id, user).await?));
            }
        }
        payers.aliases.extend(aliases(&row.settings, ALIASES));
        for (subject, terms) in &terms {
            self.open(subject, terms, &mut payers.charges).await?;
        }
        Ok(payers)
    }

    /// Opens the budgets of customers or tags, each with its name.
    pub(super) async fn of_labels(
        &self,
        kind: TenantKind,
        ids: Vec<String>,
    ) -> Result<Vec<(String, Label)>, AuthError> {
        let rows = self.store.tenants.by_ids(kind, ids.clone()).await?;
        let mut rows: HashMap<String, TenantRow> =
            rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        let mut labels = Vec::with_capacity(ids.len());
        for id in ids {
            let label = self.of_label(kind, &id, rows.remove(&id)).await?;
            labels.push((id, label));
        }
        Ok(labels)
    }

    async fn of_label(
        &self,
        kind: TenantKind,
        id: &str,
        row: Option<TenantRow>,
    ) -> Result<Label, AuthError> {
        let Some(subject) = kind.subject(id) else {
            return Ok(Label::default());
        };
        let is_blocked = row.as_ref().is_some_and(|row| row.blocked);
        let models = match (&row, kind) {
            (Some(row), TenantKind::EndUser) => ModelList::of(Layer::Customer, &row.models),
            _ => None,
        };
        let (stored, budget_id) = row.map_or_else(
            || (Terms::default(), None),
            |row| (row.terms, row.budget_id),
        );
        let terms = self.completed(&subject, stored, budget_id.as_deref());
        let terms = terms.await?;
        let mut label = Label {
            is_blocked,
            models,
            ..Label::default()
        };
        self.open(&subject, &terms, &mut label.charges).await?;
        Ok(label)
    }

    /// Opens the gateway's own budget, if it has one.
    pub(super) async fn global(&self) -> Result<Option<Arc<Budget>>, AuthError> {
        let Some(terms) = &self.rules.global else {
            return Ok(None);
        };
        let mut charges = Charges::default();
        self.open(&Subject::global(), terms, &mut charges).await?;
        Ok(charges.budgets.pop())
    }

    /// How somebody's own budget stands; without one, what was spent ever, or since the last reset. `budget_id` names the
    /// shared budget that completes the terms; where neither has a figure, the config's counts.
    ///
    /// # Errors
    /// The store's.
    pub async fn state(
        &self,
        subject: &Subject,
        terms: &Terms,
        budget_id: Option<&str>,
    ) -> Result<BudgetState, AuthError> {
        let terms = self.completed(subject, terms.clone(), budget_id).await?;
        let now = UnixMs::now();
        let Some(own) = self.rules.own(subject, &terms) else {
            let endless = self.rules.own_or_endless(subject, &terms);
            let charged = self.store.ledger.charged(endless.key_at(now)).await;
            return Ok(BudgetState {
                spent: charged.map_err(|err| AuthError::Seed(err.into()))?,
                resets_at: None,
            });
        };
        let budget = Budget::load(&self.ledger, own, now).await?;
        Ok(BudgetState {
            spent: budget.at(now).snapshot().spent,
            resets_at: budget.resets_at(now),
        })
    }

    /// A user's terms, completed from its shared budget and from the config, and how its budget stands.
    ///
    /// # Errors
    /// The store's.
    pub async fn of_user(&self, user: &UserId) -> Result<(Terms, BudgetState), AuthError> {
        let stored = self.tenant(TenantKind::User, user.as_str()).await?;
        let terms = self.terms_of_user(user, stored).await?;
        let state = self.state(&Subject::from(user), &terms, None).await?;
        Ok((terms, state))
    }

    /// Resets somebody's budgets in `terms`, which are to be stored: from now on that much is spent of its own one, and
    /// nothing of the others. What requests under way cost is charged to what was before.
    ///
    /// # Errors
    /// The store's.
    pub async fn reset(
        &self,
        subject: &Subject,
        terms: &mut Terms,
        budget_id: Option<&str>,
        spent: Usd,
    ) -> Result<(), AuthError> {
        let now = UnixMs::now();
        terms.reset_at = now.0.max(terms.reset_at.saturating_add(1));
        if spent.is_zero() {
            return Ok(());
        }
        let terms = self.completed(subject, terms.clone(), budget_id).await?;
        let own = self.rules.own_or_endless(subject, &terms);
        let begun = self.ledger.begin_with(own.key_at(now), spent).await;
        begun.map_err(|err| AuthError::Seed(err.into()))
    }

    fn limits(&self, subject: &Subject, terms: &Terms) -> Limits {
        let slots = |slots| u32::try_from(slots).unwrap_or(u32::MAX);
        let default = match subject.kind {
            SubjectKind::Key => self.default_parallel,
            _ => None,
        };
        Limits {
            rpm: terms.rpm_limit,
            tpm: terms.tpm_limit,
            tpd: terms.tpd_limit,
            max_parallel: terms.max_parallel_requests.map(slots).or(default),
        }
    }

    async fn member(&self, row: &KeyRow) -> Result<Option<(Subject, TenantRow)>, AuthError> {
        let (Some(team), Some(user)) = (&row.team, &row.user) else {
            return Ok(None);
        };
        let subject = Subject::team_member(team, user);
        let member = self.tenant(TenantKind::TeamMember, &subject.id).await?;
        Ok(member.map(|member| (subject, member)))
    }

    async fn terms_of_user(
        &self,
        id: &UserId,
        user: Option<TenantRow>,
    ) -> Result<Terms, AuthError> {
        let (stored, budget_id) = user.map_or_else(
            || (Terms::default(), None),
            |user| (user.terms, user.budget_id),
        );
        let subject = Subject::from(id);
        self.completed(&subject, stored, budget_id.as_deref()).await
    }

    async fn tenant(&self, kind: TenantKind, id: &str) -> Result<Option<TenantRow>, AuthError> {
        Ok(self.store.tenants.by_id(kind, id.to_owned()).await?)
    }

    /// A tenant's terms as they count: its own, completed by the shared budget that it names.
    ///
    /// # Errors
    /// The store's.
    pub async fn terms(&self, row: TenantRow) -> Result<Terms, AuthError> {
        self.with_shared(row.terms, row.budget_id.as_deref()).await
    }

    /// Terms as they count: completed by the shared budget of that id, and where there is no figure by the config's.
    async fn completed(
        &self,
        subject: &Subject,
        own: Terms,
        budget_id: Option<&str>,
    ) -> Result<Terms, AuthError> {
        let terms = self.with_shared(own, budget_id).await?;
        let named = match (subject.kind, terms.max_budget) {
            (SubjectKind::EndUser, None) => self.rules.customers_budget_id(),
            _ => None,
        };
        let shared = match named {
            Some(id) => self.tenant(TenantKind::Budget, id).await?,
            None => None,
        };
        let shared = shared.as_ref().map(|shared| &shared.terms);
        Ok(self.rules.or_default(subject, terms, shared))
    }

    async fn with_shared(&self, own: Terms, budget_id: Option<&str>) -> Result<Terms, AuthError> {
        let Some(id) = budget_id else { return Ok(own) };
        let shared = self.tenant(TenantKind::Budget, id).await?;
        Ok(match shared {
            Some(shared) => own.or(&shared.terms),
            None => own,
        })
    }

    async fn open(
        &self,
        subject: &Subject,
        terms: &Terms,
        charges: &mut Charges,
    ) -> Result<(), AuthError> {
        for terms in self.rules.plain(subject, terms) {
            charges.budgets.push(self.load(terms).await?);
        }
        for (group, terms) in self.rules.by_model(subject, terms) {
            charges.model_budgets.push((group, self.load(terms).await?));
        }
        let limits = self.limits(subject, terms);
        if limits.tpd.is_some() {
            self.begin_day(subject, limits).await?;
        }
        if limits != Limits::default() {
            charges.limits.push((subject.clone(), limits));
        }
        for (group, limits) in &terms.model_limits {
            let name = format!("{group} of {} {}", subject.kind, subject.id);
            let limits = Limits {
                rpm: limits.rpm_limit,
                tpm: limits.tpm_limit,
                ..Limits::default()
            };
            let subject = Subject::new(SubjectKind::Model, name);
            charges.model_limits.push((group.clone(), subject, limits));
        }
        Ok(())
    }

    async fn begin_day(&self, subject: &Subject, limits: Limits) -> Result<(), AuthError> {
        let Some(days) = &self.days else {
            return Ok(());
        };
        if days.lacks(subject).is_none() {
            return Ok(());
        }
        self.ledger.flush().await.map_err(SeedFailed::from)?;
        // Asked again: somebody may have begun it meanwhile, or taken of it.
        if let Some(until) = days.lacks(subject) {
            days.begin(subject, limits, until).await?;
        }
        Ok(())
    }

    async fn load(&self, terms: BudgetTerms) -> Result<Arc<Budget>, AuthError> {
        let budget = Budget::load(&self.ledger, terms, UnixMs::now()).await?;
        Ok(Arc::new(budget))
    }
}

// === impl Dynamic ===

impl Dynamic {
    fn of(settings: &Map<String, Value>) -> Self {
        let is = |name| settings.get(name).and_then(Value::as_str) == Some("dynamic");
        Self {
            rpm: is(RPM_LIMIT_TYPE),
            tpm: is(TPM_LIMIT_TYPE),
        }
    }

    /// Any of them does.
    pub fn any(self) -> bool {
        self.rpm || self.tpm
    }
}

// === impl KeyPayers ===

impl KeyPayers {
    fn add_models(&mut self, layer: Layer, allowed: &[String]) {
        self.models.extend(ModelList::of(layer, allowed));
    }
}

/// Other names for models, as stored.
fn aliases(settings: &Map<String, Value>, member: &str) -> HashMap<String, String> {
    let aliases = settings.get(member).and_then(Value::as_object);
    let aliases = aliases.into_iter().flatten();
    aliases
        .filter_map(|(alias, model)| Some((alias.clone(), model.as_str()?.to_owned())))
        .collect()
}
