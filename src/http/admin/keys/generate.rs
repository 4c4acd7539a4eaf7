//! `POST /key/generate` and `POST /key/service-account/generate`. Contract: `endpoints` §3.1.
//!
//! ```json
//! {"models": ["gpt-4o"], "max_budget": 10.0, "budget_duration": "30d", "duration": "90d", "user_id": "u1"}
//! ```
//!
//! A service account's key belongs to a team and to nobody in it.

use actix_web::HttpResponse;
use serde::Serialize;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{OrganisationId, TeamId, UserId};

use super::super::change::apply;
use super::super::fields::{Change, Fields};
use super::super::reach::Reach;
use super::super::terms;
use super::owner::Owner;
use super::{
    FIELDS, KeyAnswer, Spent, change_metadata, change_settings, mark, rotation, throughput,
};
use crate::auth::{Identity, MadeKey, NewKey, PRIORITY, key};
use crate::config::Secret;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{Call, Caller, Manage};

/// Shortest secret of the operator's own (LiteLLM's rule).
const SHORTEST_KEY: usize = 16;

/// The path, which members of a team may be permitted to call.
const SERVICE_ACCOUNT: &str = "/key/service-account/generate";

#[derive(Debug, Serialize)]
pub(super) struct Response<'a> {
    /// The one time that it is shown.
    pub(super) key: &'a str,
    pub(super) token: &'a str,
    pub(super) token_id: &'a str,
    #[serde(flatten)]
    pub(super) row: KeyAnswer<'a>,
}

/// Makes a key and shows it once.
pub(crate) async fn create(
    caller: Caller<Manage>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[FIELDS, terms::FIELDS, &["key"]])?;
    let made = make(&call, &caller.identity, &fields, "/key/generate").await?;
    Ok(shown(&made))
}

/// Makes a key of a team that belongs to no user.
pub(crate) async fn create_service_account(
    caller: Caller<Manage>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[FIELDS, terms::FIELDS, &["key"]])?;
    fields.required("team_id")?;
    if fields.text("user_id")?.set().is_some() {
        return Err(ApiError::new(
            Code::BadRequest,
            "A service account belongs to no user: leave 'user_id' out, or make the key with POST /key/generate.",
        )
        .param("user_id"));
    }
    let made = make(&call, &caller.identity, &fields, SERVICE_ACCOUNT).await?;
    Ok(shown(&made))
}

async fn make(
    call: &Call,
    identity: &Identity,
    fields: &Fields,
    route: &str,
) -> Result<MadeKey, ApiError> {
    let owner = Owner {
        user: fields.text("user_id")?.set().map(UserId::new),
        team: fields.text("team_id")?.set().map(TeamId::new),
        organisation: fields
            .text("organization_id")?
            .set()
            .map(OrganisationId::new),
    };
    let reach = Reach::of(call, identity).await?;
    let owner = if route == SERVICE_ACCOUNT {
        owner
    } else {
        owner.or_caller(&reach)
    };
    owner.check(call, &reach, identity, route).await?;
    let mut new = NewKey {
        secret: secret(fields, "key")?,
        alias: fields.text("key_alias")?.set(),
        user_id: owner.user.map(|user| user.as_str().to_owned()),
        team_id: owner.team.map(|team| team.as_str().to_owned()),
        organization_id: owner.organisation.map(|id| id.as_str().to_owned()),
        budget_id: fields.text("budget_id")?.set(),
        models: fields.texts("models")?.set().unwrap_or_default(),
        duration: fields.text("duration")?.set(),
        blocked: fields
            .get("blocked", "true or false")?
            .set()
            .unwrap_or_default(),
        created_by: identity.user_name().map(str::to_owned),
        ..NewKey::default()
    };
    terms::change(fields, &mut new.terms)?;
    change_metadata(fields, &mut new.metadata)?;
    reach.check_priority(call, None, new.metadata.get(PRIORITY))?;
    change_settings(fields, &mut new.settings)?;
    mark(identity, &mut new.settings);
    let now = UnixMs::now();
    rotation::change(fields, &mut new.rotation, now)?;
    let made = new.make(now)?;
    throughput::check(call, None, &made.row).await?;
    apply(call, identity, made.writes()).await?;
    Ok(made)
}

fn shown(made: &MadeKey) -> HttpResponse {
    let row = &made.row;
    HttpResponse::Ok().json(Response {
        key: made.secret.expose(),
        token: row.id.as_str(),
        token_id: row.id.as_str(),
        row: KeyAnswer::of(row, &Spent::default()),
    })
}

/// A secret of the operator's own.
pub(super) fn secret(fields: &Fields, name: &'static str) -> Result<Option<Secret>, ApiError> {
    let Change::Set(text) = fields.text(name)? else {
        return Ok(None);
    };
    let graphic = text.chars().all(|c| c.is_ascii_graphic());
    if !text.starts_with(key::PREFIX) || text.len() < SHORTEST_KEY || !graphic {
        return Err(ApiError::new(
            Code::BadRequest,
            format!(
                "'{name}' must begin with sk- and have at least {SHORTEST_KEY} visible ASCII characters. Leave it out to have one drawn."
            ),
        )
        .param(name));
    }
    Ok(Some(Secret::new(text)))
}
