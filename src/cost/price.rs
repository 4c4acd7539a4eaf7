//! The price of one model: USD for each kind of token.

use rust_decimal::{Decimal, RoundingStrategy};

/// USD per token (or per call), each part of its own. `None` = not known, zero = free.
///
/// A part without a price of its own is billed at the plain price of its side, see [`super::cost`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Price {
    /// Plain input token.
    pub input: Option<Decimal>,
    /// Input token read from the provider's cache.
    pub cache_read: Option<Decimal>,
    /// Input token written to the five-minute cache.
    pub cache_write_5m: Option<Decimal>,
    /// Input token written to the one-hour cache.
    pub cache_write_1h: Option<Decimal>,
    /// Audio input token.
    pub audio_input: Option<Decimal>,
    /// Image input token.
    pub image_input: Option<Decimal>,
    /// Plain output token.
    pub output: Option<Decimal>,
    /// Hidden reasoning token.
    pub reasoning: Option<Decimal>,
    /// Audio output token.
    pub audio_output: Option<Decimal>,
}

impl Price {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These prices, completed from `fallback`.
    #[must_use]
    pub fn or(&self, fallback: &Self) -> Self {
        Self {
            input: self.input.or(fallback.input),
            cache_read: self.cache_read.or(fallback.cache_read),
            cache_write_5m: self.cache_write_5m.or(fallback.cache_write_5m),
            cache_write_1h: self.cache_write_1h.or(fallback.cache_write_1h),
            audio_input: self.audio_input.or(fallback.audio_input),
            image_input: self.image_input.or(fallback.image_input),
            output: self.output.or(fallback.output),
            reasoning: self.reasoning.or(fallback.reasoning),
            audio_output: self.audio_output.or(fallback.audio_output),
        }
    }

    /// Everything for nothing: what a mocked answer costs.
    pub fn free() -> Self {
        let zero = Some(Decimal::ZERO);
        Self {
            input: zero,
            output: zero,
            ..Self::default()
        }
    }
}

/// A price from its source text: `2.5e-06`, `0.0000025`, `10`. Cleaned to 12 significant digits, because price maps
/// hold the noise of float arithmetic. `None` for anything that is no number, or below zero.
pub fn parse_price(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let value = Decimal::from_scientific(text)
        .or_else(|_| text.parse::<Decimal>())
        .ok()?;
    let cleaned = value.round_sf_with_strategy(12, RoundingStrategy::MidpointNearestEven)?;
    (!cleaned.is_sign_negative() || cleaned.is_zero()).then(|| cleaned.normalize())
}

#[cfg(test)]
mod tests {
    use super::parse_price;

    #[test]
    fn prices_are_read_exactly_and_float_noise_is_cleaned() {
        for (text, want) in [
            ("1e-06", Some("0.000001")),
            ("0.0000025", Some("0.0000025")),
            ("2.5E-6", Some("0.0000025")),
            ("1.5000000000000002e-07", Some("0.00000015")),
            ("0", Some("0")),
            ("10", Some("10")),
            ("1e3", Some("1000")),
            ("-1", None),
            ("free", None),
            ("", None),
            ("1e-400", None),
        ] {
            assert_eq!(
                parse_price(text).map(|price| price.to_string()).as_deref(),
                want,
                "{text}"
            );
        }
    }
}
