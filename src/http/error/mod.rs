//! The one error that handlers return, and the table of every code it can have.
//!
//! Lower parts have enums of their own (`AuthError`, `DispatchError`, `StorageError`); they become an [`ApiError`]
//! in `becoming` and nowhere else. The body is OpenAI's, and Anthropic's on Anthropic's routes ([`Shape`]):
//!
//! ```json
//! {"error":{"message":"…","type":"invalid_request_error","param":"messages","code":"400"}}
//! {"type":"error","error":{"type":"invalid_request_error","message":"…"},"request_id":"…"}
//! ```
//!
//! `code` is the status as a string, as LiteLLM's clients expect; the finer [`Code`] is a bounded metric label.

mod becoming;

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use bytes::Bytes;
use serde::Serialize;
use trunkline_wire::anthropic::reply;

use crate::dispatch::LateFailure;

/// Every way a request can fail, with its status and OpenAI error type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The request cannot be understood.
    BadRequest,
    /// No model group, alias, deployment id or pattern fits.
    UnknownModel,
    /// The body is larger than the cap.
    BodyTooLarge,
    /// The content type is not JSON.
    UnsupportedMediaType,
    /// A parameter names what is not here.
    Unprocessable,
    /// No such path.
    NotFound,
    /// No such method on this path.
    MethodNotAllowed,
    /// No key, or one that cannot be read.
    Auth,
    /// A key that nobody made.
    UnknownKey,
    /// A key past its expiry.
    ExpiredKey,
    /// The caller may not use this model; the type says by whose list.
    ModelDenied,
    /// The identity may not use this route.
    RouteDenied,
    /// The key is for other routes.
    KeyRouteDenied,
    /// The key is for other addresses.
    AddressDenied,
    /// A token of somebody who is not let in.
    CallerDenied,
    /// The identity provider's keys are not there, so no token can be checked.
    IdentityProvider,
    /// The data asked for is somebody else's.
    OthersData,
    /// A budget is used up.
    BudgetExceeded,
    /// A rate limit is used up, or the rest of a budget is held by running requests.
    RateLimited,
    /// Every deployment of the group is cooling down.
    AllInCooldown,
    /// No deployment of the group may answer requests with such tags.
    TagsDenied,
    /// Whoever of the group may answer has spent its budget, or its provider's.
    OverBudget,
    /// The prompt is longer than whoever of the group may answer takes.
    ContextWindow,
    /// The price of the model is unknown and the config refuses such models.
    NoPrice,
    /// An administrator has paused the model.
    Paused,
    /// The gateway is stopping.
    ShuttingDown,
    /// The journal cannot take another request.
    JournalFull,
    /// The limits that replicas keep together cannot be reached, and the config wants none to be kept apart.
    LimitsUnreachable,
    /// The database did not answer.
    Database,
    /// The provider failed; status and type come from its answer.
    Upstream,
    /// A defect of ours.
    Internal,
}

/// An answer that is not a success.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    status: StatusCode,
    kind: String,
    message: String,
    param: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// How errors look, by the dialect of the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// On every route that is not Anthropic's.
    OpenAi,
    /// Anthropic API reference, "Errors", 2026-11-23.
    Anthropic,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: &'a str,
}

// === impl Code ===

