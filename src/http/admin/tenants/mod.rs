//! Whoever a budget or a limit can be given to, over HTTP: organisations, teams, users, customers, tags and shared budgets.
//! Contract: `endpoints` §4, §8, §10.
//!
//! They are made, changed, shown and listed alike; a [`Family`] says how each is called. `members` are users within teams,
//! `users` what only users have, `reset` begins budgets anew.
//!
//! ```json
//! {"team_id": "search", "team_alias": "Search", "max_budget": 100, "budget_duration": "30d", "rpm_limit": 600}
//! ```

mod answer;
pub mod members;
pub mod reset;
pub mod users;

use actix_web::HttpResponse;
use serde_json::{Map, Value, json};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{OrganisationId, RequestId};

use self::answer::tenant_answer;
use super::fields::{Change, Fields};
use super::{ship, terms};
use crate::auth::terms as checks;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AdminOnly, Call, Caller};
use crate::storage::{StorageError, TenantKind, TenantPage, TenantRow};

/// Most that a list answers with.
const MOST_LISTED: u32 = 1_000;
/// Most that one call names.
const MOST_NAMED: usize = 1_000;

/// How one kind is called.
#[derive(Debug)]
pub(crate) struct Family {
    kind: TenantKind,
    /// The member that holds its id.
    id: &'static str,
    /// The member that holds its name for people.
    alias: Option<&'static str>,
    /// The member that lists ids, and the query parameter that holds one.
    ids: &'static str,
    query: &'static str,
    /// Members beside id, alias and terms.
    members: &'static [&'static str],
    /// Without an id one is drawn.
    draws_id: bool,
}

/// Organisations.
pub(crate) static ORGANISATION: Family = Family {
    kind: TenantKind::Organisation,
    id: "organization_id",
    alias: Some("organization_alias"),
    ids: "organization_ids",
    query: "organization_id",
    members: &["budget_id", "models", "metadata"],
    draws_id: true,
};

/// Teams.
pub(crate) static TEAM: Family = Family {
    kind: TenantKind::Team,
    id: "team_id",
    alias: Some("team_alias"),
    ids: "team_ids",
    query: "team_id",
    members: &[
        "organization_id",
        "budget_id",
        "models",
        "metadata",
        "blocked",
    ],
    draws_id: true,
};

/// Internal users.
pub(crate) static USER: Family = Family {
    kind: TenantKind::User,
    id: "user_id",
    alias: Some("user_alias"),
    ids: "user_ids",
    query: "user_id",
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
    query: "end_user_id",
    members: &["budget_id", "metadata", "blocked"],
    draws_id: false,
};

/// Tags.
pub(crate) static TAG: Family = Family {
    kind: TenantKind::Tag,
    id: "name",
    alias: None,
    ids: "names",
    query: "name",
    members: &["budget_id", "description"],
    draws_id: false,
};

/// Budgets that others share by their id.
pub(crate) static BUDGET: Family = Family {
    kind: TenantKind::Budget,
    id: "budget_id",
    alias: None,
    ids: "budgets",
    query: "budget_id",
    members: &[],
    draws_id: true,
};

/// Makes one.
pub(crate) async fn create(
    family: &'static Family,
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let fields = Fields::parse(&body)?;
    let row = family.new_row(&call, &fields, &caller, &[]).await?;
    family.insert(&call, &row).await?;
    Ok(HttpResponse::Ok().json(tenant_answer(&call, family, &row).await?))
}

/// Changes one; what is absent stays, `null` clears.
pub(crate) async fn update(
    family: &'static Family,
    _caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let fields = Fields::parse(&body)?;
    family.only(&fields, &[])?;
    let mut row = family.find(&call, &fields.required(family.id)?).await?;
    family.change(&call, &fields, &mut row).await?;
    put(&call, row.clone()).await?;
    ship(&call).await;
    let data = tenant_answer(&call, family, &row).await?;
    Ok(HttpResponse::Ok().json(json!({family.id: row.id, "data": data})))
}

/// Shows one: by the query.
pub(crate) async fn show(
    family: &'static Family,
    _caller: Caller<AdminOnly>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    ship(&call).await;
    let id = call.query(family.query).unwrap_or_default();
    let row = family.find(&call, &id).await?;
    Ok(HttpResponse::Ok().json(tenant_answer(&call, family, &row).await?))
}

/// Shows those that the body names.
pub(crate) async fn show_named(
    family: &'static Family,
    _caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let fields = Fields::parse(&body)?;
    fields.only(&[&[family.ids]])?;
    ship(&call).await;
    let mut found = Vec::new();
    for id in family.named(&fields)? {
        let row = family.find(&call, &id).await?;
        found.push(tenant_answer(&call, family, &row).await?);
    }
    Ok(HttpResponse::Ok().json(found))
}

/// Lists them in order of id, the first thousand behind `?after=`.
pub(crate) async fn list(
    family: &'static Family,
    _caller: Caller<AdminOnly>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let page = TenantPage {
        kind: family.kind,
        organisation: call.query("organization_id").map(OrganisationId::new),
        prefix: String::new(),
        after: call.query("after"),
        limit: MOST_LISTED,
    };
    ship(&call).await;
    let rows = call.app().store.tenants.list(page).await?;
    let mut listed = Vec::with_capacity(rows.len());
    for row in &rows {
        listed.push(tenant_answer(&call, family, row).await?);
    }
    Ok(HttpResponse::Ok().json(listed))
}

