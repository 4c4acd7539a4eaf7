//! The plan of one request: which deployment next, after how long, and when to give up.
//!
//! Group after group: each has its tries and retries, then its higher orders, then its fallbacks, each of which is a
//! group again. The request path asks [`RoutePlan::next`], waits or tries, and says [`RoutePlan::failed`]; nothing here
//! waits, calls or logs. What follows from which failure is the table in `deployment/failure.rs`; other rules: contract,
//! routing §4 and §5.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;

use super::retry;
use super::run::{Choice, Nobody, Run};
use super::select::RequestFacts;
use super::step::{Attempt, GiveUp, PlanAsk, Reason, Step};
use super::table::{Resolved, RoutingTable};
use crate::clock::Millis;
use crate::deployment::{Failure, FailureKind, FallbackList, Retry, SizeClass};
use crate::ids::ModelGroup;

/// Retries are counted up to here, whatever a request asks for.
pub const MAX_RETRIES: u32 = 32;

/// The plan of one request.
#[derive(Debug)]
pub struct RoutePlan {
    table: Arc<RoutingTable>,
    rng: SmallRng,
    ask: PlanAsk,
    /// The group asked for, then the fallback being tried, then that one's fallback, …
    stack: Vec<(Run, Phase)>,
    begun: Vec<ModelGroup>,
    /// What to answer if nobody does: the first group's end.
    original: Option<GiveUp>,
    retries: u32,
    max_retries: u32,
    attempted_fallbacks: u32,
    trail: Vec<Reason>,
}

#[derive(Debug)]
enum Phase {
    /// Ask somebody, not before then.
    Try(Millis),
    /// Somebody was asked.
    Trying,
    /// No more tries in this order.
    Exhausted,
    /// These groups are left.
    Fallbacks(VecDeque<String>),
}

// === impl RoutePlan ===

impl RoutePlan {
    pub(super) fn new(
        table: Arc<RoutingTable>,
        resolved: Resolved,
        ask: PlanAsk,
        rng: SmallRng,
    ) -> Self {
        let max_retries = ask.num_retries.unwrap_or(table.config.num_retries);
        let group = resolved.group.clone();
        let run = Run::new(resolved, table.config.tags, &ask);
        let mut plan = Self {
            table,
            rng,
            begun: vec![group.clone()],
            stack: vec![(run, Phase::Try(Millis::ZERO))],
            original: None,
            retries: 0,
            max_retries: max_retries.min(MAX_RETRIES),
            attempted_fallbacks: 0,
            trail: Vec::new(),
            ask,
        };
        if let Some(kind) = plan.ask.mock {
            plan.pretend(kind, group);
        }
        plan
    }

    /// What to do next. After a [`Step::Try`] that failed, report the outcome to its deployment, say
    /// [`failed`](Self::failed), then ask again.
    pub fn next(&mut self, now: Millis) -> Step {
        loop {
            // Whoever came too late for anything is tried once all the same: that it is too late shows soon enough.
            let is_over = !self.trail.is_empty() && self.is_over(now);
            let depth = self.stack.len();
            let (false, Some((run, phase))) = (is_over, self.stack.last_mut()) else {
                return Step::GiveUp(self.original.clone().unwrap_or(GiveUp::Failed));
            };
            match phase {
                Phase::Try(not_before) if now < *not_before => return Step::Wait(*not_before),
                Phase::Try(_) => {
                    let choice = Choice {
                        strategy: &self.table.config.strategy,
                        request: RequestFacts {
                            size: SizeClass::of(self.ask.prompt_tokens),
                            streamed: self.ask.streamed,
                            tokens: self.ask.tokens,
                        },
                    };
                    match run.select(choice, now, &mut self.rng) {
                        Ok(attempt) => {
                            *phase = Phase::Trying;
                            self.begin(&attempt);
                            return Step::Try(attempt);
                        }
                        Err(nobody) => {
                            *phase = Phase::Exhausted;
                            let group = run.resolved.group.clone();
                            self.trail.push(Reason::NobodyLeft(group.clone()));
                            if depth == 1 && self.original.is_none() {
                                self.original = Some(nobody.give_up(group));
                            }
                        }
                    }
                }
                // Asked again without a verdict: as if the call had never been.
                Phase::Trying => *phase = Phase::Exhausted,
                Phase::Exhausted => self.leave_level(),
                Phase::Fallbacks(targets) => match targets.pop_front() {
                    Some(target) => self.fall_back(target),
                    None => drop(self.stack.pop()),
                },
            }
        }
    }

