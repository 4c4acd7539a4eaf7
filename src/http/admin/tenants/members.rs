//! Users within teams: `POST /team/member_add`, `/team/member_update`, `/team/member_delete`, and `GET /team/info`, which
//! shows them.
//!
//! ```json
//! {"team_id": "search", "member": {"user_id": "alice", "role": "user"}, "max_budget_in_team": 10}
//! ```

use actix_web::HttpResponse;
use serde_json::{Value, json};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{Subject, TeamId, UserId};

use super::super::change::apply;
use super::super::fields::Fields;
use super::super::reach::{Hold, Reach, user_of};
use super::super::terms;
use super::super::{PlainUsd, ship};
use super::answer::{shown, state, tenant_answer};
use super::delete::delete_keys;
use super::joining::{checked_role, several};
use super::users::key_line;
use super::{TEAM, access, put};
use crate::auth::Identity;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{Call, Caller, Manage, Own};
use crate::http::time::iso;
use crate::storage::{KeyFilter, KeyPage, TenantKind, TenantPage, TenantRow, Write};

/// Most members of a team.
const MOST_MEMBERS: u32 = 10_000;
/// Most keys that a team is shown with; `/key/list?team_id=` has all.
const MOST_KEYS: u32 = 100;
const ROLES: [&str; 2] = ["admin", "user"];

/// What is told of a team.
struct Told {
    team: String,
    info: Value,
    keys: Vec<Value>,
    memberships: Vec<Value>,
}

/// Adds members.
pub(crate) async fn add(caller: Caller<Manage>, mut call: Call) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    let own = &[
        "team_id",
        "member",
        "members",
        "max_budget_in_team",
        "allowed_models",
    ][..];
    fields.only(&[own, terms::FIELDS])?;
    let team = managed(&call, &caller.identity, &fields.required("team_id")?).await?;
    let wanted = "{\"user_id\": \"alice\", \"role\": \"user\"} or an array of these";
    // `/team/bulk_member_add` calls them `members`.
    let members = several(&fields, &["member", "members"], wanted)?;
    let now = UnixMs::now();
    let mut writes = Vec::new();
    let mut added: Vec<Value> = Vec::new();
    for member in members {
        let user = UserId::new(member.user_id.as_str());
        writes.push(Write::EnsureTenant(Box::new(TenantRow::user(&user, now))));
        let id = member_id(&team.id, &user);
        let tenants = &call.app().store.tenants;
        let known = tenants.by_id(TenantKind::TeamMember, id.clone()).await?;
        let mut row = known.unwrap_or_else(|| TenantRow {
            created_by: caller.identity.user_name().map(str::to_owned),
            ..TenantRow::new(TenantKind::TeamMember, id, now)
        });
        row.role = Some(checked_role(member.role, &ROLES)?.unwrap_or_else(|| "user".to_owned()));
        change(&fields, &mut row)?;
        writes.push(Write::PutTenant(Box::new(row)));
        added.push(json!({"user_id": member.user_id}));
    }
    apply(&call, &caller.identity, writes).await?;
    let mut told = told_anew(&call, &caller.identity, &team).await?;
    // LiteLLM's answer is the team itself, with whom this call added.
    let is_added = |membership: &&Value| {
        added
            .iter()
            .any(|user| user["user_id"] == membership["user_id"])
    };
    let memberships = told.memberships.iter().filter(is_added);
    let memberships: Vec<Value> = memberships.cloned().collect();
    let mut answer = told.to_json();
    if let (Some(answer), Value::Object(team)) = (answer.as_object_mut(), told.info.take()) {
        for (name, value) in team {
            answer.entry(name).or_insert(value);
        }
        answer.insert("updated_users".to_owned(), Value::Array(added));
        let name = "updated_team_memberships".to_owned();
        answer.insert(name, Value::Array(memberships));
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// Changes one member: budget, limits, role.
pub(crate) async fn update(
    caller: Caller<Manage>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    let own = &[
        "team_id",
        "user_id",
        "role",
        "max_budget_in_team",
        "allowed_models",
    ][..];
    fields.only(&[own, terms::FIELDS])?;
    let team = managed(&call, &caller.identity, &fields.required("team_id")?).await?;
    let mut row = find(&call, &team, &fields.required("user_id")?).await?;
    if let Some(role) = checked_role(fields.text("role")?.set(), &ROLES)? {
        row.role = Some(role);
    }
    change(&fields, &mut row)?;
    put(&call, &caller.identity, row).await?;
    let told = told_anew(&call, &caller.identity, &team).await?;
    Ok(HttpResponse::Ok().json(told.to_json()))
}

/// Takes one member out, and its keys of the team with it.
pub(crate) async fn remove(
    caller: Caller<Manage>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["team_id", "user_id"]])?;
    let team = managed(&call, &caller.identity, &fields.required("team_id")?).await?;
    let user = fields.required("user_id")?;
    let row = find(&call, &team, &user).await?;
    // Its keys of the team would go on without the limits of the membership.
    let keys = KeyFilter {
        user: Some(UserId::new(user)),
        team: Some(TeamId::new(team.id.as_str())),
        ..KeyFilter::default()
    };
    let mut writes = Vec::new();
    delete_keys(&call, keys, &mut writes).await?;
    writes.push(Write::DeleteTenant(TenantKind::TeamMember, row.id));
    apply(&call, &caller.identity, writes).await?;
    let told = told_anew(&call, &caller.identity, &team).await?;
    Ok(HttpResponse::Ok().json(told.to_json()))
}

