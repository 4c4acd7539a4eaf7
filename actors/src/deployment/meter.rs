//! What one deployment was asked for in the last 60 s, against the `rpm` and `tpm` that its provider grants.
//!
//! The window is the rate limiter's, so never more than the grant is taken in any 60 s. It stands beside the board's row
//! and not in the limiter: it is not a caller's limit, and a refusal means "the next deployment", not a 429.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Millis;
use crate::rate_limiter::{TakenIn, Window};

/// What a provider grants a minute; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grant {
    /// Requests.
    pub rpm: Option<u64>,
    /// Tokens: estimated when a request is sent, corrected when it ends.
    pub tpm: Option<u64>,
}

/// What was taken in the last 60 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Requests.
    pub requests: u64,
    /// Tokens.
    pub tokens: u64,
}

/// Counts one deployment's requests and tokens. From any worker; the lock is held for a few instructions.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Windows>);

#[derive(Debug, Default)]
struct Windows {
    requests: Window,
    tokens: Window,
}

/// One request on the meter, to be corrected once its tokens are known. Left alone, its estimate stands.
#[derive(Debug)]
pub struct Metered {
    request: TakenIn,
    taken: TakenIn,
    estimate: u64,
}

// === impl Meter ===

impl Meter {
    /// What is taken at `now`.
    pub fn used(&self, now: Millis) -> Used {
        let mut windows = self.lock();
        Used {
            requests: windows.requests.used(now),
            tokens: windows.tokens.used(now),
        }
    }

    /// Takes one request and its estimated tokens.
    ///
    /// # Errors
    /// When that is more than the grant: how long until it would fit, if nobody else takes it.
    pub fn take(&self, grant: Grant, tokens: u64, now: Millis) -> Result<Metered, Duration> {
        let Windows {
            requests,
            tokens: spent,
        } = &mut *self.lock();
        let mut wait = Duration::ZERO;
        if let Some(rpm) = grant.rpm
            && !requests.fits(1, rpm, now)
        {
            wait = requests.wait_for(1, rpm, now);
        }
        if let Some(tpm) = grant.tpm
            && !spent.fits(tokens, tpm, now)
        {
            wait = wait.max(spent.wait_for(tokens, tpm, now));
        }
        if !wait.is_zero() {
            return Err(wait);
        }
        // Everything is counted, granted or not: strategies compare it.
        Ok(Metered {
            request: requests.take(1, now),
            taken: spent.take(tokens, now),
            estimate: tokens,
        })
    }

    /// The request is over and had that many tokens; a failed one none.
    pub fn settle(&self, metered: &Metered, tokens: u64, now: Millis) {
        self.lock()
            .tokens
            .settle(metered.taken, metered.estimate, tokens, now);
    }

    /// The request was never sent: as if it had not been.
    pub fn give_back(&self, metered: &Metered, now: Millis) {
        let mut windows = self.lock();
        windows.requests.settle(metered.request, 1, 0, now);
        windows
            .tokens
            .settle(metered.taken, metered.estimate, 0, now);
    }

    fn lock(&self) -> MutexGuard<'_, Windows> {
        // Nothing panics under this lock; if it did, the counts would still be whole numbers.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens_are_taken_by_estimate_and_corrected() {
        let meter = Meter::default();
        let grant = Grant {
            rpm: None,
            tpm: Some(100),
        };
        let first = meter.take(grant, 80, Millis(0)).unwrap();
        assert_eq!(
            meter.take(grant, 30, Millis(10)).unwrap_err(),
            Duration::from_millis(59_990)
        );
        meter.settle(&first, 10, Millis(20));
        meter.take(grant, 30, Millis(30)).unwrap();
        let used = meter.used(Millis(30));
        assert_eq!((used.requests, used.tokens), (2, 40));
    }

    #[test]
    fn what_was_never_sent_is_given_back() {
        let meter = Meter::default();
        let grant = Grant {
            rpm: Some(1),
            tpm: Some(10),
        };
        let unsent = meter.take(grant, 10, Millis(0)).unwrap();
        meter.give_back(&unsent, Millis(5));
        assert_eq!(meter.used(Millis(5)), Used::default());
        meter.take(grant, 10, Millis(5)).unwrap();
    }

    proptest! {
        #[test]
        fn no_sixty_seconds_see_more_requests_than_granted(
            waits in prop::collection::vec(0_u64..5_000, 1..300),
            rpm in 1_u64..20,
        ) {
            let meter = Meter::default();
            let grant = Grant { rpm: Some(rpm), tpm: None };
            let mut now = Millis(0);
            let mut taken: Vec<u64> = Vec::new();
            for wait in waits {
                now.0 += wait;
                match meter.take(grant, 1, now) {
                    Ok(_) => taken.push(now.0),
                    Err(wait) => prop_assert!(!wait.is_zero()),
                }
            }
            for end in &taken {
                let within = taken.iter().filter(|at| **at <= *end && **at + 60_000 > *end);
                prop_assert!(within.count() as u64 <= rpm);
            }
        }
    }
}
