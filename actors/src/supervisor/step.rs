//! What a plan is asked and what it answers: the request's wishes, the next step, the call to make.

use std::sync::Arc;
use std::time::Duration;

use crate::board::{InFlight, Probe};
use crate::clock::Millis;
use crate::deployment::{DeploymentHandle, FailureKind, Metered, Outcome, SizeClass};
use crate::ids::{DeploymentId, ModelGroup};

/// What a request says about its route.
#[derive(Debug, Clone, Default)]
pub struct PlanAsk {
    /// Its own number of retries.
    pub num_retries: Option<u32>,
    /// Its own fallbacks, instead of the configured ones.
    pub fallbacks: Option<Vec<String>>,
    /// No fallbacks at all, higher orders included.
    pub disable_fallbacks: bool,
    /// Its tags, for tag routing.
    pub tags: Vec<String>,
    /// Deployments that have spent their budget, or their provider's.
    pub over_budget: Vec<DeploymentId>,
    /// Deployments whose context window its prompt does not fit into.
    pub too_long: Vec<TooLong>,
    /// Estimated tokens of its prompt.
    pub prompt_tokens: u64,
    /// Estimated tokens, the completion's included: what a deployment's `tpm` is charged at first.
    pub tokens: u64,
    /// The answer is to be streamed.
    pub streamed: bool,
    /// When the whole request must be over: nothing is begun then, and no wait goes beyond.
    pub deadline: Option<Millis>,
    /// The requested group is to fail like this, unasked: `mock_testing_*` of the contract.
    pub mock: Option<FailureKind>,
}

/// A prompt that is longer than a model takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLong {
    /// For this deployment,
    pub deployment: DeploymentId,
    /// serving this model: behind a wildcard, each has a window of its own.
    pub upstream_model: Arc<str>,
    /// Tokens that the model takes.
    pub window: u64,
    /// Tokens of the prompt, as the model counts them.
    pub prompt_tokens: u64,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Wait until then, and ask again. Nothing is taken yet: neither a slot nor a probe.
    Wait(Millis),
    /// Call this deployment.
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
    /// Counts the call for as long as it lives.
    pub in_flight: InFlight,
    /// This call decides whether the deployment is well again.
    pub probe: Option<Probe>,
    pub(super) metered: Option<Metered>,
    pub(super) size: SizeClass,
}

/// Why there is nobody left to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GiveUp {
    /// Answer with the last error of the group asked for: see
    /// [`RoutePlan::in_requested_group`](super::RoutePlan::in_requested_group).
    Failed,
    /// Nobody of the group asked for could be called: all cool down.
    AllInCooldown {
        /// The group asked for.
        group: ModelGroup,
        /// Until the first is due.
        retry_after: Duration,
    },
    /// Nobody of the group asked for could be called: whoever does not cool down has all its `max_parallel_requests`,
    /// `rpm` or `tpm` in use.
    AllBusy {
        /// The group asked for.
        group: ModelGroup,
        /// When to ask again.
        retry_after: Duration,
    },
    /// The operator has paused whoever is of the group asked for.
    Blocked {
        /// The group asked for.
        group: ModelGroup,
    },
    /// Nobody of the group asked for may answer requests with these tags.
    TagsDenied {
        /// The group asked for.
        group: ModelGroup,
    },
    /// Whoever of the group asked for may answer has spent its budget.
    OverBudget {
        /// The group asked for.
        group: ModelGroup,
    },
    /// The prompt is longer than whoever of the group asked for may answer takes.
    TooLong {
        /// The group asked for.
        group: ModelGroup,
        /// Tokens that the largest of them takes.
        window: u64,
        /// Tokens of the prompt.
        prompt_tokens: u64,
    },
    /// The failure that the request asked for, and no fallback answered.
    Mocked {
        /// The group asked for.
        group: ModelGroup,
        /// Which.
        kind: FailureKind,
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

// === impl Attempt ===

impl Attempt {
    /// The upstream sends content: a probe has its verdict, and a long stream does not keep others waiting for it.
    pub fn answered(&mut self, first_content: Duration, now: Millis) {
        if let Some(probe) = self.probe.take() {
            let outcome = Outcome::Success {
                total: first_content,
                first_content: Some(first_content),
                completion_tokens: 0,
                total_tokens: 0,
            };
            self.deployment
                .report_attempt(outcome, Some(probe), self.size, now);
        }
    }

    /// Reports how the call ended. Its slot stays taken until the attempt is dropped.
    pub fn ended(&mut self, outcome: Outcome, now: Millis) {
        let tokens = match outcome {
            Outcome::Success { total_tokens, .. } => Some(total_tokens),
            Outcome::Failure(failure) if has_used_nothing(failure.kind) => Some(0),
            // The provider may have done the work, or be at it still: the estimate stands.
            Outcome::Failure(_) | Outcome::Neutral => None,
        };
        if let Some(tokens) = tokens
            && let Some(metered) = self.metered.take()
        {
            self.deployment.meter().settle(&metered, tokens, now);
        }
        self.deployment
            .report_attempt(outcome, self.probe.take(), self.size, now);
    }

    /// Ends a call that was never made: what it took is free again, and nobody learns anything.
    pub fn unsent(mut self, now: Millis) {
        if let Some(metered) = self.metered.take() {
            self.deployment.meter().give_back(&metered, now);
        }
    }

    /// Reports how the call ended, and ends it.
    pub fn report(mut self, outcome: Outcome, now: Millis) {
        self.ended(outcome, now);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(metered) = self.metered.take() {
            self.deployment.meter().stands(&metered);
        }
    }
}

/// The provider refused before it did anything.
fn has_used_nothing(kind: FailureKind) -> bool {
    !matches!(
        kind,
        FailureKind::Timeout
            | FailureKind::CallersTimeout
            | FailureKind::BrokenAnswer
            | FailureKind::CutStream
    )
}
