//! Every way an attempt can fail, and in one table what follows from each: retry, fallback, cooldown.
//!
//! Source: the contract, routing §3 to §5, and `auth-budgets-limits` §7.1 for the statuses. Callers branch on the kind,
//! never on text.

use std::fmt;
use std::time::Duration;

use super::policy::ErrorClass;

/// What went wrong, sorted by what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No connection, or it broke before an answer began.
    Connect,
    /// A timer ran out: 408, 504 or the gateway's own.
    Timeout,
    /// A timer ran out that the caller had set for this request.
    CallersTimeout,
    /// 409.
    Conflict,
    /// 429.
    RateLimited,
    /// 401.
    Auth,
    /// 402.
    PaymentRequired,
    /// 403.
    Permission,
    /// 404.
    NotFound,
    /// 400, 413, 422: the request's own fault.
    BadRequest,
    /// The request asks for what this deployment's provider has no word for. It was not called; another may have one.
    Inexpressible,
    /// The prompt is too long for the model.
    ContextWindow,
    /// The provider's content policy refused.
    ContentPolicy,
    /// 5xx.
    Server,
    /// An answer that is not what it should be.
    BrokenAnswer,
    /// A stream that ended before its end.
    CutStream,
}

/// A failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// The status by the contract's table (auth-budgets-limits §7.1): 408 for a timeout, 500 for no connection.
    pub status: u16,
    /// The upstream's `retry-after`.
    pub retry_after: Option<Duration>,
}

/// What follows from a failure: one row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Treatment {
    /// Who may be asked again within the group.
    pub retry: Retry,
    /// Which fallbacks come after it.
    pub fallbacks: FallbackList,
    /// Whose doing it is, for the breaker.
    pub blame: Blame,
    /// Whether it opens the breaker by itself, under the contract's default rule.
    pub trips: Trips,
    /// The exception under which `retry_policy` and `allowed_fails_policy` know it.
    pub class: Option<ErrorClass>,
}

/// Who may be asked again within the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Another deployment, or the same after a wait.
    Anywhere,
    /// Another deployment only: it has another key.
    Elsewhere,
    /// Nobody, unless a retry policy says so: a repetition mends nothing.
    Never,
}

/// Which of the configured fallbacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallbackList {
    /// `fallbacks`, after the higher orders of the group.
    General,
    /// `context_window_fallbacks`, if configured; higher orders would fail alike.
    ContextWindow,
    /// `content_policy_fallbacks`, likewise.
    ContentPolicy,
}

/// Whose doing a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The deployment's: it counts.
    Deployment,
    /// The request's own: the deployment did answer, and well.
    Request,
    /// Nobody's: it says nothing of the deployment.
    Nobody,
}

/// Whether one failure is enough for a cooldown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trips {
    /// Even the only deployment of a group.
    Always,
    /// While others can answer.
    AmongOthers,
    /// No: failures are counted.
    Counted,
}

// === impl FailureKind ===

impl FailureKind {
    /// All kinds, in the order of the table.
    pub const ALL: [Self; 16] = [
        Self::Connect,
        Self::Timeout,
        Self::CallersTimeout,
        Self::Conflict,
        Self::RateLimited,
        Self::Auth,
        Self::PaymentRequired,
        Self::Permission,
        Self::NotFound,
        Self::BadRequest,
        Self::Inexpressible,
        Self::ContextWindow,
        Self::ContentPolicy,
        Self::Server,
        Self::BrokenAnswer,
        Self::CutStream,
    ];

