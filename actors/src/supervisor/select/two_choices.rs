//! `power-of-two-choices`: of two candidates drawn at random, the less loaded.
//!
//! Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001); the load as in Finagle's
//! `p2c_peak_ewma`: requests in flight, and the one to come, times the smoothed latency. Two draws keep the herd from
//! running to the one that looks best, which `least-busy` and `latency-based-routing` do between two updates.

use std::time::Duration;

use rand::{Rng, RngExt};

use super::Facts;

pub(super) fn pick(candidates: &[Facts], rng: &mut impl Rng) -> Option<usize> {
    let count = candidates.len();
    if count < 2 {
        return candidates.first().map(|_only| 0);
    }
    let one = rng.random_range(0..count);
    // Of the others, each with the same chance.
    let other = (one + rng.random_range(1..count)) % count;
    let (a, b) = (candidates.get(one)?, candidates.get(other)?);
    let latencies = a.latency.zip(b.latency);
    let (load_a, load_b) = match latencies {
        Some((latency_a, latency_b)) => (load(a, latency_a), load(b, latency_b)),
        // A latency that only one has says nothing about the other.
        None => (load(a, EQUAL), load(b, EQUAL)),
    };
    Some(if load_b < load_a { other } else { one })
}

const EQUAL: Duration = Duration::from_secs(1);

fn load(facts: &Facts, latency: Duration) -> f64 {
    (f64::from(facts.in_flight) + 1.0) * latency.as_secs_f64()
}
