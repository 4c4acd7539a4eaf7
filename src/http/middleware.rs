//! What wraps every handler: a panic becomes a 500 instead of a closed connection, and an error gets the shape of its
//! route's dialect, whoever answered it.

use std::panic::AssertUnwindSafe;

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use futures_util::FutureExt as _;
use log::error;

use super::error::{ApiError, Code, Shape};
use super::model_call::CALL_ID;

/// Answers 500 when a handler panics, and gives errors the shape of their route. Nothing in the project panics on purpose;
/// this is for what was overlooked.
pub(crate) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(response) => response.map(|response| shaped(response.map_into_boxed_body())),
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

/// Errors are rendered in OpenAI's shape where they arise; Anthropic's routes have another one.
fn shaped(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    if Shape::of(response.request().path()) == Shape::OpenAi {
        return response;
    }
    let error = response.response().error();
    let Some(err) = error.and_then(|err| err.as_error::<ApiError>()) else {
        return response;
    };
    let call_id = response.headers().get(&CALL_ID);
    let body = err.to_anthropic(call_id.and_then(|id| id.to_str().ok()));
    response.map_body(|_head, _openai| BoxBody::new(body))
}
