//! `POST /v1/completions`: see `super::serve`.

use actix_web::HttpResponse;
use trunkline_wire::request::Endpoint;

use crate::http::extract::{AnyKey, Call, Caller};

/// Serves one call.
pub(crate) async fn create(caller: Caller<AnyKey>, call: Call) -> HttpResponse {
    super::serve(Endpoint::Completions, caller, call).await
}
