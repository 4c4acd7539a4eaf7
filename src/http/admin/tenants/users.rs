//! What only users have: a role, and a key that is made with them.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{TeamId, UserId};

use super::super::change::apply;
use super::super::fields::{Change, Fields};
use super::super::query::text;
use super::super::reach::{Hold, Reach, group_of, user_of};
use super::super::ship;
use super::access::{check_makes, find};
use super::answer::tenant_answer;
use super::delete::members;
use super::{Family, USER, pages, put};
use crate::auth::key_rules::IN_OTHER_HANDS;
use crate::auth::{MadeKey, NewKey, Role};
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AdminOnly, Call, Caller, Manage, Own, View};
use crate::storage::{KeyFilter, KeyPage, KeyRow, TenantFilter, TenantKind, TenantRow, Write};

/// Most keys that a user is shown with; `/key/list?user_id=` has all.
const MOST_KEYS: u32 = 100;
/// Most users that one call changes.
const MOST_CHANGED: usize = 500;

/// `POST /user/new`: makes a user and, unless `auto_create_key` is false, a key.
pub(crate) async fn create(
    caller: Caller<Manage>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let family: &Family = &USER;
    let fields = Fields::read(&mut call).await?;
    let with_key = fields
        .get("auto_create_key", "true or false")?
        .set()
        .unwrap_or(true);
    let more = &["auto_create_key", "key_alias"];
    let identity = &caller.identity;
    let mut row = family.new_row(&call, &fields, identity, more).await?;
    row.role.get_or_insert_with(|| "internal_user".to_owned());
    let reach = Reach::of(&call, identity).await?;
    check_makes(&call, &reach, identity, &row, "/user/new").await?;
    check_email(&call, &row).await?;
    let mut writes = vec![Write::InsertTenant(Box::new(row.clone()))];
    let made = if with_key {
        let mut settings = Map::new();
        if !reach.is_everything() {
            settings.insert(IN_OTHER_HANDS.to_owned(), Value::Bool(true));
        }
        let new = NewKey {
            settings,
            alias: fields.text("key_alias")?.set(),
            user_id: Some(row.id.clone()),
            models: row.models.clone(),
            created_by: row.created_by.clone(),
            ..NewKey::default()
        };
        Some(new.make(UnixMs::now())?)
    } else {
        None
    };
    writes.extend(made.iter().flat_map(MadeKey::writes));
    apply(&call, identity, writes).await?;
    let mut answer = tenant_answer(&call, &reach, family, &row).await?;
    answer.insert("key".to_owned(), Value::String(String::new()));
    if let Some(made) = made {
        let token = json!(made.row.id.as_str());
        answer.insert("key".to_owned(), json!(made.secret.expose()));
        answer.insert("key_name".to_owned(), json!(made.row.key_name));
        answer.insert("token".to_owned(), token.clone());
        answer.insert("token_id".to_owned(), token);
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// An address is one user's.
async fn check_email(call: &Call, row: &TenantRow) -> Result<(), ApiError> {
    let Some(email) = &row.email else {
        return Ok(());
    };
    let filter = TenantFilter {
        email: Some(email.clone()),
        ..TenantFilter::default()
    };
    let tenants = &call.app().store.tenants;
    if tenants.count(TenantKind::User, filter).await? == 0 {
        return Ok(());
    }
    Err(ApiError::new(
        Code::BadRequest,
        "There is a user with this user_email already. Change it with /user/update, or write another.",
    )
    .status(StatusCode::CONFLICT)
    .param("user_email"))
}

/// `GET /user/info?user_id=`: the caller's own user, unless it names another one within its reach.
pub(crate) async fn show(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let own = || caller.identity.user_name().map(str::to_owned);
    let id = text(&call, "user_id").or_else(own).ok_or_else(|| {
        ApiError::new(
            Code::BadRequest,
            "This key belongs to no user. Send ?user_id=.",
        )
        .param("user_id")
    })?;
    ship(&call).await;
    let reach = Reach::of(&call, &caller.identity).await?;
    let row = find(&call, &reach, &USER, &id, Hold::Sees).await?;
    let store = &call.app().store;
    let keys = KeyFilter {
        user: Some(UserId::new(row.id.as_str())),
        reach: reach.keys(),
        ..KeyFilter::default()
    };
    let keys = store.keys.list(KeyPage::of(keys, MOST_KEYS)).await?;
    let keys: Vec<Value> = keys.iter().map(key_line).collect();
    let user = UserId::new(row.id.as_str());
    let memberships = store
        .tenants
        .memberships(TenantKind::TeamMember, user)
        .await?;
    let teams = memberships.iter().map(|row| group_of(row).to_owned());
    // A team's key knows of that team.
    let teams = teams.filter(|team| reach.within().is_none_or(|own| own.as_str() == team));
    let teams = store
        .tenants
        .by_ids(TenantKind::Team, teams.collect())
        .await?;
    let teams: Vec<Value> = teams
        .iter()
        .map(|team| json!({"team_id": team.id, "team_alias": team.alias, "models": team.models}))
        .collect();
    // Its own members stand beside LiteLLM's `user_info` too.
    let mut answer = tenant_answer(&call, &reach, &USER, &row).await?;
    let info = Value::Object(answer.clone());
    for (name, value) in [
        ("user_info", info),
        ("keys", json!(keys)),
        ("teams", json!(teams)),
    ] {
        answer.insert(name.to_owned(), value);
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// `GET /v2/user/info?user_id=`: the user alone.
pub(crate) async fn show_alone(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let own = || caller.identity.user_name().map(str::to_owned);
    let id = text(&call, "user_id").or_else(own).unwrap_or_default();
    ship(&call).await;
    let reach = Reach::of(&call, &caller.identity).await?;
    let row = find(&call, &reach, &USER, &id, Hold::Sees).await?;
    Ok(HttpResponse::Ok().json(tenant_answer(&call, &reach, &USER, &row).await?))
}

/// `GET /user/list?role&user_ids&user_email&team&page&page_size`: users within reach.
pub(crate) async fn list(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let reach = Reach::of(&call, &caller.identity).await?;
    let mut asked = pages::Asked::read(&call, &reach, TenantKind::User, "user_alias")?;
    if let Some(team) = text(&call, "team") {
        let rows = members(&call, TenantKind::TeamMember, &team).await?;
        asked = asked.among(rows.iter().map(|row| user_of(row).to_owned()).collect());
    }
    ship(&call).await;
    let (rows, total) = asked.rows(&call).await?;
    let mut users = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut user = tenant_answer(&call, &reach, &USER, row).await?;
        let keys = KeyFilter {
            user: Some(UserId::new(row.id.as_str())),
            reach: reach.keys(),
            ..KeyFilter::default()
        };
        let keys = call.app().store.keys.count(keys).await?;
        user.insert("key_count".to_owned(), json!(keys));
        users.push(Value::Object(user));
    }
    Ok(HttpResponse::Ok().json(asked.answer("users", &users, total)))
}

/// `GET /user/available_roles`.
pub(crate) async fn roles(_caller: Caller<Own>, _call: Call) -> Result<HttpResponse, ApiError> {
    let roles: Map<String, Value> = Role::NAMES
        .iter()
        .map(|name| {
            let role = Role::of(Some(name));
            let described =
                json!({"description": role.describe(), "ui_label": name.replace('_', " ")});
            ((*name).to_owned(), described)
        })
        .collect();
    Ok(HttpResponse::Ok().json(roles))
}

/// `GET /user/available_users`: how many users and teams there are. Nobody sells seats here, so no number is left.
pub(crate) async fn count(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let tenants = &call.app().store.tenants;
    let users = tenants.count(TenantKind::User, TenantFilter::default());
    let users = users.await?;
    let teams = tenants.count(TenantKind::Team, TenantFilter::default());
    Ok(HttpResponse::Ok().json(json!({
        "total_users": null,
        "total_users_used": users,
        "total_users_remaining": null,
        "total_teams": null,
        "total_teams_used": teams.await?,
        "total_teams_remaining": null,
    })))
}

/// `POST /user/bulk_update {"users": [{"user_id": "u1", "max_budget": 5}]}`: each by itself.
pub(crate) async fn update_several(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["users"]])?;
    let wanted = "an array such as [{\"user_id\": \"u1\", \"max_budget\": 5}]";
    let items: Vec<&RawValue> = fields.get("users", wanted)?.set().unwrap_or_default();
    if items.is_empty() || items.len() > MOST_CHANGED {
        return Err(ApiError::new(
            Code::BadRequest,
            format!("'users' must hold 1 to {MOST_CHANGED} changes."),
        )
        .param("users"));
    }
    let mut results = Vec::with_capacity(items.len());
    let mut done = 0_usize;
    for item in &items {
        let fields = Fields::parse(item.get().as_bytes())?;
        let id = fields.required("user_id")?;
        match update_one(&call, &caller, &fields, &id).await {
            Ok(()) => {
                done += 1;
                results.push(json!({"user_id": id, "success": true, "error": null}));
            }
            Err(err) if err.code() == Code::Database => return Err(err),
            Err(err) => {
                results.push(json!({"user_id": id, "success": false, "error": err.message()}));
            }
        }
    }
    Ok(HttpResponse::Ok().json(json!({
        "results": results,
        "total_requested": items.len(),
        "successful_updates": done,
        "failed_updates": items.len() - done,
    })))
}

async fn update_one(
    call: &Call,
    caller: &Caller<AdminOnly>,
    fields: &Fields,
    id: &str,
) -> Result<(), ApiError> {
    USER.only(fields, &[])?;
    let mut row = USER.find(call, id).await?;
    USER.change(call, fields, &mut row).await?;
    put(call, &caller.identity, row).await
}

/// A key as lists of somebody's keys show it.
pub(super) fn key_line(row: &KeyRow) -> Value {
    json!({
        "token": row.id.as_str(),
        "key_name": row.key_name,
        "key_alias": row.alias,
        "user_id": row.user.as_ref().map(UserId::as_str),
        "team_id": row.team.as_ref().map(TeamId::as_str),
        "blocked": row.blocked,
    })
}

/// The role that a body names.
pub(super) fn role(fields: &Fields) -> Result<Change<String>, ApiError> {
    fields.text("user_role")?.try_map(|role| {
        if Role::NAMES.contains(&role.as_str()) {
            return Ok(role);
        }
        Err(ApiError::new(
            Code::BadRequest,
            format!("'user_role' must be one of {}.", Role::NAMES.join(", ")),
        )
        .param("user_role"))
    })
}
