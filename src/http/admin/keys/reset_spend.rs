//! `POST /key/{key}/reset_spend`: the key's budgets begin anew, with `reset_to` spent already.
//!
//! ```json
//! {"reset_to": 0.0}
//! ```

use actix_web::HttpResponse;
use serde::Serialize;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::Subject;

use super::super::PlainUsd;
use super::super::fields::Fields;
use super::update::store;
use super::{find, spent};
use crate::http::error::ApiError;
use crate::http::extract::{AdminOnly, Call, Caller};
use crate::http::time::iso;

#[derive(Debug, Serialize)]
struct Response<'a> {
    key_hash: &'a str,
    spend: PlainUsd,
    previous_spend: PlainUsd,
    max_budget: Option<PlainUsd>,
    budget_reset_at: Option<String>,
}

/// Resets a key.
pub(crate) async fn reset(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    let to = fields.reset_to()?;
    let named = call.path("key").unwrap_or_default();
    let mut row = find(&call, &named).await?;
    let before = spent(&call, &row).await?;
    let subject = Subject::from(&row.id);
    let budget_id = row.budget_id.clone();
    let payers = &call.app().payers;
    payers
        .reset(&subject, &mut row.terms, budget_id.as_deref(), to)
        .await?;
    row.updated_at = UnixMs::now();
    store(&call, &caller.identity, &row).await?;
    Ok(HttpResponse::Ok().json(Response {
        key_hash: row.id.as_str(),
        spend: PlainUsd(to),
        previous_spend: PlainUsd(before.window),
        max_budget: row.terms.max_budget.map(PlainUsd),
        budget_reset_at: before.resets_at.and_then(iso),
    }))
}
