//! What wraps every handler: a panic becomes a 500 instead of a closed connection, and an error gets the shape of its
//! route's dialect, whoever answered it.

use std::panic::AssertUnwindSafe;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _};
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
    let shape = Shape::of(request.path());
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(response) => response.map(|response| shaped(response.map_into_boxed_body())),
        // The payload may quote a request, so it is not logged; the panic hook names the place.
        Err(_payload) => {
            error!("a handler panicked");
            let err = ApiError::new(
                Code::Internal,
                "This gateway made a mistake; the request was not served.",
            );
            let mut response = err.error_response();
            if shape == Shape::Anthropic {
                response = response.set_body(BoxBody::new(err.to_anthropic(None)));
            }
            Err(InternalError::from_response(err, response).into())
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

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use actix_web::middleware::from_fn;
    use actix_web::{App, HttpResponse, test, web};
    use serde_json::Value;

    use super::*;

    #[actix_web::test]
    async fn a_panic_is_an_error_in_the_shape_of_its_route() {
        async fn panics() -> HttpResponse {
            panic!("overlooked")
        }
        let app = App::new()
            .wrap(from_fn(guard))
            .default_service(web::to(panics));
        let app = test::init_service(app).await;
        for (path, pointer) in [
            ("/v1/messages", "/type"),
            ("/v1/chat/completions", "/error/code"),
        ] {
            let request = test::TestRequest::post().uri(path).to_request();
            let err = test::try_call_service(&app, request).await.unwrap_err();
            let response = err.error_response();
            assert_eq!(response.status(), 500, "{path}");
            let body = to_bytes(response.into_body()).await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            let expected = if path == "/v1/messages" {
                "error"
            } else {
                "500"
            };
            assert_eq!(
                body.pointer(pointer).and_then(Value::as_str),
                Some(expected),
                "{body}"
            );
        }
    }
}
