//! `latency-based-routing`: the quickest, or any that is nearly as quick.
//!
//! Source: contract, routing §2. LiteLLM averages the last ten samples; here it is a moving average for each size of
//! prompt, of the time to first content for streams and of the time per completion token for whole answers. One that was
//! never seen, or not within `ttl`, counts as quickest and is tried first.

use std::time::Duration;

use rand::Rng;
use smallvec::SmallVec;

use super::{Facts, any_of};

/// `routing_strategy_args` of the strategy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyArgs {
    /// Share by which one may be slower than the quickest and still be picked; 0 and above.
    pub buffer: f64,
    /// A figure that old is forgotten.
    pub ttl: Duration,
}

// === impl LatencyArgs ===

impl Default for LatencyArgs {
    fn default() -> Self {
        Self {
            buffer: 0.0,
            ttl: Duration::from_hours(1),
        }
    }
}

pub(super) fn pick(args: LatencyArgs, candidates: &[Facts], rng: &mut impl Rng) -> Option<usize> {
    let speeds = candidates.iter().map(|facts| seconds(facts.speed));
    let lowest = speeds.clone().reduce(f64::min)?;
    let slowest = lowest + args.buffer.max(0.0) * lowest;
    let quick: SmallVec<[usize; 8]> = speeds
        .enumerate()
        .filter(|(_place, seconds)| *seconds <= slowest)
        .map(|(place, _seconds)| place)
        .collect();
    any_of(&quick, rng)
}

fn seconds(speed: Option<Duration>) -> f64 {
    speed.map_or(0.0, |speed| speed.as_secs_f64())
}
