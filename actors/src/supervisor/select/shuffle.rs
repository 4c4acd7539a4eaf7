//! `simple-shuffle`: a weighted random choice.
//!
//! Source: contract, routing §2. Weights are the first of `weight`, `rpm`, `tpm` for which any candidate has a value
//! above 0; a candidate without one then weighs 0 and is never picked. If no candidate has any, all are equal.

use rand::{Rng, RngExt};
use smallvec::SmallVec;

use super::Facts;

pub(super) fn pick(candidates: &[Facts], rng: &mut impl Rng) -> Option<usize> {
    let measures: [fn(&Facts) -> f64; 3] = [
        |facts| facts.weight,
        |facts| rate(facts.grant.rpm),
        |facts| rate(facts.grant.tpm),
    ];
    for measure in measures {
        let weights: SmallVec<[f64; 8]> = candidates.iter().map(measure).collect();
        if let Some(index) = weighted(&weights, rng) {
            return Some(index);
        }
    }
    (!candidates.is_empty()).then(|| rng.random_range(0..candidates.len()))
}

/// An index with a chance in proportion to its weight; `None` if nothing weighs anything.
fn weighted(weights: &[f64], rng: &mut impl Rng) -> Option<usize> {
    let usable = |weight: &f64| weight.is_finite() && *weight > 0.0;
    let total: f64 = weights.iter().copied().filter(usable).sum();
    if !(total.is_finite() && total > 0.0) {
        return None;
    }
    let mut point = rng.random::<f64>() * total;
    let mut last = None;
    for (index, weight) in weights.iter().enumerate() {
        if !usable(weight) {
            continue;
        }
        last = Some(index);
        point -= weight;
        if point < 0.0 {
            break;
        }
    }
    // Rounding may leave the point at the very end: that is the last one's.
    last
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate above 2^53 per minute may be off by one part in 2^53"
)]
fn rate(per_minute: Option<u64>) -> f64 {
    per_minute.unwrap_or(0) as f64
}
