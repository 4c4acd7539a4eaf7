//! Users within organisations: `POST /organization/member_add`, `PATCH …/member_update`, `DELETE …/member_delete`. Contract:
//! `endpoints` §4.
//!
//! ```json
//! {"organization_id": "acme", "member": {"user_id": "alice", "role": "org_admin"}}
//! ```
//!
//! Who is added is in the organisation and keeps its home: only the admin of the organisation that a user was made in changes
//! the user.

use actix_web::HttpResponse;
use serde_json::{Value, json};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::UserId;

use super::super::change::apply;
use super::super::fields::Fields;
use super::super::query::wrong;
use super::super::reach::{Hold, Reach, user_of};
use super::super::ship;
use super::answer::tenant_answer;
use super::delete::members;
use super::joining::{checked_role, several};
use super::{ORGANISATION, access};
use crate::auth::Identity;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{Call, Caller, Manage, Own};
use crate::storage::{TenantFilter, TenantKind, TenantPage, TenantRow, Write};

const ROLES: [&str; 3] = ["org_admin", "internal_user", "internal_user_viewer"];
/// Most teams that an organisation is shown with; `/v2/team/list?organization_id=` has all.
const MOST_TEAMS: u32 = 100;

/// Adds members.
pub(crate) async fn add(caller: Caller<Manage>, mut call: Call) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["organization_id", "member"]])?;
    let id = managed(&call, &caller.identity, &fields).await?;
    let wanted = "{\"user_id\": \"alice\", \"role\": \"org_admin\"} or an array of these";
    let added = several(&fields, &["member"], wanted)?;
    let now = UnixMs::now();
    let (mut writes, mut users) = (Vec::new(), Vec::new());
    for member in added {
        let user = TenantRow::user(&UserId::new(member.user_id.as_str()), now);
        writes.push(Write::EnsureTenant(Box::new(user)));
        let row = TenantRow {
            role: Some(
                checked_role(member.role, &ROLES)?.unwrap_or_else(|| "internal_user".to_owned()),
            ),
            created_by: caller.identity.user_name().map(str::to_owned),
            ..TenantRow::new(
                TenantKind::OrganisationMember,
                format!("{id}:{}", member.user_id),
                now,
            )
        };
        writes.push(Write::PutTenant(Box::new(row)));
        users.push(json!({"user_id": member.user_id}));
    }
    apply(&call, &caller.identity, writes).await?;
    let memberships = shown(&call, &id).await?;
    Ok(HttpResponse::Ok().json(json!({
        "organization_id": id,
        "updated_users": users,
        "updated_organization_memberships": memberships,
    })))
}

/// Changes a member's role.
pub(crate) async fn update(
    caller: Caller<Manage>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["organization_id", "user_id", "role"]])?;
    let id = managed(&call, &caller.identity, &fields).await?;
    let mut row = find(&call, &id, &fields.required("user_id")?).await?;
    row.role = checked_role(Some(fields.required("role")?), &ROLES)?;
    row.updated_at = UnixMs::now();
    let write = Write::PutTenant(Box::new(row.clone()));
    apply(&call, &caller.identity, vec![write]).await?;
    Ok(HttpResponse::Ok().json(line(&id, &row)))
}

/// Takes a member out. Its keys belong to teams, or to itself, and stay.
pub(crate) async fn remove(
    caller: Caller<Manage>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["organization_id", "user_id"]])?;
    let id = managed(&call, &caller.identity, &fields).await?;
    let row = find(&call, &id, &fields.required("user_id")?).await?;
    let answer = line(&id, &row);
    let write = Write::DeleteTenant(row.kind, row.id);
    apply(&call, &caller.identity, vec![write]).await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// `GET /organization/info?organization_id=`: with members and teams, for those who manage it.
pub(crate) async fn show(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    ship(&call).await;
    let id = call.query("organization_id").unwrap_or_default();
    let reach = Reach::of(&call, &caller.identity).await?;
    let row = access::find(&call, &reach, &ORGANISATION, &id, Hold::Sees).await?;
    let mut answer = tenant_answer(&call, &reach, &ORGANISATION, &row).await?;
    if reach.organisation(&id) >= Hold::Manages {
        answer.insert("members".to_owned(), Value::Array(shown(&call, &id).await?));
        let filter = TenantFilter {
            organisation: Some(row.id.as_str().into()),
            ..TenantFilter::default()
        };
        let page = TenantPage {
            filter,
            ..TenantPage::of(TenantKind::Team, MOST_TEAMS)
        };
        let teams = call.app().store.tenants.list(page).await?;
        let teams = teams
            .iter()
            .map(|team| json!({"team_id": team.id, "team_alias": team.alias}));
        answer.insert("teams".to_owned(), teams.collect());
    }
    Ok(HttpResponse::Ok().json(answer))
}

async fn managed(call: &Call, identity: &Identity, fields: &Fields) -> Result<String, ApiError> {
    let id = fields.required("organization_id")?;
    let reach = Reach::of(call, identity).await?;
    let row = access::find(call, &reach, &ORGANISATION, &id, Hold::Manages).await?;
    if row.id.contains(':') {
        return Err(wrong(
            "organization_id",
            "An organization whose id holds a colon can have no members: a member is named `organization:user`.",
        ));
    }
    Ok(row.id)
}

async fn find(call: &Call, organisation: &str, user: &str) -> Result<TenantRow, ApiError> {
    let id = format!("{organisation}:{user}");
    let found = call
        .app()
        .store
        .tenants
        .by_id(TenantKind::OrganisationMember, id);
    found.await?.ok_or_else(|| {
        ApiError::new(
            Code::NotFound,
            format!("'{user}' is no member of organization '{organisation}'."),
        )
        .param("user_id")
    })
}

async fn shown(call: &Call, organisation: &str) -> Result<Vec<Value>, ApiError> {
    let rows = members(call, TenantKind::OrganisationMember, organisation).await?;
    Ok(rows.iter().map(|row| line(organisation, row)).collect())
}

fn line(organisation: &str, row: &TenantRow) -> Value {
    json!({
        "organization_id": organisation,
        "user_id": user_of(row),
        "user_role": row.role,
    })
}
