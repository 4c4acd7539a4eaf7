//! What only teams have: models that are added and taken away one by one, what members may do, and lists with keys. Contract:
//! `endpoints` §4.
//!
//! ```json
//! {"team_id": "search", "models": ["gpt-4o"]}
//! {"team_id": "search", "team_member_permissions": ["/key/generate"]}
//! ```

use std::collections::HashMap;

use actix_web::HttpResponse;
use serde_json::{Value, json};
use trunkline_actors::clock::UnixMs;

use super::super::fields::{Change, Fields};
use super::super::keys::MEMBER_PERMISSIONS;
use super::super::reach::{Hold, Reach};
use super::super::ship;
use super::answer::tenant_answer;
use super::users::key_line;
use super::{TEAM, access, pages, put};
use crate::auth::Identity;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{Call, Caller, Manage, Own};
use crate::storage::{KeyFilter, KeyPage, KeyScope, TenantKind, TenantRow};

/// What members may be permitted; the rest of the list they may always do with keys of their own.
const PERMISSIONS: [&str; 8] = [
    "/key/generate",
    "/key/service-account/generate",
    "/key/info",
    "/key/list",
    "/key/health",
    "/key/update",
    "/key/delete",
    "/key/regenerate",
];

/// Most keys that a list of teams is shown with.
const MOST_KEYS: u32 = 1_000;

/// `POST /team/model/add`.
pub(crate) async fn add_models(
    caller: Caller<Manage>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    change_models(&caller.identity, call, true).await
}

/// `POST /team/model/delete`. The last one stays: a team without a list may use every model.
pub(crate) async fn delete_models(
    caller: Caller<Manage>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    change_models(&caller.identity, call, false).await
}

async fn change_models(
    identity: &Identity,
    mut call: Call,
    add: bool,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["team_id", "models"]])?;
    let id = fields.required("team_id")?;
    let wrong = |text: &str| ApiError::new(Code::BadRequest, text).param("models");
    let Change::Set(models) = fields.texts("models")? else {
        return Err(wrong("'models' must be an array of model names."));
    };
    let reach = Reach::of(&call, identity).await?;
    // What a team may use is given by whoever stands above it; it may do with less.
    let least = if add { Hold::Governs } else { Hold::Manages };
    let mut team = access::find(&call, &reach, &TEAM, &id, least).await?;
    if add {
        if team.models.is_empty() {
            return Err(wrong(
                "This team has no list and may use every model. Give it one with POST /team/update.",
            ));
        }
        for model in models {
            if !team.models.contains(&model) {
                team.models.push(model);
            }
        }
    } else {
        let left: Vec<String> = team
            .models
            .iter()
            .filter(|model| !models.contains(model))
            .cloned()
            .collect();
        if left.is_empty() {
            return Err(wrong(
                "Nothing would be left, and a team without a list may use every model. Block the team, or leave it one.",
            ));
        }
        team.models = left;
    }
    team.updated_at = UnixMs::now();
    put(&call, identity, team.clone()).await?;
    Ok(HttpResponse::Ok().json(tenant_answer(&call, &reach, &TEAM, &team).await?))
}

/// `GET /team/permissions_list?team_id=`.
pub(crate) async fn permissions(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.query("team_id").unwrap_or_default();
    let reach = Reach::of(&call, &caller.identity).await?;
    let team = access::find(&call, &reach, &TEAM, &id, Hold::Sees).await?;
    Ok(permissions_of(&team))
}

/// `POST /team/permissions_update`.
pub(crate) async fn permit(
    caller: Caller<Manage>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["team_id", MEMBER_PERMISSIONS]])?;
    let id = fields.required("team_id")?;
    let listed = fields.texts(MEMBER_PERMISSIONS)?.set();
    let good = |listed: &Vec<String>| {
        listed
            .iter()
            .all(|path| PERMISSIONS.contains(&path.as_str()))
    };
    let listed = listed.filter(good).ok_or_else(|| {
        ApiError::new(
            Code::BadRequest,
            format!(
                "'{MEMBER_PERMISSIONS}' must be an array of some of {}.",
                PERMISSIONS.join(", ")
            ),
        )
        .param(MEMBER_PERMISSIONS)
    })?;
    let reach = Reach::of(&call, &caller.identity).await?;
    let mut team = access::find(&call, &reach, &TEAM, &id, Hold::Manages).await?;
    team.settings
        .insert(MEMBER_PERMISSIONS.to_owned(), Value::from(listed));
    team.updated_at = UnixMs::now();
    put(&call, &caller.identity, team.clone()).await?;
    Ok(permissions_of(&team))
}

fn permissions_of(team: &TenantRow) -> HttpResponse {
    let given = team.settings.get(MEMBER_PERMISSIONS);
    HttpResponse::Ok().json(json!({
        "team_id": team.id,
        "team_member_permissions": given.cloned().unwrap_or_else(|| json!([])),
        "all_available_permissions": PERMISSIONS,
    }))
}

/// `GET /team/list`: teams within reach, each with keys within reach, the first thousand behind `?after=`.
pub(crate) async fn list(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let reach = Reach::of(&call, &caller.identity).await?;
    let page = pages::all(&call, &reach, TenantKind::Team);
    ship(&call).await;
    let rows = call.app().store.tenants.list(page).await?;
    Ok(HttpResponse::Ok().json(with_keys(&call, &reach, &rows).await?))
}

/// `GET /v2/team/list?page&page_size&team_id&team_alias&organization_id`.
pub(crate) async fn page(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let reach = Reach::of(&call, &caller.identity).await?;
    let asked = pages::Asked::read(&call, &reach, TenantKind::Team, "team_alias")?;
    ship(&call).await;
    let (rows, total) = asked.rows(&call).await?;
    let teams = with_keys(&call, &reach, &rows).await?;
    Ok(HttpResponse::Ok().json(asked.answer("teams", &teams, total)))
}

async fn with_keys(call: &Call, reach: &Reach, rows: &[TenantRow]) -> Result<Vec<Value>, ApiError> {
    // Both conditions hold: of these teams, and within the caller's reach.
    let of_teams = KeyScope {
        teams: rows.iter().map(|row| row.id.clone()).collect(),
        ..KeyScope::default()
    };
    let filter = KeyFilter {
        scope: Some(of_teams),
        reach: reach.keys(),
        ..KeyFilter::default()
    };
    let keys = call.app().store.keys.list(KeyPage::of(filter, MOST_KEYS));
    let mut by_team: HashMap<String, Vec<Value>> = HashMap::new();
    for key in keys.await? {
        if let Some(team) = &key.team {
            by_team
                .entry(team.as_str().to_owned())
                .or_default()
                .push(key_line(&key));
        }
    }
    let mut teams = Vec::with_capacity(rows.len());
    for row in rows {
        let mut team = tenant_answer(call, reach, &TEAM, row).await?;
        let keys = by_team.remove(&row.id).unwrap_or_default();
        team.insert("keys".to_owned(), Value::Array(keys));
        teams.push(Value::Object(team));
    }
    Ok(teams)
}
