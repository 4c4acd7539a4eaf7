//! Budgets, organisations, teams, users, members of both, customers and tags as they are stored here.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::OrganisationId;

use super::row::SourceRow;
use super::terms;
use super::{Context, Mapped, Refused, Remark};
use crate::config::USER_ROLES;
use crate::storage::{ImportedRow, LitellmTable, TenantKind, TenantRow};

/// The user that LiteLLM books everything to.
const LITELLMS_OWN: &str = "litellm-proxy-budget";
/// The team of sessions in LiteLLM's pages.
pub(super) const LITELLMS_PAGES: &str = "litellm-dashboard";

const ORGANISATION_ROLES: [&str; 3] = ["org_admin", "internal_user", "internal_user_viewer"];

/// Columns that are kept as they are, by what they would change if this version acted on them.
const IDLE: &[&str] = &[
    "object_permission_id",
    "router_settings",
    "access_group_ids",
    "policies",
    "default_team_member_models",
    "allowed_cache_controls",
    "allowed_model_region",
    "default_model",
];
/// Columns that are kept as they are and change nothing in LiteLLM either.
const PLAIN: &[&str] = &[
    "metadata",
    "description",
    "sso_user_id",
    "teams",
    "team_member_permissions",
];

/// The row that the endpoints would have made.
pub(super) fn map(
    table: LitellmTable,
    row: &SourceRow<'_>,
    context: &Context<'_>,
) -> Result<Mapped, Refused> {
    let (kind, id, alias) = match table {
        LitellmTable::Budgets => (TenantKind::Budget, row.id("budget_id")?, None),
        LitellmTable::Organisations => (
            TenantKind::Organisation,
            row.id("organization_id")?,
            row.text("organization_alias")?,
        ),
        LitellmTable::Teams => (TenantKind::Team, team_id(row)?, row.text("team_alias")?),
        LitellmTable::OrganisationMembers => {
            let organisation = row.id("organization_id")?;
            if organisation.contains(':') {
                return Err(Refused::Because(
                    "organization_id holds a colon, and a member is named `organization:user` here"
                        .to_owned(),
                ));
            }
            let id = format!("{organisation}:{}", row.id("user_id")?);
            (TenantKind::OrganisationMember, id, None)
        }
        LitellmTable::Members => {
            let id = format!("{}:{}", team_id(row)?, row.id("user_id")?);
            (TenantKind::TeamMember, id, None)
        }
        LitellmTable::Customers => (TenantKind::EndUser, row.id("user_id")?, row.text("alias")?),
        LitellmTable::Tags => (TenantKind::Tag, row.id("tag_name")?, None),
        _ => (
            TenantKind::User,
            row.id("user_id")?,
            row.text("user_alias")?,
        ),
    };
    if kind == TenantKind::User && id == LITELLMS_OWN {
        return Err(Refused::LeftOut(
            "is LiteLLM's own sum over everybody: a budget of the whole gateway begins at nothing",
        ));
    }
    if kind == TenantKind::EndUser && !context.rules.has_customer_budget() && says_nothing(row)? {
        return Err(Refused::LeftOut(
            "has spent and nothing else: customers without terms are no rows here",
        ));
    }
    let mut remarks = BTreeSet::new();
    let (created, updated) = times(row, context.now)?;
    let mut tenant = TenantRow {
        alias,
        organisation: row.name("organization_id")?.map(OrganisationId::new),
        budget_id: budget_id(kind, row)?,
        blocked: row.get("blocked")?.unwrap_or_default(),
        models: models(kind, row)?,
        created_by: row.text("created_by")?,
        updated_at: updated,
        ..TenantRow::new(kind, id, created)
    };
    if matches!(
        kind,
        TenantKind::Organisation | TenantKind::OrganisationMember
    ) {
        tenant.organisation = None;
    }
    if kind == TenantKind::User {
        tenant.email = row.text("user_email")?;
        tenant.role = Some(user_role(row, &mut remarks)?);
    }
    if kind == TenantKind::TeamMember {
        let role = row.text("role")?.filter(|role| role == "admin");
        tenant.role = Some(role.unwrap_or_else(|| "user".to_owned()));
    }
    if kind == TenantKind::OrganisationMember {
        let role = row.text("user_role")?;
        let known = role.filter(|role| ORGANISATION_ROLES.contains(&role.as_str()));
        tenant.role = Some(known.unwrap_or_else(|| "internal_user".to_owned()));
    }
    if kind == TenantKind::Tag && !tenant.models.is_empty() {
        remarks.insert(Remark::Idle("models"));
    }
    if row.raw("model_id").is_some() {
        remarks.insert(Remark::Lost("model_aliases of a team"));
    }
    tenant.settings = kept(row, PLAIN, IDLE, &mut remarks)?;
    let read = terms::read(row, &mut remarks)?;
    let openings = match kind.subject(&tenant.id) {
        Some(subject) => read.openings(row, &subject, context, &mut remarks)?,
        None => Vec::new(),
    };
    tenant.terms = read.terms;
    Ok(Mapped {
        row: ImportedRow::Tenant(Box::new(tenant)),
        openings,
        remarks,
    })
}

