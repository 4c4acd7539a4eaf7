//! Whoever a budget or a limit can be given to, over HTTP: organisations, teams, users, customers, tags and shared budgets.
//! Contract: `endpoints` §4, §8, §10.
//!
//! They are made, changed, shown and listed alike; a `Family` says how each is called. `members` are users within teams,
//! `users` what only users have, `reset` begins budgets anew.
//!
//! ```json
//! {"team_id": "search", "team_alias": "Search", "max_budget": 100, "budget_duration": "30d", "rpm_limit": 600}
//! ```

mod access;
mod answer;
pub mod budgets;
pub mod delete;
mod family;
mod joining;
pub mod members;
pub mod organisations;
mod pages;
pub mod reset;
pub mod teams;
pub mod users;

use actix_web::HttpResponse;
use serde_json::{Value, json};
use trunkline_actors::clock::UnixMs;

use self::answer::tenant_answer;
pub(crate) use self::family::{BUDGET, CUSTOMER, ORGANISATION, TAG, TEAM, USER};
use self::family::{Family, Named};
use super::change::apply;
use super::fields::Fields;
use super::reach::{Hold, Reach};
use super::ship;
use crate::auth::{Identity, PRIORITY};
use crate::http::error::ApiError;
use crate::http::extract::{Call, Caller, View};
use crate::storage::{TenantRow, Write};

/// Most that a list answers with.
const MOST_LISTED: u32 = 1_000;

/// Makes one.
pub(crate) async fn create(
    family: &'static Family,
    identity: Identity,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    let row = family.new_row(&call, &fields, &identity, &[]).await?;
    let reach = Reach::of(&call, &identity).await?;
    access::check_makes(&call, &reach, &identity, &row, call.request.path()).await?;
    reach.check_priority(&call, None, priority(&row))?;
    let write = Write::InsertTenant(Box::new(row.clone()));
    apply(&call, &identity, vec![write]).await?;
    Ok(HttpResponse::Ok().json(tenant_answer(&call, &reach, family, &row).await?))
}

/// Changes one; what is absent stays, `null` clears.
pub(crate) async fn update(
    family: &'static Family,
    identity: Identity,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    family.only(&fields, &[])?;
    let id = fields.required(family.id)?;
    let reach = Reach::of(&call, &identity).await?;
    let mut row = access::find(&call, &reach, family, &id, Hold::Own).await?;
    access::check_changes(&reach, family, &fields, &row)?;
    let before = row.clone();
    family.change(&call, &fields, &mut row).await?;
    access::check_moves(&reach, &before, &row)?;
    reach.check_priority(&call, priority(&before), priority(&row))?;
    put(&call, &identity, row.clone()).await?;
    ship(&call).await;
    let data = tenant_answer(&call, &reach, family, &row).await?;
    Ok(HttpResponse::Ok().json(json!({family.id: row.id, "data": data})))
}

/// Whose share of a model group it takes.
fn priority(row: &TenantRow) -> Option<&Value> {
    row.settings.get("metadata")?.get(PRIORITY)
}

/// `GET /customer/info?end_user_id=`.
pub(crate) async fn show_customer(
    caller: Caller<View>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    ship(&call).await;
    let id = call.query("end_user_id").unwrap_or_default();
    let reach = Reach::of(&call, &caller.identity).await?;
    let row = access::find(&call, &reach, &CUSTOMER, &id, Hold::Sees).await?;
    Ok(HttpResponse::Ok().json(tenant_answer(&call, &reach, &CUSTOMER, &row).await?))
}

/// Shows those that the body names.
pub(crate) async fn show_named(
    family: &'static Family,
    identity: Identity,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&[family.ids]])?;
    ship(&call).await;
    let reach = Reach::of(&call, &identity).await?;
    let mut found = Vec::new();
    for id in family.named(&fields)? {
        let row = access::find(&call, &reach, family, &id, Hold::Sees).await?;
        found.push(tenant_answer(&call, &reach, family, &row).await?);
    }
    Ok(HttpResponse::Ok().json(found))
}

/// Lists those that the caller reaches in order of id, the first thousand behind `?after=`.
pub(crate) async fn list(
    family: &'static Family,
    identity: Identity,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let reach = Reach::of(&call, &identity).await?;
    let page = pages::all(&call, &reach, family.kind);
    ship(&call).await;
    let rows = call.app().store.tenants.list(page).await?;
    let mut listed = Vec::with_capacity(rows.len());
    for row in &rows {
        listed.push(tenant_answer(&call, &reach, family, row).await?);
    }
    Ok(HttpResponse::Ok().json(listed))
}

/// Refuses those that the body names, or takes that back. One named by its id is answered with, of several named in a list
/// those that are blocked now.
pub(crate) async fn set_blocked(
    family: &'static Family,
    blocked: bool,
    identity: Identity,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    let named = family.one_or_several(&fields)?;
    let is_one = matches!(named, Named::One(_));
    let ids = named.ids();
    let reach = Reach::of(&call, &identity).await?;
    // Who manages a team stops it, and does not let go what somebody above stopped.
    let least = if blocked {
        Hold::Manages
    } else {
        Hold::Governs
    };
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        rows.push(TenantRow {
            blocked,
            updated_at: UnixMs::now(),
            ..access::find(&call, &reach, family, &id, least).await?
        });
    }
    let writes = rows.iter().cloned().map(Box::new).map(Write::PutTenant);
    apply(&call, &identity, writes.collect()).await?;
    if is_one && let [row] = rows.as_slice() {
        return Ok(HttpResponse::Ok().json(tenant_answer(&call, &reach, family, row).await?));
    }
    let mut answers = Vec::new();
    for row in rows.iter().filter(|_| blocked) {
        answers.push(tenant_answer(&call, &reach, family, row).await?);
    }
    Ok(HttpResponse::Ok().json(json!({"blocked_users": answers})))
}

async fn put(call: &Call, identity: &Identity, row: TenantRow) -> Result<(), ApiError> {
    apply(call, identity, vec![Write::PutTenant(Box::new(row))]).await
}
