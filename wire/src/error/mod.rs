//! What can go wrong upstream, and what the client sees of it.
//!
//! One table, after `auth-budgets-limits.md` §7.1 of the `LiteLLM` contract. Reading a provider's error body is the job
//! of its folder ([`openai::error`](crate::openai::error), [`anthropic::error`](crate::anthropic::error)) with the help of
//! `body` and `phrases`; rendering is the gateway's. Callers branch on [`UpstreamErrorKind`], never on text.

pub(crate) mod body;
pub(crate) mod phrases;

use std::error::Error;
use std::fmt;

/// The most bytes of a provider's message that are kept: 4 KiB.
pub const MAX_MESSAGE_BYTES: usize = 4096;

/// Why an upstream call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UpstreamErrorKind {
    /// 400, and 413: the request is wrong for this provider.
    BadRequest,
    /// The prompt is longer than the model takes.
    ContextWindow,
    /// The provider's content policy refused the prompt.
    ContentPolicy,
    /// 401: the gateway's key for the provider is wrong.
    Auth,
    /// 403.
    Permission,
    /// 402: the account with the provider is out of money.
    PaymentRequired,
    /// 404, or the model does not exist.
    NotFound,
    /// 408, or one of the gateway's own timers.
    Timeout,
    /// 422.
    Unprocessable,
    /// 429.
    RateLimited,
    /// 500.
    Server,
    /// 502.
    BadGateway,
    /// 503.
    Unavailable,
    /// 504.
    GatewayTimeout,
    /// 529, or an error that says "overloaded".
    Overloaded,
    /// No connection, or it broke before an answer came.
    Connect,
    /// An answer that is not what it should be: HTML, cut JSON, no choices.
    BrokenAnswer,
    /// A stream that ended without saying that it was done.
    CutStream,
    /// Any other status of 300 and above.
    OtherStatus,
}

/// A failed upstream call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamError {
    /// What to branch on.
    pub kind: UpstreamErrorKind,
    /// The upstream's status; `None` when there was no answer. In a stream's error event: the status it names.
    pub status: Option<u16>,
    /// The provider's own words, at most [`MAX_MESSAGE_BYTES`].
    pub message: String,
    /// The provider's `error.type`.
    pub error_type: Option<String>,
    /// The provider's `error.code`, as text.
    pub code: Option<String>,
    /// The provider's `error.param`.
    pub param: Option<String>,
    /// Seconds to wait, from `retry-after`.
    pub retry_after_secs: Option<u64>,
}

// === impl UpstreamErrorKind ===

impl UpstreamErrorKind {
    /// The kind that a status alone suggests.
    pub fn from_status(status: u16) -> Self {
        match status {
            400 | 413 => Self::BadRequest,
            401 => Self::Auth,
            402 => Self::PaymentRequired,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 => Self::Timeout,
            422 => Self::Unprocessable,
            429 => Self::RateLimited,
            500 => Self::Server,
            502 => Self::BadGateway,
            503 => Self::Unavailable,
            504 => Self::GatewayTimeout,
            529 => Self::Overloaded,
            _ => Self::OtherStatus,
        }
    }

    /// The status that the client gets, given the upstream's.
    pub fn client_status(self, upstream: Option<u16>) -> u16 {
        match self {
            Self::BadRequest | Self::ContextWindow | Self::ContentPolicy => 400,
            Self::Auth => 401,
            Self::PaymentRequired => 402,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::Timeout => 408,
            Self::Unprocessable => 422,
            Self::RateLimited => 429,
            Self::Server | Self::Overloaded | Self::Connect => 500,
            Self::BadGateway | Self::BrokenAnswer | Self::CutStream => 502,
            Self::Unavailable => 503,
            Self::GatewayTimeout => 504,
            // A redirect is not followed and means nothing to the client.
            Self::OtherStatus => upstream.filter(|status| *status >= 400).unwrap_or(502),
        }
    }

