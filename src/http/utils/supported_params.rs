//! `GET /utils/supported_openai_params?model=`: which of OpenAI's chat parameters a model takes. Contract: `endpoints` §7.
//!
//! ```json
//! {"supported_openai_params": ["frequency_penalty", "max_tokens", "stream", "temperature", "tools"]}
//! ```
//!
//! Those that every deployment behind the name takes. A parameter that is not among them is a 400 for some values, or dropped
//! under `drop_params`.

use actix_web::HttpResponse;
use serde::Serialize;
use trunkline_wire::supported_params;

use crate::config::{Provider, resolve_model};
use crate::dispatch::dialect;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AboutModels, Call, Caller};
use crate::http::served::{Served, served};

#[derive(Serialize)]
struct Answer {
    supported_openai_params: Vec<&'static str>,
}

/// Of a name that is served here, or of a provider's model (`provider/model`).
pub(crate) async fn list(
    caller: Caller<AboutModels>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let wrong = |message: String| ApiError::new(Code::BadRequest, message).param("model");
    let model = call
        .query("model")
        .filter(|model| !model.is_empty())
        .ok_or_else(|| wrong("Missing required parameter: 'model'.".to_owned()))?;
    let params = match served(call.app(), &caller.identity, &model) {
        Some(served) if !served.is_empty() => of_all(&served),
        _ => {
            let prices = call.app().shared.prices.load();
            let known_openai = |name: &str| prices.lookup("openai", name).is_some();
            let (provider, model) =
                resolve_model(&model, None, None, &known_openai).map_err(|err| {
                    wrong(format!(
                        "{err}: GET /v1/models lists the names that are served."
                    ))
                })?;
            of_model(provider, &model)
        }
    };
    Ok(HttpResponse::Ok().json(Answer {
        supported_openai_params: params,
    }))
}

fn of_model(provider: &Provider, model: &str) -> Vec<&'static str> {
    supported_params(dialect(provider), provider.name, model)
}

/// What every one of them takes.
pub(crate) fn of_all(served: &[Served]) -> Vec<&'static str> {
    let mut all = served.iter().map(
        |Served {
             target,
             upstream_model,
         }| { of_model(target.config.provider, upstream_model) },
    );
    let first = all.next().unwrap_or_default();
    all.fold(first, |mut both, next| {
        both.retain(|param| next.contains(param));
        both
    })
}
