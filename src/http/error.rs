//! The one error that handlers return, and the table of every code it can have.
//!
//! Lower parts have enums of their own ([`AuthError`], [`DispatchError`], `StorageError`); they become an [`ApiError`]
//! here and nowhere else. The body is OpenAI's, and Anthropic's on Anthropic's routes ([`Shape`]):
//!
//! ```json
//! {"error":{"message":"…","type":"invalid_request_error","param":"messages","code":"400"}}
//! {"type":"error","error":{"type":"invalid_request_error","message":"…"},"request_id":"…"}
//! ```
//!
//! `code` is the status as a string, as LiteLLM's clients expect; the finer [`Code`] is a bounded metric label.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use bytes::Bytes;
use log::error;
use serde::Serialize;
use trunkline_actors::admission::Refusal;
use trunkline_actors::ids::{Subject, SubjectKind};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::BudgetName;
use trunkline_actors::spend_ledger::SpentCap;
use trunkline_wire::anthropic::reply;

use crate::auth::{AuthError, TokenFault};
use crate::dispatch::{DispatchError, LateFailure};
use crate::storage::StorageError;

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
            Self::ShuttingDown | Self::JournalFull | Self::LimitsUnreachable => {
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

impl From<AuthError> for ApiError {
    fn from(err: AuthError) -> Self {
        let code = match &err {
            AuthError::Token(TokenFault::NoKeys) => Code::IdentityProvider,
            AuthError::Token(TokenFault::Domain | TokenFault::Roles) => Code::CallerDenied,
            AuthError::NoKey
            | AuthError::Malformed
            | AuthError::NotVirtualKey { .. }
            | AuthError::Blocked
            | AuthError::TeamBlocked(_)
            | AuthError::OwnerMissing(_)
            | AuthError::EndUserBlocked(_)
            | AuthError::NoMasterKey
            | AuthError::ForeignHost
            | AuthError::Token(_) => Code::Auth,
            AuthError::RouteNotOfKey { .. } => Code::KeyRouteDenied,
            AuthError::AddressDenied { .. } => Code::AddressDenied,
            AuthError::Unknown { .. } => Code::UnknownKey,
            AuthError::Expired { .. } => Code::ExpiredKey,
            AuthError::ModelDenied { .. } => Code::ModelDenied,
            AuthError::RouteDenied { .. } | AuthError::MasterOnly { .. } => Code::RouteDenied,
            AuthError::Store(source) => {
                error!(err:% = source; "a key could not be looked up");
                Code::Database
            }
            AuthError::Seed(source) => {
                error!(err:% = source; "a key's budget could not be read");
                Code::Database
            }
        };
        let param = match &err {
            AuthError::Unknown { .. } => Some("key"),
            AuthError::ModelDenied { .. } => Some("model"),
            AuthError::NoKey | AuthError::Malformed => Some("None"),
            _ => None,
        };
        let mut out = Self::new(code, err.to_string());
        out.param = param.map(str::to_owned);
        if let AuthError::ModelDenied { layer, .. } = err {
            layer.error_type().clone_into(&mut out.kind);
        }
        out
    }
}

impl From<StorageError> for ApiError {
    fn from(err: StorageError) -> Self {
        error!(err:% = err; "the database failed");
        Self::new(
            Code::Database,
            "The database did not answer. Try again; the operator finds the cause in the log.",
        )
    }
}

impl From<DispatchError> for ApiError {
    fn from(err: DispatchError) -> Self {
        match err {
            DispatchError::Invalid(bad) => {
                let mut out = Self::new(Code::BadRequest, bad.message);
                if let Ok(status) = StatusCode::from_u16(bad.status) {
                    out.status = status;
                }
                out.param = bad.param;
                out
            }
            DispatchError::UnknownModel { model } => Self::new(
                Code::UnknownModel,
                format!(
                    "You passed in model={model}. There are no healthy deployments for this model. GET /v1/models lists the models of this gateway."
                ),
            )
            .param("model"),
            DispatchError::Denied(err) => err.into(),
            DispatchError::Refused(refused) => refused.into(),
            DispatchError::AllInCooldown { group, retry_after } => Self::new(
                Code::AllInCooldown,
                format!(
                    "No deployments available for selected model, Try again in {} seconds. All deployments for selected model are in cooldown. Passed model={group}.",
                    retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0)
                ),
            )
            .retry_after(retry_after),
            DispatchError::AllBusy { group, retry_after } => Self::new(
                Code::RateLimited,
                format!("Deployment has all max_parallel_requests slots in use, or its rpm or tpm. Passed model={group}. Try again in a moment."),
            )
            .retry_after(retry_after),
            DispatchError::OverBudget { spent } => Self::new(Code::OverBudget, over_budget(&spent)),
            DispatchError::TagsDenied { group } => Self::new(
                Code::TagsDenied,
                format!(
                    "Not allowed to access model due to tags configuration. Passed model={group}. Send the tags of one of its deployments."
                ),
            ),
            DispatchError::TooLong {
                group,
                window,
                prompt_tokens,
            } => Self::new(
                Code::ContextWindow,
                format!(
                    "litellm.ContextWindowExceededError: No models have context window large enough for this call.\nModel={group}, Max Input Tokens={window}, Got={prompt_tokens}"
                ),
            )
            .param("messages"),
            DispatchError::NoPrice { model } => Self::new(
                Code::NoPrice,
                format!(
                    "The price of model {model} is unknown and this gateway refuses such models. Set input_cost_per_token and output_cost_per_token on its deployment."
                ),
            )
            .param("model"),
            DispatchError::JournalFull => Self::new(
                Code::JournalFull,
                "The books cannot take another request: the journal is full or cannot be written. The operator finds the cause in the log.",
            )
            .retry_after(Duration::from_secs(5)),
            DispatchError::Internal(what) => {
                error!("a defect: {what}");
                Self::new(
                    Code::Internal,
                    "This gateway made a mistake; the request was not served.",
                )
            }
            DispatchError::Upstream(failure) => {
                let failure = *failure;
                let mut out = Self::new(Code::Upstream, failure.message);
                if let Ok(status) = StatusCode::from_u16(failure.status) {
                    out.status = status;
                }
                out.kind = failure.kind;
                out.param = failure.param;
                out.headers = failure.headers;
                match failure.retry_after {
                    Some(wait) => out.retry_after(wait),
                    None => out,
                }
            }
        }
    }
}

