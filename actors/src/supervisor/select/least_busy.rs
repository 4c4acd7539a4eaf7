//! `least-busy`: the fewest requests in flight; any of several such.
//!
//! Source: contract, routing §2. LiteLLM takes the first of several; here it is any of them, so that quiet times use
//! all deployments.

use rand::Rng;

use super::{Facts, any_of_least};

pub(super) fn pick(candidates: &[Facts], rng: &mut impl Rng) -> Option<usize> {
    any_of_least(candidates, |facts| facts.in_flight, u32::cmp, rng)
}
