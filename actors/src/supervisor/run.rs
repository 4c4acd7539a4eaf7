//! One group's part of a plan: which of its deployments is tried next.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use smallvec::SmallVec;

use super::lineup::{Candidate, Lineup};
use super::select::{Facts, RequestFacts, Strategy};
use super::step::{Attempt, PlanAsk, TooLong};
use super::table::{Member, Resolved};
use super::tags::TagRules;
use crate::board::BreakerState;
use crate::clock::Millis;
use crate::deployment::FailureKind;
use crate::ids::DeploymentId;

/// A breaker that is being probed, or a deployment that is full: nobody knows until when, so ask again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Draws before everybody is looked at.
const DRAWS: usize = 4;

/// A group being tried: its retries, its order levels, what it went through.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) resolved: Resolved,
    /// Who is not blocked, whom the request's tags admit, who has budget left and room for the prompt.
    members: Arc<Lineup>,
    /// Why that is nobody, if it is.
    nobody: Nobody,
    /// Orders below this were given up.
    floor: u32,
    /// The order of the last try; before it, the lowest.
    level: u32,
    tried: Option<DeploymentId>,
    failed: SmallVec<[Failed; 4]>,
    pub(super) retries: u32,
    pub(super) last: Option<FailureKind>,
}

/// By what a deployment is chosen for one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice<'a> {
    pub(super) strategy: &'a Strategy,
    pub(super) request: RequestFacts,
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
    /// Those that do not have no room; the first may have some after this.
    Busy(Duration),
    /// The operator has paused all of them.
    Blocked,
    /// None may answer requests with these tags.
    TagsDenied,
    /// Those that may have spent their budgets.
    OverBudget,
    /// Those that have budget left do not take a prompt of this length.
    TooLong { window: u64, prompt_tokens: u64 },
}

/// Whom health checks leave to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pool {
    /// Whoever did not fail one.
    Well,
    /// All of them.
    All,
}

/// Why one of them could not.
#[derive(Debug, Clone, Copy)]
enum Refused {
    Cooling,
    Busy(Duration),
}

// === impl Run ===

impl Run {
    /// A group, narrowed to who is not blocked, whom the request's tags admit, who has budget left, and whose model takes
    /// the prompt.
    pub(super) fn new(resolved: Resolved, rules: TagRules, ask: &PlanAsk) -> Self {
        let running = resolved.members.running().unwrap_or(&resolved.members);
        let mut members = rules.admitted(running, &ask.tags);
        let mut nobody = if running.is_empty() {
            Nobody::Blocked
        } else if members.is_empty() {
            Nobody::TagsDenied
        } else {
            Nobody::OverBudget
        };
        if !ask.over_budget.is_empty() {
            let has_budget = |candidate: &&Candidate| {
                let id = candidate.member.handle.id();
                !ask.over_budget.contains(id)
            };
            members = Arc::new(members.iter().filter(has_budget).cloned().collect());
        }
        if !ask.too_long.is_empty() {
            let largest = members
                .iter()
                .filter_map(|candidate| too_long(candidate, ask))
                .max_by_key(|one| one.window);
            if let Some(one) = largest {
                nobody = Nobody::TooLong {
                    window: one.window,
                    prompt_tokens: one.prompt_tokens,
                };
            }
            let has_room = |candidate: &&Candidate| too_long(candidate, ask).is_none();
            members = Arc::new(members.iter().filter(has_room).cloned().collect());
        }
        // As if a provider had said it: the fallbacks for prompts that are too long are tried.
        let is_too_long = members.is_empty() && matches!(nobody, Nobody::TooLong { .. });
        Self {
            level: members.orders().first().copied().unwrap_or(0),
            members,
            nobody,
            resolved,
            floor: 0,
            tried: None,
            failed: SmallVec::new(),
            retries: 0,
            last: is_too_long.then_some(FailureKind::ContextWindow),
        }
    }

