//! `GET /v1/models` and `/v1/models/{id}`: what the caller may use. Shape: contract `endpoints` §1.2.
//!
//! ```json
//! {"data":[{"id":"gpt-4o","object":"model","created":1677610602,"owned_by":"openai"}],"object":"list"}
//! ```

use std::collections::HashSet;

use actix_web::HttpResponse;
use serde::Serialize;

use crate::app::App;
use crate::auth::Identity;
use crate::config::DeploymentConfig;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AboutModels, Call, Caller};

/// LiteLLM's constant; clients sort by it but never read it.
const CREATED: u64 = 1_677_610_602;

#[derive(Serialize)]
struct List {
    data: Vec<Model>,
    object: &'static str,
}

#[derive(Serialize)]
pub(crate) struct Model {
    pub(crate) id: String,
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
pub(crate) async fn list(caller: Caller<AboutModels>, call: Call) -> HttpResponse {
    let healthy_only = call.app().config.health.list_healthy_only;
    HttpResponse::Ok().json(List {
        data: visible(call.app(), &caller.identity, healthy_only),
        object: "list",
    })
}

/// One of them.
pub(crate) async fn show(
    caller: Caller<AboutModels>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let id = call.path("id").unwrap_or_default();
    visible(call.app(), &caller.identity, false)
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

/// With `healthy_only`, without groups whose checks all failed; never with groups that are paused as a whole. Groups in the order of the config, a provider wildcard as the models of it that the price book knows, then aliases.
pub(crate) fn visible(app: &App, identity: &Identity, healthy_only: bool) -> Vec<Model> {
    let mut seen = HashSet::new();
    let mut models = Vec::new();
    let mut add = |id: &str, upstream_model: &str, deployment: &DeploymentConfig| {
        if identity.may_use_as(id, deployment) && seen.insert(id.to_owned()) {
            models.push(model(app, id, upstream_model, deployment));
        }
    };
    let is_listed = |deployment: &&DeploymentConfig| {
        let is_well = !healthy_only || !app.is_unhealthy(&deployment.id);
        is_well && !deployment.blocked
    };
    let targets = app.shared.targets();
    for deployment in targets.configs().filter(is_listed) {
        let team = deployment.team.as_ref();
        let own = team.filter(|team| {
            targets.team_group(identity, &team.public_name) == Some(&deployment.model_name)
        });
        let name = own.map_or(&deployment.model_name, |team| &team.public_name);
        let upstream = &deployment.upstream_model;
        let known = match (name.strip_suffix('*'), upstream.as_str()) {
            (Some(prefix), "*") => {
                let prices = app.shared.prices.load();
                let known = prices.models(deployment.provider.name);
                for model in &known {
                    add(&format!("{prefix}{model}"), model, deployment);
                }
                known.len()
            }
            _ => 0,
        };
        // A pattern that nothing is known of stays as it is.
        if known == 0 {
            add(name, upstream, deployment);
        }
    }
    for (alias, group) in &app.config.router.model_group_alias {
        let mut deployments = targets.configs().filter(is_listed);
        if let Some(deployment) = deployments.find(|known| known.model_name == *group) {
            add(alias, &deployment.upstream_model, deployment);
        }
    }
    models
}

fn model(app: &App, id: &str, upstream_model: &str, deployment: &DeploymentConfig) -> Model {
    let prices = app.shared.prices.load();
    let listed = deployment.listed(&prices, upstream_model);
    let info = &deployment.model_info;
    Model {
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
    }
}