    /// The client's `error.type`, when the provider's own is not passed on (see [`UpstreamError::client_type`]).
    pub fn error_type(self, upstream: Option<u16>) -> &'static str {
        match self {
            Self::Auth => "authentication_error",
            Self::Permission => "permission_error",
            Self::RateLimited => "throttling_error",
            Self::BadRequest
            | Self::ContextWindow
            | Self::ContentPolicy
            | Self::PaymentRequired
            | Self::NotFound
            | Self::Timeout
            | Self::Unprocessable => "invalid_request_error",
            Self::OtherStatus if self.client_status(upstream) < 500 => "invalid_request_error",
            Self::Server
            | Self::BadGateway
            | Self::Unavailable
            | Self::GatewayTimeout
            | Self::Overloaded
            | Self::Connect
            | Self::BrokenAnswer
            | Self::CutStream
            | Self::OtherStatus => "internal_server_error",
        }
    }

    /// The name `LiteLLM` gives to this kind, as in `litellm.RateLimitError: …`.
    pub fn litellm_class(self) -> &'static str {
        match self {
            Self::BadRequest | Self::Unprocessable => "BadRequestError",
            Self::ContextWindow => "ContextWindowExceededError",
            Self::ContentPolicy => "ContentPolicyViolationError",
            Self::Auth => "AuthenticationError",
            Self::PaymentRequired => "PaymentRequiredError",
            Self::NotFound => "NotFoundError",
            Self::Timeout | Self::GatewayTimeout => "Timeout",
            Self::RateLimited => "RateLimitError",
            Self::Server | Self::Overloaded | Self::Connect => "InternalServerError",
            Self::BadGateway | Self::BrokenAnswer | Self::CutStream => "BadGatewayError",
            Self::Unavailable => "ServiceUnavailableError",
            Self::Permission | Self::OtherStatus => "APIError",
        }
    }

    /// A stable name in snake case, for metric labels and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::ContextWindow => "context_window",
            Self::ContentPolicy => "content_policy",
            Self::Auth => "auth",
            Self::Permission => "permission",
            Self::PaymentRequired => "payment_required",
            Self::NotFound => "not_found",
            Self::Timeout => "timeout",
            Self::Unprocessable => "unprocessable",
            Self::RateLimited => "rate_limited",
            Self::Server => "server",
            Self::BadGateway => "bad_gateway",
            Self::Unavailable => "unavailable",
            Self::GatewayTimeout => "gateway_timeout",
            Self::Overloaded => "overloaded",
            Self::Connect => "connect",
            Self::BrokenAnswer => "broken_answer",
            Self::CutStream => "cut_stream",
            Self::OtherStatus => "other_status",
        }
    }
}

// === impl UpstreamError ===

impl UpstreamError {
    /// An error without anything of the provider's.
    pub fn new(kind: UpstreamErrorKind, status: Option<u16>, message: impl Into<String>) -> Self {
        Self {
            kind,
            status,
            message: capped(message.into()),
            error_type: None,
            code: None,
            param: None,
            retry_after_secs: None,
        }
    }

    /// The status that the client gets.
    pub fn client_status(&self) -> u16 {
        self.kind.client_status(self.status)
    }

    /// The client's `error.type`: the provider's own where the contract passes it on, else the table's.
    pub fn client_type(&self) -> &str {
        match (self.kind, &self.error_type) {
            (
                UpstreamErrorKind::BadRequest
                | UpstreamErrorKind::ContentPolicy
                | UpstreamErrorKind::Unprocessable,
                Some(own),
            ) => own,
            _ => self.kind.error_type(self.status),
        }
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.kind.litellm_class())?;
        if let Some(status) = self.status {
            write!(formatter, " (status {status})")?;
        }
        write!(formatter, ": {}", self.message)
    }
}

impl Error for UpstreamError {}

/// `text` cut to [`MAX_MESSAGE_BYTES`] at a character boundary.
pub(crate) fn capped(mut text: String) -> String {
    if text.len() > MAX_MESSAGE_BYTES {
        text.truncate(text.floor_char_boundary(MAX_MESSAGE_BYTES));
    }
    text
}
