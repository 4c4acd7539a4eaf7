//! The deployments that a name stands for, with what every choice among them needs. Worked out once for a routing table and
//! not for each request: a group may have hundreds.

use std::ops::Deref;
use std::sync::Arc;

use rand::Rng;
use smallvec::SmallVec;

use super::select::{Draw, Weighed};
use super::table::Member;

/// A deployment that may answer, with the provider's name of the model.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) member: Arc<Member>,
    pub(super) upstream_model: Arc<str>,
}

/// Candidates in the order of the config.
#[derive(Debug)]
pub(super) struct Lineup {
    candidates: Box<[Candidate]>,
    orders: SmallVec<[u32; 4]>,
    /// Among those of the lowest order.
    draw: Draw,
    /// Those that are not blocked, where some are.
    running: Option<Arc<Self>>,
}

// === impl Candidate ===

impl Candidate {
    /// Without an order, a deployment comes after all that have one.
    pub(super) fn order(&self) -> u32 {
        self.member.spec.order.unwrap_or(u32::MAX)
    }

    fn weighed(&self) -> Weighed {
        Weighed {
            weight: self.member.spec.weight.unwrap_or(0.0),
            grant: self.member.spec.grant(),
        }
    }
}

// === impl Lineup ===

impl Lineup {
    fn of(candidates: Box<[Candidate]>) -> Self {
        let mut orders: SmallVec<[u32; 4]> = candidates.iter().map(Candidate::order).collect();
        orders.sort_unstable();
        orders.dedup();
        let lowest = orders.first();
        let places = candidates.iter().enumerate();
        let places = places.filter(|(_, candidate)| Some(&candidate.order()) == lowest);
        let draw = Draw::among(places.map(|(place, candidate)| (place, candidate.weighed())));
        let is_running = |candidate: &&Candidate| !candidate.member.spec.blocked;
        let are_all = candidates.iter().all(|candidate| is_running(&candidate));
        let running = (!are_all).then(|| {
            let running = candidates.iter().filter(is_running);
            Arc::new(Self::of(running.cloned().collect()))
        });
        Self {
            candidates,
            orders,
            draw,
            running,
        }
    }

    /// Those that are not blocked; `None` where nobody is.
    pub(super) fn running(&self) -> Option<&Arc<Self>> {
        self.running.as_ref()
    }

    /// The orders that there are, lowest first.
    pub(super) fn orders(&self) -> &[u32] {
        &self.orders
    }

    /// One of the lowest order, as `simple-shuffle` draws; `None` only if there is nobody.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> Option<&Candidate> {
        self.get(self.draw.place(rng)?)
    }
}

impl Deref for Lineup {
    type Target = [Candidate];

    fn deref(&self) -> &Self::Target {
        &self.candidates
    }
}

impl FromIterator<Candidate> for Lineup {
    fn from_iter<I: IntoIterator<Item = Candidate>>(candidates: I) -> Self {
        Self::of(candidates.into_iter().collect())
    }
}
