//! A tenant as answers show it: its row, its terms, and what it has spent.

use serde_json::{Map, Value, json};
use trunkline_actors::ids::OrganisationId;

use super::super::PlainUsd;
use super::super::reach::Reach;
use super::super::terms::Shown;
use super::Family;
use crate::auth::BudgetState;
use crate::http::error::{ApiError, Code};
use crate::http::extract::Call;
use crate::http::time::iso;
use crate::storage::{TenantKind, TenantRow};

/// The members of a row, as the caller is told of them.
pub(super) async fn tenant_answer(
    call: &Call,
    reach: &Reach,
    family: &Family,
    row: &TenantRow,
) -> Result<Map<String, Value>, ApiError> {
    let mut out = shown(row)?;
    out.insert(family.id.to_owned(), json!(row.id));
    if let Some(alias) = family.alias {
        out.insert(alias.to_owned(), json!(row.alias));
    }
    if row.kind == TenantKind::User {
        out.insert("user_email".to_owned(), json!(row.email));
        out.insert("user_role".to_owned(), json!(row.role));
    }
    // What a user spends beyond the team is not for who manages the team.
    let shows_spend = row.kind != TenantKind::User || reach.within().is_none();
    if let Some(state) = state(call, row).await? {
        if shows_spend {
            out.insert("spend".to_owned(), json!(PlainUsd(state.spent)));
        }
        let resets_at = state.resets_at.and_then(iso);
        out.insert("budget_reset_at".to_owned(), json!(resets_at));
    }
    Ok(out)
}

/// What a row says, without its id and its spend.
pub(super) fn shown(row: &TenantRow) -> Result<Map<String, Value>, ApiError> {
    let terms = serde_json::to_value(Shown::of(&row.terms));
    let Ok(Value::Object(mut out)) = terms else {
        return Err(ApiError::new(
            Code::Internal,
            "The terms of this row cannot be written as JSON.",
        ));
    };
    let organisation = row.organisation.as_ref().map(OrganisationId::as_str);
    for (name, value) in [
        ("organization_id", json!(organisation)),
        ("budget_id", json!(row.budget_id)),
        ("models", json!(row.models)),
        ("blocked", json!(row.blocked)),
        ("metadata", json!({})),
        ("created_at", json!(iso(row.created_at))),
        ("created_by", json!(row.created_by)),
        ("updated_at", json!(iso(row.updated_at))),
    ] {
        out.insert(name.to_owned(), value);
    }
    // A shared budget is none of its own.
    if row.kind == TenantKind::Budget {
        out.remove("organization_id");
    }
    out.extend(row.settings.clone());
    Ok(out)
}

/// What it has spent; a shared budget is spent by each for itself.
pub(super) async fn state(call: &Call, row: &TenantRow) -> Result<Option<BudgetState>, ApiError> {
    let Some(subject) = row.kind.subject(&row.id) else {
        return Ok(None);
    };
    let payers = &call.app().payers;
    let budget_id = row.budget_id.as_deref();
    Ok(Some(payers.state(&subject, &row.terms, budget_id).await?))
}
