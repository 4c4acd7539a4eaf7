//! Fallbacks that are stored in the database: set, shown and removed while the gateway runs. Contract: `endpoints` §5;
//! `general_settings.store_model_in_db` must be on.
//!
//! ```json
//! {"model":"gpt-4o","fallback_models":["claude","gpt-4o-mini"],"fallback_type":"general"}
//! ```
//!
//! Those of a model count instead of what the config file says of it, for every request from the answer on, here and at other
//! replicas within a second.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::json;

use super::fields::Fields;
use super::models::must_store;
use super::query::{text, wrong};
use super::stored_setting::change;
use crate::app::App;
use crate::auth::terms::name as check_name;
use crate::catalogue::{FallbackMap, FallbackType};
use crate::config::RouterSettings;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AdminOnly, Call, Caller, View};

/// Models with fallbacks of their own.
const MOST_MODELS: usize = 1_000;
/// Fallbacks of a model.
const MOST_FALLBACKS: usize = 32;

/// `POST /fallback`.
pub(crate) async fn put(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["model", "fallback_models", "fallback_type"]])?;
    let model = fields.required("model")?.trim().to_owned();
    check_name("model", &model)?;
    let kind = match fields.text("fallback_type")?.set() {
        Some(word) => kind_of(&word)?,
        None => FallbackType::General,
    };
    let targets = fields.texts("fallback_models")?.set().unwrap_or_default();
    must_store(call.app())?;
    check(call.app(), &model, &targets)?;
    let put = |stored: &mut FallbackMap| {
        let known = stored.insert(model.clone(), targets.clone());
        if stored.len() > MOST_MODELS {
            let message = format!(
                "{MOST_MODELS} models have stored fallbacks already. Remove those of one first."
            );
            return Err(wrong("model", message));
        }
        Ok(known.is_some())
    };
    let is_known = change(&call, &caller.identity, kind.setting(), put).await?;
    let done = if is_known { "updated" } else { "created" };
    Ok(HttpResponse::Ok().json(json!({
        "model": model,
        "fallback_models": targets,
        "fallback_type": kind.as_str(),
        "message": format!("Fallback configuration {done} successfully"),
    })))
}

/// `GET /fallback/{model}`: those that count, stored or of the config file.
pub(crate) async fn show(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let (model, kind) = asked(&call)?;
    let app = call.app();
    let router = app.catalogue.settings().over(&app.config.router);
    let targets = written(&router, kind, &model);
    if targets.is_empty() {
        return Err(none(kind, &model));
    }
    Ok(HttpResponse::Ok().json(json!({
        "model": model,
        "fallback_models": targets,
        "fallback_type": kind.as_str(),
    })))
}

/// `DELETE /fallback/{model}`: those of the config file count again.
pub(crate) async fn delete(
    caller: Caller<AdminOnly>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let (model, kind) = asked(&call)?;
    let app = call.app();
    must_store(app)?;
    let remove = |stored: &mut FallbackMap| {
        if stored.remove(&model).is_some() {
            return Ok(());
        }
        if written(&app.config.router, kind, &model).is_empty() {
            return Err(none(kind, &model));
        }
        let message = format!(
            "The {} fallbacks of '{model}' are the config file's. Change router_settings.{} there, or put others in their place with POST /fallback.",
            kind.as_str(),
            kind.key(),
        );
        Err(wrong("model", message))
    };
    change(&call, &caller.identity, kind.setting(), remove).await?;
    Ok(HttpResponse::Ok().json(json!({
        "model": model,
        "fallback_type": kind.as_str(),
        "message": "Fallback configuration deleted successfully",
    })))
}

/// The model and the type that a path and its query name.
fn asked(call: &Call) -> Result<(String, FallbackType), ApiError> {
    let model = call.path("model").unwrap_or_default();
    let kind = match text(call, "fallback_type") {
        Some(word) => kind_of(&word)?,
        None => FallbackType::General,
    };
    Ok((model, kind))
}

fn kind_of(word: &str) -> Result<FallbackType, ApiError> {
    let mut all = FallbackType::ALL.into_iter();
    all.find(|kind| kind.as_str() == word).ok_or_else(|| {
        wrong(
            "fallback_type",
            "'fallback_type' must be general, context_window or content_policy.",
        )
    })
}

/// Whether fallbacks of that model would be asked, and could be.
fn check(app: &App, model: &str, targets: &[String]) -> Result<(), ApiError> {
    let table = app.shared.routing.load();
    let group_of = |name: &str| table.resolve(name).map(|found| found.group);
    match group_of(model) {
        None => {
            let message =
                format!("Model '{model}' not found in router. GET /v1/models lists the models.");
            let err = ApiError::new(Code::NotFound, message);
            return Err(err.status(StatusCode::NOT_FOUND).param("model"));
        }
        // They are looked for by the name of the group, so that they would never be found.
        Some(group) if group.as_str() != model => {
            let message = format!(
                "'{model}' is another name for '{group}'. Set the fallbacks of '{group}'.",
                group = group.as_str()
            );
            return Err(wrong("model", message));
        }
        Some(_) => {}
    }
    let field = "fallback_models";
    if targets.is_empty() || targets.len() > MOST_FALLBACKS {
        let message = format!(
            "'fallback_models' must name the models to fall back to, from 1 to {MOST_FALLBACKS} of them."
        );
        return Err(wrong(field, message));
    }
    for (at, target) in targets.iter().enumerate() {
        let Some(group) = group_of(target) else {
            let message = format!(
                "Invalid fallback models: ['{}']. GET /v1/models lists those that there are.",
                target.chars().take(200).collect::<String>()
            );
            return Err(wrong(field, message));
        };
        if group.as_str() == model {
            let message = format!("Model '{model}' cannot be its own fallback. Name other models.");
            return Err(wrong(field, message));
        }
        if targets.iter().take(at).any(|known| known == target) {
            let message = format!("'fallback_models' names '{target}' twice. Name it once.");
            return Err(wrong(field, message));
        }
    }
    Ok(())
}

/// What settings of routing say of one model; of the default for all others, nothing.
fn written<'r>(router: &'r RouterSettings, kind: FallbackType, model: &str) -> Vec<&'r str> {
    let list = match kind {
        FallbackType::General => Some(&router.fallbacks),
        FallbackType::ContextWindow => router.context_window_fallbacks.as_ref(),
        FallbackType::ContentPolicy => router.content_policy_fallbacks.as_ref(),
    };
    let entries = list.into_iter().flatten();
    entries
        .filter(|(group, _)| group == model)
        .flat_map(|(_, targets)| targets.iter().map(String::as_str))
        .collect()
}

fn none(kind: FallbackType, model: &str) -> ApiError {
    let message = format!(
        "No {} fallbacks configured for model '{model}'. POST /fallback sets them.",
        kind.as_str()
    );
    ApiError::new(Code::NotFound, message).param("model")
}
