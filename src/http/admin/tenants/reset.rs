//! Budgets that begin anew by hand: `POST /user/reset_budget` (the tutorial's), `/team/…/member/…/reset_spend`,
//! `/global/spend/reset`. What was spent stays on the books; what requests under way cost is charged to what was before.

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::json;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::Subject;
use trunkline_actors::money::Usd;

use super::super::change::apply;
use super::super::fields::Fields;
use super::super::reach::{Hold, Reach};
use super::super::{PlainUsd, ship};
use super::answer::state;
use super::members::find as find_member;
use super::{TEAM, USER, access, put};
use crate::auth::Identity;
use crate::http::error::ApiError;
use crate::http::extract::{AdminOnly, Call, Caller, Manage, MasterOnly};
use crate::http::time::iso;
use crate::storage::{KeyFilter, KeyPage, TenantPage, TenantRow, Write};

/// Rows that are read at a time.
const PAGE: u32 = 500;

#[derive(Debug, Serialize)]
struct Response<'a> {
    user_id: &'a str,
    spend: PlainUsd,
    previous_spend: PlainUsd,
    budget_reset_at: Option<String>,
}

/// `POST /user/reset_budget` with `{"user_id": "u1"}`.
pub(crate) async fn user(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["user_id"]])?;
    let row = USER.find(&call, &fields.required("user_id")?).await?;
    ship(&call).await;
    let before = state(&call, &row).await?;
    let row = begin_anew(&call, row, Usd::ZERO).await?;
    put(&call, &caller.identity, row.clone()).await?;
    let after = state(&call, &row).await?;
    Ok(HttpResponse::Ok().json(Response {
        user_id: &row.id,
        spend: PlainUsd(Usd::ZERO),
        previous_spend: PlainUsd(before.map_or(Usd::ZERO, |state| state.spent)),
        budget_reset_at: after.and_then(|state| state.resets_at).and_then(iso),
    }))
}

/// `POST /team/{team_id}/member/{user_id}/reset_spend` and `…/reset_budget`.
pub(crate) async fn member(
    caller: Caller<Manage>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    let to = fields.reset_to()?;
    let named = |name: &str| call.path(name).unwrap_or_default();
    let (team, user) = (named("team_id"), named("user_id"));
    let reach = Reach::of(&call, &caller.identity).await?;
    let team = access::find(&call, &reach, &TEAM, &team, Hold::Manages).await?;
    let row = find_member(&call, &team, &user).await?;
    ship(&call).await;
    let before = state(&call, &row).await?;
    let row = begin_anew(&call, row, to).await?;
    put(&call, &caller.identity, row.clone()).await?;
    let after = state(&call, &row).await?;
    Ok(HttpResponse::Ok().json(json!({
        "team_id": team.id,
        "user_id": user,
        "spend": PlainUsd(to),
        "previous_spend": PlainUsd(before.map_or(Usd::ZERO, |state| state.spent)),
        "budget_reset_at": after.and_then(|state| state.resets_at).and_then(iso),
    })))
}

/// `POST /global/spend/reset`: every key and team. With the master key only.
pub(crate) async fn everything(
    caller: Caller<MasterOnly>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let app = call.app();
    let mut next = Some(KeyPage::of(KeyFilter::default(), PAGE));
    while let Some(page) = next {
        let rows = app.store.keys.list(page.clone()).await?;
        next = page.next(&rows);
        let mut writes = Vec::with_capacity(rows.len());
        for mut row in rows {
            let subject = Subject::from(&row.id);
            app.payers
                .reset(&subject, &mut row.terms, None, Usd::ZERO)
                .await?;
            row.updated_at = UnixMs::now();
            writes.push(Write::UpdateKey(Box::new(row)));
        }
        apply(&call, &caller.identity, writes).await?;
    }
    every_team(&call, &caller.identity).await?;
    Ok(HttpResponse::Ok().json(json!({
        "message": "Spend of all keys and teams begins anew.",
        "status": "success",
    })))
}

async fn every_team(call: &Call, identity: &Identity) -> Result<(), ApiError> {
    let mut next = Some(TenantPage::of(TEAM.kind, PAGE));
    while let Some(page) = next {
        let rows = call.app().store.tenants.list(page.clone()).await?;
        next = page.next(&rows);
        let mut writes = Vec::with_capacity(rows.len());
        for row in rows {
            let row = begin_anew(call, row, Usd::ZERO).await?;
            writes.push(Write::PutTenant(Box::new(row)));
        }
        apply(call, identity, writes).await?;
    }
    Ok(())
}

/// The row with its budgets as they begin anew, to be stored.
async fn begin_anew(call: &Call, mut row: TenantRow, to: Usd) -> Result<TenantRow, ApiError> {
    if let Some(subject) = row.kind.subject(&row.id) {
        let payers = &call.app().payers;
        payers
            .reset(&subject, &mut row.terms, row.budget_id.as_deref(), to)
            .await?;
    }
    row.updated_at = UnixMs::now();
    Ok(row)
}
