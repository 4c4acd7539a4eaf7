//! `GET /user/spend` and `GET /global/spend`: the tutorial's spend queries. Contract: `endpoints` §9.
//!
//! ```json
//! {"user_id":"u1","total_spend":0.0125,"spend":0.0125,"max_budget":null,"models":{"gpt-4o":0.0125},"keys":[…]}
//! ```

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use serde::Serialize;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{Subject, TeamId, UserId};
use trunkline_actors::money::Usd;

use super::lists::key_names;
use super::range::ever;
use super::sight::Sight;
use super::{ship, sums};
use crate::auth::BudgetState;
use crate::http::admin::PlainUsd;
use crate::http::admin::query::text;
use crate::http::error::ApiError;
use crate::http::extract::{Call, Caller, Own, View};
use crate::http::time::iso;
use crate::storage::reports::{Counting, Facet, Of, Order, Sums};
use crate::storage::{TenantKind, Terms};

/// `/global/spend` looks this far back (LiteLLM's view is called monthly and is 30 days).
const GLOBAL_DAYS: u64 = 30;
const DAY_MS: u64 = 86_400_000;
/// Models, or keys, that are told of.
const MOST_LINES: u32 = 10_000;

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

// === impl UserAnswer ===

impl<'a> UserAnswer<'a> {
    /// What was spent, and what is left of the budget in the period that runs.
    fn of(user_id: &'a str, spent: Usd, terms: &'a Terms, state: &BudgetState) -> Self {
        let left = |budget: Usd| PlainUsd((budget - state.spent).max(Usd::ZERO));
        Self {
            user_id,
            total_spend: PlainUsd(spent),
            spend: PlainUsd(spent),
            max_budget: terms.max_budget.map(PlainUsd),
            remaining_budget: terms.max_budget.map(left),
            budget_duration: terms.budget_duration.as_deref(),
            budget_reset_at: state.resets_at.and_then(iso),
            unpriced_requests: 0,
            models: BTreeMap::new(),
            keys: Vec::new(),
        }
    }
}

/// The caller's own spend, or with `?user_id=` another user's for an administrator.
pub(crate) async fn of_user(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let sight = Sight::of(&caller.identity);
    let user = UserId::new(sight.one_user(&caller.identity, text(&call, "user_id"))?);
    if let Sight::Member { user, team } = &sight {
        return of_member(&call, user, team).await;
    }
    ship(&call).await;
    let store = &call.app().store;
    let spend = store.spend.user_spend(user.clone()).await?;
    let (terms, state) = call.app().payers.of_user(&user).await?;
    Ok(HttpResponse::Ok().json(UserAnswer {
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
        ..UserAnswer::of(user.as_str(), spend.total, &terms, &state)
    }))
}

/// What a team's key is told of its user: what was spent within the team, and of the budget of its membership.
async fn of_member(call: &Call, user: &str, team: &str) -> Result<HttpResponse, ApiError> {
    let by = |facet| Sums {
        days: ever(),
        of: vec![Of::one(Facet::User, user), Of::one(Facet::Team, team)],
        by_day: false,
        by: vec![facet],
        counting: Counting::All,
        order: Order::Name(MOST_LINES),
    };
    let [models, keys] = sums(call, [by(Facet::ModelGroup), by(Facet::Key)]).await?;
    let names = key_names(call, &keys).await?;
    let total = models.iter().map(|line| line.tally.spend).sum();
    let subject = Subject::team_member(&TeamId::new(team), &UserId::new(user));
    let id = subject.id.as_ref().to_owned();
    let app = call.app();
    let member = app.store.tenants.by_id(TenantKind::TeamMember, id).await?;
    let (terms, budget_id) = member.map_or_else(
        || (Terms::default(), None),
        |member| (member.terms, member.budget_id),
    );
    let payers = &app.payers;
    let state = payers.state(&subject, &terms, budget_id.as_deref()).await?;
    Ok(HttpResponse::Ok().json(UserAnswer {
        unpriced_requests: models.iter().map(|line| line.tally.unpriced).sum(),
        models: models
            .iter()
            .filter_map(|line| Some((line.names.first()?.as_str(), PlainUsd(line.tally.spend))))
            .collect(),
        keys: keys
            .iter()
            .filter_map(|line| {
                let name = names.get(line.names.first()?);
                Some(KeyAnswer {
                    key_name: name.map(|name| name.key_name.as_str()),
                    key_alias: name.and_then(|name| name.alias.as_deref()),
                    spend: PlainUsd(line.tally.spend),
                })
            })
            .collect(),
        ..UserAnswer::of(user, total, &terms, &state)
    }))
}

/// Everybody's spend.
pub(crate) async fn global(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    ship(&call).await;
    let budget = call.app().shared.labels.global();
    // Whole days, which are summed already: rows of a part of one may be a hundred thousand.
    let since = UnixMs::now().0.saturating_sub(GLOBAL_DAYS * DAY_MS);
    let since = UnixMs(since - since % DAY_MS);
    let spend = PlainUsd(call.app().store.spend.total_spend(Some(since)).await?);
    Ok(HttpResponse::Ok().json(GlobalAnswer {
        spend,
        total_spend: spend,
        max_budget: PlainUsd(budget.map_or(Usd::ZERO, |budget| budget.terms().limit)),
    }))
}
