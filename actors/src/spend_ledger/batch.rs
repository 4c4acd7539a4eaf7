//! When to ship: by rows, by deadline, and later and later while the store fails.
//!
//! Plain data: the actor asks what to do next and tells what happened.

use std::time::Duration;

/// What to do after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another batch at once: the last one was full.
    Again,
    /// Nothing is left; wait for the next tick.
    Idle,
    /// The store or the journal failed; try again after this.
    RetryAfter(Duration),
}

/// The rhythm of shipping.
#[derive(Debug, Clone)]
pub struct Batching {
    rows: usize,
    first_retry: Duration,
    last_retry: Duration,
    failures: u32,
}

// === impl Batching ===

impl Batching {
    /// Ships `rows` at a time; retries after `first_retry`, doubling up to `last_retry`.
    pub fn new(rows: usize, first_retry: Duration, last_retry: Duration) -> Self {
        Self {
            rows: rows.max(1),
            first_retry,
            last_retry,
            failures: 0,
        }
    }

    /// Rows of a full batch.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// A batch of that many rows is in the store and released.
    pub fn shipped(&mut self, rows: usize) -> Next {
        self.failures = 0;
        if rows < self.rows {
            Next::Idle
        } else {
            Next::Again
        }
    }

    /// A batch could not be read, inserted or released. No jitter: there is one ledger per store and process.
    pub fn failed(&mut self) -> Next {
        let doubling = 2_u32.saturating_pow(self.failures.min(31));
        self.failures = self.failures.saturating_add(1);
        Next::RetryAfter(
            self.first_retry
                .saturating_mul(doubling)
                .min(self.last_retry),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_batch_is_followed_at_once_and_a_short_one_is_not() {
        let mut batching = Batching::new(3, Duration::from_millis(100), Duration::from_secs(1));
        assert_eq!(batching.shipped(3), Next::Again);
        assert_eq!(batching.shipped(2), Next::Idle);
    }

    #[test]
    fn retries_double_up_to_the_last_and_start_over_after_a_success() {
        let mut batching = Batching::new(3, Duration::from_millis(100), Duration::from_millis(350));
        let waits: Vec<Next> = (0..40).map(|_| batching.failed()).collect();
        let expected = [100, 200, 350, 350].map(|ms| Next::RetryAfter(Duration::from_millis(ms)));
        assert_eq!(waits[..4], expected);
        assert_eq!(waits[39], expected[3]);
        batching.shipped(1);
        assert_eq!(batching.failed(), expected[0]);
    }
}
