//! Costs worked by hand at the prices of the built-in list.

use rust_decimal::Decimal;
use trunkline_actors::money::Usd;
use trunkline_wire::usage::Usage;

use super::{STANDARD, of, price};
use crate::cost::book_file::figure;
use crate::cost::{Part, Price, PriceBook, Region, ServiceTier, Terms, Units, cost, expected};

fn total(price: &Price, usage: &Usage, service: ServiceTier) -> String {
    let cost = of(usage, price, service);
    assert_eq!(cost.total, Usd::rounded(cost.list()));
    cost.total.to_string()
}

fn by_units(provider: &str, model: &str, units: Units) -> String {
    let cost = cost(&Usage::default(), &price(provider, model), &units, STANDARD).expect("known");
    cost.total.to_string()
}

#[test]
fn plain_and_cached_tokens_are_worked_by_hand() {
    let gpt_4o = price("openai", "gpt-4o");
    // 1,000 input at $2.50 and 500 output at $10 a million.
    assert_eq!(total(&gpt_4o, &Usage::plain(1000, 500), STANDARD), "0.0075");
    // 200 plain, 800 cached at $1.25.
    let cached = Usage {
        input_uncached: Some(200),
        cache_read: Some(800),
        output_text: Some(3),
        ..Usage::default()
    };
    assert_eq!(total(&gpt_4o, &cached, STANDARD), "0.00153");
    // Embeddings have no output.
    let embedding = price("openai", "text-embedding-3-small");
    assert_eq!(
        total(&embedding, &Usage::plain(7, 0), STANDARD),
        "0.00000014"
    );
    // Reasoning costs what output costs unless it has a price of its own.
    let reasoned = Usage {
        reasoning: Some(100),
        ..Usage::default()
    };
    assert_eq!(total(&gpt_4o, &reasoned, STANDARD), "0.001");
    // Perplexity: reasoning has its own price, $3 instead of $8 a million.
    let sonar = price("perplexity", "sonar-deep-research");
    assert_eq!(total(&sonar, &reasoned, STANDARD), "0.0003");
}

#[test]
fn anthropic_bills_cache_writes_by_life_time_and_long_prompts_as_a_whole() {
    let sonnet = price("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0");
    let usage = Usage {
        input_uncached: Some(1000),
        cache_read: Some(100_000),
        cache_write_5m: Some(50_000),
        cache_write_1h: Some(49_000),
        output_text: Some(2000),
        ..Usage::default()
    };
    // 200,000 tokens are not above 200,000:
    // 1000×$3 + 100,000×$0.30 + 50,000×$3.75 + 49,000×$6 + 2000×$15, a million each.
    assert_eq!(usage.prompt_tokens(), 200_000);
    assert_eq!(total(&sonnet, &usage, STANDARD), "0.5445");
    // One more, and every token of the request has the long price: $6, $0.60, $7.50, $12, $22.50.
    let longer = Usage {
        input_uncached: Some(1001),
        ..usage
    };
    assert_eq!(total(&sonnet, &longer, STANDARD), "1.074006");
    // The first party bills $3.75 and $6 for writes whatever the length.
    let direct = price("anthropic", "claude-sonnet-4-5");
    assert_eq!(total(&direct, &usage, STANDARD), "0.5445");
    // Half for batches; the one-hour write has no batch figure, so the standard one counts.
    assert_eq!(total(&direct, &usage, ServiceTier::Batch), "0.41925");
}

#[test]
fn google_bills_long_prompts_services_audio_and_pictures() {
    let pro = price("gemini", "gemini-2.5-pro");
    let (short, long) = (Usage::plain(200_000, 1000), Usage::plain(200_001, 1000));
    // $1.25 and $10; above 200,000 tokens $2.50 and $15.
    assert_eq!(total(&pro, &short, STANDARD), "0.26");
    assert_eq!(total(&pro, &long, STANDARD), "0.5150025");
    // Flex: $0.625 and $5. Priority: $2.25 and $18, above $4.50 and $27.
    assert_eq!(total(&pro, &short, ServiceTier::Flex), "0.13");
    assert_eq!(total(&pro, &short, ServiceTier::Priority), "0.468");
    assert_eq!(total(&pro, &long, ServiceTier::Priority), "0.9270045");
    // Flex names no price above 200,000: the dearer of what is known counts.
    assert_eq!(total(&pro, &long, ServiceTier::Flex), "0.5150025");
    // Audio input at $1 instead of $0.30.
    let audio = Usage {
        input_uncached: Some(10),
        audio_input: Some(1000),
        output_text: Some(100),
        ..Usage::default()
    };
    assert_eq!(
        total(&price("gemini", "gemini-2.5-flash"), &audio, STANDARD),
        "0.001253"
    );
}

