//! `POST /v1/chat/completions`: see `super::serve`.

use actix_web::HttpResponse;
use trunkline_wire::request::Endpoint;

use crate::http::extract::{AnyKey, Call, Caller};

/// Serves one call.
pub(crate) async fn create(caller: Caller<AnyKey>, call: Call) -> HttpResponse {
    super::serve(Endpoint::ChatCompletions, caller, call).await
}