    /// The attempt failed. Its outcome is reported before, so that a cooldown it caused is seen here.
    pub fn failed(&mut self, failure: &Failure, now: Millis) {
        let depth = self.stack.len();
        let Some((run, phase)) = self.stack.last_mut() else {
            return;
        };
        *phase = Phase::Exhausted;
        if let Some(Reason::Tried(id)) = self.trail.last() {
            let failed = Reason::Failed(id.clone(), failure.status);
            self.trail.push(failed);
        }
        if depth == 1 && self.original.is_none() {
            self.original = Some(GiveUp::Failed);
        }
        let by_policy = self.table.retries_by_policy(&run.resolved, failure.kind);
        self.max_retries = match (self.ask.num_retries, by_policy) {
            // A request that wants no retry gets none; else the policy knows best (contract, routing §4).
            (Some(0), _) => 0,
            (_, Some(retries)) => retries.min(MAX_RETRIES),
            _ => self.max_retries,
        };
        let retry = match failure.treatment().retry {
            Retry::Never | Retry::Elsewhere if by_policy.is_some() => Retry::Anywhere,
            retry => retry,
        };
        run.fail(failure.kind, retry != Retry::Anywhere);
        let fresh = run.has_fresh(now);
        let may_help = match retry {
            Retry::Anywhere => true,
            Retry::Elsewhere => fresh,
            Retry::Never => false,
        };
        if !may_help || run.retries >= self.max_retries {
            return;
        }
        let wait = if fresh {
            Duration::ZERO
        } else {
            let floor = self.table.config.retry_after;
            retry::wait(run.retries, failure.retry_after, floor, &mut self.rng)
        };
        // Who draws a short wait goes on to when somebody is due, if the draw could have been that long: else chance
        // would decide whether there is a retry.
        let due = run
            .earliest(now)
            .filter(|due| !run.has_anybody(now.after(wait)) && *due <= retry::ceiling(run.retries));
        let at = now.after(wait.max(due.unwrap_or_default()));
        // A wait at whose end everybody still cools down would only delay the fallback or the error; one that ends with
        // the request is for nothing.
        let in_time = self.ask.deadline.is_none_or(|deadline| at < deadline);
        if in_time && run.has_anybody(at) {
            run.retries += 1;
            *phase = Phase::Try(at);
        }
    }

    /// The attempt under way, or failed last, is one of the group (and order) that the client asked for: its error is
    /// the one to answer with if all else fails.
    pub fn in_requested_group(&self) -> bool {
        match self.stack.as_slice() {
            [(run, _phase)] => run.is_at_first_level(),
            _ => false,
        }
    }

    /// Retries within the group that answered, or was tried last.
    pub fn attempted_retries(&self) -> u32 {
        self.retries
    }

    /// Retries that the group which answered, or was tried last, could have had.
    pub fn max_retries(&self) -> u32 {
        self.max_retries
    }

    /// Fallbacks and higher orders that were begun.
    pub fn attempted_fallbacks(&self) -> u32 {
        self.attempted_fallbacks
    }

    /// What happened so far, in order.
    pub fn trail(&self) -> &[Reason] {
        &self.trail
    }

    fn is_over(&self, now: Millis) -> bool {
        self.ask.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// The requested group fails without being asked. A rate limit is retried like a real one (contract, routing §5).
    fn pretend(&mut self, kind: FailureKind, group: ModelGroup) {
        self.original = Some(GiveUp::Mocked { group, kind });
        let may_retry = kind == FailureKind::RateLimited && self.max_retries > 0;
        if let Some((run, phase)) = self.stack.first_mut() {
            run.last = Some(kind);
            if may_retry {
                run.retries = 1;
            } else {
                *phase = Phase::Exhausted;
            }
        }
    }

    fn begin(&mut self, attempt: &Attempt) {
        let id = attempt.deployment.id();
        self.trail.push(Reason::Tried(id.clone()));
        if let Some((run, _phase)) = self.stack.last() {
            self.retries = run.retries;
            self.max_retries = self
                .ask
                .num_retries
                .or_else(|| run.own_retries(id))
                .unwrap_or(self.table.config.num_retries)
                .min(MAX_RETRIES);
        }
    }

    /// On to the next order, else to the fallbacks.
    fn leave_level(&mut self) {
        let depth = self.stack.len();
        let Some((run, phase)) = self.stack.last_mut() else {
            return;
        };
        let last = run.last;
        let group = run.resolved.group.clone();
        let orders_help =
            last.is_some_and(|kind| kind.treatment().fallbacks == FallbackList::General);
        if self.ask.disable_fallbacks {
            *phase = Phase::Fallbacks(VecDeque::new());
        } else if orders_help && run.next_level() {
            *phase = Phase::Try(Millis::ZERO);
            self.attempted_fallbacks += 1;
            self.trail.push(Reason::NextOrder(group));
        } else if depth > self.table.config.max_fallbacks as usize {
            *phase = Phase::Fallbacks(VecDeque::new());
        } else {
            let names = [group.as_str(), run.resolved.entry.as_str()];
            let configured = self.table.fallbacks.targets(&names, last);
            let targets = self.ask.fallbacks.as_deref().unwrap_or(configured);
            *phase = Phase::Fallbacks(targets.iter().cloned().collect());
        }
    }

    fn fall_back(&mut self, target: String) {
        let resolved = self.table.resolve(&target);
        match resolved.filter(|resolved| !self.begun.contains(&resolved.group)) {
            Some(resolved) => {
                self.begun.push(resolved.group.clone());
                self.trail.push(Reason::FellBack(resolved.group.clone()));
                self.attempted_fallbacks += 1;
                let run = Run::new(resolved, self.table.config.tags, &self.ask);
                self.stack.push((run, Phase::Try(Millis::ZERO)));
            }
            None => self.trail.push(Reason::Skipped(target)),
        }
    }
}

// === impl Nobody ===

impl Nobody {
    fn give_up(self, group: ModelGroup) -> GiveUp {
        match self {
            Self::Cooling(retry_after) => GiveUp::AllInCooldown { group, retry_after },
            Self::Busy(retry_after) => GiveUp::AllBusy { group, retry_after },
            Self::Blocked => GiveUp::Blocked { group },
            Self::TagsDenied => GiveUp::TagsDenied { group },
            Self::OverBudget => GiveUp::OverBudget { group },
            Self::TooLong {
                window,
                prompt_tokens,
            } => GiveUp::TooLong {
                group,
                window,
                prompt_tokens,
            },
        }
    }
}