#[test]
fn a_tier_at_128k_counts_for_the_whole_request() {
    let price = Price::new(
        [
            ("input", "1"),
            ("input>128k", "2"),
            ("output", "3"),
            ("output>128k", "6"),
        ]
        .map(|(name, text)| figure(name, text).unwrap()),
    );
    assert_eq!(
        total(&price, &Usage::plain(128_000, 100), STANDARD),
        "0.1283"
    );
    assert_eq!(
        total(&price, &Usage::plain(128_001, 100), STANDARD),
        "0.256602"
    );
}

#[test]
fn openai_bills_long_prompts_above_272k_and_four_services() {
    let astra = price("openai", "gpt-6-astra");
    let (short, long) = (Usage::plain(272_000, 100), Usage::plain(272_001, 100));
    // $10 and $50; above $20 and $75.
    assert_eq!(total(&astra, &short, STANDARD), "2.725");
    assert_eq!(total(&astra, &long, STANDARD), "5.44752");
    assert_eq!(total(&astra, &short, ServiceTier::Batch), "1.3625");
    assert_eq!(total(&astra, &short, ServiceTier::Flex), "1.3625");
    assert_eq!(total(&astra, &short, ServiceTier::Priority), "5.45");
    assert_eq!(total(&astra, &long, ServiceTier::Batch), "2.72376");
    assert_eq!(total(&astra, &long, ServiceTier::Priority), "10.89504");
}

#[test]
fn what_is_no_token_is_billed_by_the_piece() {
    let none = Units::default();
    // Rerankers: $2 a thousand searches.
    let queries = Units { queries: 3, ..none };
    assert_eq!(by_units("cohere", "rerank-v3.5", queries), "0.006");
    // Speech: $15 a million characters. Transcription: $0.0001 a second, said for both sides and billed once.
    let characters = Units {
        characters_in: 1200,
        ..none
    };
    assert_eq!(by_units("openai", "tts-1", characters), "0.018");
    let seconds = Units {
        seconds_in: Decimal::new(905, 1),
        ..none
    };
    assert_eq!(by_units("openai", "whisper-1", seconds), "0.00905");
    // Pictures by the pixel, where the list prices one size by them.
    let picture = Units {
        images_out: 2,
        pixels: 2 * 1024 * 1024,
        ..none
    };
    assert_eq!(
        by_units("azure", "hd/1024-x-1024/dall-e-3", picture),
        "0.175999916442"
    );
    // By the token where the provider counts them: 1,000 at $40 a million, and the prompt.
    let usage = Usage::plain(100, 0);
    let units = Units {
        images_out: 1,
        image_output_tokens: 1000,
        ..none
    };
    let cost = cost(&usage, &price("openai", "gpt-image-1"), &units, STANDARD).unwrap();
    assert_eq!(cost.total.to_string(), "0.0405");
    // A call has its own price beside the tokens: $0.005.
    assert_eq!(
        total(
            &price("perplexity", "sonar-small-online"),
            &Usage::plain(0, 1000),
            STANDARD
        ),
        "0.00528"
    );
}

#[test]
fn what_nothing_is_known_of_is_unknown_and_what_used_nothing_is_free() {
    let ask = |usage: &Usage, price: &Price, units: &Units| {
        cost(usage, price, units, STANDARD).map(|cost| cost.total.to_string())
    };
    let (none, nothing) = (Units::default(), Usage::default());
    let input_only = Price::flat([(Part::Input, Decimal::new(1, 6))]);
    assert_eq!(ask(&Usage::plain(1, 1), &input_only, &none), None);
    assert_eq!(
        ask(&Usage::plain(1, 0), &input_only, &none).as_deref(),
        Some("0.000001")
    );
    assert_eq!(ask(&Usage::plain(1, 0), &Price::default(), &none), None);
    let free = Price::free();
    assert_eq!(ask(&Usage::plain(5, 5), &free, &none).as_deref(), Some("0"));
    // Pieces without a figure are not billed, unless there is nothing else to bill.
    let picture = Units {
        images_out: 1,
        ..none
    };
    assert_eq!(ask(&nothing, &input_only, &picture), None);
    assert_eq!(
        ask(&Usage::plain(1, 0), &input_only, &picture).as_deref(),
        Some("0.000001")
    );
    // A failed call has no fee.
    let by_call = Price::flat([(Part::Request, Decimal::ONE)]).under(&Terms {
        fixed: Decimal::ONE,
        ..Terms::default()
    });
    assert_eq!(ask(&nothing, &by_call, &none).as_deref(), Some("0"));
}

