//! `POST /v1/messages`: Anthropic's Messages API for any provider; see [`super::super::model_call`].

use actix_web::HttpResponse;
use trunkline_wire::request::Endpoint;

use crate::http::extract::{AnyKey, Call, Caller};
use crate::http::model_call;

/// Serves one call.
pub(crate) async fn create(caller: Caller<AnyKey>, call: Call) -> HttpResponse {
    model_call::serve(Endpoint::Messages, caller, call).await
}
