//! How each kind of tenant is called, and what the bodies of its calls may say.

use serde_json::Value;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{OrganisationId, RequestId};

use super::super::fields::{Change, Fields};
use super::super::terms;
use super::users;
use crate::auth::Identity;
use crate::auth::key_rules::MODEL_ALIASES;
use crate::auth::terms as checks;
use crate::http::error::{ApiError, Code};
use crate::http::extract::Call;
use crate::storage::{TenantKind, TenantRow};

/// Most that one call names.
const MOST_NAMED: usize = 1_000;

/// How one kind is called.
#[derive(Debug)]
pub(crate) struct Family {
    pub(super) kind: TenantKind,
    /// The member that holds its id.
    pub(super) id: &'static str,
    /// The member that holds its name for people.
    pub(super) alias: Option<&'static str>,
    /// The member that lists ids.
    pub(super) ids: &'static str,
    /// Members beside id, alias and terms.
    members: &'static [&'static str],
    /// Without an id one is drawn.
    draws_id: bool,
}

/// Whom a body names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// One, by its id.
    One(String),
    /// Those of a list.
    Several(Vec<String>),
}

/// Organisations.
pub(crate) static ORGANISATION: Family = Family {
    kind: TenantKind::Organisation,
    id: "organization_id",
    alias: Some("organization_alias"),
    ids: "organization_ids",
    members: &["budget_id", "models", "metadata"],
    draws_id: true,
};

/// Teams.
pub(crate) static TEAM: Family = Family {
    kind: TenantKind::Team,
    id: "team_id",
    alias: Some("team_alias"),
    ids: "team_ids",
    members: &[
        "organization_id",
        "budget_id",
        "models",
        "metadata",
        "blocked",
        MODEL_ALIASES,
    ],
    draws_id: true,
};

/// Internal users.
pub(crate) static USER: Family = Family {
    kind: TenantKind::User,
    id: "user_id",
    alias: Some("user_alias"),
    ids: "user_ids",
    members: &[
        "organization_id",
        "budget_id",
        "models",
        "metadata",
        "user_email",
        "user_role",
    ],
    draws_id: true,
};

/// Customers.
pub(crate) static CUSTOMER: Family = Family {
    kind: TenantKind::EndUser,
    id: "user_id",
    alias: Some("alias"),
    ids: "user_ids",
    members: &["budget_id", "models", "metadata", "blocked"],
    draws_id: false,
};

/// Tags.
pub(crate) static TAG: Family = Family {
    kind: TenantKind::Tag,
    id: "name",
    alias: None,
    ids: "names",
    members: &["budget_id", "description"],
    draws_id: false,
};

/// Budgets that others share by their id.
pub(crate) static BUDGET: Family = Family {
    kind: TenantKind::Budget,
    id: "budget_id",
    alias: None,
    ids: "budgets",
    members: &[],
    draws_id: true,
};

// === impl Named ===

impl Named {
    pub(super) fn ids(self) -> Vec<String> {
        match self {
            Self::One(id) => vec![id],
            Self::Several(ids) => ids,
        }
    }
}

// === impl Family ===

impl Family {
    pub(super) fn only(&self, fields: &Fields, more: &[&str]) -> Result<(), ApiError> {
        let names: Vec<&str> = [self.id].into_iter().chain(self.alias).collect();
        fields.only(&[&names, self.members, terms::FIELDS, more])
    }

    /// A new row, as the body says; `more` are members that somebody else reads.
    pub(super) async fn new_row(
        &self,
        call: &Call,
        fields: &Fields,
        identity: &Identity,
        more: &[&str],
    ) -> Result<TenantRow, ApiError> {
        self.only(fields, more)?;
        let now = UnixMs::now();
        let id = match fields.text(self.id)? {
            Change::Set(id) => id,
            _ if self.draws_id => RequestId::generate(now.0, rand::random()).to_string(),
            _ => fields.required(self.id)?,
        };
        checks::name(self.id, &id)?;
        if matches!(self.kind, TenantKind::Team | TenantKind::Organisation) && id.contains(':') {
            return Err(ApiError::new(
                Code::BadRequest,
                format!(
                    "'{}' must not hold a colon: a member is named with it and one.",
                    self.id
                ),
            )
            .param(self.id));
        }
        let mut row = TenantRow::new(self.kind, id, now);
        row.terms.since = Some(now);
        row.created_by = identity.user_name().map(str::to_owned);
        self.change(call, fields, &mut row).await?;
        Ok(row)
    }

    /// Changes a row as the body says.
    pub(super) async fn change(
        &self,
        call: &Call,
        fields: &Fields,
        row: &mut TenantRow,
    ) -> Result<(), ApiError> {
        if let Some(alias) = self.alias {
            fields.text(alias)?.apply(&mut row.alias);
        }
        let has = |name: &str| self.members.contains(&name);
        if has("organization_id") {
            let organisation = fields.text("organization_id")?;
            if let Change::Set(id) = &organisation {
                ORGANISATION.find(call, id).await?;
            }
            organisation
                .map(OrganisationId::new)
                .apply(&mut row.organisation);
        }
        if has("budget_id") {
            let budget = fields.text("budget_id")?;
            if let Change::Set(id) = &budget {
                BUDGET.find(call, id).await?;
            }
            budget.apply(&mut row.budget_id);
        }
        if has("models") {
            fields.texts("models")?.apply_or_default(&mut row.models);
        }
        if has("blocked") {
            let blocked = fields.get("blocked", "true or false")?;
            blocked.apply_or_default(&mut row.blocked);
        }
        if has("user_email") {
            fields.text("user_email")?.apply(&mut row.email);
            users::role(fields)?.apply(&mut row.role);
        }
        for name in ["metadata", "description"] {
            if has(name) {
                let value: Change<Value> = fields.get(name, "JSON")?;
                value.put(&mut row.settings, name);
            }
        }
        if has(MODEL_ALIASES) {
            terms::model_aliases(fields, MODEL_ALIASES)?.put(&mut row.settings, MODEL_ALIASES);
        }
        terms::change(fields, &mut row.terms)?;
        row.updated_at = UnixMs::now();
        Ok(())
    }

    pub(super) async fn find(&self, call: &Call, id: &str) -> Result<TenantRow, ApiError> {
        let found = call.app().store.tenants.by_id(self.kind, id.to_owned());
        found.await?.ok_or_else(|| {
            let what = self.kind.as_str();
            ApiError::new(Code::NotFound, format!("There is no {what} '{id}'.")).param(self.id)
        })
    }

    /// Those that a body names, by its id one or in a list several, and nothing else.
    pub(super) fn one_or_several(&self, fields: &Fields) -> Result<Named, ApiError> {
        fields.only(&[&[self.ids, self.id]])?;
        Ok(match fields.text(self.id)?.set() {
            Some(id) => Named::One(id),
            None => Named::Several(self.named(fields)?),
        })
    }

    /// Those that a body lists.
    pub(super) fn named(&self, fields: &Fields) -> Result<Vec<String>, ApiError> {
        match fields.texts(self.ids)? {
            Change::Set(ids) if !ids.is_empty() && ids.len() <= MOST_NAMED => Ok(ids),
            _ => Err(ApiError::new(
                Code::BadRequest,
                format!("'{}' must be an array of 1 to {MOST_NAMED} ids.", self.ids),
            )
            .param(self.ids)),
        }
    }
}