impl Code {
    /// Status and OpenAI error type (contract: LiteLLM 1.106.2, `auth-budgets-limits` §7).
    const fn row(self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest | Self::UnknownModel | Self::ContextWindow => {
                (StatusCode::BAD_REQUEST, "invalid_request_error")
            }
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request_error")
            }
            Self::Unprocessable => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request_error"),
            Self::NotFound => (StatusCode::NOT_FOUND, "invalid_request_error"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error"),
            Self::UnknownKey => (StatusCode::UNAUTHORIZED, "token_not_found_in_db"),
            Self::ExpiredKey => (StatusCode::UNAUTHORIZED, "expired_key"),
            Self::ModelDenied => (StatusCode::FORBIDDEN, "key_model_access_denied"),
            Self::KeyRouteDenied | Self::AddressDenied | Self::CallerDenied | Self::OthersData => {
                (StatusCode::FORBIDDEN, "auth_error")
            }
            // A denied route is a 401 too, not a 403: LiteLLM's clients branch on it.
            Self::Auth | Self::RouteDenied => (StatusCode::UNAUTHORIZED, "auth_error"),
            Self::BudgetExceeded => (StatusCode::UNPROCESSABLE_ENTITY, "budget_exceeded"),
            Self::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "throttling_error"),
            Self::AllInCooldown => (StatusCode::TOO_MANY_REQUESTS, "all_deployments_in_cooldown"),
            Self::OverBudget => (StatusCode::TOO_MANY_REQUESTS, "internal_server_error"),
            // LiteLLM's pairs, odd as they are (contract `routing` §7, §8).
            Self::TagsDenied => (StatusCode::UNAUTHORIZED, "internal_server_error"),
            Self::NoPrice => (StatusCode::FORBIDDEN, "model_cost_map_missing"),
            Self::ShuttingDown | Self::JournalFull | Self::LimitsUnreachable | Self::Paused => {
                (StatusCode::SERVICE_UNAVAILABLE, "service_unavailable")
            }
            Self::IdentityProvider => (StatusCode::SERVICE_UNAVAILABLE, "service_unavailable"),
            Self::Database => (StatusCode::SERVICE_UNAVAILABLE, "no_db_connection"),
            Self::Upstream => (StatusCode::BAD_GATEWAY, "internal_server_error"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal_server_error"),
        }
    }

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::UnknownModel => "unknown_model",
            Self::BodyTooLarge => "body_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Unprocessable => "unprocessable",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Auth => "auth",
            Self::UnknownKey => "unknown_key",
            Self::ExpiredKey => "expired_key",
            Self::CallerDenied => "caller_denied",
            Self::IdentityProvider => "identity_provider",
            Self::ModelDenied => "model_denied",
            Self::RouteDenied => "route_denied",
            Self::KeyRouteDenied => "key_route_denied",
            Self::AddressDenied => "address_denied",
            Self::OthersData => "others_data",
            Self::BudgetExceeded => "budget_exceeded",
            Self::RateLimited => "rate_limited",
            Self::AllInCooldown => "all_in_cooldown",
            Self::TagsDenied => "tags_denied",
            Self::OverBudget => "over_budget",
            Self::ContextWindow => "context_window",
            Self::NoPrice => "no_price",
            Self::Paused => "paused",
            Self::ShuttingDown => "shutting_down",
            Self::JournalFull => "journal_full",
            Self::LimitsUnreachable => "limits_unreachable",
            Self::Database => "database",
            Self::Upstream => "upstream",
            Self::Internal => "internal",
        }
    }
}

// === impl ApiError ===

impl ApiError {
    /// An error with the status and type of `code`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let (status, kind) = code.row();
        Self {
            code,
            status,
            kind: kind.to_owned(),
            message: message.into(),
            param: None,
            headers: Vec::new(),
        }
    }

    /// Names the field that is at fault.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// With another type, where the contract has one for this case alone.
    #[must_use]
    pub fn kind(mut self, kind: &str) -> Self {
        kind.clone_into(&mut self.kind);
        self
    }

    /// With another status: the operator may choose it.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds `Retry-After`, in whole seconds, at least one.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.header(RETRY_AFTER, HeaderValue::from(secs.max(1)))
    }

    /// What the client is told.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The table's row of this error.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The parts of an error event inside a stream.
    pub fn into_late_failure(self) -> LateFailure {
        LateFailure {
            message: self.message,
            kind: self.kind,
            param: self.param,
            status: self.status.as_u16(),
        }
    }

    /// The body in Anthropic's shape; `call_id` is the id that the answer's headers name.
    pub fn to_anthropic(&self, call_id: Option<&str>) -> Bytes {
        let kind = reply::error_type(self.status.as_u16());
        reply::error_body(kind, &self.message, call_id)
    }

    /// The body in OpenAI's shape.
    pub fn to_json(&self) -> Vec<u8> {
        let code = self.status.as_u16().to_string();
        serde_json::to_vec(&Envelope {
            error: Body {
                message: &self.message,
                r#type: &self.kind,
                param: self.param.as_deref(),
                code: &code,
            },
        })
        .unwrap_or_default()
    }
}

// === impl Shape ===

impl Shape {
    /// The shape that clients of `path` expect.
    pub fn of(path: &str) -> Self {
        let path = path.strip_prefix("/anthropic").unwrap_or(path);
        match path.strip_prefix("/v1/messages") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Self::Anthropic,
            _ => Self::OpenAi,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.content_type("application/json");
        for (name, value) in &self.headers {
            response.insert_header((name.clone(), value.clone()));
        }
        response.body(self.to_json())
    }
}
