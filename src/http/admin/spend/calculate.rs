//! `POST /spend/calculate`: what a call would cost, or did. Contract: `endpoints` §6.
//!
//! ```json
//! {"model":"gpt-5","messages":[{"role":"user","content":"hi"}]}
//! ```
//! is answered by `{"cost":0.0000125}`: what the prompt costs, counted here and priced as the model's deployment is. With
//! `{"completion_response":{"model":"gpt-5","usage":{…}}}` it is what that answer cost, by its usage.
//!
//! A model that the gateway serves has its deployment's price; another one its price in the list.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::HttpResponse;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use trunkline_wire::openai;
use trunkline_wire::usage::Usage;

use crate::app::App;
use crate::auth::Identity;
use crate::cost::{CostBreakdown, Price, ServiceTier, Units, cost};
use crate::http::admin::PlainUsd;
use crate::http::admin::query::wrong;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AboutModels, Call, Caller};
use crate::http::served::served;
use crate::tokenizer::{Tokenizer, count_chat_in_background};

#[derive(Serialize)]
struct Answer {
    cost: PlainUsd,
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// A model with its price.
pub(super) struct Priced {
    /// The provider's name for it.
    pub(super) model: String,
    /// Who serves it.
    pub(super) provider: String,
    /// USD for each part.
    pub(super) price: Arc<Price>,
}

/// What a prompt would cost, or what an answer did.
pub(crate) async fn calculate(
    caller: Caller<AboutModels>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let members: Members<'_> = serde_json::from_slice(&body).map_err(|err| {
        wrong(
            "request_body",
            format!("The request body must be a JSON object: {err}."),
        )
    })?;
    let given = |name: &str| members.get(name).filter(|raw| raw.get() != "null");
    let app = call.app();
    let cost = match (given("model"), given("completion_response")) {
        (Some(model), _) => {
            if given("messages").is_none() {
                return Err(wrong(
                    "messages",
                    "'messages' must be provided with 'model'.",
                ));
            }
            let model = text("model", model)?;
            of_prompt(app, &caller.identity, &model, body.clone()).await?
        }
        (None, Some(answer)) => of_answer(app, &caller.identity, answer)?,
        (None, None) => {
            return Err(wrong(
                "model",
                "Either 'model' with 'messages', or 'completion_response' must be provided.",
            ));
        }
    };
    Ok(HttpResponse::Ok().json(Answer {
        cost: PlainUsd(cost.total),
    }))
}

async fn of_prompt(
    app: &App,
    identity: &Identity,
    model: &str,
    body: Bytes,
) -> Result<CostBreakdown, ApiError> {
    let priced = priced(app, identity, model, Code::BadRequest)?;
    let tokens = count_chat_in_background(Tokenizer::for_model(&priced.model), body).await?;
    let usage = Usage::plain(u64::try_from(tokens).unwrap_or(u64::MAX), 0);
    breakdown(&priced, &usage, Code::BadRequest)
}

fn of_answer(app: &App, identity: &Identity, answer: &RawValue) -> Result<CostBreakdown, ApiError> {
    const PARAM: &str = "completion_response";
    let members: Members<'_> = serde_json::from_str(answer.get()).map_err(|_no_object| {
        wrong(
            PARAM,
            "'completion_response' must be a chat completion object.",
        )
    })?;
    let model = members
        .get("model")
        .ok_or_else(|| wrong(PARAM, "'completion_response' has no 'model'."))?;
    let model = text(PARAM, model)?;
    let usage = members
        .get("usage")
        .and_then(|usage| openai::usage::parse((*usage).into()))
        .ok_or_else(|| {
            wrong(
                PARAM,
                "'completion_response' has no 'usage' with prompt_tokens and completion_tokens.",
            )
        })?;
    let priced = priced(app, identity, &model, Code::BadRequest)?;
    breakdown(&priced, &usage, Code::BadRequest)
}

/// What that usage costs.
pub(super) fn breakdown(
    priced: &Priced,
    usage: &Usage,
    unknown: Code,
) -> Result<CostBreakdown, ApiError> {
    cost(
        usage,
        &priced.price,
        &Units::default(),
        ServiceTier::Standard,
    )
    .ok_or_else(|| no_price(&priced.model, unknown))
}

fn text(param: &'static str, raw: &RawValue) -> Result<String, ApiError> {
    serde_json::from_str(raw.get()).map_err(|_no_string| wrong(param, "'model' must be a string."))
}

fn no_price(model: &str, code: Code) -> ApiError {
    ApiError::new(
        code,
        format!(
            "No price is known for {model}. Write one of GET /v1/models, or a model of the price list as provider/model."
        ),
    )
    .param("model")
}

/// The price of a model: that of the first deployment that the caller may use and that has one, else the list's. `unknown`
/// is what it is if there is none.
pub(super) fn priced(
    app: &App,
    identity: &Identity,
    name: &str,
    unknown: Code,
) -> Result<Priced, ApiError> {
    if let Some(served) = served(app, identity, name) {
        let found = served.into_iter().find_map(|served| {
            let price = served.target.price(&served.upstream_model)?;
            Some(Priced {
                model: served.upstream_model,
                provider: served.target.config.provider.name.to_owned(),
                price: Arc::clone(price.price()),
            })
        });
        return found.ok_or_else(|| no_price(name, unknown));
    }
    let book = app.shared.prices.load();
    let listed = name
        .split_once('/')
        .and_then(|(provider, model)| Some((provider, model, book.lookup(provider, model)?)));
    // Several providers may list a name: the first by name, so that the answer is the same each time.
    let listed = listed.or_else(|| {
        book.entries()
            .filter(|(_, model, _)| *model == name)
            .min_by_key(|(provider, ..)| (*provider != "openai", *provider))
    });
    let (provider, model, entry) = listed.ok_or_else(|| no_price(name, unknown))?;
    Ok(Priced {
        model: model.to_owned(),
        provider: provider.to_owned(),
        price: Arc::clone(&entry.price),
    })
}
