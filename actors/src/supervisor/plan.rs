//! The plan of one request: which deployment next, after how long, and when to give up.
//!
//! Group after group: each has its tries and retries, then its higher orders, then its fallbacks, each of which is a
//! group again. The request path asks [`RoutePlan::next`], tries, and says [`RoutePlan::failed`]; nothing here waits,
//! calls or logs. Rules: contract, routing §4 and §5.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;

use super::retry;
use super::run::{Nobody, Run};
use super::table::{Resolved, RoutingTable};
use crate::board::{InFlight, Probe};
use crate::clock::Millis;
use crate::deployment::{DeploymentHandle, Failure, Outcome};
use crate::ids::{DeploymentId, ModelGroup};

/// Retries are counted up to here, whatever a request asks for.
pub const MAX_RETRIES: u32 = 32;

/// What a request says about its route.
#[derive(Debug, Clone, Default)]
pub struct PlanAsk<'a> {
    /// The model it names.
    pub model: &'a str,
    /// Its own number of retries.
    pub num_retries: Option<u32>,
    /// Its own fallbacks, instead of the configured ones.
    pub fallbacks: Option<Vec<String>>,
    /// No fallbacks at all, higher orders included.
    pub disable_fallbacks: bool,
}

/// No group, deployment, alias or pattern has that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no deployment serves the model `{0}`")]
pub struct UnknownModel(pub String);

/// The plan of one request.
#[derive(Debug)]
pub struct RoutePlan {
    table: Arc<RoutingTable>,
    rng: SmallRng,
    num_retries: Option<u32>,
    fallbacks: Option<Vec<String>>,
    disable_fallbacks: bool,
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
    /// Ask somebody, after a wait.
    Try(Duration),
    /// Somebody was asked.
    Trying,
    /// No more tries in this order.
    Exhausted,
    /// These groups are left.
    Fallbacks(VecDeque<String>),
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Wait, then call this deployment.
    Try(Attempt),
    /// Answer the client with an error.
    GiveUp(GiveUp),
}

/// One call to make.
#[derive(Debug)]
#[must_use = "a dropped attempt frees its slot and its probe without a verdict"]
pub struct Attempt {
    /// Whom to call.
    pub deployment: DeploymentHandle,
    /// For which group: the one asked for or a fallback; for a wildcard, the name that matched.
    pub group: ModelGroup,
    /// The provider's model name.
    pub upstream_model: Arc<str>,
    /// Wait this long first.
    pub wait: Duration,
    /// Counts the call for as long as it lives.
    pub in_flight: InFlight,
    /// This call decides whether the deployment is well again.
    pub probe: Option<Probe>,
}

/// Why there is nobody left to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GiveUp {
    /// Answer with the last error of the group asked for: see [`RoutePlan::in_requested_group`].
    Failed,
    /// Nobody of the group asked for could be called: all cool down.
    AllInCooldown {
        /// The group asked for.
        group: ModelGroup,
        /// Until the first is due.
        retry_after: Duration,
    },
    /// Nobody of the group asked for could be called: all `max_parallel_requests` are in use.
    AllBusy {
        /// The group asked for.
        group: ModelGroup,
        /// When to ask again.
        retry_after: Duration,
    },
}

/// One step of what happened, for logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A deployment was called.
    Tried(DeploymentId),
    /// It failed with that status.
    Failed(DeploymentId, u16),
    /// Nobody of the group could be called.
    NobodyLeft(ModelGroup),
    /// The next higher order of the group.
    NextOrder(ModelGroup),
    /// On to a fallback.
    FellBack(ModelGroup),
    /// A fallback was passed over: unknown, or begun before.
    Skipped(String),
}

// === impl RoutePlan ===

impl RoutePlan {
    pub(super) fn new(
        table: Arc<RoutingTable>,
        resolved: Resolved,
        ask: PlanAsk<'_>,
        rng: SmallRng,
    ) -> Self {
        Self {
            num_retries: ask.num_retries,
            fallbacks: ask.fallbacks,
            disable_fallbacks: ask.disable_fallbacks,
            begun: vec![resolved.group.clone()],
            stack: vec![(Run::new(resolved), Phase::Try(Duration::ZERO))],
            original: None,
            retries: 0,
            max_retries: ask
                .num_retries
                .unwrap_or(table.config.num_retries)
                .min(MAX_RETRIES),
            attempted_fallbacks: 0,
            trail: Vec::new(),
            table,
            rng,
        }
    }

