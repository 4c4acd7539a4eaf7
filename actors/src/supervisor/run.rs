//! One group's part of a plan: which of its deployments is tried next.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use smallvec::SmallVec;

use super::plan::Attempt;
use super::select;
use super::table::{Candidate, Member, Resolved};
use crate::board::BreakerState;
use crate::clock::Millis;
use crate::deployment::Failure;
use crate::ids::DeploymentId;

/// A breaker that is being probed, or a deployment that is full: nobody knows until when, so ask again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A group being tried: its retries, its order levels, what it went through.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) resolved: Resolved,
    /// Orders below this were given up.
    floor: u32,
    /// The order of the last try.
    level: u32,
    tried: Option<DeploymentId>,
    failed: SmallVec<[Failed; 4]>,
    pub(super) retries: u32,
    pub(super) last: Option<Failure>,
}

#[derive(Debug)]
struct Failed {
    id: DeploymentId,
    /// With a status that a repetition cannot mend: not asked again for this request.
    for_good: bool,
}

/// Why nobody of the group could be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nobody {
    /// All cool down; the first is due after this.
    Cooling(Duration),
    /// Those that do not are full.
    Busy(Duration),
}

// === impl Run ===

impl Run {
    pub(super) fn new(resolved: Resolved) -> Self {
        Self {
            resolved,
            floor: 0,
            level: 0,
            tried: None,
            failed: SmallVec::new(),
            retries: 0,
            last: None,
        }
    }

    /// Picks a deployment for a call at `at` and takes its slot, and its probe if it is half-open.
    ///
    /// The lowest order with anybody to ask; in it, whoever has not failed this request before whoever has.
    pub(super) fn select(
        &mut self,
        at: Millis,
        wait: Duration,
        rng: &mut impl Rng,
    ) -> Result<Attempt, Nobody> {
        let mut busy = false;
        for level in self.levels() {
            for again in [false, true] {
                let mut candidates: SmallVec<[&Candidate; 8]> = self
                    .level_members(level)
                    .filter(|candidate| self.is_eligible(&candidate.member, again))
                    .collect();
                while let Some(candidate) = take_one(&mut candidates, rng) {
                    let row = candidate.member.handle.row();
                    let probe = match row.state(at) {
                        BreakerState::Closed => None,
                        BreakerState::Open { .. } => continue,
                        // Lost the race for the probe: the next candidate.
                        BreakerState::HalfOpen { .. } => match row.try_probe(at) {
                            Some(probe) => Some(probe),
                            None => continue,
                        },
                    };
                    let Some(in_flight) = row.enter(candidate.member.spec.max_parallel_requests)
                    else {
                        busy = true;
                        continue;
                    };
                    let attempt = Attempt {
                        deployment: candidate.member.handle.clone(),
                        group: self.resolved.group.clone(),
                        upstream_model: Arc::clone(&candidate.upstream_model),
                        wait,
                        in_flight,
                        probe,
                    };
                    drop(candidates);
                    self.tried = Some(attempt.deployment.id().clone());
                    self.level = level;
                    return Ok(attempt);
                }
            }
        }
        Err(if busy {
            Nobody::Busy(ASK_AGAIN)
        } else {
            Nobody::Cooling(self.earliest(at))
        })
    }

    /// Takes note that the deployment tried last has failed.
    pub(super) fn fail(&mut self, failure: &Failure) {
        self.last = Some(*failure);
        if let Some(id) = self.tried.take() {
            self.failed.push(Failed {
                id,
                for_good: !failure.is_retryable(),
            });
        }
    }

    /// Retries that the deployment tried last asks for itself.
    pub(super) fn own_retries(&self, id: &DeploymentId) -> Option<u32> {
        self.resolved
            .members
            .iter()
            .find(|candidate| candidate.member.handle.id() == id)
            .and_then(|candidate| candidate.member.spec.num_retries)
    }

    /// Somebody in the level that is being tried could be asked at once, and has not failed this request.
    pub(super) fn has_fresh(&self, now: Millis) -> bool {
        self.level_members(self.level).any(|candidate| {
            self.is_eligible(&candidate.member, false) && is_available(&candidate.member, now)
        })
    }

    /// Somebody could be asked at that time, whether they failed this request before or not.
    pub(super) fn has_anybody(&self, at: Millis) -> bool {
        let members = self.resolved.members.iter();
        members
            .filter(|candidate| order(&candidate.member) >= self.floor)
            .any(|candidate| {
                let eligible = self.is_eligible(&candidate.member, false)
                    || self.is_eligible(&candidate.member, true);
                eligible && is_available(&candidate.member, at)
            })
    }

    /// Goes on with the next higher order, with retries of its own; false if there is none.
    pub(super) fn next_level(&mut self) -> bool {
        let higher = self.levels().into_iter().find(|level| *level > self.level);
        let Some(level) = higher else {
            return false;
        };
        self.floor = level;
        self.level = level;
        self.retries = 0;
        true
    }

    /// The first order is still the one being tried.
    pub(super) fn is_at_first_level(&self) -> bool {
        self.floor == 0
    }

    fn levels(&self) -> SmallVec<[u32; 4]> {
        let members = self.resolved.members.iter();
        let mut levels: SmallVec<[u32; 4]> = members
            .map(|candidate| order(&candidate.member))
            .filter(|level| *level >= self.floor)
            .collect();
        levels.sort_unstable();
        levels.dedup();
        levels
    }

    fn level_members(&self, level: u32) -> impl Iterator<Item = &Candidate> {
        let members = self.resolved.members.iter();
        members.filter(move |candidate| order(&candidate.member) == level)
    }

    fn is_eligible(&self, member: &Member, again: bool) -> bool {
        let mut failures = self
            .failed
            .iter()
            .filter(|failed| failed.id == *member.handle.id())
            .peekable();
        let has_failed = failures.peek().is_some();
        has_failed == again && !failures.any(|failed| failed.for_good)
    }

    fn earliest(&self, now: Millis) -> Duration {
        let members = self.resolved.members.iter();
        let waits =
            members.filter_map(|candidate| match candidate.member.handle.row().state(now) {
                BreakerState::Closed => None,
                BreakerState::Open { until } => Some(until.since(now)),
                BreakerState::HalfOpen { .. } => Some(ASK_AGAIN),
            });
        waits.min().unwrap_or(ASK_AGAIN)
    }
}

/// Without an order, a deployment comes after all that have one.
fn order(member: &Member) -> u32 {
    member.spec.order.unwrap_or(u32::MAX)
}

fn is_available(member: &Member, at: Millis) -> bool {
    match member.handle.row().state(at) {
        BreakerState::Closed | BreakerState::HalfOpen { probing: false } => true,
        BreakerState::Open { .. } | BreakerState::HalfOpen { probing: true } => false,
    }
}

/// Removes one candidate, by weight among those that are left and can be asked.
fn take_one<'a>(
    candidates: &mut SmallVec<[&'a Candidate; 8]>,
    rng: &mut impl Rng,
) -> Option<&'a Candidate> {
    let members: SmallVec<[&Member; 8]> = candidates.iter().map(|c| &*c.member).collect();
    let index = select::pick(&members, rng)?;
    (index < candidates.len()).then(|| candidates.swap_remove(index))
}
