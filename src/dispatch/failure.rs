//! A failed attempt: what routing is told of it, and what the client is.

use std::time::Duration;

use awc::http::header::HeaderName;
use trunkline_actors::deployment::{Failure, FailureKind};
use trunkline_wire::error::{UpstreamError, UpstreamErrorKind};
use trunkline_wire::exchange;
use trunkline_wire::request::Endpoint;

use super::error::{DispatchError, UpstreamFailure};
use super::headers::{self, Headers};
use super::target::Target;
use super::upstream::{BodyError, SendError};
use crate::telemetry::redact::redact;

/// A failed attempt.
pub(super) struct AttemptError {
    pub(super) error: UpstreamError,
    /// The provider's, as the client sees them; none when it did not answer.
    headers: Headers,
    /// The timer that ran out.
    timer: Option<(&'static str, Duration)>,
}

// === impl AttemptError ===

impl AttemptError {
    pub(super) fn timeout(timer: &'static str, after: Duration) -> Self {
        let secs = after.as_secs_f64();
        Self {
            error: UpstreamError::new(
                UpstreamErrorKind::Timeout,
                None,
                format!("Request timed out. timer={timer}, timeout value={secs:.3} seconds"),
            ),
            headers: Headers::new(),
            timer: Some((timer, after)),
        }
    }

    /// The provider did answer, with these.
    pub(super) fn with_headers(self, headers: Headers) -> Self {
        Self { headers, ..self }
    }

    /// What routing needs to know.
    pub(super) fn failure(&self) -> Failure {
        use UpstreamErrorKind as Kind;
        let status = self.error.client_status();
        let kind = match self.error.kind {
            Kind::BadRequest | Kind::Unprocessable => FailureKind::BadRequest,
            Kind::ContextWindow => FailureKind::ContextWindow,
            Kind::ContentPolicy => FailureKind::ContentPolicy,
            Kind::Auth => FailureKind::Auth,
            Kind::Permission => FailureKind::Permission,
            Kind::PaymentRequired => FailureKind::PaymentRequired,
            Kind::NotFound => FailureKind::NotFound,
            Kind::Timeout | Kind::GatewayTimeout => FailureKind::Timeout,
            Kind::RateLimited => FailureKind::RateLimited,
            Kind::Server | Kind::BadGateway | Kind::Unavailable | Kind::Overloaded => {
                FailureKind::Server
            }
            Kind::Connect => FailureKind::Connect,
            Kind::BrokenAnswer => FailureKind::BrokenAnswer,
            Kind::CutStream => FailureKind::CutStream,
            _ if status == 409 => FailureKind::Conflict,
            _ if status < 500 => FailureKind::BadRequest,
            _ => FailureKind::Server,
        };
        Failure {
            kind,
            status,
            retry_after: self.retry_after(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        self.error.retry_after_secs.map(Duration::from_secs)
    }

    /// What a client of `endpoint` is told.
    pub(super) fn told(&self, target: &Target, endpoint: Endpoint) -> DispatchError {
        let secrets: Vec<&str> = target.secrets().collect();
        let status = exchange::client_status(endpoint, &self.error);
        let kind = self.error.client_type().to_owned();
        let mut told = self.headers.clone();
        if let Some((_, after)) = self.timer {
            told.push((
                HeaderName::from_static("x-litellm-timeout"),
                headers::decimal(after.as_secs_f64()),
            ));
        }
        DispatchError::Upstream(Box::new(UpstreamFailure {
            message: format!(
                "litellm.{}: {} - {}",
                self.error.kind.litellm_class(),
                target.config.provider.name,
                redact(&self.error.message, &secrets)
            ),
            status,
            kind,
            param: self.error.param.clone(),
            headers: told,
            retry_after: self.retry_after(),
        }))
    }
}

impl From<UpstreamError> for AttemptError {
    fn from(error: UpstreamError) -> Self {
        Self {
            error,
            headers: Headers::new(),
            timer: None,
        }
    }
}

impl From<SendError> for AttemptError {
    fn from(err: SendError) -> Self {
        let kind = match &err {
            SendError::ConnectTimeout(after) => return Self::timeout("connect", *after),
            SendError::Connect(_) | SendError::Lost(_) => UpstreamErrorKind::Connect,
            SendError::NotHttp(_) | SendError::Undelimited => UpstreamErrorKind::BrokenAnswer,
        };
        UpstreamError::new(kind, None, err.to_string()).into()
    }
}

impl From<BodyError> for AttemptError {
    fn from(err: BodyError) -> Self {
        UpstreamError::new(UpstreamErrorKind::BrokenAnswer, None, err.to_string()).into()
    }
}
