//! Tokens of the last 24 h. Unlike a minute, a day outlives the process: it begins with what the books say was taken before.

use std::time::Duration;

use super::bucket::{LimitType, Short};
use super::counter::Counter;
use super::window::{DAY_SLOT_MS, DAY_SLOTS, TakenIn};
use crate::clock::Millis;
use crate::fleet::Share;

/// The process's clock begins with the process: what was taken before is entered by a clock that is ahead of it by a day and more.
const AHEAD_MS: u64 = DAY_SLOT_MS * DAY_SLOTS as u64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Day {
    counter: Counter<DAY_SLOT_MS, DAY_SLOTS>,
    is_begun: bool,
}

// === impl Day ===

impl Day {
    /// What was taken before is entered, or was looked for.
    pub(super) fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Enters what was taken before: how long ago, and how much, the oldest first.
    pub(super) fn begin(&mut self, past: &[(Duration, u64)], now: Millis) {
        let now = ahead(now);
        let own = self.counter.used(now);
        let mut counter = Counter::default();
        for (ago, units) in past {
            let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
            if ago < AHEAD_MS {
                counter.take(*units, Millis(now.0.saturating_sub(ago)));
            }
        }
        counter.take(own, now);
        *self = Self {
            counter,
            is_begun: true,
        };
    }

    pub(super) fn used(&mut self, now: Millis) -> u64 {
        self.counter.used(ahead(now))
    }

    pub(super) fn used_by_all(&mut self, now: Millis) -> u64 {
        self.counter.used_by_all(ahead(now))
    }

    pub(super) fn check(&mut self, tokens: u64, limit: u64, now: Millis) -> Option<Short> {
        let sort = LimitType::TokensPerDay;
        self.counter.check(sort, tokens, limit, ahead(now))
    }

    pub(super) fn check_share(
        &mut self,
        tokens: u64,
        limit: u64,
        share: Share,
        now: Millis,
    ) -> Option<Short> {
        let sort = LimitType::TokensPerDay;
        self.counter
            .check_share(sort, tokens, limit, share, ahead(now))
    }

    pub(super) fn take(&mut self, tokens: u64, now: Millis) -> TakenIn {
        self.counter.take(tokens, ahead(now))
    }

    pub(super) fn settle(&mut self, taken: TakenIn, was: u64, actual: u64, now: Millis) {
        self.counter.settle(taken, was, actual, ahead(now));
    }

    pub(super) fn learn(&mut self, all: u64, just_taken: u64, now: Millis) {
        self.counter.learn(all, just_taken, ahead(now));
    }
}

fn ahead(now: Millis) -> Millis {
    Millis(now.0.saturating_add(AHEAD_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_before_the_process_comes_back_when_its_time_is_over() {
        const HOUR: u64 = 3_600_000;
        let mut day = Day::default();
        day.take(5, Millis(0));
        assert!(!day.is_begun());
        let hours = |hours| Duration::from_hours(hours);
        day.begin(
            &[(hours(30), 1_000), (hours(23), 100), (hours(1), 10)],
            Millis(60_000),
        );
        assert!(day.is_begun());
        assert_eq!(day.used(Millis(60_000)), 115);
        assert_eq!(day.used(Millis(HOUR + 1_000_000)), 15);
        assert_eq!(day.used(Millis(23 * HOUR - 1_000_000)), 15);
        assert_eq!(day.used(Millis(23 * HOUR + 1_000_000)), 5);
        assert_eq!(day.used(Millis(24 * HOUR + 1_000_000)), 0);
    }

    #[test]
    fn a_request_that_runs_while_a_day_begins_is_settled() {
        let mut day = Day::default();
        let taken = day.take(50, Millis(1_000));
        day.begin(&[(Duration::from_hours(2), 7)], Millis(2_000));
        day.settle(taken, 50, 3, Millis(3_000));
        assert_eq!(day.used(Millis(4_000)), 10);
    }
}