    /// What to do next. After a [`Step::Try`] that failed, report the outcome to its deployment, say
    /// [`failed`](Self::failed), then ask again.
    pub fn next(&mut self, now: Millis) -> Step {
        loop {
            let depth = self.stack.len();
            let Some((run, phase)) = self.stack.last_mut() else {
                return Step::GiveUp(self.original.clone().unwrap_or(GiveUp::Failed));
            };
            match phase {
                Phase::Try(wait) => {
                    let wait = *wait;
                    match run.select(now.after(wait), wait, &mut self.rng) {
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
        run.fail(failure);
        if let Some(Reason::Tried(id)) = self.trail.last() {
            let failed = Reason::Failed(id.clone(), failure.status);
            self.trail.push(failed);
        }
        if depth == 1 && self.original.is_none() {
            self.original = Some(GiveUp::Failed);
        }
        let fresh = run.has_fresh(now);
        // Another deployment has another key: it may know what this one may not.
        let elsewhere = matches!(failure.status, 401 | 403) && fresh;
        let may_help = !failure.is_the_requests_fault() && (failure.is_retryable() || elsewhere);
        *phase = Phase::Exhausted;
        if !may_help || run.retries >= self.max_retries {
            return;
        }
        let wait = if fresh {
            Duration::ZERO
        } else {
            let floor = self.table.config.retry_after;
            retry::wait(run.retries, failure.retry_after, floor, &mut self.rng)
        };
        // A wait at whose end everybody still cools down would only delay the fallback or the error.
        if run.has_anybody(now.after(wait)) {
            run.retries += 1;
            *phase = Phase::Try(wait);
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

    fn begin(&mut self, attempt: &Attempt) {
        let id = attempt.deployment.id();
        self.trail.push(Reason::Tried(id.clone()));
        if let Some((run, _phase)) = self.stack.last() {
            self.retries = run.retries;
            self.max_retries = self
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
        let orders_help = last.is_some_and(|failure| !failure.is_special());
        if self.disable_fallbacks {
            *phase = Phase::Fallbacks(VecDeque::new());
        } else if orders_help && run.next_level() {
            *phase = Phase::Try(Duration::ZERO);
            self.attempted_fallbacks += 1;
            self.trail.push(Reason::NextOrder(group));
        } else if depth > self.table.config.max_fallbacks as usize {
            *phase = Phase::Fallbacks(VecDeque::new());
        } else {
            let names = [group.as_str(), run.resolved.entry.as_str()];
            let configured = self.table.fallbacks.targets(&names, last.as_ref());
            let targets = self.fallbacks.as_deref().unwrap_or(configured);
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
                self.stack
                    .push((Run::new(resolved), Phase::Try(Duration::ZERO)));
            }
            None => self.trail.push(Reason::Skipped(target)),
        }
    }
}

// === impl Attempt ===

impl Attempt {
    /// The upstream sends content: a probe has its verdict, and a long stream does not keep others waiting for it.
    pub fn answered(&mut self, first_content: Duration, now: Millis) {
        if let Some(probe) = self.probe.take() {
            let outcome = Outcome::Success {
                total: first_content,
                first_content: Some(first_content),
                completion_tokens: 0,
            };
            self.deployment.report_probe(outcome, Some(probe), now);
        }
    }

    /// Reports how the call ended, and ends it.
    pub fn report(self, outcome: Outcome, now: Millis) {
        self.deployment.report_probe(outcome, self.probe, now);
    }
}

// === impl Nobody ===

impl Nobody {
    fn give_up(self, group: ModelGroup) -> GiveUp {
        match self {
            Self::Cooling(retry_after) => GiveUp::AllInCooldown { group, retry_after },
            Self::Busy(retry_after) => GiveUp::AllBusy { group, retry_after },
        }
    }
}
