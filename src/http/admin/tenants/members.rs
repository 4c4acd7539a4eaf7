//! Users within teams: `POST /team/member_add`, `/team/member_update`, `/team/member_delete`, and `GET /team/info`, which
//! shows them.
//!
//! ```json
//! {"team_id": "search", "member": {"user_id": "alice", "role": "user"}, "max_budget_in_team": 10}
//! ```

use actix_web::HttpResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{Subject, TeamId, UserId};

use super::super::fields::Fields;
use super::super::terms::{self, iso};
use super::super::{PlainUsd, ship};
use super::answer::{shown, state, tenant_answer};
use super::{TEAM, forget};
use crate::auth::terms as checks;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AdminOnly, Call, Caller};
use crate::storage::{TenantKind, TenantPage, TenantRow};

/// Most members of a team.
const MOST_MEMBERS: u32 = 10_000;
const ROLES: [&str; 2] = ["admin", "user"];

#[derive(Deserialize)]
struct Member {
    user_id: String,
    #[serde(default)]
    role: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Members {
    One(Member),
    Several(Vec<Member>),
}

/// Adds members.
pub(crate) async fn add(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let fields = Fields::parse(&body)?;
    fields.only(&[&["team_id", "member", "max_budget_in_team"], terms::FIELDS])?;
    let team = TEAM.find(&call, &fields.required("team_id")?).await?;
    let wanted = "{\"user_id\": \"alice\", \"role\": \"user\"} or an array of these";
    let members = match fields.get("member", wanted)?.set() {
        Some(Members::One(member)) => vec![member],
        Some(Members::Several(members)) => members,
        None => return Err(missing("member")),
    };
    let now = UnixMs::now();
    for member in members {
        checks::name("user_id", &member.user_id)?;
        let user = UserId::new(member.user_id.as_str());
        let tenants = &call.app().store.tenants;
        tenants.ensure(TenantRow::user(&user, now)).await?;
        let id = member_id(&team.id, &user);
        let stored = TenantRow {
            created_by: caller
                .identity
                .user_id()
                .map(|user| user.as_str().to_owned()),
            ..TenantRow::new(TenantKind::TeamMember, id, now)
        };
        let mut row = tenants.ensure(stored).await?;
        row.role = Some(checked_role(member.role)?.unwrap_or_else(|| "user".to_owned()));
        change(&fields, &mut row)?;
        tenants.put(row).await?;
    }
    forget(&call);
    answer(&call, &team).await
}

/// Changes one member: budget, limits, role.
pub(crate) async fn update(
    _caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let fields = Fields::parse(&body)?;
    let own = &["team_id", "user_id", "role", "max_budget_in_team"][..];
    fields.only(&[own, terms::FIELDS])?;
    let team = TEAM.find(&call, &fields.required("team_id")?).await?;
    let mut row = find(&call, &team, &fields.required("user_id")?).await?;
    if let Some(role) = checked_role(fields.text("role")?.set())? {
        row.role = Some(role);
    }
    change(&fields, &mut row)?;
    call.app().store.tenants.put(row).await?;
    forget(&call);
    answer(&call, &team).await
}

/// Takes one member out.
pub(crate) async fn remove(
    _caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let fields = Fields::parse(&body)?;
    fields.only(&[&["team_id", "user_id"]])?;
    let team = TEAM.find(&call, &fields.required("team_id")?).await?;
    let row = find(&call, &team, &fields.required("user_id")?).await?;
    let tenants = &call.app().store.tenants;
    tenants.delete(TenantKind::TeamMember, vec![row.id]).await?;
    forget(&call);
    answer(&call, &team).await
}

/// `GET /team/info?team_id=`.
pub(crate) async fn show_team(
    _caller: Caller<AdminOnly>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let id = call.query("team_id").unwrap_or_default();
    let team = TEAM.find(&call, &id).await?;
    answer(&call, &team).await
}

async fn answer(call: &Call, team: &TenantRow) -> Result<HttpResponse, ApiError> {
    let page = TenantPage {
        kind: TenantKind::TeamMember,
        organisation: None,
        prefix: format!("{}:", team.id),
        after: None,
        limit: MOST_MEMBERS,
    };
    ship(call).await;
    let rows = call.app().store.tenants.list(page).await?;
    let mut roles = Vec::with_capacity(rows.len());
    let mut memberships = Vec::with_capacity(rows.len());
    for row in &rows {
        let user = row.id.split_once(':').map_or("", |(_, user)| user);
        roles.push(json!({"user_id": user, "role": row.role}));
        let state = state(call, row).await?;
        memberships.push(json!({
            "user_id": user,
            "team_id": team.id,
            "spend": state.as_ref().map(|state| PlainUsd(state.spent)),
            "budget_reset_at": state.and_then(|state| state.resets_at).and_then(iso),
            "budget_id": row.budget_id,
            "litellm_budget_table": shown(row)?,
        }));
    }
    let mut info = tenant_answer(call, &TEAM, team).await?;
    info.insert("members_with_roles".to_owned(), Value::Array(roles));
    Ok(HttpResponse::Ok().json(json!({
        "team_id": team.id,
        "team_info": info,
        "team_memberships": memberships,
    })))
}

async fn find(call: &Call, team: &TenantRow, user: &str) -> Result<TenantRow, ApiError> {
    let id = member_id(&team.id, &UserId::new(user));
    let found = call.app().store.tenants.by_id(TenantKind::TeamMember, id);
    found.await?.ok_or_else(|| {
        ApiError::new(
            Code::NotFound,
            format!("'{user}' is no member of team '{}'.", team.id),
        )
        .param("user_id")
    })
}

fn member_id(team: &str, user: &UserId) -> String {
    Subject::team_member(&TeamId::new(team), user)
        .id
        .as_ref()
        .to_owned()
}

/// `max_budget_in_team` is LiteLLM's word for the member's `max_budget`.
fn change(fields: &Fields<'_>, row: &mut TenantRow) -> Result<(), ApiError> {
    terms::change(fields, &mut row.terms)?;
    let name = "max_budget_in_team";
    let in_team = fields.raw(name).try_map(|text| checks::usd(name, text))?;
    in_team.apply(&mut row.terms.max_budget);
    let now = UnixMs::now();
    row.terms.since.get_or_insert(now);
    row.updated_at = now;
    Ok(())
}

fn checked_role(role: Option<String>) -> Result<Option<String>, ApiError> {
    match role {
        Some(role) if !ROLES.contains(&role.as_str()) => {
            Err(ApiError::new(Code::BadRequest, "'role' must be admin or user.").param("role"))
        }
        role => Ok(role),
    }
}

fn missing(name: &'static str) -> ApiError {
    ApiError::new(Code::BadRequest, format!("'{name}' is missing.")).param(name)
}