/// Each cap once, however many deployments share it.
fn over_budget(spent: &[SpentCap]) -> String {
    let lines = spent.iter().map(|cap| {
        let SpentCap {
            subject,
            spent,
            limit,
            ..
        } = cap;
        format!(
            "Exceeded budget for {} {}: {spent} >= {limit}",
            subject.kind, subject.id
        )
    });
    let lines: BTreeSet<String> = lines.collect();
    let lines: Vec<String> = lines.into_iter().collect();
    format!(
        "No deployments available - crossed budget: {}",
        lines.join("\n")
    )
}

/// Contract `auth-budgets-limits` §5.2.
fn over_own_budget(subject: &Subject, budget: &BudgetName, spent: Usd, limit: Usd) -> String {
    let id = &subject.id;
    if let Some(model) = budget.model_group() {
        let owner = match subject.kind {
            SubjectKind::Key => "LiteLLM Virtual Key".to_owned(),
            kind => kind.to_string(),
        };
        return format!(
            "{owner}: {id}, exceeded budget for model={model}. Current cost: {spent}, Max budget: {limit}"
        );
    }
    if let Some(period) = budget.period() {
        return format!(
            "ExceededBudget: {} {id} over {period} budget. Spend=${spent}, Limit=${limit}",
            subject.kind
        );
    }
    match subject.kind {
        SubjectKind::User => {
            format!("ExceededBudget: User={id} over budget. Spend={spent}, Budget={limit}")
        }
        SubjectKind::EndUser => {
            format!("ExceededBudget: End User={id} over budget. Spend={spent}, Budget={limit}")
        }
        kind => {
            let whose = match (kind, id.split_once(':')) {
                (SubjectKind::Global, _) => String::new(),
                (SubjectKind::TeamMember, Some((team, user))) => {
                    format!("User={user} in Team={team} ")
                }
                (SubjectKind::Key, _) => format!("Key={id} "),
                (SubjectKind::Team, _) => format!("Team={id} "),
                (SubjectKind::Organisation, _) => format!("Organization={id} "),
                (SubjectKind::Tag, _) => format!("Tag={id} "),
                (kind, _) => format!("{kind}={id} "),
            };
            format!("Budget has been exceeded! {whose}Current cost: {spent}, Max budget: {limit}")
        }
    }
}

/// `team: red`; of the gateway there is one.
fn named(subject: &Subject) -> String {
    match subject.kind {
        SubjectKind::Global => subject.kind.to_string(),
        _ => subject.to_string(),
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Rate {
                subject,
                limit_type,
                limit,
                remaining,
                retry_after,
            } => Self::new(
                Code::RateLimited,
                format!(
                    "Rate limit exceeded for {}. Limit type: {limit_type}. Current limit: {limit}, Remaining: {remaining}.",
                    named(&subject)
                ),
            )
            .header(
                HeaderName::from_static("rate_limit_type"),
                HeaderValue::from_static(limit_type.as_str()),
            )
            .retry_after(retry_after),
            Refusal::BudgetExceeded {
                subject,
                budget,
                spent,
                limit,
            } => Self::new(
                Code::BudgetExceeded,
                over_own_budget(&subject, &budget, spent, limit),
            ),
            Refusal::Unreachable { retry_after } => Self::new(
                Code::LimitsUnreachable,
                "The limits that all replicas of this gateway share cannot be reached. Try again in a moment.",
            )
            .retry_after(retry_after),
            Refusal::BudgetHeld {
                subject,
                retry_after,
            } => Self::new(
                Code::RateLimited,
                format!(
                    "The rest of the budget of {} {} is held by requests that are still running. Try again in a moment.",
                    subject.kind, subject.id
                ),
            )
            .retry_after(retry_after),
        }
    }
}
