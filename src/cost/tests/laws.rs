//! What holds for every usage and every price.

use proptest::array::{uniform6, uniform9};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use rust_decimal::Decimal;
use trunkline_actors::money::Usd;
use trunkline_wire::usage::Usage;

use super::{STANDARD, of};
use crate::cost::{Figure, Part, Price, ServiceTier, Units, When, cost, expected};

fn tokens() -> impl Strategy<Value = Option<u64>> {
    option::of(0_u64..1_000_000)
}

pub(super) fn usd() -> impl Strategy<Value = Decimal> {
    (0_i64..1_000_000, 6_u32..15).prop_map(|(digits, scale)| Decimal::new(digits, scale))
}

pub(super) fn service() -> impl Strategy<Value = ServiceTier> {
    select(ServiceTier::all().collect::<Vec<_>>())
}

prop_compose! {
    pub(super) fn usages()(parts in uniform9(tokens())) -> Usage {
        let [a, b, c, d, e, f, g, h, i] = parts;
        Usage { input_uncached: a, cache_read: b, cache_write_5m: c, cache_write_1h: d, audio_input: e,
                image_input: f, output_text: g, reasoning: h, audio_output: i, ..Usage::default() }
    }
}

/// Anything by the piece, mostly nothing.
pub(super) fn some_units() -> impl Strategy<Value = Units> {
    option::of((uniform6(0_u64..200), 0_i64..100_000)).prop_map(|some| {
        let Some(([queries, images_in, images_out, pixels, characters, tokens], tenths)) = some
        else {
            return Units::default();
        };
        Units {
            queries,
            images_in,
            images_out,
            image_output_tokens: tokens,
            pixels,
            characters_in: characters,
            characters_out: characters,
            seconds_in: Decimal::new(tenths, 1),
            seconds_out: Decimal::new(tenths, 2),
        }
    })
}

/// Any figures at all, and input and output for sure.
pub(super) fn prices() -> impl Strategy<Value = Price> {
    let figure = (
        select(Part::all().collect::<Vec<_>>()),
        select(vec![0_u32, 1_000, 128_000, 200_000]),
        service(),
        usd(),
    )
        .prop_map(|(part, above, service, usd)| Figure {
            part,
            when: When { above, service },
            usd,
        });
    (vec(figure, 0..20), usd(), usd()).prop_map(|(figures, input, output)| {
        let plain = Price::flat([(Part::Input, input), (Part::Output, output)]);
        Price::new(plain.figures().iter().copied().chain(figures))
    })
}

/// Prices of which no longer prompt is cheaper, as every provider's.
fn rising() -> impl Strategy<Value = Price> {
    prices().prop_map(|price| {
        let dearest_below = |figure: &Figure| {
            let same = |other: &&Figure| {
                other.part == figure.part
                    && other.when.service == figure.when.service
                    && other.when.above <= figure.when.above
            };
            let below = price.figures().iter().filter(same);
            below.map(|other| other.usd).max().unwrap_or_default()
        };
        let has_plain =
            |figure: &&Figure| price.of(figure.part).is_some() && figure.when.service == STANDARD;
        Price::new(
            price
                .figures()
                .iter()
                .filter(has_plain)
                .map(|figure| Figure {
                    usd: dearest_below(figure),
                    ..*figure
                }),
        )
    })
}

proptest! {
    #[test]
    fn cost_is_additive_over_its_parts_and_never_negative(usage in usages(), price in prices(), service in service()) {
        let whole = of(&usage, &price, service);
        prop_assert!(whole.total >= Usd::ZERO);
        prop_assert_eq!(whole.input_side() + whole.output_side(), whole.list());
        prop_assert_eq!(Usd::rounded(whole.list()), whole.total);
        // Each part alone costs what it costs among the others, at the rates of the whole prompt.
        let prompt = usage.prompt_tokens();
        let alone = |part, tokens: Option<u64>| {
            Decimal::from(tokens.unwrap_or(0)) * price.at(part, prompt, service).unwrap()
        };
        prop_assert_eq!(whole.input, alone(Part::Input, usage.input_uncached));
        prop_assert_eq!(whole.cache_read, alone(Part::CacheRead, usage.cache_read));
        prop_assert_eq!(
            whole.cache_write,
            alone(Part::CacheWrite5m, usage.cache_write_5m) + alone(Part::CacheWrite1h, usage.cache_write_1h)
        );
        prop_assert_eq!(whole.output, alone(Part::Output, usage.output_text));
        prop_assert_eq!(whole.reasoning, alone(Part::Reasoning, usage.reasoning));
    }

    #[test]
    fn more_tokens_never_cost_less_even_over_the_edge_of_a_tier(
        usage in usages(), price in rising(), more in 0_u64..500_000, service in service()
    ) {
        let longer = Usage { input_uncached: Some(usage.input_uncached.unwrap_or(0) + more), ..usage };
        prop_assert!(of(&longer, &price, service).total >= of(&usage, &price, service).total);
        let answered = Usage { output_text: Some(usage.output_text.unwrap_or(0) + more), ..usage };
        prop_assert!(of(&answered, &price, service).total >= of(&usage, &price, service).total);
    }

    #[test]
    fn twice_the_tokens_of_one_tier_cost_twice_as_much(tokens in 1_u64..10_000_000, input in usd()) {
        let price = Price::flat([(Part::Input, input)]);
        let once = of(&Usage::plain(tokens, 0), &price, STANDARD);
        let twice = of(&Usage::plain(tokens * 2, 0), &price, STANDARD);
        prop_assert_eq!(once.input + once.input, twice.input);
    }

    #[test]
    fn the_hold_covers_what_the_estimate_turns_out_to_be(
        prompt in 0_u64..400_000, completion in 0_u64..10_000, price in rising()
    ) {
        let (input, output) = expected(&price, prompt, completion, STANDARD);
        let held = input.unwrap() + output.unwrap();
        let cost = of(&Usage::plain(prompt, completion), &price, STANDARD);
        // Two roundings against one.
        let slack = Usd::from_pico(1);
        prop_assert!(held + slack >= cost.total);
    }

    #[test]
    fn units_add_up_too(queries in 0_u64..100, images in 0_u64..100, seconds in 0_u64..10_000, price in prices()) {
        let units = Units { queries, images_out: images, seconds_in: seconds.into(), ..Units::default() };
        if let Some(cost) = cost(&Usage::plain(1, 1), &price, &units, STANDARD) {
            prop_assert_eq!(Usd::rounded(cost.list()), cost.total);
            prop_assert!(cost.units_in >= Decimal::ZERO && cost.units_out >= Decimal::ZERO);
        }
    }

    #[test]
    fn conditions_are_read_as_they_are_written(above in 0_u32..2_000_000, service in service()) {
        let when = When { above, service };
        prop_assert_eq!(When::parse(&when.to_string()), Some(when));
    }
}