/// Refuses those that the body names, or takes that back. One named by its id is answered with, of several named in a list
/// those that are blocked now.
pub(crate) async fn set_blocked(
    family: &'static Family,
    blocked: bool,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let fields = Fields::parse(&body)?;
    fields.only(&[&[family.ids, family.id]])?;
    let one = fields.text(family.id)?.set();
    let is_one = one.is_some();
    let ids = match one {
        Some(id) => vec![id],
        None => family.named(&fields)?,
    };
    let mut answers = Vec::with_capacity(ids.len());
    for id in ids {
        let row = TenantRow {
            blocked,
            updated_at: UnixMs::now(),
            ..family.find(&call, &id).await?
        };
        put(&call, row.clone()).await?;
        answers.push(tenant_answer(&call, family, &row).await?);
    }
    Ok(match (is_one, answers.pop()) {
        (true, Some(row)) => HttpResponse::Ok().json(row),
        (_, last) => {
            let rows: Vec<_> = answers
                .into_iter()
                .chain(last)
                .filter(|_| blocked)
                .collect();
            HttpResponse::Ok().json(json!({"blocked_users": rows}))
        }
    })
}

/// Removes those that the body names. Their spend stays on the books.
pub(crate) async fn remove(
    family: &'static Family,
    _caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let fields = Fields::parse(&body)?;
    fields.only(&[&[family.ids, family.id]])?;
    let ids = match fields.text(family.id)?.set() {
        Some(id) => vec![id],
        None => family.named(&fields)?,
    };
    for id in &ids {
        family.find(&call, id).await?;
    }
    let app = call.app();
    let deleted = app.store.tenants.delete(family.kind, ids).await?;
    forget(&call);
    Ok(HttpResponse::Ok().json(json!({
        "deleted": deleted,
        "deleted_customers": deleted.len(),
        "message": format!("Deleted {}", deleted.join(", ")),
    })))
}

// === impl Family ===

impl Family {
    fn only(&self, fields: &Fields<'_>, more: &[&str]) -> Result<(), ApiError> {
        let names: Vec<&str> = [self.id].into_iter().chain(self.alias).collect();
        fields.only(&[&names, self.members, terms::FIELDS, more])
    }

    /// A new row, as the body says; `more` are members that somebody else reads.
    async fn new_row(
        &self,
        call: &Call,
        fields: &Fields<'_>,
        caller: &Caller<AdminOnly>,
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
        if self.kind == TenantKind::Team && id.contains(':') {
            return Err(ApiError::new(
                Code::BadRequest,
                "'team_id' must not hold a colon: a member of a team is named `team:user`.",
            )
            .param("team_id"));
        }
        let mut row = TenantRow::new(self.kind, id, now);
        row.terms.since = Some(now);
        row.created_by = caller
            .identity
            .user_id()
            .map(|user| user.as_str().to_owned());
        self.change(call, fields, &mut row).await?;
        Ok(row)
    }

    async fn insert(&self, call: &Call, row: &TenantRow) -> Result<(), ApiError> {
        let inserted = call.app().store.tenants.insert(row.clone()).await;
        inserted.map_err(|err| match err {
            StorageError::AlreadyExists { what, id } => ApiError::new(
                Code::BadRequest,
                format!("There is a {what} '{id}' already. Change it with /update, or choose another {}.", self.id),
            )
            .param(self.id),
            other => other.into(),
        })?;
        forget(call);
        Ok(())
    }

    /// Changes a row as the body says.
    async fn change(
        &self,
        call: &Call,
        fields: &Fields<'_>,
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
                keep(fields, name, &mut row.settings)?;
            }
        }
        terms::change(fields, &mut row.terms)?;
        row.updated_at = UnixMs::now();
        Ok(())
    }

    async fn find(&self, call: &Call, id: &str) -> Result<TenantRow, ApiError> {
        let found = call.app().store.tenants.by_id(self.kind, id.to_owned());
        found.await?.ok_or_else(|| {
            let what = self.kind.as_str();
            ApiError::new(Code::NotFound, format!("There is no {what} '{id}'.")).param(self.id)
        })
    }

    fn named(&self, fields: &Fields<'_>) -> Result<Vec<String>, ApiError> {
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

/// Keeps a member as it is.
fn keep(
    fields: &Fields<'_>,
    name: &'static str,
    settings: &mut Map<String, Value>,
) -> Result<(), ApiError> {
    match fields.get(name, "JSON")? {
        Change::Keep => {}
        Change::Clear => {
            settings.remove(name);
        }
        Change::Set(value) => {
            settings.insert(name.to_owned(), value);
        }
    }
    Ok(())
}

async fn put(call: &Call, row: TenantRow) -> Result<(), ApiError> {
    call.app().store.tenants.put(row).await?;
    forget(call);
    Ok(())
}

/// Has everybody read anew whom the change may concern.
fn forget(call: &Call) {
    let app = call.app();
    app.keys.forget_all();
    app.shared.labels.forget_all();
}
