//! `GET /v1/models` and `/v1/models/{id}`: what the caller may use. Shape: contract `endpoints` §1.2.
//!
//! ```json
//! {"data":[{"id":"gpt-4o","object":"model","created":1677610602,"owned_by":"openai"}],"object":"list"}
//! ```

use actix_web::HttpResponse;
use serde::Serialize;

use crate::app::App;
use crate::auth::{Identity, may_use_model};
use crate::config::DeploymentConfig;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AnyKey, Call, Caller};

/// LiteLLM's constant; clients sort by it but never read it.
const CREATED: u64 = 1_677_610_602;

#[derive(Serialize)]
struct List {
    data: Vec<Model>,
    object: &'static str,
}

#[derive(Serialize)]
struct Model {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
}

/// All of them.
pub(crate) async fn list(caller: Caller<AnyKey>, call: Call) -> HttpResponse {
    HttpResponse::Ok().json(List {
        data: visible(call.app(), &caller.identity),
        object: "list",
    })
}

/// One of them.
pub(crate) async fn show(caller: Caller<AnyKey>, call: Call) -> Result<HttpResponse, ApiError> {
    let id = call
        .request
        .match_info()
        .get("id")
        .unwrap_or_default()
        .to_owned();
    visible(call.app(), &caller.identity)
        .into_iter()
        .find(|model| model.id == id)
        .map(|model| HttpResponse::Ok().json(model))
        .ok_or_else(|| {
            ApiError::new(
                Code::NotFound,
                format!("The model `{id}` does not exist or is not accessible. GET /v1/models lists yours."),
            )
            .param("model")
        })
}

/// Groups in the order of the config, a provider wildcard as the models of it that the price book knows, then aliases.
fn visible(app: &App, identity: &Identity) -> Vec<Model> {
    let mut models: Vec<Model> = Vec::new();
    for deployment in &app.config.deployments {
        let name = &deployment.model_name;
        if name.contains('*') {
            for id in expand(app, deployment) {
                add(&mut models, app, identity, &id, deployment);
            }
        } else {
            add(&mut models, app, identity, name, deployment);
        }
    }
    for (alias, group) in &app.config.router.model_group_alias {
        if let Some(deployment) = app
            .config
            .deployments
            .iter()
            .find(|known| known.model_name == *group)
        {
            add(&mut models, app, identity, alias, deployment);
        }
    }
    models
}

fn add(
    models: &mut Vec<Model>,
    app: &App,
    identity: &Identity,
    id: &str,
    deployment: &DeploymentConfig,
) {
    let allowed = identity
        .key()
        .is_none_or(|key| may_use_model(&key.row.models, id, &deployment.model_info.access_groups));
    if !allowed || models.iter().any(|known| known.id == id) {
        return;
    }
    let upstream = deployment.upstream_model.as_str();
    let listed = app.shared.prices.lookup(deployment.provider.name, upstream);
    let info = &deployment.model_info;
    models.push(Model {
        id: id.to_owned(),
        object: "model",
        created: CREATED,
        owned_by: "openai",
        mode: info
            .mode
            .clone()
            .or_else(|| listed.map(|entry| entry.mode.clone())),
        max_input_tokens: info
            .max_input_tokens
            .or(listed.and_then(|entry| entry.max_input_tokens)),
        max_output_tokens: info
            .max_output_tokens
            .or(listed.and_then(|entry| entry.max_output_tokens)),
    });
}

/// `openai/*` as `openai/gpt-4o`, …; another pattern stays as it is.
fn expand(app: &App, deployment: &DeploymentConfig) -> Vec<String> {
    let name = &deployment.model_name;
    let (Some(prefix), "*") = (name.strip_suffix('*'), deployment.upstream_model.as_str()) else {
        return vec![name.clone()];
    };
    let known: Vec<String> = app
        .shared
        .prices
        .models(deployment.provider.name)
        .into_iter()
        .map(|model| format!("{prefix}{model}"))
        .collect();
    if known.is_empty() {
        vec![name.clone()]
    } else {
        known
    }
}
