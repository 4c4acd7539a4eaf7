//! How one attempt at a deployment ended, as far as the breaker cares.

use std::time::Duration;

/// What went wrong, sorted by what to do about it. Callers branch on this, never on text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No connection, or it broke before an answer began.
    Connect,
    /// A timer ran out (408, 504 or the gateway's own).
    Timeout,
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

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A whole answer.
    Success {
        /// From sending to the end.
        total: Duration,
        /// From sending to the first content, if streamed.
        first_content: Option<Duration>,
        /// Completion tokens.
        completion_tokens: u64,
    },
    /// A failure.
    Failure(Failure),
    /// The client left, or it never was the deployment's turn: no verdict.
    Neutral,
}

// === impl Failure ===

impl Failure {
    /// The contract's test for another try (routing §4): 408, 409, 429 and 5xx.
    pub fn is_retryable(&self) -> bool {
        matches!(self.status, 408 | 409 | 429) || self.status >= 500
    }

    /// The contract's gate for cooldowns (routing §3): 401, 402, 404, 408, 429 and whatever is not 4xx.
    pub fn may_cool_down(&self) -> bool {
        matches!(self.status, 401 | 402 | 404 | 408 | 429) || !(400..500).contains(&self.status)
    }

    /// The request's own fault: the deployment did answer, and well.
    pub fn is_the_requests_fault(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::BadRequest | FailureKind::ContextWindow | FailureKind::ContentPolicy
        )
    }

    /// Has fallbacks of its own kind; higher orders of the same group would fail alike.
    pub(crate) fn is_special(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::ContextWindow | FailureKind::ContentPolicy
        )
    }
}