    /// The table.
    ///
    /// Two rows are not LiteLLM's. It never counts a connection failure, so a dead provider would be asked by every
    /// request; here it counts. And it counts a caller's own short timeout for streams; here never.
    pub fn treatment(self) -> Treatment {
        use Blame::{Deployment, Nobody, Request};
        use FallbackList::{ContentPolicy, ContextWindow, General};
        use Retry::{Anywhere, Elsewhere, Never};
        use Trips::{Always, AmongOthers, Counted};

        let server = Some(ErrorClass::InternalServer);
        let (retry, fallbacks, blame, trips, class) = match self {
            Self::Timeout => (
                Anywhere,
                General,
                Deployment,
                Counted,
                Some(ErrorClass::Timeout),
            ),
            Self::CallersTimeout => (
                Anywhere,
                General,
                Nobody,
                Counted,
                Some(ErrorClass::Timeout),
            ),
            Self::Conflict => (Anywhere, General, Nobody, Counted, None),
            Self::RateLimited => (
                Anywhere,
                General,
                Deployment,
                AmongOthers,
                Some(ErrorClass::RateLimit),
            ),
            Self::Auth => (
                Elsewhere,
                General,
                Deployment,
                Always,
                Some(ErrorClass::Authentication),
            ),
            Self::PaymentRequired | Self::NotFound => (Never, General, Deployment, Always, None),
            Self::Permission | Self::Inexpressible => (Elsewhere, General, Nobody, Counted, None),
            Self::BadRequest => (
                Never,
                General,
                Request,
                Counted,
                Some(ErrorClass::BadRequest),
            ),
            Self::ContextWindow => (
                Never,
                ContextWindow,
                Request,
                Counted,
                Some(ErrorClass::BadRequest),
            ),
            Self::ContentPolicy => (
                Never,
                ContentPolicy,
                Request,
                Counted,
                Some(ErrorClass::ContentPolicy),
            ),
            Self::Connect | Self::Server | Self::BrokenAnswer | Self::CutStream => {
                (Anywhere, General, Deployment, Counted, server)
            }
        };
        Treatment {
            retry,
            fallbacks,
            blame,
            trips,
            class,
        }
    }

    /// The word for it in logs and status pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::CallersTimeout => "callers_timeout",
            Self::Conflict => "conflict",
            Self::RateLimited => "rate_limited",
            Self::Auth => "auth",
            Self::PaymentRequired => "payment_required",
            Self::Permission => "permission",
            Self::NotFound => "not_found",
            Self::BadRequest => "bad_request",
            Self::Inexpressible => "inexpressible",
            Self::ContextWindow => "context_window",
            Self::ContentPolicy => "content_policy",
            Self::Server => "server",
            Self::BrokenAnswer => "broken_answer",
            Self::CutStream => "cut_stream",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Failure ===

impl Failure {
    /// The row of its kind.
    pub fn treatment(&self) -> Treatment {
        self.kind.treatment()
    }

    /// The request's own fault: the deployment did answer, and well.
    pub fn is_the_requests_fault(&self) -> bool {
        self.treatment().blame == Blame::Request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_each_failure_is_the_contracts_table() {
        use FailureKind as Kind;
        let rows: [(&[Kind], Retry, Blame, Trips); 8] = [
            (
                &[Kind::Connect, Kind::Timeout, Kind::Server],
                Retry::Anywhere,
                Blame::Deployment,
                Trips::Counted,
            ),
            (
                &[Kind::BrokenAnswer, Kind::CutStream],
                Retry::Anywhere,
                Blame::Deployment,
                Trips::Counted,
            ),
            (
                &[Kind::CallersTimeout, Kind::Conflict],
                Retry::Anywhere,
                Blame::Nobody,
                Trips::Counted,
            ),
            (
                &[Kind::RateLimited],
                Retry::Anywhere,
                Blame::Deployment,
                Trips::AmongOthers,
            ),
            (
                &[Kind::Auth],
                Retry::Elsewhere,
                Blame::Deployment,
                Trips::Always,
            ),
            (
                &[Kind::PaymentRequired, Kind::NotFound],
                Retry::Never,
                Blame::Deployment,
                Trips::Always,
            ),
            (
                &[Kind::Permission, Kind::Inexpressible],
                Retry::Elsewhere,
                Blame::Nobody,
                Trips::Counted,
            ),
            (
                &[Kind::BadRequest, Kind::ContextWindow, Kind::ContentPolicy],
                Retry::Never,
                Blame::Request,
                Trips::Counted,
            ),
        ];
        let mut seen = 0;
        for (kinds, retry, blame, trips) in rows {
            for kind in kinds {
                seen += 1;
                let row = kind.treatment();
                assert_eq!(
                    (row.retry, row.blame, row.trips),
                    (retry, blame, trips),
                    "{kind}"
                );
            }
        }
        assert_eq!(seen, FailureKind::ALL.len());
    }

    #[test]
    fn only_two_kinds_have_fallbacks_of_their_own() {
        for kind in FailureKind::ALL {
            let list = match kind {
                FailureKind::ContextWindow => FallbackList::ContextWindow,
                FailureKind::ContentPolicy => FallbackList::ContentPolicy,
                _ => FallbackList::General,
            };
            assert_eq!(kind.treatment().fallbacks, list, "{kind}");
        }
    }
}
