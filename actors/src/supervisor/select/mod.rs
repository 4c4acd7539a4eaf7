//! Strategies: which of the deployments that could answer does. Each is a pure function over [`Facts`] in a file of its
//! own; what may answer at all (order, tags, cooldown, capacity) is settled before, in [`run`](super::run).

use std::cmp::Ordering;
use std::time::Duration;

use rand::{Rng, RngExt};
use rust_decimal::Decimal;
use smallvec::SmallVec;

use super::table::Member;
use crate::clock::Millis;
use crate::deployment::{Grant, Measure, SizeClass, Used};

mod cost;
mod latency;
mod least_busy;
mod shuffle;
#[cfg(test)]
mod tests;
mod two_choices;
mod usage;

pub use latency::LatencyArgs;
pub(super) use shuffle::{Draw, Weighed};

/// How a deployment is chosen: `routing_strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Strategy {
    /// `simple-shuffle`.
    #[default]
    SimpleShuffle,
    /// `least-busy`.
    LeastBusy,
    /// `latency-based-routing`.
    LatencyBased(LatencyArgs),
    /// `usage-based-routing`.
    UsageBased,
    /// `usage-based-routing-v2`.
    UsageBasedV2,
    /// `cost-based-routing`.
    CostBased,
    /// `power-of-two-choices`.
    PowerOfTwoChoices,
}

/// What a strategy may know of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct RequestFacts {
    pub(super) size: SizeClass,
    pub(super) streamed: bool,
    /// Prompt and completion, estimated.
    pub(super) tokens: u64,
}

/// What a strategy may know of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Facts {
    pub(super) weight: f64,
    pub(super) grant: Grant,
    /// Of the last 60 s; read for the strategies by usage only.
    pub(super) used: Used,
    pub(super) in_flight: u32,
    /// Smoothed, over requests of all kinds.
    pub(super) latency: Option<Duration>,
    /// Smoothed, of requests like this one.
    pub(super) speed: Option<Duration>,
    /// USD for a token in and a token out.
    pub(super) price: Option<Decimal>,
}

// === impl Strategy ===

impl Strategy {
    /// Picks one of the candidates; `None` only if there are none.
    pub(super) fn pick(&self, candidates: &[Facts], rng: &mut impl Rng) -> Option<usize> {
        match self {
            Self::SimpleShuffle => shuffle::pick(candidates, rng),
            Self::LeastBusy => least_busy::pick(candidates, rng),
            Self::LatencyBased(args) => latency::pick(*args, candidates, rng),
            Self::UsageBased => usage::fewest_tokens(candidates),
            Self::UsageBasedV2 => usage::most_head_room(candidates, rng),
            Self::CostBased => cost::pick(candidates, rng),
            Self::PowerOfTwoChoices => two_choices::pick(candidates, rng),
        }
    }

    /// Its name in a config file.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::SimpleShuffle => "simple-shuffle",
            Self::LeastBusy => "least-busy",
            Self::LatencyBased(_) => "latency-based-routing",
            Self::UsageBased => "usage-based-routing",
            Self::UsageBasedV2 => "usage-based-routing-v2",
            Self::CostBased => "cost-based-routing",
            Self::PowerOfTwoChoices => "power-of-two-choices",
        }
    }

    /// What it may know of that candidate.
    pub(super) fn facts(&self, member: &Member, request: RequestFacts, now: Millis) -> Facts {
        let row = member.handle.row();
        let by_usage = matches!(self, Self::UsageBased | Self::UsageBasedV2);
        let speed = match self {
            Self::LatencyBased(args) => {
                let measure = Measure::of(request.size, request.streamed);
                row.speed(measure, now, args.ttl)
            }
            _ => None,
        };
        Facts {
            weight: member.spec.weight.unwrap_or(0.0),
            grant: member.spec.grant(),
            used: if by_usage {
                member.handle.meter().used(now)
            } else {
                Used::default()
            },
            in_flight: row.in_flight(),
            latency: row.latency(),
            speed,
            price: member.spec.price_per_token,
        }
    }
}

/// One of those with the least key, at random: who always takes the first sends an idle gateway's traffic to it alone.
fn any_of_least<K>(
    candidates: &[Facts],
    key: impl Fn(&Facts) -> K,
    compare: impl Fn(&K, &K) -> Ordering,
    rng: &mut impl Rng,
) -> Option<usize> {
    let mut least: Option<K> = None;
    let mut places: SmallVec<[usize; 8]> = SmallVec::new();
    for (place, candidate) in candidates.iter().enumerate() {
        let key = key(candidate);
        match least.as_ref().map(|least| compare(&key, least)) {
            Some(Ordering::Greater) => {}
            Some(Ordering::Equal) => places.push(place),
            None | Some(Ordering::Less) => {
                places.clear();
                places.push(place);
                least = Some(key);
            }
        }
    }
    any_of(&places, rng)
}

fn any_of(places: &[usize], rng: &mut impl Rng) -> Option<usize> {
    if places.is_empty() {
        return None;
    }
    places.get(rng.random_range(0..places.len())).copied()
}
