//! When checks are done: spread at the start, one after the other for each deployment, so many at the same time for all.

use std::time::Duration;

use rand::{Rng, RngExt as _};
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// The first checks are spread over this, or over one interval if that is shorter.
const SPREAD: Duration = Duration::from_secs(10);

/// The pauses of one deployment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub(super) interval: Duration,
}

// === impl Schedule ===

impl Schedule {
    /// Checks again and again, for ever. The pause begins when a check has ended: none overlaps itself.
    pub(super) async fn repeat(self, slots: &Semaphore, mut check: impl AsyncFnMut()) {
        let mut pause = self.first(&mut rand::rng());
        loop {
            sleep(pause).await;
            let Ok(slot) = slots.acquire().await else {
                return;
            };
            check().await;
            drop(slot);
            pause = self.next(&mut rand::rng());
        }
    }

    fn first(self, rng: &mut impl Rng) -> Duration {
        self.interval
            .min(SPREAD)
            .mul_f64(rng.random_range(0.0..1.0))
    }

    /// Give or take a tenth, so that what began together does not stay together.
    fn next(self, rng: &mut impl Rng) -> Duration {
        self.interval.mul_f64(rng.random_range(0.9..1.1))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::future::join_all;
    use tokio::time::{Instant, timeout};

    use super::*;

    const MINUTE: Schedule = Schedule {
        interval: Duration::from_mins(1),
    };

    #[tokio::test(start_paused = true)]
    async fn the_first_check_comes_soon_and_the_others_an_interval_apart() {
        let slots = Semaphore::new(1);
        let began = Instant::now();
        let mut times = Vec::new();
        let rounds = MINUTE.repeat(&slots, async || times.push(began.elapsed()));
        timeout(Duration::from_mins(10), rounds).await.unwrap_err();

        assert!(times[0] <= SPREAD, "{times:?}");
        assert!((9..=11).contains(&times.len()), "{times:?}");
        for pair in times.windows(2) {
            let pause = pair[1].saturating_sub(pair[0]);
            let (least, most) = (Duration::from_secs(54), Duration::from_millis(66_010));
            assert!((least..=most).contains(&pause), "{times:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_takes_longer_than_the_interval_is_waited_for() {
        let slots = Semaphore::new(8);
        let (running, most, done) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let rounds = MINUTE.repeat(&slots, async || {
            running.set(running.get() + 1);
            most.set(most.get().max(running.get()));
            sleep(Duration::from_mins(5)).await;
            running.set(running.get() - 1);
            done.set(done.get() + 1);
        });
        timeout(Duration::from_mins(20), rounds).await.unwrap_err();

        assert_eq!(most.get(), 1);
        assert_eq!(done.get(), 3, "each takes five minutes and a pause");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_checked_at_the_same_time_than_there_are_slots() {
        let slots = Semaphore::new(3);
        let (running, most, done) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let rounds = (0..50).map(|_| {
            MINUTE.repeat(&slots, async || {
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                sleep(Duration::from_millis(100)).await;
                running.set(running.get() - 1);
                done.set(done.get() + 1);
            })
        });
        timeout(Duration::from_secs(30), join_all(rounds))
            .await
            .unwrap_err();

        assert_eq!(most.get(), 3);
        assert_eq!(done.get(), 50, "each had its turn");
    }

    #[test]
    fn the_first_checks_of_many_are_spread() {
        let firsts: Vec<Duration> = (0..100).map(|_| MINUTE.first(&mut rand::rng())).collect();
        let early = firsts.iter().filter(|first| **first < SPREAD / 2).count();
        assert!(
            (20..=80).contains(&early),
            "{early} of 100 in the first half"
        );
    }
}
