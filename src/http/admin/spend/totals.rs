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
use crate::http::error::ApiError;
use crate::http::extract::{AdminOnly, AnyKey, Call, Caller};
use crate::storage::TenantKind;

/// `/global/spend` looks this far back (LiteLLM's view is called monthly and is 30 days).
const GLOBAL_DAYS: u64 = 30;

#[derive(Serialize)]
struct UserAnswer<'a> {
    user_id: &'a str,
    total_spend: PlainUsd,
    spend: PlainUsd,
    max_budget: Option<PlainUsd>,
    remaining_budget: Option<PlainUsd>,
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
    let row = store
        .tenants
        .by_id(TenantKind::User, user.as_str().to_owned())
        .await?;
    let spend = store.spend.user_spend(user.clone()).await?;
    let max_budget = row.and_then(|row| row.terms.max_budget);
    Ok(HttpResponse::Ok().json(UserAnswer {
        user_id: user.as_str(),
        total_spend: PlainUsd(spend.total),
        spend: PlainUsd(spend.total),
        max_budget: max_budget.map(PlainUsd),
        remaining_budget: max_budget.map(|budget| PlainUsd((budget - spend.total).max(Usd::ZERO))),
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
    let since = UnixMs(UnixMs::now().0.saturating_sub(GLOBAL_DAYS * 86_400_000));
    let spend = PlainUsd(call.app().store.spend.total_spend(Some(since)).await?);
    Ok(HttpResponse::Ok().json(GlobalAnswer {
        spend,
        total_spend: spend,
        max_budget: PlainUsd(Usd::ZERO),
    }))
}
