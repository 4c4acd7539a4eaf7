//! `usage-based-routing` and its second version: who has been used least in the last 60 s.
//!
//! Source: contract, routing §2. The first takes the fewest tokens, the first found of several. The second takes the most
//! head-room: the least share of `rpm` or `tpm`, whichever is scarcer, that is used up; among equals the fewest tokens;
//! among those any. LiteLLM's second version compares tokens alone, which fills small deployments first. Who has no room
//! for the request is not among the candidates.

use rand::Rng;

use super::{Facts, any_of_least};

pub(super) fn fewest_tokens(candidates: &[Facts]) -> Option<usize> {
    let tokens = candidates.iter().map(|facts| facts.used.tokens);
    let least = tokens.enumerate().min_by_key(|(_place, tokens)| *tokens);
    least.map(|(place, _tokens)| place)
}

pub(super) fn most_head_room(candidates: &[Facts], rng: &mut impl Rng) -> Option<usize> {
    any_of_least(
        candidates,
        |facts| (used_up(facts), facts.used.tokens),
        |(share, tokens), (least, fewest)| share.total_cmp(least).then(tokens.cmp(fewest)),
        rng,
    )
}

/// 0 when nothing is used or limited, 1 when the scarcer limit is used up.
fn used_up(facts: &Facts) -> f64 {
    let requests = share(facts.used.requests, facts.grant.rpm);
    let tokens = share(facts.used.tokens, facts.grant.tpm);
    requests.max(tokens)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate above 2^53 per minute may be off by one part in 2^53"
)]
fn share(used: u64, limit: Option<u64>) -> f64 {
    limit.map_or(0.0, |limit| used as f64 / limit.max(1) as f64)
}
