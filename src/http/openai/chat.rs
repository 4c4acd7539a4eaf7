//! `POST /v1/chat/completions`: see [`super::super::model_call`].

use actix_web::HttpResponse;
use trunkline_wire::request::Endpoint;

use crate::http::extract::{Call, Caller, Models};
use crate::http::model_call;

/// Serves one call.
pub(crate) async fn create(caller: Caller<Models>, call: Call) -> HttpResponse {
    model_call::serve(Endpoint::ChatCompletions, caller, call).await
}
