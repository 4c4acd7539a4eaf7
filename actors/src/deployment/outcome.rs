//! How one attempt at a deployment ended, as far as the breaker and the averages care.

use std::time::Duration;

use super::failure::Failure;

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
        /// All tokens, the prompt's included: what the deployment's `tpm` is charged.
        total_tokens: u64,
    },
    /// A failure.
    Failure(Failure),
    /// The client left, or it never was the deployment's turn: no verdict.
    Neutral,
}
