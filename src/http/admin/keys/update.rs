//! `POST /key/update`, `/key/block`, `/key/unblock`. An absent member leaves the key as it is, `null` clears it.
//!
//! ```json
//! {"key": "sk-…", "max_budget": 20.0, "temp_budget_increase": 5, "temp_budget_expiry": "2027-01-31"}
//! ```

use actix_web::HttpResponse;
use serde::Serialize;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{OrganisationId, TeamId, UserId};

use super::super::fields::{Change, Fields};
use super::super::terms;
use super::{FIELDS, KeyAnswer, change_metadata, check_owners, find, spent, store};
use crate::auth::{expiry, terms as checks};
use crate::http::error::ApiError;
use crate::http::extract::{AdminOnly, Call, Caller};
use crate::storage::KeyRow;

#[derive(Debug, Serialize)]
struct Response<'a> {
    key: &'a str,
    #[serde(flatten)]
    row: KeyAnswer<'a>,
}

/// Changes a key.
pub(crate) async fn update(
    _caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let fields = Fields::parse(&body)?;
    fields.only(&[FIELDS, terms::FIELDS, &["key"]])?;
    let named = fields.required("key")?;
    check_owners(&call, &fields).await?;
    let mut row = find(&call, &named).await?;
    let now = UnixMs::now();
    for (field, to) in [
        ("key_alias", &mut row.alias),
        ("budget_id", &mut row.budget_id),
    ] {
        name(&fields, field)?.apply(to);
    }
    let owner = name(&fields, "user_id")?;
    owner.map(UserId::new).apply(&mut row.user);
    name(&fields, "team_id")?
        .map(TeamId::new)
        .apply(&mut row.team);
    name(&fields, "organization_id")?
        .map(OrganisationId::new)
        .apply(&mut row.organisation);
    fields.texts("models")?.apply_or_default(&mut row.models);
    fields
        .get("blocked", "true or false")?
        .apply_or_default(&mut row.blocked);
    let life = fields.text("duration")?;
    life.try_map(|text| expiry(&text, now))?
        .apply(&mut row.expires_at);
    terms::change(&fields, &mut row.terms)?;
    change_metadata(&fields, &mut row.metadata)?;
    row.updated_at = now;
    store(&call, &row).await?;
    answer(&call, &named, &row).await
}

/// Refuses a key from now on.
pub(crate) async fn block(
    _caller: Caller<AdminOnly>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    set_blocked(call, true).await
}

/// Takes that back.
pub(crate) async fn unblock(
    _caller: Caller<AdminOnly>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    set_blocked(call, false).await
}

async fn set_blocked(mut call: Call, blocked: bool) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let fields = Fields::parse(&body)?;
    fields.only(&[&["key"]])?;
    let named = fields.required("key")?;
    let row = KeyRow {
        blocked,
        updated_at: UnixMs::now(),
        ..find(&call, &named).await?
    };
    store(&call, &row).await?;
    answer(&call, &named, &row).await
}

async fn answer(call: &Call, named: &str, row: &KeyRow) -> Result<HttpResponse, ApiError> {
    let spent = spent(call, row).await?;
    Ok(HttpResponse::Ok().json(Response {
        key: named,
        row: KeyAnswer::of(row, &spent),
    }))
}

fn name(fields: &Fields<'_>, field: &'static str) -> Result<Change<String>, ApiError> {
    Ok(fields
        .text(field)?
        .try_map(|text| checks::name(field, &text).map(|()| text))?)
}
