//! Reads the terms of whoever a request is charged to, and opens their budgets.
//!
//! A request is charged to its key, to the key's user, team, membership and organisation, to the customer and the tags that
//! it names, and to the gateway as a whole. What has no terms has no budget and costs nothing here.

use std::sync::Arc;

use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{OrganisationId, Subject, UserId};
use trunkline_actors::spend_ledger::{Budget, BudgetTerms, LedgerHandle};

use super::budgets::BudgetRules;
use super::error::AuthError;
use crate::storage::{KeyRow, Store, TenantKind, TenantRow, Terms};

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PayerReader {
    store: Store,
    ledger: LedgerHandle,
    rules: Arc<BudgetRules>,
}

/// Whom all requests of a key are charged to.
#[derive(Debug, Default)]
pub(super) struct KeyPayers {
    pub(super) budgets: Vec<Arc<Budget>>,
    pub(super) model_budgets: Vec<(String, Arc<Budget>)>,
    pub(super) organisation: Option<OrganisationId>,
    pub(super) team_is_blocked: bool,
}

/// A customer or tag.
#[derive(Debug, Default)]
pub(super) struct Label {
    pub(super) budgets: Vec<Arc<Budget>>,
    pub(super) model_budgets: Vec<(String, Arc<Budget>)>,
    pub(super) is_blocked: bool,
}

// === impl PayerReader ===

impl PayerReader {
    /// Over that database and those books.
    pub fn new(store: Store, ledger: LedgerHandle, rules: BudgetRules) -> Self {
        Self {
            store,
            ledger,
            rules: Arc::new(rules),
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
        if let (Some(id), Some(team)) = (&row.team, team) {
            terms.push((Subject::from(id), self.terms(team).await?));
        }
        terms.extend(self.member_terms(row).await?);
        if let Some(id) = &payers.organisation
            && let Some(organisation) = self.tenant(TenantKind::Organisation, id.as_str()).await?
        {
            terms.push((Subject::from(id), self.terms(organisation).await?));
        }
        // A team's key spends the team's money.
        if let Some(user) = &row.user
            && (row.team.is_none() || self.rules.users_on_team_keys)
        {
            terms.push((Subject::from(user), self.user_terms(user).await?));
        }
        for (subject, terms) in &terms {
            self.open(
                subject,
                terms,
                &mut payers.budgets,
                &mut payers.model_budgets,
            )
            .await?;
        }
        Ok(payers)
    }

    /// Opens the budgets of a customer or tag.
    pub(super) async fn of_label(&self, kind: TenantKind, id: &str) -> Result<Label, AuthError> {
        let Some(subject) = kind.subject(id) else {
            return Ok(Label::default());
        };
        let row = self.tenant(kind, id).await?;
        let is_blocked = row.as_ref().is_some_and(|row| row.blocked);
        let stored = match row {
            Some(row) => self.terms(row).await?,
            None => Terms::default(),
        };
        let terms = match kind {
            TenantKind::EndUser if stored.max_budget.is_none() => {
                let default_id = self.rules.default_end_user_id.as_deref();
                let by_id = self.with_shared(stored, default_id).await?;
                or_default(by_id, self.rules.default_end_user.as_ref())
            }
            TenantKind::Tag => or_default(stored, self.rules.tags.get(id)),
            _ => stored,
        };
        let mut label = Label {
            is_blocked,
            ..Label::default()
        };
        self.open(
            &subject,
            &terms,
            &mut label.budgets,
            &mut label.model_budgets,
        )
        .await?;
        Ok(label)
    }

    /// Opens the gateway's own budget, if it has one.
    pub(super) async fn global(&self) -> Result<Option<Arc<Budget>>, AuthError> {
        let Some(terms) = &self.rules.global else {
            return Ok(None);
        };
        let mut budgets = Vec::new();
        self.open(&Subject::global(), terms, &mut budgets, &mut Vec::new())
            .await?;
        Ok(budgets.pop())
    }

    async fn member_terms(&self, row: &KeyRow) -> Result<Option<(Subject, Terms)>, AuthError> {
        let (Some(team), Some(user)) = (&row.team, &row.user) else {
            return Ok(None);
        };
        let subject = Subject::team_member(team, user);
        let Some(member) = self.tenant(TenantKind::TeamMember, &subject.id).await? else {
            return Ok(None);
        };
        Ok(Some((subject, self.terms(member).await?)))
    }

    async fn user_terms(&self, user: &UserId) -> Result<Terms, AuthError> {
        let stored = match self.tenant(TenantKind::User, user.as_str()).await? {
            Some(user) => self.terms(user).await?,
            None => Terms::default(),
        };
        Ok(or_default(stored, self.rules.default_user.as_ref()))
    }

    async fn tenant(&self, kind: TenantKind, id: &str) -> Result<Option<TenantRow>, AuthError> {
        Ok(self.store.tenants.by_id(kind, id.to_owned()).await?)
    }

    async fn terms(&self, row: TenantRow) -> Result<Terms, AuthError> {
        self.with_shared(row.terms, row.budget_id.as_deref()).await
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
        budgets: &mut Vec<Arc<Budget>>,
        model_budgets: &mut Vec<(String, Arc<Budget>)>,
    ) -> Result<(), AuthError> {
        for terms in self.rules.plain(subject, terms) {
            budgets.push(self.load(terms).await?);
        }
        for (group, terms) in self.rules.by_model(subject, terms) {
            model_budgets.push((group, self.load(terms).await?));
        }
        Ok(())
    }

    async fn load(&self, terms: BudgetTerms) -> Result<Arc<Budget>, AuthError> {
        let budget = Budget::load(&self.ledger, terms, UnixMs::now()).await?;
        Ok(Arc::new(budget))
    }
}

/// The config's budget counts for whoever has none.
fn or_default(stored: Terms, default: Option<&Terms>) -> Terms {
    match default {
        Some(default) if stored.max_budget.is_none() => stored.or(default),
        _ => stored,
    }
}
