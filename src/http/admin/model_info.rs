//! `GET /model/info`: the deployments that the caller may use, secrets left out. Contract: `endpoints` §5.

use std::sync::Arc;

use actix_web::HttpResponse;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use trunkline_actors::ids::DeploymentId;

use crate::config::DeploymentConfig;
use crate::cost::{Part, PriceBook};
use crate::dispatch::Shared;
use crate::http::error::ApiError;
use crate::http::extract::{AboutModels, Call, Caller};

#[derive(Serialize)]
struct List<'a> {
    data: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
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
    key: &'a str,
    litellm_provider: &'a str,
    mode: &'a str,
    max_tokens: Option<u64>,
    max_input_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    input_cost_per_token: Option<Box<RawValue>>,
    output_cost_per_token: Option<Box<RawValue>>,
    cache_read_input_token_cost: Option<Box<RawValue>>,
    #[serde(flatten)]
    rest: &'a Map<String, Value>,
}

/// All of them, or the one named by `?litellm_model_id=`.
pub(crate) async fn list(
    caller: Caller<AboutModels>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let wanted = call.query("litellm_model_id");
    let app = call.app();
    let prices = app.shared.prices.load();
    let data = app
        .config
        .deployments
        .iter()
        .filter(|deployment| wanted.as_ref().is_none_or(|id| deployment.id == *id))
        .filter(|deployment| caller.identity.may_use(deployment))
        .map(|deployment| row(&app.shared, &prices, deployment))
        .collect();
    Ok(HttpResponse::Ok().json(List { data }))
}

fn row<'a>(shared: &Shared, prices: &'a PriceBook, deployment: &'a DeploymentConfig) -> Row<'a> {
    let info = &deployment.model_info;
    let listed = deployment.listed(prices, &deployment.upstream_model);
    let target = shared
        .targets
        .get(&DeploymentId::from(deployment.id.as_str()));
    let price = target
        .and_then(|target| target.price(&deployment.upstream_model))
        .map(|known| Arc::clone(known.price()))
        .unwrap_or_default();
    Row {
        model_name: &deployment.model_name,
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
            db_model: false,
            key: info
                .base_model
                .as_deref()
                .unwrap_or(&deployment.upstream_model),
            litellm_provider: deployment.provider.name,
            mode: info
                .mode
                .as_deref()
                .or_else(|| listed.map(|entry| entry.mode.as_str()))
                .unwrap_or("chat"),
            max_tokens: info
                .max_tokens
                .or(listed.and_then(|entry| entry.max_output_tokens)),
            max_input_tokens: info
                .max_input_tokens
                .or(listed.and_then(|entry| entry.max_input_tokens)),
            max_output_tokens: info
                .max_output_tokens
                .or(listed.and_then(|entry| entry.max_output_tokens)),
            input_cost_per_token: price.of(Part::Input).and_then(number),
            output_cost_per_token: price.of(Part::Output).and_then(number),
            cache_read_input_token_cost: price.of(Part::CacheRead).and_then(number),
            rest: &info.rest,
        },
    }
}

/// A price as a plain JSON number, digit for digit.
fn number(price: Decimal) -> Option<Box<RawValue>> {
    RawValue::from_string(price.normalize().to_string()).ok()
}
