//! One replica's share of a limit. The shares of all replicas are the limit, to the last unit: a limit that is smaller than the
//! number of replicas is kept by as many of them, one unit each.

use rust_decimal::{Decimal, RoundingStrategy};

use crate::money::{PLACES, Usd};

/// One of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// How many there are; at least this one.
    pub replicas: u64,
    /// Which one this is, from 0.
    pub place: u64,
}

// === impl Share ===

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self {
        replicas: 1,
        place: 0,
    };

    /// Of a count.
    pub fn of(self, limit: u64) -> u64 {
        let replicas = self.replicas.max(1);
        limit / replicas + u64::from(self.place < limit % replicas)
    }

    /// Of money: never more than its part.
    pub fn of_money(self, amount: Usd) -> Usd {
        let replicas = Decimal::from(self.replicas.max(1));
        let part = amount.as_decimal().checked_div(replicas);
        let part = part.map(|part| part.round_dp_with_strategy(PLACES, RoundingStrategy::ToZero));
        part.map_or(Usd::ZERO, Usd::rounded)
    }

    /// The one that serves what is larger than any share.
    pub fn is_elected(self) -> bool {
        self.place == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_shares_together_are_the_limit(limit: u64, replicas in 1_u64..200) {
            let shares = (0..replicas).map(|place| Share { replicas, place }.of(limit));
            let shares: Vec<u64> = shares.collect();
            prop_assert_eq!(shares.iter().map(|share| u128::from(*share)).sum::<u128>(), u128::from(limit));
            let (least, most) = (shares.iter().min(), shares.iter().max());
            prop_assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1));
        }

        #[test]
        fn shares_of_money_are_never_more_than_the_money(pico in 0_i64.., replicas in 1_u64..200) {
            let share = Share { replicas, place: 0 }.of_money(Usd::from_pico(pico));
            let all: Usd = (0..replicas).map(|_| share).sum();
            prop_assert!(all <= Usd::from_pico(pico));
        }
    }

    #[test]
    fn a_limit_smaller_than_the_number_of_replicas_is_served_by_some_of_them() {
        let shares = (0..3).map(|place| Share { replicas: 3, place }.of(2));
        assert_eq!(shares.collect::<Vec<_>>(), [1, 1, 0]);
    }
}