    /// Picks a deployment for a call now and takes its slot, and its probe if it is half-open.
    ///
    /// Whoever failed a health check is passed over, unless all did. The lowest order with anybody to ask; in it, whoever has not failed this request before whoever has; among those,
    /// by the strategy.
    pub(super) fn select(
        &mut self,
        choice: Choice<'_>,
        now: Millis,
        rng: &mut impl Rng,
    ) -> Result<Attempt, Nobody> {
        if self.members.is_empty() {
            return Err(self.nobody);
        }
        if let Some(attempt) = self.draw(choice, now, rng) {
            return Ok(attempt);
        }
        let pool = self.pool(now);
        let mut busy: Option<Duration> = None;
        let levels: SmallVec<[u32; 4]> = self.levels().collect();
        for level in levels {
            for again in [false, true] {
                let mut candidates: SmallVec<[&Candidate; 8]> = self
                    .level_members(level)
                    .filter(|candidate| self.is_eligible(&candidate.member, again))
                    .filter(|candidate| pool.admits(&candidate.member, now))
                    .collect();
                let mut facts: SmallVec<[Facts; 8]> = candidates
                    .iter()
                    .map(|candidate| {
                        choice
                            .strategy
                            .facts(&candidate.member, choice.request, now)
                    })
                    .collect();
                while let Some(place) = choice.strategy.pick(&facts, rng) {
                    if place >= candidates.len() || place >= facts.len() {
                        break;
                    }
                    facts.remove(place);
                    let candidate = candidates.remove(place);
                    match self.take(candidate, choice.request, now) {
                        Ok(attempt) => {
                            drop(candidates);
                            self.tried = Some(attempt.deployment.id().clone());
                            self.level = level;
                            return Ok(attempt);
                        }
                        Err(Refused::Cooling) => {}
                        Err(Refused::Busy(wait)) => {
                            busy = Some(busy.map_or(wait, |known| known.min(wait)));
                        }
                    }
                }
            }
        }
        Err(match (busy, self.earliest(now)) {
            (Some(busy), Some(due)) => Nobody::Busy(busy.min(due)),
            (Some(busy), None) => Nobody::Busy(busy),
            (None, due) => Nobody::Cooling(due.unwrap_or(ASK_AGAIN)),
        })
    }

    /// What [`select`](Self::select) does, without looking at everybody: it draws by the weights of all, again if that one
    /// cannot be asked, which gives those that can the same chances as a draw among them alone. `None` when that does not
    /// find anybody soon, when the strategy is another one, or after a failure.
    fn draw(&mut self, choice: Choice<'_>, now: Millis, rng: &mut impl Rng) -> Option<Attempt> {
        let is_first = self.failed.is_empty() && self.is_at_first_level();
        if *choice.strategy != Strategy::SimpleShuffle || !is_first {
            return None;
        }
        for _ in 0..DRAWS {
            let candidate = self.members.draw(rng)?;
            if !Pool::Well.admits(&candidate.member, now) {
                continue;
            }
            let Ok(attempt) = self.take(candidate, choice.request, now) else {
                continue;
            };
            self.tried = Some(attempt.deployment.id().clone());
            self.level = candidate.order();
            return Some(attempt);
        }
        None
    }

    /// Takes everything that a call needs of the deployment, or nothing.
    fn take(
        &self,
        candidate: &Candidate,
        request: RequestFacts,
        now: Millis,
    ) -> Result<Attempt, Refused> {
        let Member { spec, handle } = &*candidate.member;
        let row = handle.row();
        let probe = match row.state(now) {
            BreakerState::Closed => None,
            BreakerState::Open { .. } => return Err(Refused::Cooling),
            // `None`: somebody else was quicker.
            BreakerState::HalfOpen { .. } => Some(row.try_probe(now).ok_or(Refused::Cooling)?),
        };
        let in_flight = row
            .enter(spec.max_parallel_requests)
            .ok_or(Refused::Busy(ASK_AGAIN))?;
        let metered = handle
            .meter()
            .take(spec.grant(), request.tokens, now)
            .map_err(Refused::Busy)?;
        Ok(Attempt {
            deployment: handle.clone(),
            group: self.resolved.group.clone(),
            upstream_model: Arc::clone(&candidate.upstream_model),
            in_flight,
            probe,
            metered: Some(metered),
            size: request.size,
        })
    }

