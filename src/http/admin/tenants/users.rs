//! What only users have: a role, and a key that is made with them.

use actix_web::HttpResponse;
use serde_json::{Value, json};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{TeamId, UserId};

use super::super::change::apply;
use super::super::fields::{Change, Fields};
use super::super::reach::{Hold, Reach, group_of};
use super::super::ship;
use super::access::{check_makes, find};
use super::answer::tenant_answer;
use super::{Family, USER};
use crate::auth::{MadeKey, NewKey, Role};
use crate::http::error::{ApiError, Code};
use crate::http::extract::{Call, Caller, Manage, Own};
use crate::storage::{KeyFilter, KeyPage, KeyRow, TenantKind, Write};

/// Most keys that a user is shown with; `/key/list?user_id=` has all.
const MOST_KEYS: u32 = 100;

/// `POST /user/new`: makes a user and, unless `auto_create_key` is false, a key.
pub(crate) async fn create(
    caller: Caller<Manage>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let family: &Family = &USER;
    let body = call.json_body().await?;
    let fields = Fields::parse(&body)?;
    let with_key = fields
        .get("auto_create_key", "true or false")?
        .set()
        .unwrap_or(true);
    let more = &["auto_create_key", "key_alias"];
    let identity = &caller.identity;
    let mut row = family.new_row(&call, &fields, identity, more).await?;
    row.role.get_or_insert_with(|| "internal_user".to_owned());
    let reach = Reach::of(&call, identity).await?;
    check_makes(&reach, identity, &row, "/user/new")?;
    let mut writes = vec![Write::InsertTenant(Box::new(row.clone()))];
    let made = if with_key {
        let new = NewKey {
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
    let mut answer = tenant_answer(&call, family, &row).await?;
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

/// `GET /user/info?user_id=`: the caller's own user, unless it names another one within its reach.
pub(crate) async fn show(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let asked = call.query("user_id").filter(|id| !id.is_empty());
    let own = || Some(caller.identity.user_id()?.as_str().to_owned());
    let id = asked.or_else(own).ok_or_else(|| {
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
        scope: reach.keys(),
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
    let mut answer = tenant_answer(&call, &USER, &row).await?;
    if reach.within().is_some() {
        // What the user spends beyond the team is not for who manages the team.
        answer.remove("spend");
    }
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
pub(super) fn role(fields: &Fields<'_>) -> Result<Change<String>, ApiError> {
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