/// `GET /team/info?team_id=`.
pub(crate) async fn show_team(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.query("team_id").unwrap_or_default();
    let reach = Reach::of(&call, &caller.identity).await?;
    let team = access::find(&call, &reach, &TEAM, &id, Hold::Sees).await?;
    let told = told(&call, &reach, &team).await?;
    Ok(HttpResponse::Ok().json(told.to_json()))
}

// === impl Told ===

impl Told {
    fn to_json(&self) -> Value {
        json!({
            "team_id": self.team,
            "team_info": self.info,
            "keys": self.keys,
            "team_memberships": self.memberships,
        })
    }
}

async fn managed(call: &Call, identity: &Identity, team: &str) -> Result<TenantRow, ApiError> {
    let reach = Reach::of(call, identity).await?;
    access::find(call, &reach, &TEAM, team, Hold::Manages).await
}

/// The team with its members. Who does not manage it is told what it spent itself, and who else is in it.
async fn told(call: &Call, reach: &Reach, team: &TenantRow) -> Result<Told, ApiError> {
    let manages = reach.team(team) >= Hold::Manages;
    let mut page = TenantPage::of(TenantKind::TeamMember, MOST_MEMBERS);
    page.filter.prefix = format!("{}:", team.id);
    ship(call).await;
    let rows = call.app().store.tenants.list(page).await?;
    let mut roles = Vec::with_capacity(rows.len());
    let mut memberships = Vec::with_capacity(rows.len());
    for row in &rows {
        let user = user_of(row);
        roles.push(json!({"user_id": user, "role": row.role}));
        if !manages && reach.user().is_none_or(|own| own.as_str() != user) {
            continue;
        }
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
    let mut info = tenant_answer(call, reach, &TEAM, team).await?;
    info.insert("members_with_roles".to_owned(), Value::Array(roles));
    let keys = KeyFilter {
        team: Some(TeamId::new(team.id.as_str())),
        reach: reach.keys(),
        ..KeyFilter::default()
    };
    let keys = call
        .app()
        .store
        .keys
        .list(KeyPage::of(keys, MOST_KEYS))
        .await?;
    let keys: Vec<Value> = keys.iter().map(key_line).collect();
    Ok(Told {
        team: team.id.clone(),
        info: Value::Object(info),
        keys,
        memberships,
    })
}

/// The same after a change, which may be of what the caller itself is in the team.
async fn told_anew(call: &Call, identity: &Identity, team: &TenantRow) -> Result<Told, ApiError> {
    told(call, &Reach::of(call, identity).await?, team).await
}

pub(super) async fn find(call: &Call, team: &TenantRow, user: &str) -> Result<TenantRow, ApiError> {
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
fn change(fields: &Fields, row: &mut TenantRow) -> Result<(), ApiError> {
    terms::change(fields, &mut row.terms)?;
    let in_team = fields.usd("max_budget_in_team")?;
    in_team.apply(&mut row.terms.max_budget);
    let models = fields.texts("allowed_models")?;
    models.apply_or_default(&mut row.models);
    let now = UnixMs::now();
    row.terms.since.get_or_insert(now);
    row.updated_at = now;
    Ok(())
}