/// A member's are those of the budget that it names.
fn models(kind: TenantKind, row: &SourceRow<'_>) -> Result<Vec<String>, Refused> {
    #[derive(Deserialize)]
    struct Named {
        allowed_models: Option<Vec<String>>,
    }
    match kind {
        TenantKind::Budget => row.texts("allowed_models"),
        TenantKind::TeamMember => {
            let named: Option<Named> = row.get("budget")?;
            Ok(named
                .and_then(|named| named.allowed_models)
                .unwrap_or_default())
        }
        _ => row.texts("models"),
    }
}

/// LiteLLM makes a row for each customer that a request names.
fn says_nothing(row: &SourceRow<'_>) -> Result<bool, Refused> {
    for name in [
        "alias",
        "budget_id",
        "models",
        "blocked",
        "allowed_model_region",
        "default_model",
        "object_permission_id",
    ] {
        if row
            .get::<Value>(name)?
            .is_some_and(|value| !is_empty(&value))
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn team_id(row: &SourceRow<'_>) -> Result<String, Refused> {
    let id = row.id("team_id")?;
    if id.contains(':') {
        return Err(Refused::Because(
            "team_id holds a colon, and a member of a team is named `team:user` here".to_owned(),
        ));
    }
    if id == LITELLMS_PAGES {
        return Err(Refused::LeftOut(
            "is the team of sessions in LiteLLM's pages",
        ));
    }
    Ok(id)
}

/// A budget is named by others, and names none.
fn budget_id(kind: TenantKind, row: &SourceRow<'_>) -> Result<Option<String>, Refused> {
    match kind {
        TenantKind::Budget => Ok(None),
        _ => row.name("budget_id"),
    }
}

fn user_role(row: &SourceRow<'_>, remarks: &mut BTreeSet<Remark>) -> Result<String, Refused> {
    let role = row.text("user_role")?;
    if let Some(role) = &role
        && !USER_ROLES.contains(&role.as_str())
    {
        remarks.insert(Remark::Note(
            "user_role is not known: internal_user here, as LiteLLM treats it",
        ));
    }
    let known = role.filter(|role| USER_ROLES.contains(&role.as_str()));
    Ok(known.unwrap_or_else(|| "internal_user".to_owned()))
}

/// Columns that are kept as they are, where they say something.
pub(super) fn kept(
    row: &SourceRow<'_>,
    plain: &[&'static str],
    idle: &[&'static str],
    remarks: &mut BTreeSet<Remark>,
) -> Result<Map<String, Value>, Refused> {
    let mut kept = Map::new();
    for (names, acts) in [(plain, false), (idle, true)] {
        for &name in names {
            let Some(value) = row.get::<Value>(name)? else {
                continue;
            };
            if is_empty(&value) {
                continue;
            }
            if acts {
                remarks.insert(Remark::Idle(name));
            }
            kept.insert(name.to_owned(), value);
        }
    }
    Ok(kept)
}

/// Whether a value says nothing.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_empty),
    }
}

/// When a row was made and changed.
pub(super) fn times(row: &SourceRow<'_>, now: UnixMs) -> Result<(UnixMs, UnixMs), Refused> {
    let created = row.time("created_at")?.unwrap_or(now);
    Ok((created, row.time("updated_at")?.unwrap_or(created)))
}
