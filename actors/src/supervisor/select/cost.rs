//! `cost-based-routing`: the cheapest, by the price of a token in and a token out; any of several such.
//!
//! Source: contract, routing §2. One without a known price counts as dearer than any real one: LiteLLM takes 5 USD a
//! token.

use rand::Rng;
use rust_decimal::Decimal;

use super::{Facts, any_of_least};

/// In and out, in USD.
const UNKNOWN: Decimal = Decimal::TEN;

pub(super) fn pick(candidates: &[Facts], rng: &mut impl Rng) -> Option<usize> {
    let price = |facts: &Facts| facts.price.unwrap_or(UNKNOWN);
    any_of_least(candidates, price, Decimal::cmp, rng)
}
