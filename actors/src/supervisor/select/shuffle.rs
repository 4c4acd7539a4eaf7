//! `simple-shuffle`: a weighted random choice.
//!
//! Source: contract, routing §2. Weights are the first of `weight`, `rpm`, `tpm` for which any candidate has a value
//! above 0; a candidate without one then weighs 0 and is never picked. If no candidate has any, all are equal.

use rand::{Rng, RngExt};
use smallvec::SmallVec;

use super::Facts;
use crate::deployment::Grant;

/// What the shuffle goes by: `weight` and the rates of the config.
#[derive(Debug, Clone, Copy)]
pub(in crate::supervisor) struct Weighed {
    pub(in crate::supervisor) weight: f64,
    pub(in crate::supervisor) grant: Grant,
}

/// The chances of candidates, for as many draws as one likes.
#[derive(Debug)]
pub(in crate::supervisor) struct Draw {
    /// Who can be drawn.
    places: SmallVec<[usize; 8]>,
    /// Where the share of each of them ends; empty when all have the same.
    ends: SmallVec<[f64; 8]>,
}

pub(super) fn pick(candidates: &[Facts], rng: &mut impl Rng) -> Option<usize> {
    let weighed = candidates.iter().map(|facts| Weighed {
        weight: facts.weight,
        grant: facts.grant,
    });
    Draw::among(weighed.enumerate()).place(rng)
}

// === impl Draw ===

impl Draw {
    /// The chances of these candidates, each with the place by which it is known.
    pub(in crate::supervisor) fn among(
        candidates: impl Iterator<Item = (usize, Weighed)> + Clone,
    ) -> Self {
        let measures: [fn(&Weighed) -> f64; 3] = [
            |weighed| weighed.weight,
            |weighed| rate(weighed.grant.rpm),
            |weighed| rate(weighed.grant.tpm),
        ];
        for measure in measures {
            let mut draw = Self {
                places: SmallVec::new(),
                ends: SmallVec::new(),
            };
            let mut end = 0.0;
            for (place, weighed) in candidates.clone() {
                let weight = measure(&weighed);
                if weight.is_finite() && weight > 0.0 {
                    end += weight;
                    draw.places.push(place);
                    draw.ends.push(end);
                }
            }
            if end.is_finite() && end > 0.0 {
                return draw;
            }
        }
        Self {
            places: candidates.map(|(place, _)| place).collect(),
            ends: SmallVec::new(),
        }
    }

    /// The place of one of them; `None` only if there are none.
    pub(in crate::supervisor) fn place(&self, rng: &mut impl Rng) -> Option<usize> {
        let last = self.places.len().checked_sub(1)?;
        let drawn = match self.ends.last() {
            None => rng.random_range(0..=last),
            Some(whole) => {
                let point = rng.random::<f64>() * whole;
                // Rounding may leave the point at the very end: that is the last one's.
                self.ends.partition_point(|end| *end <= point).min(last)
            }
        };
        self.places.get(drawn).copied()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate above 2^53 per minute may be off by one part in 2^53"
)]
fn rate(per_minute: Option<u64>) -> f64 {
    per_minute.unwrap_or(0) as f64
}
