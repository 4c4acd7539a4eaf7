//! What every endpoint that calls a model has in common, whichever dialect its client speaks.

use std::rc::Rc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError as _};
use bytes::Bytes;
use log::{debug, warn};
use tokio::time::Instant;
use trunkline_actors::clock::UnixMs;
use trunkline_wire::request::{Endpoint, RequestPeek};

use super::error::{ApiError, Code};
use super::extract::{Call, Caller, Models};
use crate::app::App;
use crate::dispatch::{DispatchError, Inbound, LateFailure, Reply};

/// Longest caller-given id that is echoed.
const MAX_CALL_ID: usize = 256;
pub(super) const CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
// Constants, since a name is checked byte by byte when it is made.
const TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-timeout");
const STREAM_TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-stream-timeout");
const NUM_RETRIES: HeaderName = HeaderName::from_static("x-litellm-num-retries");
const TAGS: HeaderName = HeaderName::from_static("x-litellm-tags");
const CUSTOMER_ID: HeaderName = HeaderName::from_static("x-litellm-customer-id");
const END_USER_ID: HeaderName = HeaderName::from_static("x-litellm-end-user-id");
const REDACTION: HeaderName = HeaderName::from_static("x-litellm-enable-message-redaction");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
/// Longest model name, in bytes: it goes into headers, and a record of the books holds it twice.
const MAX_MODEL_NAME: usize = 512;
/// Most beta features that one request may ask for.
const MAX_BETAS: usize = 64;
/// Most models that one request may name to fall back to.
const MAX_FALLBACKS: usize = 32;

/// Serves one model call. Every answer, good or bad, names the call id.
pub(super) async fn serve(
    endpoint: Endpoint,
    caller: Caller<Models>,
    mut call: Call,
) -> HttpResponse {
    let arrived = (Instant::now(), UnixMs::now());
    let call_id = call_id(&call);
    let mut response = match answer(endpoint, &caller, &mut call, arrived).await {
        Ok(response) => response,
        Err(err) => {
            report(&call, &err, &call_id);
            let mut response = HttpResponse::from_error(err);
            response
                .headers_mut()
                .insert(COST, HeaderValue::from_static("0"));
            response
        }
    };
    response.headers_mut().insert(CALL_ID, call_id);
    response
}

/// An error that comes after the status was sent, as the JSON of an error event.
pub fn late_error(err: DispatchError) -> LateFailure {
    ApiError::from(err).into_late_failure()
}

/// The operator chooses the status where a budget is used up.
fn refused(app: &App, err: DispatchError) -> ApiError {
    let err = ApiError::from(err);
    match (err.code(), app.config.budgets.exceeded_status) {
        (Code::BudgetExceeded, status) => match StatusCode::from_u16(status) {
            Ok(status) => err.status(status),
            Err(_) => err,
        },
        _ => err,
    }
}

async fn answer(
    endpoint: Endpoint,
    caller: &Caller<Models>,
    call: &mut Call,
    arrived: (Instant, UnixMs),
) -> Result<HttpResponse, ApiError> {
    if call.app().is_draining() {
        return Err(ApiError::new(
            Code::ShuttingDown,
            "This gateway is shutting down. Send the request again; another replica will take it.",
        ));
    }
    let body = call.json_body().await?;
    let mut inbound = inbound(endpoint, call, body, arrived)?;
    if let Some(model) = caller.identity.model_behind(&inbound.model) {
        inbound.model = model.to_owned();
    }
    let dispatcher = Rc::clone(&call.worker.dispatcher);
    let reply = match endpoint {
        // On the heap: the server copies a handler's future several times on its way to be run.
        Endpoint::CountTokens => Box::pin(dispatcher.count_tokens(&caller.identity, inbound)).await,
        _ => Box::pin(dispatcher.run(&caller.identity, inbound)).await,
    };
    let reply = reply.map_err(|err| refused(call.app(), err))?;
    Ok(match reply {
        Reply::Whole { headers, body } => {
            let mut response = HttpResponse::Ok();
            response.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")));
            for header in headers {
                response.append_header(header);
            }
            response.body(body)
        }
        Reply::Stream { headers, events } => {
            let mut response = HttpResponse::Ok();
            response
                .insert_header((
                    CONTENT_TYPE,
                    HeaderValue::from_static("text/event-stream; charset=utf-8"),
                ))
                .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-cache")))
                .insert_header((ACCEL_BUFFERING, HeaderValue::from_static("no")));
            for header in headers {
                response.append_header(header);
            }
            response.streaming(events)
        }
    })
}

