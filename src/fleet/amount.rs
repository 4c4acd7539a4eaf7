//! Money as scripts take it: millionths of a dollar and millionths of those. Lua's numbers are doubles, whole up to 2^53; in two
//! parts every amount up to 9 billion dollars is exact.

use rust_decimal::prelude::ToPrimitive as _;
use rust_decimal::{Decimal, RoundingStrategy};
use trunkline_actors::money::{PLACES, Usd};

const UNIT: i64 = 1_000_000;
/// The largest first part that a double holds: more is as good as no limit.
const MOST: i64 = 9_000_000_000_000_000;

/// `high` millionths of a dollar and `low` millionths of those, 0 to 999,999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Amount {
    pub(super) high: i64,
    pub(super) low: i64,
}

// === impl Amount ===

impl Amount {
    /// Never less than the amount, where it is finer than 1e-12 USD; what is beyond the range is its end.
    pub(super) fn of(amount: Usd) -> Self {
        let amount = amount
            .as_decimal()
            .round_dp_with_strategy(PLACES, RoundingStrategy::ToPositiveInfinity);
        let unit = Decimal::from(UNIT);
        let Some(millionths) = amount.checked_mul(unit) else {
            return Self::end(amount.is_sign_negative());
        };
        let whole = millionths.floor();
        let (Some(high), Some(low)) = (whole.to_i64(), ((millionths - whole) * unit).to_i64())
        else {
            return Self::end(amount.is_sign_negative());
        };
        if high.abs() > MOST {
            return Self::end(high < 0);
        }
        Self { high, low }
    }

    pub(super) fn usd(self) -> Usd {
        let unit = Decimal::from(UNIT);
        let millionths = Decimal::from(self.low)
            .checked_div(unit)
            .and_then(|low| low.checked_add(Decimal::from(self.high)));
        let dollars = millionths.and_then(|millionths| millionths.checked_div(unit));
        Usd::rounded(dollars.unwrap_or_default())
    }

    /// The sum of both.
    pub(super) fn plus(self, other: Self) -> Self {
        let low = self.low + other.low;
        Self {
            high: self
                .high
                .saturating_add(other.high)
                .saturating_add(low.div_euclid(UNIT)),
            low: low.rem_euclid(UNIT),
        }
    }

    /// The difference; nothing where it is below.
    pub(super) fn minus(self, other: Self) -> Self {
        if self <= other {
            return Self::default();
        }
        let low = self.low - other.low;
        Self {
            high: self.high - other.high + low.div_euclid(UNIT),
            low: low.rem_euclid(UNIT),
        }
    }

    fn end(negative: bool) -> Self {
        Self {
            high: if negative { -MOST } else { MOST },
            low: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn amounts_go_both_ways_and_add_up(a: i64, b: i64) {
            let (a, b) = (a / 2, b / 2);
            let of = |pico: i64| Amount::of(Usd::from_pico(pico));
            prop_assert_eq!(of(a).usd(), Usd::from_pico(a));
            prop_assert!((0..UNIT).contains(&of(a).low));
            prop_assert_eq!(of(a).plus(of(b)), of(a + b));
            prop_assert_eq!(of(a) < of(b), a < b);
            prop_assert_eq!(of(a).minus(of(b)), of((a - b).max(0)));
        }
    }

    #[test]
    fn what_is_too_fine_is_rounded_up_and_what_is_too_much_has_an_end() {
        let tiny = Usd::rounded(Decimal::new(1, 12));
        assert_eq!(Amount::of(tiny), Amount { high: 0, low: 1 });
        let huge: Decimal = "79228162514264337593543950335".parse().unwrap();
        assert_eq!(
            Amount::of(Usd::rounded(huge)),
            Amount { high: MOST, low: 0 }
        );
        assert_eq!(
            Amount::of(Usd::rounded(-huge)),
            Amount {
                high: -MOST,
                low: 0
            }
        );
    }
}
