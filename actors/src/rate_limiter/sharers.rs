//! Who shares something at the moment: those who asked for it within the last minute. Plain data, no lock, no clock.

use std::collections::HashMap;
use std::time::Duration;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use crate::clock::Millis;

/// How long who asked once has a share.
const SHARES_FOR: Duration = Duration::from_mins(1);
/// How often those are forgotten who have none any more.
const FORGET_EVERY: Duration = Duration::from_secs(1);
/// Sharers that are told apart; further ones are not counted, so that invented names cannot fill the memory.
const CAPACITY: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Sharers {
    asked_at: HashMap<String, Millis>,
    forgot_at: Millis,
}

/// A part of a limit, rounded down; a part that is not nothing is at least 1, or it would admit nobody for ever.
pub fn part_of(limit: u64, part: Decimal) -> u64 {
    let units = Decimal::from(limit).checked_mul(part);
    let units = units.and_then(|units| units.floor().to_u64());
    let least = u64::from(!part.is_zero()).min(limit);
    units.unwrap_or(limit).clamp(least, limit)
}

// === impl Sharers ===

impl Sharers {
    /// `who` asks at `now`; answers how many share it, with this one.
    pub fn ask(&mut self, who: &str, now: Millis) -> u64 {
        if now.since(self.forgot_at) >= FORGET_EVERY {
            self.forgot_at = now;
            self.asked_at
                .retain(|_, asked_at| now.since(*asked_at) < SHARES_FOR);
        }
        if let Some(asked_at) = self.asked_at.get_mut(who) {
            *asked_at = now;
        } else if self.asked_at.len() < CAPACITY {
            self.asked_at.insert(who.to_owned(), now);
        }
        self.asked_at.len().max(1) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_asked_within_the_minute_shares() {
        let mut sharers = Sharers::default();
        assert_eq!(sharers.ask("a", Millis(5_000)), 1);
        assert_eq!(sharers.ask("b", Millis(30_000)), 2);
        assert_eq!(sharers.ask("a", Millis(31_000)), 2);
        assert_eq!(sharers.ask("c", Millis(90_000)), 2);
        assert_eq!(sharers.ask("c", Millis(91_000)), 1);
    }

    #[test]
    fn names_that_are_made_up_do_not_fill_the_memory() {
        let mut sharers = Sharers::default();
        for number in 0..CAPACITY + 9 {
            sharers.ask(&number.to_string(), Millis(1_000));
        }
        assert_eq!(sharers.ask("one more", Millis(1_000)), CAPACITY as u64);
    }

    proptest! {
        #[test]
        fn equal_parts_are_together_no_more_than_the_limit_once_each_has_one(limit in 1_u64.., sharers in 1_u64..50) {
            let part = part_of(limit, Decimal::ONE / Decimal::from(sharers));
            prop_assert!(part >= 1);
            prop_assert!(u128::from(part) * u128::from(sharers) <= u128::from(limit.max(sharers)));
        }

        #[test]
        fn nothing_of_a_limit_is_nothing_and_all_is_all(limit: u64) {
            prop_assert_eq!(part_of(limit, Decimal::ZERO), 0);
            prop_assert_eq!(part_of(limit, Decimal::ONE), limit);
        }
    }
}
