//! `POST /v1/messages/count_tokens`: how long a prompt is. Costs nothing and is not on the books.
//!
//! ```json
//! {"input_tokens": 14}
//! ```

use actix_web::HttpResponse;
use trunkline_wire::request::Endpoint;

use crate::http::extract::{Call, Caller, Models};
use crate::http::model_call;

/// Counts one prompt.
pub(crate) async fn count(caller: Caller<Models>, call: Call) -> HttpResponse {
    model_call::serve(Endpoint::CountTokens, caller, call).await
}
