//! What one deployment was asked for in the last 60 s, against the `rpm` and `tpm` that its provider grants.
//!
//! The window is the rate limiter's, so never more than the grant is taken in any 60 s. It stands beside the board's row
//! and not in the limiter: it is not a caller's limit, and a refusal means "the next deployment", not a 429.
//!
//! Where several replicas use the deployment, its limits are theirs together: what may be taken is leased (`lease.rs`), and
//! without a lease a replica has its share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::lease::{Lease, LeaseAnswer, LeaseReport};
use crate::clock::Millis;
use crate::fleet::Share;
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
    /// This replica among others; `None`: nobody else is known.
    share: Option<Share>,
    /// Made with the first report.
    lease: Option<Box<Lease>>,
}

/// One request on the meter, to be corrected once its tokens are known. Left alone, its estimate stands.
#[derive(Debug)]
pub struct Metered {
    request: TakenIn,
    taken: TakenIn,
    estimate: u64,
}

// === impl Grant ===

impl Grant {
    /// Anything is limited.
    pub fn is_limited(self) -> bool {
        self.rpm.is_some() || self.tpm.is_some()
    }

    /// One replica's share, one at least: a replica without any would not serve the model at all, and beyond its limit the
    /// provider refuses by itself.
    fn share(self, share: Share) -> Self {
        let of = |limit: u64| share.of(limit).max(limit.min(1));
        Self {
            rpm: self.rpm.map(of),
            tpm: self.tpm.map(of),
        }
    }
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
            share,
            lease,
        } = &mut *self.lock();
        let leased = lease.as_mut().filter(|lease| lease.is_live(now));
        let grant = match leased {
            Some(lease) => {
                lease.take(grant, tokens, now)?;
                Grant::default()
            }
            None => share.map_or(grant, |share| grant.share(share)),
        };
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
        if let Some(lease) = lease {
            lease.took(tokens);
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
        let mut windows = self.lock();
        windows
            .tokens
            .settle(metered.taken, metered.estimate, tokens, now);
        if let Some(lease) = &mut windows.lease {
            lease.settle(metered.estimate, tokens);
        }
    }

    /// The request is over, and nobody knows what it used: its estimate stands.
    pub fn stands(&self, metered: &Metered) {
        if let Some(lease) = &mut self.lock().lease {
            lease.settle(metered.estimate, metered.estimate);
        }
    }

    /// The request was never sent: as if it had not been.
    pub fn give_back(&self, metered: &Metered, now: Millis) {
        let mut windows = self.lock();
        windows.requests.settle(metered.request, 1, 0, now);
        windows
            .tokens
            .settle(metered.taken, metered.estimate, 0, now);
        if let Some(lease) = &mut windows.lease {
            lease.give_back(metered.estimate);
        }
    }

    /// Which replica this is: without a lease it has that share.
    pub fn stand(&self, share: Share) {
        self.lock().share = Some(share);
    }

    /// What the others' place is told of this replica's use, and what it is asked for.
    pub fn report(&self, grant: Grant, replicas: u64, now: Millis) -> LeaseReport {
        let mut windows = self.lock();
        let minute = (windows.requests.used(now), windows.tokens.used(now));
        let lease = windows.lease.get_or_insert_default();
        lease.report(grant, minute, replicas, now)
    }

    /// What is told at the end: everything that is leased is given back.
    pub fn last_report(&self, grant: Grant, now: Millis) -> LeaseReport {
        let mut windows = self.lock();
        let minute = (windows.requests.used(now), windows.tokens.used(now));
        let lease = windows.lease.get_or_insert_default();
        lease.last_report(grant, minute, now)
    }

    /// What the report of that number was answered.
    pub fn answered(&self, number: u64, answer: LeaseAnswer, now: Millis) {
        if let Some(lease) = &mut self.lock().lease {
            lease.answered(number, answer, now);
        }
    }

    /// Whether the limits are kept together with the other replicas' at `now`.
    pub fn is_leased(&self, now: Millis) -> bool {
        let windows = self.lock();
        windows
            .lease
            .as_ref()
            .is_some_and(|lease| lease.is_live(now))
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

    #[test]
    fn without_a_lease_a_replica_has_its_share_and_one_at_least() {
        let meter = Meter::default();
        let grant = |rpm| Grant {
            rpm: Some(rpm),
            tpm: None,
        };
        let share = |place| Share { replicas: 3, place };
        meter.stand(share(2));
        assert!(meter.take(grant(0), 1, Millis(0)).is_err());
        meter.take(grant(1), 1, Millis(0)).unwrap();
        assert!(meter.take(grant(5), 1, Millis(1)).is_err());
        meter.stand(share(0));
        meter.take(grant(5), 1, Millis(2)).unwrap();
        assert!(meter.take(grant(5), 1, Millis(3)).is_err());
        meter.stand(Share::WHOLE);
        meter.take(grant(5), 1, Millis(4)).unwrap();
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