fn inbound(
    endpoint: Endpoint,
    call: &Call,
    body: Bytes,
    (arrived, arrived_at): (Instant, UnixMs),
) -> Result<Inbound, ApiError> {
    let mut peek = RequestPeek::parse(endpoint, &body)
        .map_err(|bad| ApiError::from(DispatchError::Invalid(bad)))?;
    // Headers override the body (contract `routing` §11).
    if let Some(timeout) = number(call, &TIMEOUT)? {
        peek.timeout_secs = Some(timeout);
    }
    if let Some(timeout) = number(call, &STREAM_TIMEOUT)? {
        peek.stream_timeout_secs = Some(timeout);
    }
    if let Some(retries) = call.header(&NUM_RETRIES) {
        let retries = retries.parse().map_err(|_not_a_number| {
            ApiError::new(
                Code::BadRequest,
                "x-litellm-num-retries must be a whole number.",
            )
            .param("x-litellm-num-retries")
        })?;
        peek.num_retries = Some(retries);
    }
    let redaction = call.header(&REDACTION);
    peek.off_the_record |= redaction.is_some_and(|asked| asked.eq_ignore_ascii_case("true"));
    let from_path = call.path("model");
    let model = peek
        .model
        .clone()
        .or(from_path)
        .ok_or_else(|| {
            ApiError::new(
                Code::UnknownModel,
                "Missing required parameter: 'model'. Name one of the models that GET /v1/models lists.",
            )
            .param("model")
        })?;
    let fallbacks = peek.fallbacks.as_deref().unwrap_or_default();
    check_model_name("model", &model)?;
    if fallbacks.len() > MAX_FALLBACKS {
        return Err(ApiError::new(
            Code::BadRequest,
            format!("'fallbacks' names more than {MAX_FALLBACKS} models; name fewer."),
        )
        .param("fallbacks"));
    }
    for fallback in fallbacks {
        check_model_name("fallbacks", fallback)?;
    }
    let configured = call.app().config.general.user_header_name.as_deref();
    let end_user = [&CUSTOMER_ID, &END_USER_ID]
        .into_iter()
        .find_map(|name| call.header(name))
        .or_else(|| call.header(configured?))
        .filter(|id| !id.is_empty())
        .map(str::to_owned);
    let header_tags = call
        .header(&TAGS)
        .map(|tags| {
            tags.split(',')
                .map(|tag| tag.trim().to_owned())
                .filter(|tag| !tag.is_empty())
                .collect()
        })
        .unwrap_or_default();
    let (anthropic_version, anthropic_betas) = anthropic_headers(endpoint, call);
    Ok(Inbound {
        endpoint,
        body,
        peek,
        model,
        upstream_model: None,
        end_user,
        client_ip: call.address(),
        header_tags,
        anthropic_version,
        anthropic_betas,
        arrived,
        arrived_at,
    })
}

/// `anthropic-version` and `anthropic-beta`, which mean something on Anthropic's endpoints only.
fn anthropic_headers(endpoint: Endpoint, call: &Call) -> (Option<HeaderValue>, Vec<String>) {
    if !endpoint.is_anthropic() {
        return (None, Vec::new());
    }
    let headers = call.request.headers();
    let betas = headers
        .get_all("anthropic-beta")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|beta| beta.trim().to_owned())
        .take(MAX_BETAS)
        .collect();
    (headers.get("anthropic-version").cloned(), betas)
}

