//! How long to wait before a retry.

use std::time::Duration;

use rand::{Rng, RngExt};

/// An upstream's `retry-after` is waited for up to here (routing §4).
const LONGEST_UPSTREAM_WAIT: Duration = Duration::from_mins(1);
/// First wait without one; doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait without one.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// The wait before retry number `retry` (from 0), when no other deployment could answer at once.
///
/// The upstream's `retry-after` if it is at most 60 s; else exponential with full jitter, at least `floor`. LiteLLM adds
/// up to 0.75 s to the full exponential wait instead: full jitter spreads a herd of retries better for the same mean.
pub(super) fn wait(
    retry: u32,
    upstream: Option<Duration>,
    floor: Duration,
    rng: &mut impl Rng,
) -> Duration {
    if let Some(upstream) = upstream
        && !upstream.is_zero()
        && upstream <= LONGEST_UPSTREAM_WAIT
    {
        return upstream;
    }
    let jittered = ceiling(retry).mul_f64(rng.random::<f64>());
    jittered.max(floor.min(LONGEST_WAIT))
}

/// The longest that [`wait`] may draw before retry number `retry`.
pub(super) fn ceiling(retry: u32) -> Duration {
    FIRST_WAIT
        .saturating_mul(2_u32.saturating_pow(retry.min(31)))
        .min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    #[test]
    fn the_upstreams_wait_is_taken_up_to_a_minute() {
        let mut rng = SmallRng::seed_from_u64(1);
        let secs = Duration::from_secs;
        assert_eq!(wait(0, Some(secs(7)), Duration::ZERO, &mut rng), secs(7));
        assert!(wait(0, Some(secs(61)), Duration::ZERO, &mut rng) <= FIRST_WAIT);
    }

    #[test]
    fn waits_stay_under_a_ceiling_that_doubles_to_eight_seconds() {
        let mut rng = SmallRng::seed_from_u64(1);
        for (retry, ceiling_ms) in [(0, 500), (1, 1000), (3, 4000), (4, 8000), (40, 8000)] {
            for _ in 0..50 {
                let wait = wait(retry, None, Duration::from_millis(20), &mut rng);
                assert!(
                    wait <= Duration::from_millis(ceiling_ms),
                    "{retry}: {wait:?}"
                );
                assert!(wait >= Duration::from_millis(20), "{retry}: {wait:?}");
            }
        }
    }
}
