//! `GET /model_group/info`: what there is to know of each name that the caller may use. Contract: `endpoints` §5.
//!
//! ```json
//! {"data":[{"model_group":"gpt-4o","providers":["azure","openai"],"max_input_tokens":128000,"max_output_tokens":16384,
//!  "input_cost_per_token":0.0000025,"output_cost_per_token":0.00001,"mode":"chat","tpm":100000,"rpm":null,
//!  "supports_vision":true,"supported_openai_params":["frequency_penalty","max_tokens"]}]}
//! ```
//!
//! A group of several deployments has the largest of their windows and prices, the sum of their limits, and what any of them
//! is said to support. `supports_*` are what `model_info` says: of what it does not say nothing is claimed.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::model_info::{Facts, number};
use crate::cost::PriceBook;
use crate::http::error::ApiError;
use crate::http::extract::{AboutModels, Call, Caller};
use crate::http::openai::models::visible;
use crate::http::served::{Served, served};
use crate::http::utils::supported_params::of_all;

#[derive(Serialize)]
struct List {
    data: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    model_group: String,
    providers: BTreeSet<&'static str>,
    max_input_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    input_cost_per_token: Option<Box<RawValue>>,
    output_cost_per_token: Option<Box<RawValue>>,
    mode: String,
    tpm: Option<u64>,
    rpm: Option<u64>,
    #[serde(flatten)]
    supports: Map<String, Value>,
    supported_openai_params: Vec<&'static str>,
}

/// All of them, or the one named by `?model_group=`.
pub(crate) async fn list(
    caller: Caller<AboutModels>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let wanted = call.query("model_group");
    let (app, identity) = (call.app(), &caller.identity);
    let prices = app.shared.prices.load();
    let data = visible(app, identity, false)
        .into_iter()
        .filter(|visible| wanted.as_ref().is_none_or(|wanted| visible.id == *wanted))
        .filter_map(|visible| {
            let served = served(app, identity, &visible.id)?;
            Some(Group::of(visible.id, &served, &prices))
        })
        .collect();
    Ok(HttpResponse::Ok().json(List { data }))
}

// === impl Group ===

impl Group {
    fn of(name: String, served: &[Served], prices: &PriceBook) -> Self {
        let facts: Vec<Facts> = served
            .iter()
            .map(|served| Facts::of(prices, &served.target, &served.upstream_model))
            .collect();
        let configs = || served.iter().map(|served| &served.target.config);
        let largest = |of: fn(&Facts) -> Option<u64>| facts.iter().filter_map(of).max();
        let dearest = |of: fn(&Facts) -> Option<Decimal>| facts.iter().filter_map(of).max();
        let mut supports = Map::new();
        for (flag, value) in configs().flat_map(|config| &config.model_info.rest) {
            if flag.starts_with("supports_") && supports.get(flag) != Some(&Value::Bool(true)) {
                supports.insert(flag.clone(), value.clone());
            }
        }
        Self {
            model_group: name,
            providers: configs().map(|config| config.provider.name).collect(),
            max_input_tokens: largest(|facts| facts.max_input_tokens),
            max_output_tokens: largest(|facts| facts.max_output_tokens),
            input_cost_per_token: dearest(|facts| facts.input).and_then(number),
            output_cost_per_token: dearest(|facts| facts.output).and_then(number),
            mode: facts
                .into_iter()
                .next()
                .map_or_else(|| "chat".to_owned(), |facts| facts.mode),
            tpm: sum(configs().map(|config| config.tpm)),
            rpm: sum(configs().map(|config| config.rpm)),
            supports,
            supported_openai_params: of_all(served),
        }
    }
}

/// The sum of what is limited; `None` if nothing is.
fn sum(limits: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    limits.flatten().reduce(u64::saturating_add)
}
