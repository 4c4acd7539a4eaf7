//! Money: US dollars as decimals, never as floats.
//!
//! Sums saturate instead of panicking: a decimal holds 7.9·10²⁸, so saturation means nonsense came in.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// Decimal places of a stored amount: 1e-12 USD, one "pico-dollar".
pub const PLACES: u32 = 12;

/// An amount in US dollars. Serialised as a decimal string (`"0.0000125"`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Usd(Decimal);

// === impl Usd ===

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// The amount, rounded once, half to even, to 1e-12 USD.
    pub fn rounded(amount: Decimal) -> Self {
        Self(
            amount
                .round_dp_with_strategy(PLACES, RoundingStrategy::MidpointNearestEven)
                .normalize(),
        )
    }

    /// The plain decimal, in dollars.
    pub fn as_decimal(&self) -> Decimal {
        self.0
    }

    /// The amount in units of 1e-12 USD; `None` beyond ± 9.2 million dollars or below the unit's precision.
    pub fn to_pico(&self) -> Option<i64> {
        let pico = self.0.checked_mul(Decimal::from(10_u64.pow(PLACES)))?;
        if pico.fract().is_zero() {
            pico.to_i64()
        } else {
            None
        }
    }

    /// The amount of that many units of 1e-12 USD.
    pub fn from_pico(pico: i64) -> Self {
        Self(Decimal::new(pico, PLACES).normalize())
    }

    /// True for exactly nothing.
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// Writes the plain number, as [`fmt::Display`] does, without a formatter.
    ///
    /// # Errors
    /// What `out` says; a `String` takes everything.
    pub fn write_to(self, out: &mut impl fmt::Write) -> fmt::Result {
        let (mantissa, scale) = (self.0.mantissa(), self.0.scale());
        let mantissa = u64::try_from(mantissa).ok().filter(|_| scale <= PLACES);
        let Some(mantissa) = mantissa else {
            return write!(out, "{}", self.0.normalize());
        };
        // Nearly every amount, on the headers of every answer: 64 bits do, where `Decimal` divides 96, and `write!` takes
        // four times as long.
        let mut buffer = itoa::Buffer::new();
        let unit = 10_u64.pow(scale);
        let (dollars, mut rest) = (mantissa / unit, mantissa % unit);
        out.write_str(buffer.format(dollars))?;
        if rest == 0 {
            return Ok(());
        }
        let mut digits = scale as usize;
        while rest.is_multiple_of(10) {
            rest /= 10;
            digits -= 1;
        }
        let rest = buffer.format(rest);
        let zeros = digits.saturating_sub(rest.len());
        out.write_str(".")?;
        out.write_str("000000000000".get(..zeros).unwrap_or_default())?;
        out.write_str(rest)
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Usd {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for Usd {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// The plain number: no currency sign, no exponent, no trailing zeros.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_some() || f.precision().is_some() {
            return fmt::Display::fmt(&self.0.normalize(), f);
        }
        self.write_to(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        Usd::rounded(text.parse().unwrap())
    }

    #[test]
    fn rounding_is_half_to_even_at_the_twelfth_place() {
        let cases = [
            ("0.0000000000005", "0"),
            ("0.0000000000015", "0.000000000002"),
            ("0.0000000000025", "0.000000000002"),
            ("1.10", "1.1"),
        ];
        for (amount, rounded) in cases {
            assert_eq!(usd(amount).to_string(), rounded, "{amount}");
        }
    }

    #[test]
    fn pico_dollars_go_both_ways() {
        for pico in [0, 1, -1, 12_500_000, i64::MAX, i64::MIN] {
            assert_eq!(Usd::from_pico(pico).to_pico(), Some(pico));
        }
        assert_eq!(usd("9300000").to_pico(), None);
    }

    #[test]
    fn amounts_are_shown_as_their_decimals_are() {
        for text in [
            "0",
            "1",
            "10",
            "100",
            "0.1",
            "0.05",
            "1.50",
            "12.000000000001",
            "0.000000000001",
            "3.30",
            "-1.25",
            "18446744073709551615",
            "18446744073709551616",
            "79228162514264337593543950335",
        ] {
            let amount = usd(text);
            assert_eq!(
                amount.to_string(),
                amount.0.normalize().to_string(),
                "{text}"
            );
            let unnormalised = Usd(text.parse().unwrap());
            assert_eq!(unnormalised.to_string(), amount.to_string(), "{text}");
        }
        assert_eq!(format!("{:>6}", usd("1.5")), "   1.5");
    }

    #[test]
    fn sums_saturate_and_never_panic() {
        let most = Usd(Decimal::MAX);
        assert_eq!(most + most, most);
        assert_eq!(
            [usd("0.1"), usd("0.2")].into_iter().sum::<Usd>(),
            usd("0.3")
        );
    }
}
