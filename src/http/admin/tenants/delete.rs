//! Deleting tenants. What was spent stays on the books. Contract: `endpoints` §4.
//!
//! Nothing outlives the limits that it had. What is deleted with what:
//!
//! | deleted | with it | stays |
//! | --- | --- | --- |
//! | user | its keys, its memberships | |
//! | team | its keys, its members | users |
//! | organisation | its teams as above, its keys, its memberships | users, who belong to it no more |
//! | customer, tag | their terms: who is named again has none | |
//! | shared budget | nothing: it is refused while anybody has it | |

use actix_web::HttpResponse;
use serde_json::json;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{OrganisationId, TeamId, UserId};

use super::super::change::apply;
use super::super::fields::Fields;
use super::super::reach::{Hold, Reach};
use super::access;
use super::answer::tenant_answer;
use super::family::{BUDGET, Family};
use crate::auth::Identity;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AdminOnly, Call, Caller};
use crate::storage::{KeyFilter, KeyPage, TenantKind, TenantPage, TenantRow, Write};

/// Most keys and tenants that one call deletes: all of it is one transaction.
const MOST: usize = 10_000;
const PAGE: u32 = 1_000;

/// Removes those that the body names, and what belongs to them alone.
pub(crate) async fn remove(
    family: &'static Family,
    identity: Identity,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    let ids = family.one_or_several(&fields)?.ids();
    let reach = Reach::of(&call, &identity).await?;
    // Its own admin manages it; whether it exists is decided above it.
    let least = match family.kind {
        TenantKind::User => Hold::Manages,
        _ => Hold::Governs,
    };
    let mut writes = Vec::new();
    for id in &ids {
        let row = access::find(&call, &reach, family, id, least).await?;
        with_all(&call, &row, &mut writes).await?;
    }
    apply(&call, &identity, writes).await?;
    Ok(match family.kind {
        TenantKind::User => HttpResponse::Ok().json(ids.len()),
        TenantKind::Team => HttpResponse::Ok().json(json!({"deleted_teams": ids})),
        TenantKind::Organisation => HttpResponse::Ok().json(json!({"deleted_organizations": ids})),
        _ => HttpResponse::Ok().json(json!({
            "deleted": ids,
            "deleted_customers": ids.len(),
            "message": format!("Deleted {}", ids.join(", ")),
        })),
    })
}

/// `POST /budget/delete` with `{"id": "b1"}`.
pub(crate) async fn budget(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["id", BUDGET.id]])?;
    let id = match fields.text(BUDGET.id)?.set() {
        Some(id) => id,
        None => fields.required("id")?,
    };
    let row = BUDGET.find(&call, &id).await?;
    let by_config = &call.app().config.budgets.default_end_user_id;
    if by_config.as_deref() == Some(id.as_str()) {
        return Err(ApiError::new(
            Code::BadRequest,
            "This budget is litellm_settings.max_end_user_budget_id of the configuration: name another there first.",
        )
        .param("id"));
    }
    let write = Write::DeleteTenant(TenantKind::Budget, id);
    apply(&call, &caller.identity, vec![write]).await?;
    let reach = Reach::of(&call, &caller.identity).await?;
    let answer = tenant_answer(&call, &reach, &BUDGET, &row).await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// The changes that delete a tenant and what belongs to it alone.
async fn with_all(call: &Call, row: &TenantRow, writes: &mut Vec<Write>) -> Result<(), ApiError> {
    match row.kind {
        TenantKind::User => {
            let user = UserId::new(row.id.as_str());
            let keys = KeyFilter {
                user: Some(user.clone()),
                ..KeyFilter::default()
            };
            delete_keys(call, keys, writes).await?;
            let tenants = &call.app().store.tenants;
            for kind in [TenantKind::TeamMember, TenantKind::OrganisationMember] {
                let rows = tenants.memberships(kind, user.clone()).await?;
                writes.extend(
                    rows.into_iter()
                        .map(|row| Write::DeleteTenant(kind, row.id)),
                );
            }
        }
        TenantKind::Team => delete_team_parts(call, &row.id, writes).await?,
        TenantKind::Organisation => delete_organisation_parts(call, &row.id, writes).await?,
        _ => {}
    }
    writes.push(Write::DeleteTenant(row.kind, row.id.clone()));
    check_number(writes)
}

async fn delete_team_parts(
    call: &Call,
    team: &str,
    writes: &mut Vec<Write>,
) -> Result<(), ApiError> {
    let keys = KeyFilter {
        team: Some(TeamId::new(team)),
        ..KeyFilter::default()
    };
    delete_keys(call, keys, writes).await?;
    for row in members(call, TenantKind::TeamMember, team).await? {
        writes.push(Write::DeleteTenant(row.kind, row.id));
    }
    Ok(())
}

async fn delete_organisation_parts(
    call: &Call,
    id: &str,
    writes: &mut Vec<Write>,
) -> Result<(), ApiError> {
    let organisation = OrganisationId::new(id);
    for team in all_of(call, TenantKind::Team, &organisation).await? {
        delete_team_parts(call, &team.id, writes).await?;
        writes.push(Write::DeleteTenant(team.kind, team.id));
    }
    let keys = KeyFilter {
        organisation: Some(organisation.clone()),
        ..KeyFilter::default()
    };
    delete_keys(call, keys, writes).await?;
    for row in members(call, TenantKind::OrganisationMember, id).await? {
        writes.push(Write::DeleteTenant(row.kind, row.id));
    }
    for user in all_of(call, TenantKind::User, &organisation).await? {
        writes.push(Write::PutTenant(Box::new(TenantRow {
            organisation: None,
            updated_at: UnixMs::now(),
            ..user
        })));
    }
    Ok(())
}

/// The changes that delete some keys.
pub(super) async fn delete_keys(
    call: &Call,
    filter: KeyFilter,
    writes: &mut Vec<Write>,
) -> Result<(), ApiError> {
    let mut next = Some(KeyPage::of(filter, PAGE));
    while let Some(page) = next {
        let rows = call.app().store.keys.list(page.clone()).await?;
        next = page.next(&rows);
        writes.extend(rows.into_iter().map(|row| Write::DeleteKey(row.id)));
        check_number(writes)?;
    }
    Ok(())
}

/// Every member of a team or organisation.
pub(super) async fn members(
    call: &Call,
    kind: TenantKind,
    group: &str,
) -> Result<Vec<TenantRow>, ApiError> {
    let mut page = TenantPage::of(kind, PAGE);
    page.filter.prefix = format!("{group}:");
    all(call, page).await
}

async fn all_of(
    call: &Call,
    kind: TenantKind,
    organisation: &OrganisationId,
) -> Result<Vec<TenantRow>, ApiError> {
    let mut page = TenantPage::of(kind, PAGE);
    page.filter.organisation = Some(organisation.clone());
    all(call, page).await
}

async fn all(call: &Call, first: TenantPage) -> Result<Vec<TenantRow>, ApiError> {
    let mut rows: Vec<TenantRow> = Vec::new();
    let mut next = Some(first);
    while let Some(page) = next {
        let more = call.app().store.tenants.list(page.clone()).await?;
        next = page.next(&more);
        rows.extend(more);
        if rows.len() > MOST {
            return Err(too_many());
        }
    }
    Ok(rows)
}

fn check_number(writes: &[Write]) -> Result<(), ApiError> {
    if writes.len() <= MOST {
        return Ok(());
    }
    Err(too_many())
}

fn too_many() -> ApiError {
    ApiError::new(
        Code::BadRequest,
        format!(
            "This is more than {MOST} keys and members at once. Delete keys with POST /key/delete first."
        ),
    )
}
