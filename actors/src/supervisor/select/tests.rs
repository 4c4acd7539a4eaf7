//! Each strategy's rule, on plain facts and with fixed seeds.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rust_decimal::Decimal;

use super::*;

const DRAWS: usize = 20_000;

/// How often each candidate is picked.
fn shares(strategy: &Strategy, candidates: &[Facts]) -> Vec<usize> {
    let mut rng = SmallRng::seed_from_u64(20_261_122);
    let mut counts = vec![0; candidates.len()];
    for _ in 0..DRAWS {
        counts[strategy.pick(candidates, &mut rng).unwrap()] += 1;
    }
    counts
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand draws")]
/// Pearson's statistic of the counts against expected shares.
fn chi_square(counts: &[usize], expected: &[f64]) -> f64 {
    let all: f64 = expected.iter().sum();
    let of = |(count, share): (&usize, &f64)| {
        let expected = DRAWS as f64 * share / all;
        (*count as f64 - expected).powi(2) / expected
    };
    counts.iter().zip(expected).map(of).sum()
}

/// Quantile 0.999 for three degrees of freedom.
const CHI_SQUARE_3: f64 = 16.27;

fn weighing(weight: f64) -> Facts {
    Facts {
        weight,
        ..Facts::default()
    }
}

fn granted(rpm: Option<u64>, tpm: Option<u64>, requests: u64, tokens: u64) -> Facts {
    Facts {
        grant: Grant { rpm, tpm },
        used: Used { requests, tokens },
        ..Facts::default()
    }
}

#[test]
fn the_shuffle_follows_the_weights() {
    let candidates = [1.0, 2.0, 3.0, 10.0].map(weighing);
    let counts = shares(&Strategy::SimpleShuffle, &candidates);
    let distance = chi_square(&counts, &[1.0, 2.0, 3.0, 10.0]);
    assert!(distance < CHI_SQUARE_3, "{distance}: {counts:?}");
}

#[test]
fn the_shuffle_follows_rpm_and_then_tpm_where_nobody_has_a_weight() {
    let by_rpm = [100, 100, 300, 500].map(|rpm| granted(Some(rpm), Some(7), 0, 0));
    let counts = shares(&Strategy::SimpleShuffle, &by_rpm);
    let distance = chi_square(&counts, &[1.0, 1.0, 3.0, 5.0]);
    assert!(distance < CHI_SQUARE_3, "{distance}: {counts:?}");
    let by_tokens = [1, 2, 3, 4].map(|tpm| granted(None, Some(tpm), 0, 0));
    let counts = shares(&Strategy::SimpleShuffle, &by_tokens);
    let distance = chi_square(&counts, &[1.0, 2.0, 3.0, 4.0]);
    assert!(distance < CHI_SQUARE_3, "{distance}: {counts:?}");
}

#[test]
fn without_any_measure_all_are_equal_and_a_zero_weight_is_never_picked() {
    let counts = shares(&Strategy::SimpleShuffle, &[Facts::default(); 4]);
    assert!(chi_square(&counts, &[1.0; 4]) < CHI_SQUARE_3, "{counts:?}");
    let counts = shares(&Strategy::SimpleShuffle, &[0.0, 1.0].map(weighing));
    assert_eq!(counts[0], 0);
}

#[test]
fn least_busy_takes_the_fewest_in_flight_and_spreads_ties() {
    let busy = |in_flight| Facts {
        in_flight,
        ..Facts::default()
    };
    let counts = shares(&Strategy::LeastBusy, &[busy(3), busy(1), busy(1), busy(9)]);
    assert_eq!((counts[0], counts[3]), (0, 0));
    assert!(counts[1].abs_diff(counts[2]) < DRAWS / 20, "{counts:?}");
}

#[test]
fn latency_takes_the_quickest_and_within_the_buffer_any() {
    let at = |millis| Facts {
        speed: Some(Duration::from_millis(millis)),
        ..Facts::default()
    };
    let candidates = [at(110), at(100), at(200)];
    let strict = Strategy::LatencyBased(LatencyArgs::default());
    assert_eq!(shares(&strict, &candidates), [0, DRAWS, 0]);
    let lenient = Strategy::LatencyBased(LatencyArgs {
        buffer: 0.1,
        ..LatencyArgs::default()
    });
    let counts = shares(&lenient, &candidates);
    assert!(counts[0].abs_diff(counts[1]) < DRAWS / 20, "{counts:?}");
    assert_eq!(counts[2], 0);
    let unseen = [at(100), Facts::default()];
    assert_eq!(shares(&lenient, &unseen), [0, DRAWS], "tried first");
}

#[test]
fn usage_takes_the_fewest_tokens_and_the_first_of_several() {
    let candidates = [
        granted(None, None, 9, 50),
        granted(Some(1), None, 0, 20),
        granted(None, None, 0, 20),
    ];
    assert_eq!(shares(&Strategy::UsageBased, &candidates), [0, DRAWS, 0]);
}

#[test]
fn usage_v2_takes_the_most_head_room_of_the_scarcer_limit() {
    let candidates = [
        // A quarter of its tokens, but nine tenths of its requests.
        granted(Some(10), Some(1_000), 9, 250),
        granted(Some(10), Some(1_000), 1, 600),
        granted(None, Some(100_000), 50, 50_000),
    ];
    assert_eq!(shares(&Strategy::UsageBasedV2, &candidates), [0, 0, DRAWS]);
    let without_limits = [granted(None, None, 5, 10), granted(None, None, 1, 90)];
    assert_eq!(shares(&Strategy::UsageBasedV2, &without_limits), [DRAWS, 0]);
}

#[test]
fn cost_takes_the_cheapest_and_a_price_before_none() {
    let priced = |micro_usd: i64| Facts {
        price: Some(Decimal::new(micro_usd, 6)),
        ..Facts::default()
    };
    let candidates = [priced(20), Facts::default(), priced(3), priced(3)];
    let counts = shares(&Strategy::CostBased, &candidates);
    assert_eq!((counts[0], counts[1]), (0, 0));
    assert!(counts[2] > 0 && counts[3] > 0);
}

#[test]
fn of_two_choices_the_less_loaded_is_taken_and_the_worst_of_all_never() {
    let loaded = |in_flight, millis| Facts {
        in_flight,
        latency: Some(Duration::from_millis(millis)),
        ..Facts::default()
    };
    // Loads: 4, 2, 8, 1 (hundred milliseconds).
    let candidates = [
        loaded(3, 100),
        loaded(0, 200),
        loaded(7, 100),
        loaded(0, 100),
    ];
    let counts = shares(&Strategy::PowerOfTwoChoices, &candidates);
    assert_eq!(counts[2], 0, "{counts:?}");
    // Of six pairs the best is in three, the second in two that it wins, the third in one.
    let expected = [1.0, 2.0, 3.0];
    let three = [counts[0], counts[1], counts[3]];
    // Two degrees of freedom, quantile 0.999.
    assert!(chi_square(&three, &expected) < 13.82, "{counts:?}");
}

#[test]
fn no_strategy_picks_of_nobody() {
    let mut rng = SmallRng::seed_from_u64(1);
    for strategy in [
        Strategy::SimpleShuffle,
        Strategy::LeastBusy,
        Strategy::LatencyBased(LatencyArgs::default()),
        Strategy::UsageBased,
        Strategy::UsageBasedV2,
        Strategy::CostBased,
        Strategy::PowerOfTwoChoices,
    ] {
        assert_eq!(strategy.pick(&[], &mut rng), None, "{strategy:?}");
        assert_eq!(
            strategy.pick(&[Facts::default()], &mut rng),
            Some(0),
            "{strategy:?}"
        );
    }
}
