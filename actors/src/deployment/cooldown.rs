//! Why a deployment cools down, since when and until when: what `GET /router/state` and the log explain.

use super::failure::FailureKind;
use crate::clock::Millis;

/// Which rule opened the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A 429 while others of the group can answer.
    RateLimited,
    /// A failure that no repetition mends: 401, 402, 404.
    NotRetryable,
    /// More than half of the minute's requests failed, of five at least.
    FailureRate,
    /// All of the minute's requests failed, a thousand at least: then even an only deployment pauses.
    AllFailed,
    /// Five requests in a row failed.
    InARow,
    /// More failures than `allowed_fails` or its policy allows within a cooldown time.
    AllowedFails,
    /// The one request that was to find out whether it is well again failed.
    ProbeFailed,
    /// Another replica saw it fail.
    Elsewhere,
}

/// One cooldown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cooldown {
    /// The rule.
    pub rule: Rule,
    /// The failure that was one too many; `None` when it was another replica's.
    pub kind: Option<FailureKind>,
    /// Its status; 0 when it was another replica's.
    pub status: u16,
    /// When it began.
    pub since: Millis,
    /// When a probe may go through.
    pub until: Millis,
    /// Requests with a verdict in that minute, this one included.
    pub requests: u32,
    /// Failures among them.
    pub failures: u32,
}

// === impl Rule ===

impl Rule {
    /// The word for it in logs and status pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::NotRetryable => "not_retryable",
            Self::FailureRate => "failure_rate",
            Self::AllFailed => "all_failed",
            Self::InARow => "in_a_row",
            Self::AllowedFails => "allowed_fails",
            Self::ProbeFailed => "probe_failed",
            Self::Elsewhere => "another_replica",
        }
    }
}

// === impl Cooldown ===

impl Cooldown {
    /// One that another replica raised.
    pub fn elsewhere(since: Millis, until: Millis) -> Self {
        Self {
            rule: Rule::Elsewhere,
            kind: None,
            status: 0,
            since,
            until,
            requests: 0,
            failures: 0,
        }
    }
}
