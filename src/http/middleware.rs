//! What wraps every handler: a panic becomes a 500 instead of a closed connection.

use std::panic::AssertUnwindSafe;

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use futures_util::FutureExt as _;
use log::error;

use super::error::{ApiError, Code};

/// Answers 500 when a handler panics. Nothing in the project panics on purpose; this is for what was overlooked.
pub(crate) async fn catch_panic(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(response) => response.map(ServiceResponse::map_into_boxed_body),
        // The payload may quote a request, so it is not logged; the panic hook names the place.
        Err(_payload) => {
            error!("a handler panicked");
            Err(ApiError::new(
                Code::Internal,
                "This gateway made a mistake; the request was not served.",
            )
            .into())
        }
    }
}
