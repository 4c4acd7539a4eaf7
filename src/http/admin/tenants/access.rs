//! Who makes, changes and sees which tenants; `reach` says what a caller has of each. Contract: `auth-budgets-limits` §3,
//! `endpoints` §4.
//!
//! What binds a team, a user or an organisation (budget, limits, models, a block) is given by whoever stands above it: its own
//! admin changes its names, notes, members and keys.

use super::super::fields::Fields;
use super::super::reach::{Hold, Reach, others};
use super::super::ship;
use super::super::spend::range::ever;
use super::family::Family;
use crate::auth::{DEFAULT_USER, Identity, Role};
use crate::http::error::{ApiError, Code};
use crate::http::extract::Call;
use crate::storage::reports::{Counting, Facet, Of, Order, Sums};
use crate::storage::{TenantKind, TenantRow, TenantScope};

/// The tenant of that id, of which the caller has at least that much.
///
/// # Errors
/// 404, or 403 for who may not know whether there is one.
pub(super) async fn find(
    call: &Call,
    reach: &Reach,
    family: &Family,
    id: &str,
    least: Hold,
) -> Result<TenantRow, ApiError> {
    if reach.is_everything() {
        return family.find(call, id).await;
    }
    let tenants = &call.app().store.tenants;
    let row = tenants.by_id(family.kind, id.to_owned()).await?;
    let hold = match &row {
        Some(row) => hold(reach, row),
        None => Hold::None,
    };
    hold.at_least(least, family.id)?;
    match row {
        Some(row) => Ok(row),
        None => family.find(call, id).await,
    }
}

fn hold(reach: &Reach, row: &TenantRow) -> Hold {
    match row.kind {
        TenantKind::Team => reach.team(row),
        TenantKind::User => reach.user_row(row),
        TenantKind::Organisation => reach.organisation(&row.id),
        _ if reach.is_everything() => Hold::Governs,
        _ => Hold::None,
    }
}

/// Whether the caller makes such a tenant. Admins of organisations make teams and users of theirs.
///
/// # Errors
/// 401, as for a route that only administrators call; 403 for a role that is not theirs to give.
pub(super) async fn check_makes(
    call: &Call,
    reach: &Reach,
    identity: &Identity,
    row: &TenantRow,
    route: &str,
) -> Result<(), ApiError> {
    if reach.is_everything() {
        return Ok(());
    }
    let may = matches!(row.kind, TenantKind::Team | TenantKind::User);
    let organisation = row.organisation.as_ref();
    let inside = organisation.is_some_and(|id| reach.organisation(id.as_str()) >= Hold::Manages);
    if !(may && inside) {
        return Err(ApiError::new(
            Code::RouteDenied,
            format!(
                "Authentication Error, Only proxy admin can be used to generate, delete, update info for new keys/users/teams. Route={route}. Your role={}. The admin of an organization names it in 'organization_id'.",
                identity.role().as_str()
            ),
        ));
    }
    check_role(row)?;
    check_unused(call, row).await
}

/// A name is a claim on what is on the books under it: who may choose one must not choose what was somebody else's. So it is
/// with those of deleted tenants, and with the user that the master key's calls are booked on.
async fn check_unused(call: &Call, row: &TenantRow) -> Result<(), ApiError> {
    let (facet, param) = match row.kind {
        TenantKind::Team => (Facet::Team, "team_id"),
        _ => (Facet::User, "user_id"),
    };
    let spent = Sums {
        days: ever(),
        of: vec![Of::one(facet, row.id.as_str())],
        by_day: false,
        by: vec![facet],
        counting: Counting::Spend,
        order: Order::Name(1),
    };
    ship(call).await;
    let sums = call.app().store.reports.sums(vec![spent]).await?;
    let is_used = sums.iter().any(|lines| !lines.is_empty());
    if is_used || (row.kind == TenantKind::User && row.id == DEFAULT_USER) {
        return Err(others(
            param,
            "This id is on the books already. Choose another one, or ask an administrator.",
        ));
    }
    Ok(())
}

/// Whether the caller may change what the body changes.
///
/// # Errors
/// 403 names the member.
pub(super) fn check_changes(
    reach: &Reach,
    family: &Family,
    fields: &Fields,
    row: &TenantRow,
) -> Result<(), ApiError> {
    let hold = hold(reach, row);
    // Who manages a user's organisation stands above the user.
    if hold == Hold::Governs || (hold == Hold::Manages && row.kind == TenantKind::User) {
        return Ok(());
    }
    let own: Vec<&str> = [family.id, "metadata"]
        .into_iter()
        .chain(family.alias)
        .collect();
    match fields.beyond(&own) {
        None => Ok(()),
        Some(field) => Err(others(
            family.id,
            &format!(
                "'{field}' is given by an administrator, or by the admin of its organization. You may change {}.",
                own.get(1..).unwrap_or_default().join(" and ")
            ),
        )),
    }
}

/// Whether the caller may give the tenant the role and the organisation that it has now.
///
/// # Errors
/// 403.
pub(super) fn check_moves(
    reach: &Reach,
    before: &TenantRow,
    after: &TenantRow,
) -> Result<(), ApiError> {
    if reach.is_everything() {
        return Ok(());
    }
    if after.role != before.role {
        check_role(after)?;
    }
    let organisation = after.organisation.as_ref();
    let moved = after.organisation != before.organisation;
    let inside = organisation.is_some_and(|id| reach.organisation(id.as_str()) >= Hold::Manages);
    if moved && !inside {
        return Err(others(
            "organization_id",
            "You may move it only to an organization that you manage.",
        ));
    }
    Ok(())
}

/// Roles that reach beyond an organisation are given by administrators.
fn check_role(row: &TenantRow) -> Result<(), ApiError> {
    let role = row.role.as_deref();
    if row.kind == TenantKind::User && Role::of(role).is_global() {
        return Err(others(
            "user_role",
            "Only an administrator gives this role.",
        ));
    }
    Ok(())
}

/// Those of a kind that the caller reaches; `None`: all.
pub(super) fn scope(reach: &Reach, kind: TenantKind) -> Option<TenantScope> {
    if reach.is_everything() {
        return None;
    }
    let (ids, organisations) = match kind {
        TenantKind::Team => (reach.teams().to_vec(), reach.managed_organisations()),
        TenantKind::Organisation => (reach.organisations().to_vec(), &[][..]),
        TenantKind::User => (
            reach
                .user()
                .iter()
                .map(|user| user.as_str().to_owned())
                .collect(),
            reach.managed_organisations(),
        ),
        _ => (Vec::new(), &[][..]),
    };
    Some(TenantScope {
        ids,
        organisations: organisations.to_vec(),
    })
}
