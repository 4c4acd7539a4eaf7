//! `POST /utils/token_counter`: how many tokens a request has. Contract: `endpoints` §7.
//!
//! ```json
//! {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "tools": [], "system": "Be short."}
//! ```
//! is answered by
//! ```json
//! {"total_tokens":15,"request_model":"gpt-4o","model_used":"gpt-4o","tokenizer_type":"openai_tokenizer","count_source":"local_estimate",
//!  "original_response":null,"error":false,"error_message":null,"status_code":null,"vocabulary":"o200k_base","estimated":false}
//! ```
//!
//! No provider is asked, whatever `?call_endpoint=` says: `count_source` tells. `vocabulary` and `estimated` are ours: `estimated` is
//! true if the model's own tokenizer is another one.

use actix_web::HttpResponse;
use bytes::Bytes;
use serde::Serialize;

use trunkline_wire::json::{Object, Raw};
use trunkline_wire::request::BadRequest;

use crate::app::App;
use crate::auth::Identity;
use crate::dispatch::DispatchError;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AboutModels, Call, Caller};
use crate::http::served::served;
use crate::tokenizer::{CountError, Tokenizer, count_chat_in_background};

#[derive(Debug, Serialize)]
struct Answer<'a> {
    total_tokens: usize,
    request_model: &'a str,
    model_used: &'a str,
    tokenizer_type: &'static str,
    count_source: &'static str,
    original_response: Option<()>,
    error: bool,
    error_message: Option<()>,
    status_code: Option<()>,
    vocabulary: &'static str,
    estimated: bool,
}

/// Counts a body.
pub(crate) async fn count(
    caller: Caller<AboutModels>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let request_model = model(&body)?;
    let model_used = model_used(call.app(), &caller.identity, &request_model);
    let tokenizer = Tokenizer::for_model(&model_used);
    let total_tokens = count_chat_in_background(tokenizer, body).await?;
    Ok(HttpResponse::Ok().json(Answer {
        total_tokens,
        request_model: &request_model,
        model_used: &model_used,
        tokenizer_type: "openai_tokenizer",
        count_source: "local_estimate",
        original_response: None,
        error: false,
        error_message: None,
        status_code: None,
        vocabulary: tokenizer.vocabulary().as_str(),
        estimated: tokenizer.is_estimate(),
    }))
}

fn model(body: &Bytes) -> Result<String, ApiError> {
    let object =
        Object::parse(body).map_err(|err| DispatchError::Invalid(BadRequest::from(err)))?;
    let wrong = |message: &str| ApiError::new(Code::BadRequest, message).param("model");
    let model = object
        .get("model")
        .map(Raw::get)
        .filter(|raw| *raw != "null")
        .ok_or_else(|| wrong("Missing required parameter: 'model'."))?;
    serde_json::from_str(model).map_err(|_no_string| wrong("'model' must be a string."))
}

/// The provider's model that the name stands for, `base_model` first; the name itself if it stands for none that the caller
/// may use: any model can be counted for.
fn model_used(app: &App, identity: &Identity, name: &str) -> String {
    let first = served(app, identity, name).and_then(|served| served.into_iter().next());
    let Some(first) = first else {
        return name.to_owned();
    };
    let base = first.target.config.model_info.base_model.clone();
    base.unwrap_or(first.upstream_model)
}

impl From<CountError> for ApiError {
    fn from(err: CountError) -> Self {
        let code = match err {
            CountError::Broken => Code::Internal,
            _ => Code::BadRequest,
        };
        let out = Self::new(code, err.to_string());
        match err.field() {
            Some(field) => out.param(field),
            None => out,
        }
    }
}
