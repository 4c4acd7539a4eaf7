//! `GET /user/spend` and `GET /global/spend`: the tutorial's spend queries. Contract: `endpoints` §9.
//!
//! ```json
//! {"user_id":"u1","total_spend":0.0125,"spend":0.0125,"max_budget":null,"models":{"gpt-4o":0.0125},"keys":[…]}
//! ```

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use serde::Serialize;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::UserId;
use trunkline_actors::money::Usd;

use super::range::text;
use super::ship;
use super::sight::Sight;
use crate::http::admin::PlainUsd;
use crate::http::admin::terms::iso;
use crate::http::error::ApiError;
use crate::http::extract::{AdminOnly, AnyKey, Call, Caller};

/// `/global/spend` looks this far back (LiteLLM's view is called monthly and is 30 days).
const GLOBAL_DAYS: u64 = 30;

#[derive(Serialize)]
struct UserAnswer<'a> {
    user_id: &'a str,
    total_spend: PlainUsd,
    spend: PlainUsd,
    max_budget: Option<PlainUsd>,
    /// Of the period that runs.
    remaining_budget: Option<PlainUsd>,
    budget_duration: Option<&'a str>,
    budget_reset_at: Option<String>,
    unpriced_requests: u64,
    models: BTreeMap<&'a str, PlainUsd>,
    keys: Vec<KeyAnswer<'a>>,
}

#[derive(Serialize)]
struct KeyAnswer<'a> {
    key_name: Option<&'a str>,
    key_alias: Option<&'a str>,
    spend: PlainUsd,
}

#[derive(Serialize)]
struct GlobalAnswer {
    spend: PlainUsd,
    total_spend: PlainUsd,
    max_budget: PlainUsd,
}

/// The caller's own spend, or with `?user_id=` another user's for an administrator.
pub(crate) async fn of_user(caller: Caller<AnyKey>, call: Call) -> Result<HttpResponse, ApiError> {
    let sight = Sight::of(&caller.identity);
    let user = UserId::new(sight.one_user(&caller.identity, text(&call, "user_id"))?);
    ship(&call).await;
    let store = &call.app().store;
    let spend = store.spend.user_spend(user.clone()).await?;
    let (terms, state) = call.app().payers.of_user(&user).await?;
    let max_budget = terms.max_budget;
    Ok(HttpResponse::Ok().json(UserAnswer {
        user_id: user.as_str(),
        total_spend: PlainUsd(spend.total),
        spend: PlainUsd(spend.total),
        max_budget: max_budget.map(PlainUsd),
        remaining_budget: max_budget.map(|budget| PlainUsd((budget - state.spent).max(Usd::ZERO))),
        budget_duration: terms.budget_duration.as_deref(),
        budget_reset_at: state.resets_at.and_then(iso),
        unpriced_requests: spend.unpriced_requests,
        models: spend
            .models
            .iter()
            .map(|(model, amount)| (model.as_str(), PlainUsd(*amount)))
            .collect(),
        keys: spend
            .keys
            .iter()
            .map(|key| KeyAnswer {
                key_name: key.key_name.as_deref(),
                key_alias: key.alias.as_deref(),
                spend: PlainUsd(key.spend),
            })
            .collect(),
    }))
}

/// Everybody's spend.
pub(crate) async fn global(
    _caller: Caller<AdminOnly>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    ship(&call).await;
    let budget = call.app().shared.labels.global();
    let since = UnixMs(UnixMs::now().0.saturating_sub(GLOBAL_DAYS * 86_400_000));
    let spend = PlainUsd(call.app().store.spend.total_spend(Some(since)).await?);
    Ok(HttpResponse::Ok().json(GlobalAnswer {
        spend,
        total_spend: spend,
        max_budget: PlainUsd(budget.map_or(Usd::ZERO, |budget| budget.terms().limit)),
    }))
}
