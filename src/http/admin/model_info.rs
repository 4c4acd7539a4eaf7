//! `GET /model/info`: the deployments that the caller may use, secrets left out; `model_pages` has the same rows page by page.
//! Contract: `endpoints` §5.

use std::sync::Arc;

use actix_web::HttpResponse;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::cost::{Part, PriceBook};
use crate::dispatch::Target;
use crate::http::error::ApiError;
use crate::http::extract::{AboutModels, Call, Caller};

#[derive(Serialize)]
struct List<'a> {
    data: Vec<Row<'a>>,
}

/// One deployment.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    model_name: &'a str,
    litellm_params: Params<'a>,
    model_info: Info<'a>,
}

/// What is not secret; keys and headers are not fields here, so they cannot slip in.
#[derive(Serialize)]
struct Params<'a> {
    model: String,
    custom_llm_provider: &'a str,
    api_base: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rpm: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tpm: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<u32>,
}

#[derive(Serialize)]
struct Info<'a> {
    id: &'a str,
    db_model: bool,
    /// Absent unless it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<bool>,
    /// Absent unless it is a team's.
    #[serde(skip_serializing_if = "Option::is_none")]
    team_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team_public_model_name: Option<&'a str>,
    key: &'a str,
    litellm_provider: &'a str,
    mode: String,
    max_tokens: Option<u64>,
    max_input_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    input_cost_per_token: Option<Box<RawValue>>,
    output_cost_per_token: Option<Box<RawValue>>,
    cache_read_input_token_cost: Option<Box<RawValue>>,
    #[serde(flatten)]
    rest: &'a Map<String, Value>,
}

/// What is known of a deployment's model: what the config says, else the price book.
pub(super) struct Facts {
    pub(super) mode: String,
    pub(super) max_tokens: Option<u64>,
    pub(super) max_input_tokens: Option<u64>,
    pub(super) max_output_tokens: Option<u64>,
    /// USD per token, as all prices here.
    pub(super) input: Option<Decimal>,
    pub(super) output: Option<Decimal>,
    cache_read: Option<Decimal>,
}

/// All of them, or the one named by `?litellm_model_id=`.
pub(crate) async fn list(
    caller: Caller<AboutModels>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let wanted = call.query("litellm_model_id");
    let app = call.app();
    let (targets, prices) = (app.shared.targets(), app.shared.prices.load());
    let data = targets
        .iter()
        .filter(|target| wanted.as_ref().is_none_or(|id| target.config.id == *id))
        .filter(|target| caller.identity.may_use(&target.config))
        .map(|target| row(&prices, target))
        .collect();
    Ok(HttpResponse::Ok().json(List { data }))
}

/// What is told of a deployment.
pub(super) fn row<'a>(prices: &PriceBook, target: &'a Target) -> Row<'a> {
    let deployment = &target.config;
    let info = &deployment.model_info;
    let team = deployment.team.as_ref();
    let facts = Facts::of(prices, target, &deployment.upstream_model);
    Row {
        model_name: deployment.public_name(),
        litellm_params: Params {
            model: format!("{}/{}", deployment.provider.name, deployment.upstream_model),
            custom_llm_provider: deployment.provider.name,
            api_base: deployment.api_base.as_str(),
            rpm: deployment.rpm,
            tpm: deployment.tpm,
            weight: deployment.weight,
            order: deployment.order,
        },
        model_info: Info {
            id: &deployment.id,
            db_model: deployment.stored_as.is_some(),
            blocked: deployment.blocked.then_some(true),
            team_id: team.map(|team| team.team_id.as_str()),
            team_public_model_name: team.map(|team| team.public_name.as_str()),
            key: info
                .base_model
                .as_deref()
                .unwrap_or(&deployment.upstream_model),
            litellm_provider: deployment.provider.name,
            mode: facts.mode,
            max_tokens: facts.max_tokens,
            max_input_tokens: facts.max_input_tokens,
            max_output_tokens: facts.max_output_tokens,
            input_cost_per_token: facts.input.and_then(number),
            output_cost_per_token: facts.output.and_then(number),
            cache_read_input_token_cost: facts.cache_read.and_then(number),
            rest: &info.rest,
        },
    }
}

// === impl Facts ===

impl Facts {
    pub(super) fn of(prices: &PriceBook, target: &Target, upstream_model: &str) -> Self {
        let info = &target.config.model_info;
        let listed = target.config.listed(prices, upstream_model);
        let listed_output = listed.and_then(|entry| entry.max_output_tokens);
        let price = target
            .price(upstream_model)
            .map(|known| Arc::clone(known.price()))
            .unwrap_or_default();
        Self {
            mode: info
                .mode
                .clone()
                .or_else(|| listed.map(|entry| entry.mode.clone()))
                .unwrap_or_else(|| "chat".to_owned()),
            max_tokens: info.max_tokens.or(listed_output),
            max_input_tokens: info
                .max_input_tokens
                .or(listed.and_then(|entry| entry.max_input_tokens)),
            max_output_tokens: info.max_output_tokens.or(listed_output),
            input: price.of(Part::Input),
            output: price.of(Part::Output),
            cache_read: price.of(Part::CacheRead),
        }
    }
}

/// A price as a plain JSON number, digit for digit.
pub(super) fn number(price: Decimal) -> Option<Box<RawValue>> {
    RawValue::from_string(price.normalize().to_string()).ok()
}
