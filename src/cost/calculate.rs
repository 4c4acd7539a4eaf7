//! Usage × price, in decimals.

use rust_decimal::Decimal;
use trunkline_actors::money::Usd;
use trunkline_wire::usage::Usage;

use super::price::Price;

/// What each part of a call costs.
///
/// The parts are exact; the total is their exact sum, rounded once, half to even, to 1e-12 USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CostBreakdown {
    /// Plain input.
    pub input: Decimal,
    /// Input read from the provider's cache.
    pub cache_read: Decimal,
    /// Input written to a cache, of either life time.
    pub cache_write: Decimal,
    /// Audio input.
    pub audio_input: Decimal,
    /// Image input.
    pub image_input: Decimal,
    /// Plain output.
    pub output: Decimal,
    /// Hidden reasoning.
    pub reasoning: Decimal,
    /// Audio output.
    pub audio_output: Decimal,
    /// All of it.
    pub total: Usd,
}

impl CostBreakdown {
    /// The exact cost of everything sent to the model.
    pub fn input_side(&self) -> Decimal {
        self.input + self.cache_read + self.cache_write + self.audio_input + self.image_input
    }
}

/// What `usage` costs at `price`; `None` when the price of a part that was used is not known.
///
/// A part without a price of its own costs as much as the plain part of its side: a provider that names no cache
/// price gives no rebate.
pub fn cost(usage: &Usage, price: &Price) -> Option<CostBreakdown> {
    let input_part = |tokens, own: Option<Decimal>| part(tokens, own.or(price.input));
    let output_part = |tokens, own: Option<Decimal>| part(tokens, own.or(price.output));
    let input = input_part(usage.input_uncached, price.input)?;
    let cache_read = input_part(usage.cache_read, price.cache_read)?;
    let short_write = input_part(usage.cache_write_5m, price.cache_write_5m)?;
    let long_write = input_part(
        usage.cache_write_1h,
        price.cache_write_1h.or(price.cache_write_5m),
    )?;
    let cache_write = short_write.checked_add(long_write)?;
    let audio_input = input_part(usage.audio_input, price.audio_input)?;
    let image_input = input_part(usage.image_input, price.image_input)?;
    let output = output_part(usage.output_text, price.output)?;
    let reasoning = output_part(usage.reasoning, price.reasoning)?;
    let audio_output = output_part(usage.audio_output, price.audio_output)?;
    let total = [
        input,
        cache_read,
        cache_write,
        audio_input,
        image_input,
        output,
        reasoning,
        audio_output,
    ]
    .into_iter()
    .try_fold(Decimal::ZERO, Decimal::checked_add)?;
    Some(CostBreakdown {
        input,
        cache_read,
        cache_write,
        audio_input,
        image_input,
        output,
        reasoning,
        audio_output,
        total: Usd::rounded(total),
    })
}

