//! `POST /key/update`, `/key/block`, `/key/unblock`. An absent member leaves the key as it is, `null` clears it.
//!
//! ```json
//! {"key": "sk-…", "max_budget": 20.0, "temp_budget_increase": 5, "temp_budget_expiry": "2027-01-31"}
//! ```

use actix_web::HttpResponse;
use serde::Serialize;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{OrganisationId, TeamId, UserId};

use super::super::change::apply;
use super::super::fields::{Change, Fields};
use super::super::reach::Reach;
use super::super::terms;
use super::owner::{Owner, check_changes, check_manages};
use super::{
    FIELDS, KeyAnswer, change_metadata, change_settings, find, rotation, spent, throughput,
};
use crate::auth::{Identity, PRIORITY, expiry, terms as checks};
use crate::http::error::ApiError;
use crate::http::extract::{Call, Caller, Manage};
use crate::storage::{KeyRow, Write};

#[derive(Debug, Serialize)]
struct Response<'a> {
    key: &'a str,
    #[serde(flatten)]
    row: KeyAnswer<'a>,
}

/// Changes a key.
pub(crate) async fn update(
    caller: Caller<Manage>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[FIELDS, terms::FIELDS, &["key"]])?;
    let named = fields.required("key")?;
    let mut row = find(&call, &named).await?;
    let reach = Reach::of(&call, &caller.identity).await?;
    check_changes(&call, &reach, &row, &fields, &["key", "key_alias"]).await?;
    let identity = &caller.identity;
    change_checked(&call, &reach, identity, &fields, &mut row, "/key/update").await?;
    store(&call, identity, &row).await?;
    answer(&call, &named, &row).await
}

/// Changes a row as the body says, by the call of `route`: whose it is then must be the caller's to say.
pub(super) async fn change_checked(
    call: &Call,
    reach: &Reach,
    identity: &Identity,
    fields: &Fields,
    row: &mut KeyRow,
    route: &str,
) -> Result<(), ApiError> {
    let before = row.clone();
    change(fields, row)?;
    let priority = before.metadata.get(PRIORITY);
    reach.check_priority(call, priority, row.metadata.get(PRIORITY))?;
    let after = Owner::of(row);
    if after != Owner::of(&before) {
        after.check(call, reach, identity, route).await?;
    }
    throughput::check(call, Some(&before), row).await
}

/// Changes a row as the body says.
pub(super) fn change(fields: &Fields, row: &mut KeyRow) -> Result<(), ApiError> {
    let now = UnixMs::now();
    for (field, to) in [
        ("key_alias", &mut row.alias),
        ("budget_id", &mut row.budget_id),
    ] {
        name(fields, field)?.apply(to);
    }
    let owner = name(fields, "user_id")?;
    owner.map(UserId::new).apply(&mut row.user);
    name(fields, "team_id")?
        .map(TeamId::new)
        .apply(&mut row.team);
    name(fields, "organization_id")?
        .map(OrganisationId::new)
        .apply(&mut row.organisation);
    fields.texts("models")?.apply_or_default(&mut row.models);
    fields
        .get("blocked", "true or false")?
        .apply_or_default(&mut row.blocked);
    let life = fields.text("duration")?;
    life.try_map(|text| expiry("duration", &text, now))?
        .apply(&mut row.expires_at);
    terms::change(fields, &mut row.terms)?;
    change_metadata(fields, &mut row.metadata)?;
    change_settings(fields, &mut row.settings)?;
    rotation::change(fields, &mut row.rotation, now)?;
    row.updated_at = now;
    Ok(())
}

/// Refuses a key from now on.
pub(crate) async fn block(caller: Caller<Manage>, call: Call) -> Result<HttpResponse, ApiError> {
    set_blocked(&caller.identity, call, true).await
}

/// Takes that back.
pub(crate) async fn unblock(caller: Caller<Manage>, call: Call) -> Result<HttpResponse, ApiError> {
    set_blocked(&caller.identity, call, false).await
}

async fn set_blocked(
    identity: &Identity,
    mut call: Call,
    blocked: bool,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["key"]])?;
    let named = fields.required("key")?;
    let found = find(&call, &named).await?;
    let reach = Reach::of(&call, identity).await?;
    check_manages(&call, &reach, &found).await?;
    let row = KeyRow {
        blocked,
        updated_at: UnixMs::now(),
        ..found
    };
    store(&call, identity, &row).await?;
    answer(&call, &named, &row).await
}

/// Stores a changed key and has it read anew.
pub(super) async fn store(call: &Call, identity: &Identity, row: &KeyRow) -> Result<(), ApiError> {
    let write = Write::UpdateKey(Box::new(row.clone()));
    apply(call, identity, vec![write]).await
}

async fn answer(call: &Call, named: &str, row: &KeyRow) -> Result<HttpResponse, ApiError> {
    let spent = spent(call, row).await?;
    Ok(HttpResponse::Ok().json(Response {
        key: named,
        row: KeyAnswer::of(row, &spent),
    }))
}

fn name(fields: &Fields, field: &'static str) -> Result<Change<String>, ApiError> {
    Ok(fields
        .text(field)?
        .try_map(|text| checks::name(field, &text).map(|()| text))?)
}