    /// Takes note that the deployment tried last has failed; `for_good`: it is not asked again for this request.
    pub(super) fn fail(&mut self, kind: FailureKind, for_good: bool) {
        self.last = Some(kind);
        if let Some(id) = self.tried.take() {
            self.failed.push(Failed { id, for_good });
        }
    }

    /// Retries that the deployment tried last asks for itself.
    pub(super) fn own_retries(&self, id: &DeploymentId) -> Option<u32> {
        self.members
            .iter()
            .find(|candidate| candidate.member.handle.id() == id)
            .and_then(|candidate| candidate.member.spec.num_retries)
    }

    /// Somebody in the level that is being tried could be asked at once, and has not failed this request.
    pub(super) fn has_fresh(&self, now: Millis) -> bool {
        let pool = self.pool(now);
        self.level_members(self.level).any(|candidate| {
            self.is_eligible(&candidate.member, false) && pool.admits(&candidate.member, now)
        })
    }

    /// Somebody could be asked at that time, whether they failed this request before or not.
    pub(super) fn has_anybody(&self, at: Millis) -> bool {
        let pool = self.pool(at);
        let members = self.members.iter();
        members
            .filter(|candidate| candidate.order() >= self.floor)
            .any(|candidate| {
                let eligible = self.is_eligible(&candidate.member, false)
                    || self.is_eligible(&candidate.member, true);
                eligible && pool.admits(&candidate.member, at)
            })
    }

    /// Goes on with the next higher order, with retries of its own; false if there is none.
    pub(super) fn next_level(&mut self) -> bool {
        let higher = self.levels().find(|level| *level > self.level);
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

    fn levels(&self) -> impl Iterator<Item = u32> {
        let orders = self.members.orders().iter().copied();
        orders.filter(|level| *level >= self.floor)
    }

    fn level_members(&self, level: u32) -> impl Iterator<Item = &Candidate> {
        let members = self.members.iter();
        members.filter(move |candidate| candidate.order() == level)
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

    /// A group that is unhealthy as a whole is tried all the same: checks may be wrong, and there is nobody better.
    fn pool(&self, at: Millis) -> Pool {
        let mut members = self.members.iter();
        if members.any(|candidate| is_well(&candidate.member, at)) {
            Pool::Well
        } else {
            Pool::All
        }
    }

    /// When the first of those that cool down is due.
    pub(super) fn earliest(&self, now: Millis) -> Option<Duration> {
        let pool = self.pool(now);
        let members = self.members.iter();
        let members = members.filter(|candidate| pool.holds(&candidate.member, now));
        let waits =
            members.filter_map(|candidate| match candidate.member.handle.row().state(now) {
                BreakerState::Closed => None,
                BreakerState::Open { until } => Some(until.since(now)),
                BreakerState::HalfOpen { .. } => Some(ASK_AGAIN),
            });
        waits.min()
    }
}

fn too_long<'a>(candidate: &Candidate, ask: &'a PlanAsk) -> Option<&'a TooLong> {
    let id = candidate.member.handle.id();
    ask.too_long
        .iter()
        .find(|one| one.deployment == *id && one.upstream_model == candidate.upstream_model)
}

/// No fresh health check failed.
fn is_well(member: &Member, at: Millis) -> bool {
    member.handle.row().unhealthy_until(at).is_none()
}

// === impl Pool ===

impl Pool {
    /// The member is not passed over for its health.
    fn holds(self, member: &Member, at: Millis) -> bool {
        self == Self::All || is_well(member, at)
    }

    /// The member could be asked at that time.
    fn admits(self, member: &Member, at: Millis) -> bool {
        let is_available = match member.handle.row().state(at) {
            BreakerState::Closed | BreakerState::HalfOpen { probing: false } => true,
            BreakerState::Open { .. } | BreakerState::HalfOpen { probing: true } => false,
        };
        is_available && self.holds(member, at)
    }
}