#[test]
fn the_total_is_rounded_once_half_to_even() {
    let price = Price::flat([
        (Part::Input, Decimal::new(5, 13)),
        (Part::Output, Decimal::new(1, 12)),
    ]);
    let total = |prompt, completion| {
        let usage = Usage::plain(prompt, completion);
        let cost = cost(&usage, &price, &Units::default(), STANDARD).unwrap();
        cost.total.to_string()
    };
    assert_eq!(total(1, 0), "0");
    assert_eq!(total(1, 1), "0.000000000002");
    assert_eq!(total(3, 0), "0.000000000002");
}

#[test]
fn discount_comes_first_then_margin_then_the_fixed_amount() {
    let terms = Terms {
        discount: Decimal::new(10, 2),
        margin: Decimal::new(20, 2),
        fixed: Decimal::new(1, 3),
    };
    let price = price("openai", "gpt-4o").under(&terms);
    let usage = Usage::plain(1000, 500);
    let cost = cost(&usage, &price, &Units::default(), STANDARD).unwrap();
    // $0.0075 − 10 % = $0.00675; + 20 % + $0.001 = $0.0091.
    assert_eq!(cost.list(), Decimal::new(75, 4));
    assert_eq!(cost.discount, Decimal::new(75, 5));
    assert_eq!(cost.margin, Decimal::new(235, 5));
    assert_eq!(cost.total.to_string(), "0.0091");
    let (input, output) = expected(&price, 1000, 500, STANDARD);
    assert_eq!((input.unwrap() + output.unwrap()).to_string(), "0.0091");
}

#[test]
fn a_hold_is_for_the_dearest_tier_that_the_estimate_may_reach() {
    let pro = price("gemini", "gemini-2.5-pro");
    let hold = |prompt| {
        expected(&pro, prompt, 1000, STANDARD)
            .0
            .unwrap()
            .to_string()
    };
    assert_eq!(hold(100_000), "0.125");
    // Twice the estimate is above 200,000 tokens.
    assert_eq!(hold(100_001), "0.2500025");
    // Priority is dearer and is held; flex may be served as standard.
    let input = |service| expected(&pro, 1000, 0, service).0.unwrap().to_string();
    assert_eq!(input(ServiceTier::Priority), "0.00225");
    assert_eq!(input(ServiceTier::Flex), "0.00125");
    assert_eq!(expected(&Price::default(), 1, 1, STANDARD), (None, None));
}

#[test]
fn an_own_figure_replaces_all_that_the_list_says_of_its_part() {
    let listed = price("gemini", "gemini-2.5-pro");
    let own = Price::flat([(Part::Input, Decimal::new(1, 6))]);
    let merged = own.or(&listed);
    for (prompt, service) in [
        (10, STANDARD),
        (300_000, STANDARD),
        (10, ServiceTier::Priority),
    ] {
        assert_eq!(
            merged.at(Part::Input, prompt, service),
            Some(Decimal::new(1, 6))
        );
        assert_eq!(
            merged.at(Part::Output, prompt, service),
            listed.at(Part::Output, prompt, service)
        );
    }
    // A tier alone is added.
    let tier = Price::new([figure("input>200k", "9").unwrap()]).or(&listed);
    assert_eq!(tier.of(Part::Input), listed.of(Part::Input));
    assert_eq!(
        tier.at(Part::Input, 300_000, STANDARD),
        Some(Decimal::new(9, 6))
    );
}

#[test]
fn a_region_with_a_price_of_its_own_costs_more() {
    let book = PriceBook::built_in();
    let entry = book.lookup("openai", "gpt-6-astra").unwrap();
    let usage = Usage::plain(1000, 100);
    assert_eq!(total(&entry.price_in(None), &usage, STANDARD), "0.015");
    assert_eq!(
        total(&entry.price_in(Some(Region::Eu)), &usage, STANDARD),
        "0.0165"
    );
    assert_eq!(
        total(&entry.price_in(Some(Region::Regional)), &usage, STANDARD),
        "0.015"
    );
}