/// Nothing used costs nothing, whatever its price.
fn part(tokens: Option<u64>, price: Option<Decimal>) -> Option<Decimal> {
    match tokens.unwrap_or(0) {
        0 => Some(Decimal::ZERO),
        tokens => Decimal::from(tokens).checked_mul(price?),
    }
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::cost::{PriceBook, parse_price};

    fn price_of(model: &str) -> Price {
        PriceBook::built_in()
            .lookup("openai", model)
            .unwrap()
            .price
            .clone()
    }

    #[test]
    fn hand_worked_examples_come_out_to_the_last_decimal() {
        // 1,000 input at $2.50 and 500 output at $10 a million.
        let plain = cost(&Usage::plain(1000, 500), &price_of("gpt-4o")).unwrap();
        assert_eq!(plain.total.to_string(), "0.0075");
        // 200 plain, 800 cached at $1.25.
        let cached = Usage {
            input_uncached: Some(200),
            cache_read: Some(800),
            output_text: Some(3),
            ..Usage::default()
        };
        assert_eq!(
            cost(&cached, &price_of("gpt-4o"))
                .unwrap()
                .total
                .to_string(),
            "0.00153"
        );
        // Embeddings have no output.
        assert_eq!(
            cost(&Usage::plain(7, 0), &price_of("text-embedding-3-small"))
                .unwrap()
                .total
                .to_string(),
            "0.00000014"
        );
        // Reasoning costs what output costs unless it has a price of its own.
        let reasoned = Usage {
            reasoning: Some(100),
            ..Usage::default()
        };
        assert_eq!(
            cost(&reasoned, &price_of("gpt-4o")).unwrap().reasoning,
            Decimal::new(1, 3)
        );
    }

    #[test]
    fn the_total_is_rounded_once_half_to_even() {
        let price = Price {
            input: parse_price("5e-13"),
            output: parse_price("1e-12"),
            ..Price::default()
        };
        assert_eq!(
            cost(&Usage::plain(1, 0), &price).unwrap().total.to_string(),
            "0"
        );
        assert_eq!(
            cost(&Usage::plain(1, 1), &price).unwrap().total.to_string(),
            "0.000000000002"
        );
        assert_eq!(
            cost(&Usage::plain(3, 0), &price).unwrap().total.to_string(),
            "0.000000000002"
        );
    }

    #[test]
    fn an_unknown_price_is_unknown_and_not_free() {
        let price = Price {
            input: parse_price("1e-06"),
            ..Price::default()
        };
        assert_eq!(cost(&Usage::plain(1, 1), &price), None);
        assert!(cost(&Usage::plain(1, 0), &price).is_some());
        assert_eq!(cost(&Usage::plain(1, 0), &Price::default()), None);
        assert!(
            cost(&Usage::plain(5, 5), &Price::free())
                .unwrap()
                .total
                .is_zero()
        );
    }

    fn tokens() -> impl Strategy<Value = Option<u64>> {
        option::of(0_u64..10_000_000)
    }

    fn usd() -> impl Strategy<Value = Option<Decimal>> {
        (0_i64..1_000_000, 6_u32..15).prop_map(|(digits, scale)| Some(Decimal::new(digits, scale)))
    }

    prop_compose! {
        fn usages()(a in tokens(), b in tokens(), c in tokens(), d in tokens(), e in tokens(),
                    f in tokens(), g in tokens(), h in tokens(), i in tokens()) -> Usage {
            Usage { input_uncached: a, cache_read: b, cache_write_5m: c, cache_write_1h: d, audio_input: e,
                    image_input: f, output_text: g, reasoning: h, audio_output: i, ..Usage::default() }
        }
    }

    prop_compose! {
        fn prices()(a in usd(), b in usd(), c in usd(), d in usd(), e in usd(),
                    f in usd(), g in usd(), h in usd(), i in usd()) -> Price {
            Price { input: a, cache_read: b, cache_write_5m: c, cache_write_1h: d, audio_input: e,
                    image_input: f, output: g, reasoning: h, audio_output: i }
        }
    }

    proptest! {
        #[test]
        fn cost_is_additive_over_its_parts_and_never_negative(usage in usages(), price in prices()) {
            let whole = cost(&usage, &price).unwrap();
            prop_assert!(whole.total >= Usd::ZERO);
            let input = Usage { output_text: None, reasoning: None, audio_output: None, ..usage };
            let output = Usage { output_text: usage.output_text, reasoning: usage.reasoning,
                                 audio_output: usage.audio_output, ..Usage::default() };
            let (input, output) = (cost(&input, &price).unwrap(), cost(&output, &price).unwrap());
            prop_assert_eq!(input.input_side(), whole.input_side());
            let exact = input.input_side() + output.output + output.reasoning + output.audio_output;
            prop_assert_eq!(Usd::rounded(exact), whole.total);
        }

        #[test]
        fn twice_the_tokens_cost_twice_as_much(tokens in 0_u64..10_000_000, price in usd()) {
            let price = Price { input: price, ..Price::default() };
            let once = cost(&Usage::plain(tokens, 0), &price).unwrap();
            let twice = cost(&Usage::plain(tokens * 2, 0), &price).unwrap();
            prop_assert_eq!(once.input + once.input, twice.input);
        }
    }
}
