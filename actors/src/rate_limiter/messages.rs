//! What the [`RateLimiter`](super::RateLimiter) is told. Taking from a bucket is not among it.

use actix::Message;

/// Asks for the facts, for readiness and metrics.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "LimiterStatus")]
pub struct LimiterSnapshot;

/// Facts of the rate limiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, actix::MessageResponse)]
pub struct LimiterStatus {
    /// Buckets that are kept now.
    pub buckets: usize,
    /// Buckets that were swept since the start.
    pub swept: u64,
}