/// Names come from the path and from `fallbacks` too, and with a wildcard any name is served.
fn check_model_name(field: &'static str, name: &str) -> Result<(), ApiError> {
    if name.len() <= MAX_MODEL_NAME && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(ApiError::new(
        Code::BadRequest,
        format!(
            "'{field}' holds control characters or a name over {MAX_MODEL_NAME} bytes; write names that GET /v1/models lists."
        ),
    )
    .param(field))
}

fn number(call: &Call, name: &HeaderName) -> Result<Option<f64>, ApiError> {
    let Some(text) = call.header(name) else {
        return Ok(None);
    };
    match text.parse::<f64>() {
        Ok(secs) if secs > 0.0 && secs.is_finite() => Ok(Some(secs)),
        _ => Err(ApiError::new(
            Code::BadRequest,
            format!("{name} must be a number of seconds above zero."),
        )
        .param(name.as_str())),
    }
}

/// The caller's id if it sent a usable one, else a new one.
fn call_id(call: &Call) -> HeaderValue {
    call.request
        .headers()
        .get(&CALL_ID)
        .filter(|id| !id.is_empty() && id.len() <= MAX_CALL_ID)
        .cloned()
        .or_else(|| HeaderValue::from_str(&new_id()).ok())
        .unwrap_or(HeaderValue::from_static("unknown"))
}

/// A random (version 4) UUID, the form of LiteLLM's call ids.
pub(in crate::http) fn new_id() -> String {
    let bits: u128 = rand::random();
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let mut hex = [0; 32];
    // The sizes fit, so it cannot fail.
    hex::encode_to_slice(bits.to_be_bytes(), &mut hex).ok();
    let hex = str::from_utf8(&hex).unwrap_or_default();
    let mut id = String::with_capacity(36);
    for part in [0..8, 8..12, 12..16, 16..20, 20..32] {
        if !id.is_empty() {
            id.push('-');
        }
        id.push_str(hex.get(part).unwrap_or_default());
    }
    id
}

/// Logs a failure once, where it is handled; never a body or a key.
fn report(call: &Call, err: &ApiError, call_id: &HeaderValue) {
    let (path, code, call_id) = (
        call.request.path(),
        err.code().label(),
        call_id.to_str().unwrap_or_default(),
    );
    let status = err.status_code().as_u16();
    match err.code() {
        // What the provider says is the request's own fault is no failure of anybody's.
        Code::Upstream if matches!(status, 400 | 413 | 422) => {
            debug!(path, status, code, call_id; "a provider refused a request");
        }
        Code::Upstream
        | Code::Internal
        | Code::JournalFull
        | Code::LimitsUnreachable
        | Code::Database => {
            warn!(path, status, code, call_id; "a request failed");
        }
        Code::AllInCooldown => {
            call.app().shared.metrics.refused(code);
            warn!(path, status, code, call_id; "a request was refused: every deployment cools down");
        }
        _ => {
            call.app().shared.metrics.refused(code);
            debug!(path, status, code, call_id; "a request was refused");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_names_that_no_header_or_record_can_hold_are_refused() {
        for (name, good) in [
            ("openai/gpt-4o", true),
            ("m\u{fc}nchen", true),
            ("gpt-4o\r\nx-evil: 1", false),
            (&"m".repeat(MAX_MODEL_NAME), true),
            (&"m".repeat(MAX_MODEL_NAME + 1), false),
        ] {
            assert_eq!(check_model_name("model", name).is_ok(), good, "{name:?}");
        }
    }

    #[test]
    fn call_ids_have_the_form_of_random_uuids() {
        let id = new_id();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4', "{id}");
        assert!(
            matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'),
            "{id}"
        );
        assert_ne!(id, new_id());
    }
}
