//! What only shared budgets have: a list of what can be set on them.

use actix_web::HttpResponse;
use serde_json::json;

use super::super::query::{text, wrong};
use super::super::reach::{Hold, Reach};
use super::BUDGET;
use super::access::find;
use super::answer::shown;
use crate::http::error::ApiError;
use crate::http::extract::{Call, Caller, View};

/// Members of a shared budget that forms offer, each with its type and what it does.
const SETTINGS: [(&str, &str, &str); 8] = [
    (
        "max_budget",
        "Float",
        "Refuses requests once so many USD are spent.",
    ),
    (
        "soft_budget",
        "Float",
        "USD after which it is told, and nothing refused.",
    ),
    (
        "max_parallel_requests",
        "Integer",
        "Requests at the same time.",
    ),
    ("tpm_limit", "Integer", "Tokens a minute."),
    ("rpm_limit", "Integer", "Requests a minute."),
    ("tpd_limit", "Integer", "Tokens a day."),
    (
        "budget_duration",
        "String",
        "How long until spending begins anew, such as 1h, 7d or 30d.",
    ),
    (
        "model_max_budget",
        "Object",
        "Budgets of single models, such as {\"gpt-4o\": {\"budget_limit\": 1, \"time_period\": \"1d\"}}.",
    ),
];

/// `GET /budget/settings?budget_id=`: what can be set on a shared budget, with what is.
///
/// ```json
/// [{"field_name": "max_budget", "field_type": "Float", "field_description": "…", "field_value": 5,
///   "field_default_value": null, "stored_in_db": true}]
/// ```
pub(crate) async fn settings(caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let id = text(&call, "budget_id").ok_or_else(|| {
        wrong(
            "budget_id",
            "'budget_id' is missing: write the id of a budget that GET /budget/list shows.",
        )
    })?;
    let reach = Reach::of(&call, &caller.identity).await?;
    let row = find(&call, &reach, &BUDGET, &id, Hold::Sees).await?;
    let set = shown(&row)?;
    let settings = SETTINGS.map(|(name, kind, description)| {
        json!({
            "field_name": name,
            "field_type": kind,
            "field_description": description,
            "field_value": set.get(name),
            "field_default_value": null,
            "stored_in_db": true,
        })
    });
    Ok(HttpResponse::Ok().json(settings))
}
